//! The shades of the operator's accent colour that pages use, and the style sheet that sets them. Called by
//! [`brand`](super).
//!
//! Invariant: every pair of text and ground has the contrast that WCAG 2.2 asks of text at level AA, 4.5 to 1, whatever
//! the colour is.

use super::oklch::Oklch;
use crate::base::settings::Rgb;

/// WCAG 2.2, success criterion 1.4.3. A little more, because shades are rounded to eight bits.
const ENOUGH: f64 = 4.55;
const WHITE: Rgb = Rgb([255, 255, 255]);
/// How far one step changes the lightness.
const STEP: f64 = 0.005;
const CHROMA_OF_SOFT: f64 = 0.045;

/// The grounds and inks of `static/css/base.css`, in one colour scheme.
struct Scheme {
    /// Page and card.
    grounds: [Rgb; 2],
    /// Text and soft text.
    inks: [Rgb; 2],
    /// The lightness of the soft ground.
    soft: f64,
    /// The lightness at which the accent begins, at most or at least.
    begins: fn(f64) -> f64,
    /// The direction in which contrast grows: darker or lighter.
    towards: f64,
    /// Text on the accent.
    on_accent: fn(Oklch) -> Rgb,
}

const LIGHT: Scheme = Scheme {
    grounds: [WHITE, Rgb([0xf6, 0xf4, 0xef])],
    inks: [Rgb([0x17, 0x21, 0x1f]), Rgb([0x58, 0x65, 0x62])],
    soft: 0.945,
    begins: |own| own.min(0.62),
    towards: -STEP,
    on_accent: |_| WHITE,
};

const DARK: Scheme = Scheme {
    grounds: [Rgb([0x16, 0x21, 0x20]), Rgb([0x0e, 0x15, 0x14])],
    inks: [Rgb([0xe9, 0xf0, 0xee]), Rgb([0xa0, 0xb2, 0xae])],
    soft: 0.3,
    begins: |own| own.max(0.74),
    towards: STEP,
    on_accent: |accent| Oklch { lightness: 0.2, chroma: accent.chroma.min(0.04), ..accent }.to_rgb(),
};

/// The accent in one colour scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shades {
    /// For links, buttons and marks.
    pub accent: Rgb,
    /// The same under the pointer.
    pub deep: Rgb,
    /// Text on both.
    pub ink: Rgb,
    /// A ground for icons and notes.
    pub soft: Rgb,
}

impl Shades {
    /// The shades on light and on dark ground.
    pub fn of(colour: Rgb) -> [Self; 2] {
        [LIGHT, DARK].map(|scheme| Self::in_scheme(colour, &scheme))
    }

    fn in_scheme(colour: Rgb, scheme: &Scheme) -> Self {
        let own = Oklch::of(colour);
        let soft = soft_of(own, scheme);
        let accent = readable(Oklch { lightness: (scheme.begins)(own.lightness), ..own }, soft, scheme);
        let further = Oklch { lightness: accent.lightness + 16.0 * scheme.towards, ..accent };
        let deep = readable(further, soft, scheme);
        Self { accent: accent.to_rgb(), deep: deep.to_rgb(), ink: (scheme.on_accent)(own), soft }
    }
}

/// The soft ground. Both inks must stay readable on it.
fn soft_of(own: Oklch, scheme: &Scheme) -> Rgb {
    let mut soft = Oklch { lightness: scheme.soft, chroma: own.chroma.min(CHROMA_OF_SOFT), ..own };
    while !scheme.inks.iter().all(|ink| contrast(*ink, soft.to_rgb()) >= ENOUGH) && soft.is_inside() {
        soft.lightness -= scheme.towards;
    }
    soft.to_rgb()
}

/// The first shade, from `from` on, that is readable on every ground and on which its ink is readable.
fn readable(from: Oklch, soft: Rgb, scheme: &Scheme) -> Oklch {
    let ink = (scheme.on_accent)(from);
    let mut shade = from;
    let [card, page] = scheme.grounds;
    while ![card, page, soft, ink].iter().all(|other| contrast(shade.to_rgb(), *other) >= ENOUGH) && shade.is_inside() {
        shade.lightness += scheme.towards;
    }
    shade
}

