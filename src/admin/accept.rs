//! Which of two texts a scraper wants, by the Accept field of its request (RFC 9110 §12.5.1).
//!
//! Pure. Versions of a format are not compared: there is one of each. Who takes neither is given OpenMetrics all the same,
//! as a server may (RFC 9110 §12.5.1).

use crate::server::metrics::Encoding;

/// The text that is wanted more; OpenMetrics where both are wanted alike, or nothing is said.
pub(super) fn preferred(accept: &str) -> Encoding {
    let of_open = quality(accept, "application", "openmetrics-text");
    let of_classic = quality(accept, "text", "plain");
    match (of_open, of_classic) {
        // Of no weight is what is not wanted at all.
        (Some(0), classic) if classic != Some(0) => Encoding::Prometheus,
        (open, Some(classic)) if classic > open.unwrap_or(0) => Encoding::Prometheus,
        _ => Encoding::OpenMetrics,
    }
}

/// How much a type is wanted, in thousandths: as its closest range says, and of those as the best does.
fn quality(accept: &str, kind: &str, subtype: &str) -> Option<u32> {
    let ranges = accept.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let (of_kind, of_subtype) = parts.next()?.split_once('/')?;
        let is_kind = of_kind.eq_ignore_ascii_case(kind);
        let closeness = match (of_kind, of_subtype) {
            ("*", "*") => 0,
            (_, "*") if is_kind => 1,
            (_, found) if is_kind && found.eq_ignore_ascii_case(subtype) => 2,
            _ => return None,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        Some((closeness, weight.map_or(Some(1_000), thousandths)?))
    });
    ranges.max().map(|(_, quality)| quality)
}

/// A weight (RFC 9110 §12.4.2); `None`: it is none.
fn thousandths(weight: &str) -> Option<u32> {
    let weight = weight.trim().parse::<f64>().ok()?;
    (0.0..=1.0)
        .contains(&weight)
        .then_some((weight * 1e3) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_more_is_given() {
        use Encoding::{OpenMetrics, Prometheus};
        for (accept, expected) in [
            ("", OpenMetrics),
            ("*/*", OpenMetrics),
            ("text/plain", Prometheus),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Prometheus),
            ("text/*", Prometheus),
            ("TEXT/Plain; Q=1", Prometheus),
            ("application/openmetrics-text", OpenMetrics),
            // Prometheus 2.x and 3.x.
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "text/plain;version=0.0.4;q=0.5,application/openmetrics-text;q=0.4",
                Prometheus,
            ),
            (
                "text/plain;q=0.5, application/openmetrics-text;q=0.5",
                OpenMetrics,
            ),
            ("application/openmetrics-text;q=0, */*", Prometheus),
            // Not wanted, and nothing is said of the other; or neither is.
            ("application/openmetrics-text;q=0", Prometheus),
            ("text/plain;q=0", OpenMetrics),
            ("text/plain;q=0.0, application/*;q=0.1", OpenMetrics),
            ("*/*;q=0", OpenMetrics),
            ("text/html,application/xml;q=0.9,*/*;q=0.8", OpenMetrics),
            // Nothing that anybody could mean.
            ("text/plain;q=high", OpenMetrics),
            ("text/plain;q=2, , ;, /", OpenMetrics),
        ] {
            assert_eq!(preferred(accept), expected, "{accept}");
        }
    }
}
