//! Colours and marks, the same for the same name on a whole page, on light and on dark ground.
//!
//! plotters writes a colour into each element as `#RRGGBB`. What it writes are the colours for light ground, so that a
//! chart that is cut out of its page is right by itself. A page's style sheet has a rule for each of them ([`css`]), which
//! replaces it by a custom property that has another value on dark ground; a rule is stronger than an attribute. So each
//! colour here has a value of its own, and one that is not here is not drawn with.
//!
//! The colours of series were chosen by a search for those that stay apart for all kinds of colour vision and from the
//! ground; the tests hold them to that (Machado et al. 2009 for colour vision, WCAG 2.1 §1.4.11 for contrast). They are not
//! trusted all the same: series have marks and strokes, parts of bars have letters.

use std::fmt::Write;

use plotters::style::{Color, RGBColor, ShapeStyle};

/// A colour on light and on dark ground, `0xRRGGBB`, and the name of the custom property that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour {
    property: &'static str,
    light: u32,
    dark: u32,
}

/// What everything is drawn on.
pub(super) const GROUND: Colour = colour("ground", 0xff_ffff, 0x15_181c);
/// Names and numbers.
pub(super) const INK: Colour = colour("ink", 0x1b_1f24, 0xe8_eaed);
/// Labels of ticks, axes and what else is secondary.
pub(super) const MUTED: Colour = colour("muted", 0x56_5d66, 0xa4_acb6);
/// Lines of the grid.
pub(super) const GRID: Colour = colour("grid", 0xdd_e1e5, 0x34_3a41);
/// Lines between them.
pub(super) const FAINT: Colour = colour("faint", 0xee_f0f2, 0x23_282d);
/// Every other phase.
pub(super) const SHADE: Colour = colour("shade", 0xf3_f5f7, 0x1e_2227);
/// What stands on the parts of bars, which are light on any ground.
pub(super) const ON_PART: Colour = colour("on-part", 0x10_1214, 0x10_1214);

/// Those of series.
pub(super) const SERIES: [Colour; 8] = [
    colour("series-1", 0x11_54ca, 0x3d_81ec),
    colour("series-2", 0xde_7618, 0xd4_782e),
    colour("series-3", 0x10_a764, 0x4d_d889),
    colour("series-4", 0xb1_359a, 0xe0_94da),
    colour("series-5", 0x88_5e1e, 0xf2_ee71),
    colour("series-6", 0x42_93f6, 0xac_f6f2),
    colour("series-7", 0x5d_345a, 0xc2_3250),
    colour("series-8", 0x3c_573c, 0xb9_aaaa),
];

/// Those of the parts of bars: the light scheme of Paul Tol's technical note SRON/EPS/TN/09-002, which is meant to be
/// written on.
pub(super) const PARTS: [Colour; 9] = [
    colour("part-1", 0x77_aadd, 0x77_aadd),
    colour("part-2", 0xee_8866, 0xee_8866),
    colour("part-3", 0xee_dd88, 0xee_dd88),
    colour("part-4", 0xff_aabb, 0xff_aabb),
    colour("part-5", 0x99_ddff, 0x99_ddff),
    colour("part-6", 0x44_bb99, 0x44_bb99),
    colour("part-7", 0xbb_cc33, 0xbb_cc33),
    colour("part-8", 0xaa_aa00, 0xaa_aa00),
    colour("part-9", 0xd5_d5d5, 0xd5_d5d5),
];

const fn colour(property: &'static str, light: u32, dark: u32) -> Colour {
    Colour {
        property,
        light,
        dark,
    }
}

impl Colour {
    /// What plotters is told.
    pub(super) fn rgb(self) -> RGBColor {
        let [_, red, green, blue] = self.light.to_be_bytes();
        RGBColor(red, green, blue)
    }

    /// … to fill a shape with.
    pub(super) fn filled(self) -> ShapeStyle {
        self.rgb().filled()
    }
}

