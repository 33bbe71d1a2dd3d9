//! The operator's logo. Called by [`brand`](super) and by `doctor`.
//!
//! Invariant: a logo is at most 256 KiB, and is what its content says: the file's name does not matter.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::base::error::{Error, Result};

const LARGEST: u64 = 256 * 1024;
const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// The most pixels a side. A small file can hold a picture that fills a browser's memory.
const LARGEST_SIDE: u32 = 4096;

/// The largest logo that a page contains, rather than names.
const LARGEST_INLINE: usize = 64 * 1024;

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logo {
    Svg(Vec<u8>),
    Png(Vec<u8>),
}

impl Logo {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::Invalid`] with one line that names the setting and says what to do.
    pub fn read(path: &Path) -> Result<Self> {
        let refused = |problem: String| Error::Invalid(format!("SESSILE_LOGO: {}: {problem}", path.display()));
        let mut content = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut content));
        read.map_err(|error| refused(format!("{error}: name a file that Sessile may read")))?;
        Self::of(content).map_err(refused)
    }

    fn of(content: Vec<u8>) -> Result<Self, String> {
        if content.len() as u64 > LARGEST {
            return Err("the file is larger than 256 KiB: make it smaller".to_owned());
        }
        if content.starts_with(PNG_SIGNATURE) {
            return match size_of_png(&content) {
                Some(sides) if sides.iter().all(|side| (1..=LARGEST_SIDE).contains(side)) => Ok(Self::Png(content)),
                Some([width, height]) => Err(format!("the picture is {width} by {height} pixels: make it smaller")),
                None => Err("the PNG file is damaged: save it again".to_owned()),
            };
        }
        if is_svg(&content) {
            return Ok(Self::Svg(content));
        }
        Err("the file is neither an SVG nor a PNG: save the logo as one of these".to_owned())
    }

    /// The logo as a `data:` address, unless it is large.
    pub(super) fn inline(&self) -> Option<String> {
        let (kind, content) = match self {
            Self::Svg(content) => ("image/svg+xml", content),
            Self::Png(content) => ("image/png", content),
        };
        (content.len() <= LARGEST_INLINE).then(|| format!("data:{kind};base64,{}", BASE64_STANDARD.encode(content)))
    }

    pub fn content(&self) -> &[u8] {
        match self {
            Self::Svg(content) | Self::Png(content) => content,
        }
    }
}

/// Width and height from the header, the first chunk (PNG, third edition, 11.2.1).
fn size_of_png(content: &[u8]) -> Option<[u32; 2]> {
    let (length, header) = content.get(PNG_SIGNATURE.len()..)?.split_first_chunk::<4>()?;
    let (kind, data) = header.split_first_chunk::<4>()?;
    let (width, data) = data.split_first_chunk::<4>()?;
    let (height, _) = data.split_first_chunk::<4>()?;
    (u32::from_be_bytes(*length) == 13 && kind == b"IHDR")
        .then(|| [u32::from_be_bytes(*width), u32::from_be_bytes(*height)])
}

/// Whether the first element is `svg`, after the declaration, comments and a document type.
fn is_svg(content: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(content) else { return false };
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let end = match rest {
            _ if rest.starts_with("<?") => "?>",
            _ if rest.starts_with("<!--") => "-->",
            _ if rest.starts_with("<!") => ">",
            _ => break,
        };
        let Some((_, after)) = rest.split_once(end) else { return false };
        rest = after.trim_start();
    }
    rest.strip_prefix("<svg")
        .is_some_and(|after| after.starts_with(|c: char| c.is_whitespace() || matches!(c, '>' | '/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let sides = [width.to_be_bytes(), height.to_be_bytes()].concat();
        [PNG_SIGNATURE, &13_u32.to_be_bytes(), b"IHDR", &sides, &[8, 6, 0, 0, 0]].concat()
    }

    #[test]
    fn a_logo_is_known_by_its_content() {
        let svg = |text: &str| Logo::of(text.as_bytes().to_vec());
        for text in [
            "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            "\u{feff}<?xml version=\"1.0\"?>\n<!-- drawn <by> hand -->\n<!DOCTYPE svg>\n<svg>",
            "<svg/>",
        ] {
            assert!(matches!(svg(text), Ok(Logo::Svg(_))), "{text}");
        }
        assert!(matches!(Logo::of(png(64, 32)), Ok(Logo::Png(_))));
        for text in ["", "<html><svg/></html>", "<svgx>", "GIF89a", "<?xml", "<!--", "svg"] {
            assert!(svg(text).is_err_and(|problem| problem.contains("neither")), "{text}");
        }
        assert!(Logo::of(png(64, 32)[..20].to_vec()).is_err_and(|problem| problem.contains("damaged")));
        assert!(Logo::of(png(5000, 1)).is_err_and(|problem| problem.contains("5000 by 1")));
        assert!(svg(&format!("<svg>{}", " ".repeat(256 * 1024))).is_err_and(|problem| problem.contains("256 KiB")));
    }
}
