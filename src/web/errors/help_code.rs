//! The short code on an error page, which a person can read out to the administrator. Called by [`errors`](super).
//!
//! Invariant: the log lines of the request carry the same code.

use std::fmt;

/// Letters and digits that are not mistaken for one another.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// Characters of a code: 30 bits, so that two of a million requests rarely share one.
const LENGTH: usize = 6;

/// A code such as `K7-4FQ2`, derived from the request's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HelpCode([u8; LENGTH]);

impl HelpCode {
    /// Takes five of the six bits of each of the id's first random characters.
    pub(super) fn of(request_id: &str) -> Self {
        let random = request_id.split_once('_').map_or(request_id, |(_, random)| random);
        let mut code = [ALPHABET[0]; LENGTH];
        for (place, letter) in code.iter_mut().zip(random.bytes()) {
            *place = ALPHABET[base64_value(letter) % ALPHABET.len()];
        }
        Self(code)
    }
}

/// The value of a base64url character (RFC 4648, 5).
fn base64_value(letter: u8) -> usize {
    usize::from(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'-' => 62,
        _ => 63,
    })
}

impl fmt::Display for HelpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, rest @ ..] = self.0.map(char::from);
        write!(f, "{a}{b}-")?;
        rest.iter().try_for_each(|letter| write!(f, "{letter}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_two_and_four_characters_of_the_id() {
        assert_eq!(HelpCode::of("req_AtQL0zqfAAAAAAAAAAAAAA").to_string(), "2F-JDNM");
        assert_eq!(HelpCode::of("req_AtQL0zBBBBBBBBBBBBBBBB").to_string(), "2F-JDNM", "the first six characters count");
        assert_eq!(HelpCode::of("").to_string(), "22-2222");
    }
}