/// All colours.
fn all() -> impl Iterator<Item = Colour> {
    let single = [GROUND, INK, MUTED, GRID, FAINT, SHADE, ON_PART];
    single.into_iter().chain(SERIES).chain(PARTS)
}

/// The rules of a page that make its charts light or dark. Paper is light.
pub(crate) fn css() -> String {
    let mut css = String::from(":root{color-scheme:light");
    let property = |css: &mut String, name: &str, value: u32| {
        write!(css, ";--{name}:#{value:06x}").expect("a string takes all");
    };
    all().for_each(|colour| property(&mut css, colour.property, colour.light));
    css += "}\n@media screen and (prefers-color-scheme:dark){:root{color-scheme:dark";
    all().for_each(|colour| property(&mut css, colour.property, colour.dark));
    css += "}}\n";
    for Colour {
        property, light, ..
    } in all()
    {
        for attribute in ["fill", "stroke"] {
            let rule =
                format!(".chart [{attribute}=\"#{light:06X}\"]{{{attribute}:var(--{property})}}\n");
            css += &rule;
        }
    }
    css
}

/// Which look each name has: the first the first colour and mark, and so on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Looks {
    names: Vec<String>,
}

impl Looks {
    /// Looks for these names in this order; one that comes again is the same.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut looks = Self::default();
        for name in names {
            if looks.names.iter().all(|known| known != name) {
                looks.names.push(name.to_owned());
            }
        }
        looks
    }

    /// The look of a name. All that are not known look the same.
    pub(super) fn of(&self, name: &str) -> Look {
        let known = self.names.iter().position(|known| known == name);
        let at = known.unwrap_or(self.names.len());
        Look {
            colour: SERIES[at % SERIES.len()],
            mark: Mark::ALL[at % Mark::ALL.len()],
        }
    }
}

/// How what belongs to one name is told from others. As there are fewer marks than colours, both repeat only together
/// after 56 names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub colour: Colour,
    pub mark: Mark,
}

/// The shape at the points of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
    Inverted,
    Plus,
}

impl Mark {
    const ALL: [Self; 7] = [
        Self::Circle,
        Self::Square,
        Self::Triangle,
        Self::Diamond,
        Self::Cross,
        Self::Inverted,
        Self::Plus,
    ];

    /// The corners around the origin, y downwards, for a mark that is about 2 wide; a circle has none.
    pub fn corners(self) -> &'static [(f64, f64)] {
        match self {
            Self::Circle => &[],
            Self::Square => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            Self::Triangle => &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
            Self::Inverted => &[(0.0, 1.2), (-1.1, -0.8), (1.1, -0.8)],
            Self::Diamond => &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
            Self::Plus => &PLUS,
            Self::Cross => &CROSS,
        }
    }
}

/// A plus with arms of a width that stays visible.
const PLUS: [(f64, f64); 12] = [
    (-0.4, -1.25),
    (0.4, -1.25),
    (0.4, -0.4),
    (1.25, -0.4),
    (1.25, 0.4),
    (0.4, 0.4),
    (0.4, 1.25),
    (-0.4, 1.25),
    (-0.4, 0.4),
    (-1.25, 0.4),
    (-1.25, -0.4),
    (-0.4, -0.4),
];

/// The same, turned by 45°.
const CROSS: [(f64, f64); 12] = [
    (-1.17, -0.6),
    (-0.6, -1.17),
    (0.0, -0.57),
    (0.6, -1.17),
    (1.17, -0.6),
    (0.57, 0.0),
    (1.17, 0.6),
    (0.6, 1.17),
    (0.0, 0.57),
    (-0.6, 1.17),
    (-1.17, 0.6),
    (-0.57, 0.0),
];

#[cfg(test)]
mod tests {
    use super::*;

    type Linear = [f64; 3];

