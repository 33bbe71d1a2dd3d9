//! Recovery codes, each of which stands in for a second factor once. Called when codes are made, and when a typed code
//! is checked.
//!
//! Invariant: only the hash of a code is stored. A code has 80 random bits, so it needs no slow hash.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::base::{base32, error::Result, secret};

/// Codes of a set.
pub const CODES: usize = 10;
const BYTES: usize = 10;
/// Digits of the code of an authenticator app. A recovery code is longer.
pub const APP_CODE_DIGITS: usize = 6;
/// Characters of a code without its dashes.
const LENGTH: usize = 16;

/// A recovery code: 16 letters and digits of base32. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(String);

impl RecoveryCode {
    /// A new set of different codes.
    ///
    /// # Errors
    /// When the operating system's random number generator fails.
    pub fn random_set() -> Result<Vec<Self>> {
        let mut codes: Vec<Self> = Vec::with_capacity(CODES);
        while codes.len() < CODES {
            let code = Self(base32::encode(&secret::random_bytes::<BYTES>()?));
            if !codes.contains(&code) {
                codes.push(code);
            }
        }
        Ok(codes)
    }

    /// The code that a person typed. `None` if the text cannot be a recovery code.
    pub fn parse(typed: &str) -> Option<Self> {
        let text = normalize(typed);
        let is_code = text.len() == LENGTH && base32::decode(&text).is_some();
        is_code.then_some(Self(text))
    }

    /// `ABCD-EFGH-IJKL-MNOP`. Show it only to its owner.
    pub fn in_groups(&self) -> String {
        base32::in_groups_of_four(&self.0, '-')
    }

    /// SHA-256 of the code without its dashes.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(…)")
    }
}

/// A code as it is compared: without spaces and dashes, in upper case. In a text that is not the code of an app, the
/// digits that base32 lacks become the letters that they look like.
pub fn normalize(typed: &str) -> String {
    let is_separator = |c: char| c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}');
    let text: String = typed.chars().filter(|c| !is_separator(*c)).map(|c| c.to_ascii_uppercase()).collect();
    if is_app_code(&text) {
        return text;
    }
    let as_letter = |c| match c {
        '0' => 'O',
        '1' => 'I',
        '8' => 'B',
        other => other,
    };
    text.chars().map(as_letter).collect()
}

/// Whether a normalized text has the form of an authenticator app's code. Any other text is meant as a recovery code.
pub fn is_app_code(normalized: &str) -> bool {
    normalized.len() == APP_CODE_DIGITS && normalized.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_set_has_ten_different_codes_in_four_groups() {
        let codes = RecoveryCode::random_set().unwrap();
        let shown: BTreeSet<String> = codes.iter().map(RecoveryCode::in_groups).collect();
        assert_eq!(shown.len(), 10);
        for code in &shown {
            let groups: Vec<&str> = code.split('-').collect();
            assert_eq!(groups.len(), 4, "{code}");
            assert!(groups.iter().all(|group| group.len() == 4), "{code}");
            assert!(code.bytes().all(|b| b == b'-' || base32::ALPHABET.contains(&b)), "{code}");
        }
        assert!(codes.iter().all(|code| !format!("{code:?}").contains(&code.0)));
    }

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let code = RecoveryCode::parse("ABCD-EFGH-IJKL-O2B7").unwrap();
        for typed in [
            "abcdefghijklo2b7",
            " abcd efgh ijkl o2b7\n",
            "ABCD–EFGH–IJKL–O2B7",
            "ABCD\u{2011}EFGH\u{a0}IJKL-O2B7",
            "abcd-efgh-1jkl-0287",
        ] {
            assert_eq!(RecoveryCode::parse(typed), Some(code.clone()), "{typed}");
        }
        assert_eq!(code.hash().as_slice(), Sha256::digest("ABCDEFGHIJKLO2B7").as_slice());
        for typed in
            ["", "123456", "ABCD-EFGH-IJKL-O2B", "ABCD-EFGH-IJKL-O2B77", "ABCD-EFGH-IJKL-O2B9", "ÄBCDEFGHIJKLMNOP"]
        {
            assert_eq!(RecoveryCode::parse(typed), None, "{typed}");
        }
    }

    #[test]
    fn six_digits_are_the_code_of_an_app() {
        assert_eq!(normalize(" 018 018 "), "018018");
        for (typed, is_one) in
            [("018 018", true), ("018-018", true), ("18018", false), ("0180181", false), ("01801a", false)]
        {
            assert_eq!(is_app_code(&normalize(typed)), is_one, "{typed}");
        }
    }

    proptest! {
        #[test]
        fn each_code_is_read_back(bytes in any::<[u8; BYTES]>()) {
            let code = RecoveryCode(base32::encode(&bytes));
            prop_assert_eq!(RecoveryCode::parse(&code.in_groups()), Some(code.clone()));
            prop_assert_eq!(RecoveryCode::parse(&code.in_groups().to_lowercase()), Some(code));
        }

        #[test]
        fn a_normalized_text_stays_as_it_is(typed in any::<String>()) {
            let text = normalize(&typed);
            prop_assert_eq!(normalize(&text), text);
        }
    }
}
