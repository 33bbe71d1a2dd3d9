//! Which versions of a draft came before one: a short mark for each, so that clients can carry them. Called by
//! [`book`](super::book).
//!
//! Invariant: a version that is said to have come before did, as surely as two versions differ in their last 24 bits, which are
//! mostly random. One that came long before may be forgotten.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

/// How many are remembered.
const MOST: usize = 48;
/// Characters of a mark.
const MARK: usize = 4;

/// Those of a version that is written on `version`, which has these itself.
pub(super) fn after(version: i64, ancestors: &str) -> String {
    let mut all = mark(version);
    all.extend(ancestors.chars().take((MOST - 1) * MARK));
    all
}

/// Whether this version is among them.
pub(super) fn include(ancestors: &str, version: i64) -> bool {
    let mark = mark(version);
    ancestors.as_bytes().chunks(MARK).any(|one| one == mark.as_bytes())
}

/// What a client sent, if it can be such marks at all.
pub(super) fn read(sent: &str) -> Option<&str> {
    let fits = sent.len().is_multiple_of(MARK) && sent.len() <= MOST * MARK;
    (fits && crate::secret::is_base64url(sent, sent.len())).then_some(sent)
}

fn mark(version: i64) -> String {
    let [.., a, b, c] = version.to_be_bytes();
    BASE64_URL_SAFE_NO_PAD.encode([a, b, c])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered_and_no_others() {
        let many: i64 = 60;
        let all = (1..=many).fold(String::new(), |all, version| after(version, &all));
        let known: Vec<i64> = (0..=many + 1).filter(|version| include(&all, *version)).collect();
        assert_eq!(known, (many - 47..=many).collect::<Vec<_>>());
        assert_eq!(read(&all), Some(all.as_str()));
        assert!(include(&after(1 << 52, ""), 1 << 52));
    }

    #[test]
    fn what_cannot_be_marks_is_none() {
        for odd in ["A", "AAAAA", "AA=A", "ÄÄ", &"AAAA".repeat(49)] {
            assert_eq!(read(odd), None, "{odd}");
        }
        assert_eq!(read(""), Some(""));
    }
}
