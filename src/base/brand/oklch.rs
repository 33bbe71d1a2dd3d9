//! Colours by lightness, chroma and hue, as people see them (Oklch; CSS Color 4, 9.3 and 17.1). Called by
//! [`accent`](super::accent), which changes the lightness of a colour and keeps its hue.

use crate::base::settings::Rgb;

/// A colour in Oklch.
#[derive(Debug, Clone, Copy)]
pub struct Oklch {
    /// 0 is black, 1 is white.
    pub lightness: f64,
    pub chroma: f64,
    /// In radians.
    pub hue: f64,
}

impl Oklch {
    pub fn of(colour: Rgb) -> Self {
        let [r, g, b] = linear(colour);
        let l = (0.412_221_470_8 * r + 0.536_332_536_3 * g + 0.051_445_992_9 * b).cbrt();
        let m = (0.211_903_498_2 * r + 0.680_699_545_1 * g + 0.107_396_956_6 * b).cbrt();
        let s = (0.088_302_461_9 * r + 0.281_718_837_6 * g + 0.629_978_700_5 * b).cbrt();
        let a = 1.977_998_495_1 * l - 2.428_592_205_0 * m + 0.450_593_709_9 * s;
        let b = 0.025_904_037_1 * l + 0.782_771_766_2 * m - 0.808_675_766_0 * s;
        Self {
            lightness: 0.210_454_255_3 * l + 0.793_617_785_0 * m - 0.004_072_046_8 * s,
            chroma: a.hypot(b),
            hue: b.atan2(a),
        }
    }

    /// The nearest colour that screens show: with less chroma, if it is too strong for its lightness.
    pub fn to_rgb(self) -> Rgb {
        let mut colour = self;
        let mut channels = colour.linear();
        while channels.iter().any(|channel| !(-0.001..=1.001).contains(channel)) && colour.chroma > 0.0 {
            colour.chroma = (colour.chroma - 0.004).max(0.0);
            channels = colour.linear();
        }
        Rgb(channels.map(encoded))
    }

    /// Whether the lightness is between black and white.
    pub fn is_inside(self) -> bool {
        (0.0..=1.0).contains(&self.lightness)
    }

    fn linear(self) -> [f64; 3] {
        let (a, b) = (self.chroma * self.hue.cos(), self.chroma * self.hue.sin());
        let l = (self.lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
        let m = (self.lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
        let s = (self.lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
        [
            4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
            -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
            -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s,
        ]
    }
}

/// The channels as amounts of light, 0 to 1 (IEC 61966-2-1).
pub fn linear(Rgb(channels): Rgb) -> [f64; 3] {
    channels.map(|channel| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    })
}

/// A channel in eight bits.
fn encoded(light: f64) -> u8 {
    let light = light.clamp(0.0, 1.0);
    let value = if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
    // Between 0 and 255.
    (value * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_survives_the_way_there_and_back() {
        for colour in
            [[0, 0, 0], [255, 255, 255], [11, 110, 99], [255, 0, 0], [0, 0, 255], [194, 24, 91], [255, 235, 59]]
        {
            assert_eq!(Oklch::of(Rgb(colour)).to_rgb(), Rgb(colour));
        }
    }
}
