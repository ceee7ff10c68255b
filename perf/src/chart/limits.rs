//! What a chart takes, so that a name or a number from a file cannot spoil its layout.

/// The largest magnitude of a number that is drawn; what is larger is left out as if it were infinite. (It is not a number
/// that anybody measured, and its sums and differences stay finite.)
pub(super) const MAGNITUDE_MAX: f64 = 1e100;

/// The smallest positive number on a logarithmic axis; what is smaller is left out as zero is. A linear axis is longer, so
/// that its steps are not zero.
pub(super) const POSITIVE_MIN: f64 = 1e-100;

/// How many ticks an axis has at most, labelled or not.
pub(super) const TICKS_MAX: usize = 200;

/// The length of a name in a legend, in characters. It is whole in titles, which are shown where something is pointed at,
/// and in tables.
pub(super) const NAME_CHARS_MAX: usize = 44;

/// The length of a reference's label, in characters: it takes from the width of the panels.
pub(super) const REFERENCE_CHARS_MAX: usize = 24;

/// How many panels stand beside each other.
pub(super) const PANELS_PER_ROW_MAX: usize = 3;