/// The contrast ratio of two colours, 1 to 21 (WCAG 2.2, "contrast ratio").
fn contrast(one: Rgb, other: Rgb) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// WCAG 2.2, "relative luminance".
fn luminance(colour: Rgb) -> f64 {
    let [red, green, blue] = super::oklch::linear(colour);
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/// The style sheet that follows `css/base.css`.
pub fn style_sheet([light, dark]: &[Shades; 2]) -> String {
    format!(
        "/* The accent colour of this service. */\n:root{{{}}}\n@media (prefers-color-scheme:dark){{:root{{{}}}}}\n",
        declarations(light),
        declarations(dark)
    )
}

fn declarations(shades: &Shades) -> String {
    format!(
        "--accent:{};--accent-deep:{};--accent-ink:{};--accent-soft:{}",
        hex(shades.accent),
        hex(shades.deep),
        hex(shades.ink),
        hex(shades.soft)
    )
}

/// The colour as style sheets write it.
pub fn hex(Rgb([red, green, blue]): Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(colour: Rgb) {
        for (shades, scheme) in Shades::of(colour).iter().zip([LIGHT, DARK]) {
            let Shades { accent, deep, ink, soft } = *shades;
            let [card, page] = scheme.grounds;
            let on_ground =
                [accent, deep].into_iter().flat_map(|shade| [card, page, soft].map(|ground| (shade, ground)));
            let on_accent = [(ink, accent), (ink, deep)];
            let on_soft = scheme.inks.map(|ink| (ink, soft));
            for (text, ground) in on_ground.chain(on_accent).chain(on_soft) {
                let found = contrast(text, ground);
                assert!(found >= 4.5, "{} on {} is {found:.2}, from {}", hex(text), hex(ground), hex(colour));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn every_colour_becomes_readable_shades(colour in any::<[u8; 3]>()) {
            check(Rgb(colour));
        }
    }

    #[test]
    fn the_extremes_become_readable_shades() {
        let ends = [0, 1, 127, 128, 254, 255];
        for red in ends {
            for green in ends {
                for blue in ends {
                    check(Rgb([red, green, blue]));
                }
            }
        }
    }

    #[test]
    fn a_colour_that_is_readable_already_stays_as_it_is() {
        for colour in [Rgb([0x0b, 0x6e, 0x63]), Rgb([0x9c, 0x27, 0xb0]), Rgb([0x1d, 0x4e, 0xd8])] {
            assert_eq!(hex(Shades::of(colour)[0].accent), hex(colour));
        }
    }

    #[test]
    fn the_grounds_and_inks_are_those_of_the_style_sheet() {
        let css = include_str!("../../../static/css/base.css");
        let mut blocks = css.split(":root {").skip(1).map(|block| block.split('}').next().unwrap());
        for scheme in [LIGHT, DARK] {
            let block = blocks.next().unwrap();
            let of =
                |name: &str| block.split_once(&format!("{name}: #")).unwrap().1.split(';').next().unwrap().to_owned();
            let [card, page] = scheme.grounds.map(hex);
            let [ink, soft] = scheme.inks.map(hex);
            let long = |short: String| match short.len() {
                3 => short.chars().flat_map(|digit| [digit, digit]).collect(),
                _ => short,
            };
            let expected = [("--card", card), ("--bg", page), ("--ink", ink), ("--soft", soft)];
            for (name, colour) in expected {
                assert_eq!(format!("#{}", long(of(name))), colour, "{name}");
            }
        }
    }

    #[test]
    fn contrast_is_that_of_the_guidelines() {
        assert!((contrast(WHITE, Rgb([0, 0, 0])) - 21.0).abs() < 0.001);
        assert!((contrast(WHITE, Rgb([0x76, 0x76, 0x76])) - 4.54).abs() < 0.01);
    }
}
