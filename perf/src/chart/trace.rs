//! What of a line is within its panel, and where it leaves.
//!
//! Positions are from 0 to 1 along both axes, upwards. A line ends where it crosses the edge, not at its last point within:
//! what is seen of it is true. Where it leaves through the top or the bottom it is told by an arrow.

/// A point of a line by its positions. An infinite height is allowed.
pub(super) type Position = (f64, f64);

/// What is to be drawn of a line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trace {
    /// Whether none of its points can be drawn, here or beyond.
    pub is_empty: bool,
    /// Stretches within the panel, of two points or more.
    pub pieces: Vec<Vec<Position>>,
    /// Where it leaves, once for all of its neighbouring points beyond the same edge.
    pub exits: Vec<Exit>,
}

/// Where a line leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Exit {
    /// Where along the edge.
    pub x: f64,
    /// Whether through the top.
    pub up: bool,
}

impl Trace {
    /// The trace of a line through these points; `None` is one that cannot be drawn, where the line is broken.
    pub fn new(points: impl IntoIterator<Item = Option<Position>>) -> Self {
        let mut trace = Self {
            is_empty: true,
            pieces: Vec::new(),
            exits: Vec::new(),
        };
        let mut before: Option<Position> = None;
        for point in points {
            if let Some(to) = point {
                trace.is_empty = false;
                if let Some(from) = before {
                    trace.join(from, to);
                }
                let side = side(to);
                if let Some(up) = side
                    && before.and_then(self::side) != side
                {
                    trace.leave(before, to, up);
                }
            }
            before = point;
        }
        trace
    }

    fn join(&mut self, from: Position, to: Position) {
        let Some((from, to)) = clip(from, to) else {
            return;
        };
        match self.pieces.last_mut() {
            Some(piece) if piece.last() == Some(&from) => piece.push(to),
            _ => self.pieces.push(vec![from, to]),
        }
    }

    fn leave(&mut self, before: Option<Position>, (x, y): Position, up: bool) {
        let edge = if up { 1.0 } else { 0.0 };
        let x = match before {
            Some((from, height)) if y.is_finite() && height.is_finite() => {
                from + (x - from) * (edge - height) / (y - height)
            }
            _ => x,
        };
        if (0.0..=1.0).contains(&x) {
            self.exits.push(Exit { x, up });
        }
    }
}

/// How far beyond an edge a position may be by rounding.
const SLACK: f64 = 1e-9;

/// Whether a point is within the panel.
pub(super) fn is_inside((x, y): Position) -> bool {
    let along = |part: f64| (-SLACK..=1.0 + SLACK).contains(&part);
    along(x) && along(y)
}

/// Beyond which edge a point is: `true` the top, `false` the bottom.
fn side((_, y): Position) -> Option<bool> {
    match y {
        _ if y > 1.0 + SLACK => Some(true),
        _ if y < -SLACK => Some(false),
        _ => None,
    }
}

/// The part of a segment that is within the panel (Liang and Barsky, 1984).
fn clip(from: Position, to: Position) -> Option<(Position, Position)> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    if !(dx.is_finite() && dy.is_finite()) {
        return None;
    }
    let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
    for (delta, room) in [
        (-dx, from.0 + SLACK),
        (dx, 1.0 + SLACK - from.0),
        (-dy, from.1 + SLACK),
        (dy, 1.0 + SLACK - from.1),
    ] {
        if delta < 0.0 {
            enter = enter.max(room / delta);
        } else if delta > 0.0 {
            leave = leave.min(room / delta);
        } else if room < 0.0 {
            return None;
        }
    }
    if enter > leave {
        return None;
    }
    let at = |part: f64| (from.0 + part * dx, from.1 + part * dy);
    let end = |part: f64, whole: Position| {
        if part == 0.0 || part == 1.0 {
            whole
        } else {
            at(part)
        }
    };
    Some((end(enter, from), end(leave, to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFINITE: f64 = f64::INFINITY;

    fn check(points: &[Option<Position>], pieces: &[&[Position]], exits: &[(f64, bool)]) {
        let trace = Trace::new(points.iter().copied());
        let near = |one: Position, other: Position| {
            (one.0 - other.0).abs() < 1e-6 && (one.1 - other.1).abs() < 1e-6
        };
        let as_expected = trace.pieces.len() == pieces.len()
            && trace.pieces.iter().zip(pieces).all(|(piece, expected)| {
                piece.len() == expected.len()
                    && piece
                        .iter()
                        .zip(*expected)
                        .all(|(one, other)| near(*one, *other))
            })
            && trace.exits.len() == exits.len()
            && trace
                .exits
                .iter()
                .zip(exits)
                .all(|(exit, (x, up))| near((exit.x, 0.0), (*x, 0.0)) && exit.up == *up);
        assert!(as_expected, "{points:?}: {trace:?}");
    }

    #[test]
    fn a_line_ends_where_it_leaves() {
        let inside = [Some((0.0, 0.0)), Some((0.5, 1.0)), Some((1.0, 0.5))];
        check(&inside, &[&[(0.0, 0.0), (0.5, 1.0), (1.0, 0.5)]], &[]);
        // Up and away, with more points beyond.
        let away = [Some((0.0, 0.5)), Some((0.5, 1.5)), Some((0.75, 2.0))];
        check(&away, &[&[(0.0, 0.5), (0.25, 1.0)]], &[(0.25, true)]);
        // … and back, and out at the bottom.
        let back = [
            Some((0.0, 0.5)),
            Some((0.2, 1.5)),
            Some((0.4, 0.5)),
            Some((0.6, -0.5)),
        ];
        let pieces: [&[Position]; 2] = [
            &[(0.0, 0.5), (0.1, 1.0)],
            &[(0.3, 1.0), (0.4, 0.5), (0.5, 0.0)],
        ];
        check(&back, &pieces, &[(0.1, true), (0.5, false)]);
        // From beyond the left edge to beyond the right one.
        check(
            &[Some((-1.0, 0.5)), Some((2.0, 0.5))],
            &[&[(0.0, 0.5), (1.0, 0.5)]],
            &[],
        );
        // Past a corner.
        check(&[Some((-0.5, 1.1)), Some((0.5, 2.0))], &[], &[]);
        // Wholly above: there is nothing but the arrow.
        check(&[Some((0.3, 1.5)), Some((0.6, 1.6))], &[], &[(0.3, true)]);
    }

    #[test]
    fn a_line_is_broken_where_it_cannot_be_drawn() {
        let gap = [
            Some((0.0, 0.5)),
            Some((0.1, 0.5)),
            None,
            Some((0.3, 0.5)),
            Some((0.4, 0.5)),
        ];
        check(
            &gap,
            &[&[(0.0, 0.5), (0.1, 0.5)], &[(0.3, 0.5), (0.4, 0.5)]],
            &[],
        );
        check(&[Some((0.5, 0.5))], &[], &[]);
        check(&[None, Some((0.5, 0.5)), None], &[], &[]);
        check(&[], &[], &[]);
        // Nobody knows where it crosses the edge on its way to infinity.
        let away = [
            Some((0.0, 0.2)),
            Some((0.4, 0.5)),
            Some((0.6, INFINITE)),
            Some((0.8, INFINITE)),
        ];
        check(&away, &[&[(0.0, 0.2), (0.4, 0.5)]], &[(0.6, true)]);
        check(
            &[Some((0.4, INFINITE)), Some((0.6, -INFINITE))],
            &[],
            &[(0.4, true), (0.6, false)],
        );
    }
}
