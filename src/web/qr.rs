//! QR codes, drawn as SVG. Used by the pages that show a link to a phone.
//!
//! Invariant: the drawing has a quiet zone of four modules on each side (ISO/IEC 18004), and dark modules on a light ground
//! in both colour schemes, because some cameras read no inverted code.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};

use crate::base::error::{Error, Result};

/// Modules of the quiet zone.
const MARGIN: i32 = 4;

/// A code, for `parts/qr.html`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qr {
    /// The width and height in modules, with the quiet zone.
    pub size: i32,
    /// The path of the dark modules.
    pub path: String,
}

impl Qr {
    /// Draws a text.
    ///
    /// # Errors
    /// When the text is too long for a code.
    pub fn draw(text: &str) -> Result<Self> {
        let code = QrCode::encode_text(text, QrCodeEcc::Medium).map_err(Error::bug)?;
        let mut path = String::new();
        for y in 0..code.size() {
            let mut x = 0;
            while x < code.size() {
                let length = (x..code.size()).take_while(|x| code.get_module(*x, y)).count();
                let length = i32::try_from(length).map_err(Error::bug)?;
                if length > 0 {
                    write!(path, "M{} {}h{length}v1h-{length}z", x + MARGIN, y + MARGIN).map_err(Error::bug)?;
                }
                x += length.max(1);
            }
        }
        Ok(Self { size: code.size() + 2 * MARGIN, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dark_module_is_drawn_once() {
        let text = "https://id.example.com/link/7Jx2abcdefghijklmnopqrstuvwxyz0123456789ABq9Ew";
        let (drawn, code) = (Qr::draw(text).unwrap(), QrCode::encode_text(text, QrCodeEcc::Medium).unwrap());
        let mut dark = vec![];
        for row in drawn.path.split('M').skip(1) {
            let (at, rest) = row.split_once('h').unwrap();
            let (x, y) = at.split_once(' ').unwrap();
            let length: i32 = rest.split('v').next().unwrap().parse().unwrap();
            let (x, y): (i32, i32) = (x.parse().unwrap(), y.parse().unwrap());
            dark.extend((x..x + length).map(|x| (x - MARGIN, y - MARGIN)));
        }
        let all = (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y)));
        assert_eq!(dark, all.filter(|(x, y)| code.get_module(*x, *y)).collect::<Vec<_>>());
        assert_eq!(drawn.size, code.size() + 8);
    }

    #[test]
    fn a_text_that_fits_no_code_is_an_error() {
        assert!(Qr::draw(&"x".repeat(5_000)).is_err());
    }
}
