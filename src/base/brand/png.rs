//! Changes the ground of our own icons, which are white drawings on one colour. Called by [`icons`](super::icons).
//!
//! Invariant: only files of this build are read here, with 8 bits a channel and without interlacing.

use std::io::{Read as _, Write as _};

use flate2::{Compression, Crc, read::ZlibDecoder, write::ZlibEncoder};

use crate::base::settings::Rgb;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The same picture with each mixture of `from` and white as a mixture of `to` and white.
pub fn with_ground(file: &[u8], from: Rgb, to: Rgb) -> Result<Vec<u8>, String> {
    let mut picture = Picture::read(file)?;
    for pixel in picture.pixels.chunks_exact_mut(picture.channels) {
        // The red of the ground is far from that of white, so it tells the mixture.
        let white = share_of_white(pixel[0], from.0[0]);
        for (channel, to) in pixel.iter_mut().zip(to.0) {
            let to = f64::from(to);
            // Between 0 and 255.
            *channel = (to + (255.0 - to) * white).round() as u8;
        }
    }
    picture.written()
}

fn share_of_white(red: u8, ground: u8) -> f64 {
    let (red, ground) = (f64::from(red), f64::from(ground));
    ((red - ground) / (255.0 - ground)).clamp(0.0, 1.0)
}

struct Picture {
    /// The data of the first chunk.
    header: Vec<u8>,
    width: usize,
    /// Bytes of a pixel: 3, or 4 with transparency.
    channels: usize,
    /// Row after row.
    pixels: Vec<u8>,
}

impl Picture {
    fn read(file: &[u8]) -> Result<Self, String> {
        let mut chunks = file.strip_prefix(SIGNATURE).ok_or("not a PNG")?;
        let (mut header, mut data) = (Vec::new(), Vec::new());
        while let Some((kind, content, rest)) = next_chunk(chunks) {
            match kind {
                b"IHDR" => header = content.to_vec(),
                b"IDAT" => data.extend_from_slice(content),
                _ => {}
            }
            chunks = rest;
        }
        let [w1, w2, w3, w4, _, _, _, _, 8, kind @ (2 | 6), 0, 0, 0] = header[..] else {
            return Err("not in the form of our icons".to_owned());
        };
        let width = u32::from_be_bytes([w1, w2, w3, w4]) as usize;
        let channels = if kind == 6 { 4 } else { 3 };
        let mut filtered = Vec::new();
        ZlibDecoder::new(&data[..]).read_to_end(&mut filtered).map_err(|error| error.to_string())?;
        let pixels = unfiltered(&filtered, width * channels, channels)?;
        Ok(Self { header, width, channels, pixels })
    }

    fn written(&self) -> Result<Vec<u8>, String> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        for row in self.pixels.chunks_exact(self.width * self.channels) {
            encoder.write_all(&[0]).and_then(|()| encoder.write_all(row)).map_err(|error| error.to_string())?;
        }
        let data = encoder.finish().map_err(|error| error.to_string())?;
        Ok([SIGNATURE.to_vec(), chunk(b"IHDR", &self.header), chunk(b"IDAT", &data), chunk(b"IEND", &[])].concat())
    }
}

/// The next chunk's kind and data, and the rest of the file (PNG, third edition, 5.3).
fn next_chunk(file: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let (length, rest) = file.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let (content, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((kind, content, rest.get(4..)?))
}

fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(kind);
    crc.update(content);
    // A chunk of an icon is far smaller than 4 GiB.
    let length = content.len() as u32;
    [&length.to_be_bytes()[..], kind, content, &crc.sum().to_be_bytes()].concat()
}

/// Undoes the filter of each row (PNG, third edition, 9.2).
fn unfiltered(filtered: &[u8], row_length: usize, step: usize) -> Result<Vec<u8>, String> {
    let mut above = vec![0; row_length];
    let mut pixels = Vec::with_capacity(filtered.len());
    for row in filtered.chunks_exact(row_length + 1) {
        let (filter, row) = row.split_first().ok_or("an empty row")?;
        let mut current: Vec<u8> = Vec::with_capacity(row_length);
        for (at, byte) in row.iter().enumerate() {
            let left = at.checked_sub(step).map_or(0, |left| current[left]);
            let above_left = at.checked_sub(step).map_or(0, |left| above[left]);
            let predicted = match filter {
                0 => 0,
                1 => left,
                2 => above[at],
                3 => u8::midpoint(left, above[at]),
                4 => paeth(left, above[at], above_left),
                _ => return Err("an unknown filter".to_owned()),
            };
            current.push(byte.wrapping_add(predicted));
        }
        pixels.extend_from_slice(&current);
        above = current;
    }
    Ok(pixels)
}

/// The neighbour nearest to left + above − above left (PNG, third edition, 9.4).
fn paeth(left: u8, above: u8, above_left: u8) -> u8 {
    let estimate = i16::from(left) + i16::from(above) - i16::from(above_left);
    let distance = |neighbour: u8| (estimate - i16::from(neighbour)).abs();
    if distance(left) <= distance(above) && distance(left) <= distance(above_left) {
        left
    } else if distance(above) <= distance(above_left) {
        above
    } else {
        above_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::assets;

    #[test]
    fn the_ground_changes_and_the_drawing_stays_white() {
        let (from, to) = (Rgb([0x0b, 0x6e, 0x63]), Rgb([0xc2, 0x18, 0x5b]));
        for name in ["icon-192", "icon-512", "maskable-512", "apple-touch-icon"] {
            let own = assets::named(&format!("install/{name}.png")).unwrap().plain;
            let before = Picture::read(own).unwrap();
            let after = Picture::read(&with_ground(own, from, to).unwrap()).unwrap();
            assert_eq!((&after.header, after.pixels.len()), (&before.header, before.pixels.len()));
            let count = |picture: &Picture, colour: Rgb| {
                picture.pixels.chunks_exact(picture.channels).filter(|pixel| pixel[..3] == colour.0).count()
            };
            assert!(count(&after, to) >= count(&before, from) && count(&before, from) > 1000, "{name}");
            assert_eq!(count(&after, from), 0, "{name}");
            assert_eq!(count(&after, Rgb([255; 3])), count(&before, Rgb([255; 3])), "{name}");
        }
    }
}
