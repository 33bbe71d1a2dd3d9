//! Base32 (RFC 4648, section 6) without padding, for keys and codes that people type. Called by
//! [`totp`](super::totp) and [`recovery_code`](super::recovery_code).
//!
//! Invariant: a text decodes to some bytes only if these bytes encode to the same text in upper case.

/// The letters, in the order of their values.
pub const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Bits of a letter.
const BITS: u32 = 5;

pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity((bytes.len() * 8).div_ceil(5));
    let (mut buffer, mut held) = (0_u32, 0);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        held += 8;
        while held >= BITS {
            held -= BITS;
            text.push(letter(buffer >> held));
        }
    }
    if held > 0 {
        text.push(letter(buffer << (BITS - held)));
    }
    text
}

/// The bytes that a text in upper or lower case stands for. `None` if it is not base32.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut buffer, mut held) = (0_u32, 0);
    for letter in text.bytes() {
        buffer = (buffer << BITS) | value(letter)?;
        held += BITS;
        if held >= 8 {
            held -= 8;
            bytes.push(((buffer >> held) & 0xff) as u8);
        }
    }
    // The last letter may hold fewer than five bits of the bytes. The others are zero, and are never a whole letter.
    let rest = buffer & ((1 << held) - 1);
    (held < BITS && rest == 0).then_some(bytes)
}

fn letter(value: u32) -> char {
    char::from(ALPHABET[(value & 31) as usize])
}

fn value(letter: u8) -> Option<u32> {
    match letter.to_ascii_uppercase() {
        letter @ b'A'..=b'Z' => Some(u32::from(letter - b'A')),
        digit @ b'2'..=b'7' => Some(u32::from(digit - b'2') + 26),
        _ => None,
    }
}

/// A text in groups of four characters, such as `ABCD EFGH` with a space as separator.
pub fn in_groups_of_four(text: &str, separator: char) -> String {
    let mut grouped = String::with_capacity(text.len() + text.len() / 4);
    for (at, character) in text.chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            grouped.push(separator);
        }
        grouped.push(character);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 4648, section 10, without the padding.
    const VECTORS: [(&str, &str); 7] = [
        ("", ""),
        ("f", "MY"),
        ("fo", "MZXQ"),
        ("foo", "MZXW6"),
        ("foob", "MZXW6YQ"),
        ("fooba", "MZXW6YTB"),
        ("foobar", "MZXW6YTBOI"),
    ];

    #[test]
    fn the_vectors_of_the_rfc_are_encoded_and_decoded() {
        for (plain, encoded) in VECTORS {
            assert_eq!(encode(plain.as_bytes()), encoded);
            assert_eq!(decode(encoded).as_deref(), Some(plain.as_bytes()));
            assert_eq!(decode(&encoded.to_lowercase()).as_deref(), Some(plain.as_bytes()));
        }
    }

    #[test]
    fn a_text_that_no_bytes_encode_to_is_refused() {
        for text in ["A", "MZX", "MZXW6Y", "MZ", "MY======", "M Y", "M1", "M0", "M8", "é", "MZXW6YQ-"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn groups_have_four_characters() {
        assert_eq!(in_groups_of_four("ABCDEFGHIJ", ' '), "ABCD EFGH IJ");
        assert_eq!(in_groups_of_four("ABCD", '-'), "ABCD");
        assert_eq!(in_groups_of_four("", '-'), "");
    }

    proptest! {
        #[test]
        fn bytes_are_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let text = encode(&bytes);
            prop_assert_eq!(text.len(), (bytes.len() * 8).div_ceil(5));
            prop_assert!(text.bytes().all(|letter| ALPHABET.contains(&letter)));
            prop_assert_eq!(decode(&text), Some(bytes));
        }

        #[test]
        fn a_text_is_the_only_one_of_its_bytes(text in "[A-Z2-7]{0,20}") {
            if let Some(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
