//! How a person proved who they are in a session: the `amr` of RFC 8176, and the assurance level that follows from it (NIST
//! SP 800-63B-4, 2.2).
//!
//! Invariant: only a second factor makes level 2.

use serde::{Serialize, Serializer};

/// Words of RFC 8176, divided by spaces, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amr(String);

impl Amr {
    fn of(words: &str) -> Self {
        Self(words.to_owned())
    }

    /// A password alone.
    pub fn password() -> Self {
        Self::of("pwd")
    }

    /// A code of an authenticator app, after a password.
    pub fn app_code() -> Self {
        Self::of("pwd otp mfa")
    }

    /// A recovery code, after a password.
    pub fn recovery_code() -> Self {
        Self::of("pwd mfa")
    }

    /// A passkey whose owner was verified. It is two factors by itself. `is_synced`: the key may leave its device.
    pub fn passkey(is_synced: bool) -> Self {
        Self::of(if is_synced { "swk user mfa" } else { "hwk user mfa" })
    }

    /// The value of the column.
    pub(super) fn of_row(words: &str) -> Self {
        Self::of(words)
    }

    /// Also with the words of `other`.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let mut words: Vec<&str> = self.words().collect();
        words.extend(other.words().filter(|word| !self.words().any(|known| known == *word)));
        Self(words.join(" "))
    }

    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ')
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a second factor is among the proofs.
    pub fn has_second_factor(&self) -> bool {
        self.words().any(|word| word == "mfa")
    }

    /// The authenticator assurance level, 1 or 2.
    pub fn aal(&self) -> u8 {
        if self.has_second_factor() { 2 } else { 1 }
    }
}

impl Serialize for Amr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_second_factor_makes_level_2() {
        assert_eq!(Amr::password().aal(), 1);
        for second in [Amr::app_code(), Amr::recovery_code(), Amr::passkey(true), Amr::passkey(false)] {
            assert_eq!(second.aal(), 2, "{second:?}");
        }
    }

    #[test]
    fn each_word_stands_once() {
        let both = Amr::password().with(&Amr::app_code()).with(&Amr::passkey(false));
        assert_eq!(both.as_str(), "pwd otp mfa hwk user");
        assert_eq!(serde_json::to_value(both).unwrap(), serde_json::json!(["pwd", "otp", "mfa", "hwk", "user"]));
    }
}