    fn linear(colour: u32) -> Linear {
        let [_, red, green, blue] = colour.to_be_bytes();
        [red, green, blue].map(|byte| match f64::from(byte) / 255.0 {
            dark if dark <= 0.04045 => dark / 12.92,
            light => ((light + 0.055) / 1.055).powf(2.4),
        })
    }

    fn luminance([red, green, blue]: Linear) -> f64 {
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// WCAG 2.1: the ratio of two colours.
    fn contrast(one: u32, other: u32) -> f64 {
        let (one, other) = (luminance(linear(one)), luminance(linear(other)));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// CIE L*a*b* for D65.
    fn lab(colour: Linear) -> [f64; 3] {
        let [red, green, blue] = colour;
        let x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.950_47;
        let z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.088_83;
        let [x, y, z] = [x, luminance(colour), z].map(|part| match part {
            large if large > 0.008_856 => large.cbrt(),
            small => 7.787 * small + 16.0 / 116.0,
        });
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    /// What is seen by normal vision, and with no cones of one of the three kinds (Machado et al. 2009, severity 1).
    const VISIONS: [[Linear; 3]; 4] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ],
        [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ],
        [
            [1.255_528, -0.076_749, -0.178_779],
            [-0.078_411, 0.930_809, 0.147_602],
            [0.004_733, 0.691_367, 0.303_900],
        ],
    ];

    fn seen(colour: u32, vision: &[Linear; 3]) -> [f64; 3] {
        let colour = linear(colour);
        lab(vision.map(|row| {
            let sum: f64 = row.iter().zip(colour).map(|(a, b)| a * b).sum();
            sum.clamp(0.0, 1.0)
        }))
    }

    fn distance(one: [f64; 3], other: [f64; 3]) -> f64 {
        let squares = one.iter().zip(other).map(|(a, b)| (a - b).powi(2));
        squares.sum::<f64>().sqrt()
    }

    #[test]
    fn series_are_told_apart_by_everyone() {
        let grounds: [fn(&Colour) -> u32; 2] = [|colour| colour.light, |colour| colour.dark];
        for on in grounds {
            for vision in &VISIONS {
                for (at, one) in SERIES.iter().enumerate() {
                    for other in &SERIES[at + 1..] {
                        let apart = distance(seen(on(one), vision), seen(on(other), vision));
                        assert!(apart > 17.0, "{one:?} {other:?}: {apart}");
                    }
                }
            }
            for colour in SERIES {
                let contrast = contrast(on(&colour), on(&GROUND));
                assert!(contrast > 3.0, "{colour:?}: {contrast}");
            }
        }
    }

    #[test]
    fn what_is_written_is_legible() {
        let grounds: [fn(&Colour) -> u32; 2] = [|colour| colour.light, |colour| colour.dark];
        for on in grounds {
            for (text, ground) in [(INK, GROUND), (MUTED, GROUND), (MUTED, SHADE)]
                .into_iter()
                .chain(PARTS.map(|part| (ON_PART, part)))
            {
                let contrast = contrast(on(&text), on(&ground));
                assert!(contrast > 4.5, "{text:?} on {ground:?}: {contrast}");
            }
        }
    }

    #[test]
    fn a_colour_in_a_chart_is_one_rule() {
        let mut values: Vec<u32> = all().map(|colour| colour.light).collect();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), all().count());
    }

    #[test]
    fn a_name_keeps_its_look_and_56_have_their_own() {
        let names: Vec<String> = (0..56).map(|at| at.to_string()).collect();
        let looks = Looks::new(names.iter().chain(&names).map(String::as_str));
        for (at, name) in names.iter().enumerate() {
            let same = names
                .iter()
                .filter(|other| looks.of(other) == looks.of(name));
            assert_eq!(same.count(), 1);
            assert_eq!(looks.of(name).colour, SERIES[at % 8]);
        }
        assert_eq!(looks.of("unknown"), looks.of("another"));
    }
}
