//! The session key that a browser holds: the session's id, its account and a secret. The database stores only the
//! secret's hash.
//!
//! Invariant: a key that parses serializes to the same text.

use actix_session::storage::SessionKey as CookieValue;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::base::{
    db::Instant,
    error::{Error, Result},
    secret::{self, Secret},
};

const PREFIX: &str = "aiq_";
const ID_RANDOM: usize = 22;
const SECRET: usize = 43;
const ACCOUNT_PREFIX: &str = "acc_";
/// Prefix of the account part if the account's id does not have the usual form.
const ENCODED: char = '-';
/// Maximum length of an account part.
const LONGEST_ACCOUNT: usize = 1024;

/// `aiq_<unix milliseconds>_<22 base64url>.<account part>.<43 base64url>`: the session's id with 128 random bits, the
/// account, and the secret of 256 random bits. Keys of the old form have no account part.
#[derive(Debug, Clone)]
pub struct SessionKey {
    id: String,
    account_id: Option<String>,
    secret: Secret,
}

impl SessionKey {
    /// A new random key for a session of the account.
    ///
    /// # Errors
    /// When the operating system cannot supply random bytes.
    pub fn generate(account_id: &str, now: Instant) -> Result<Self> {
        Self::new(account_id, now, Secret::random()?)
    }

    /// A key with a new id and the given secret.
    ///
    /// # Errors
    /// When the operating system cannot supply random bytes.
    pub fn new(account_id: &str, now: Instant, secret: Secret) -> Result<Self> {
        let id = secret::random_name(&format!("{PREFIX}{}_", now.millis()))?;
        Ok(Self::from_parts(account_id, id, secret))
    }

    pub(super) fn from_parts(account_id: &str, id: String, secret: Secret) -> Self {
        Self { id, account_id: Some(account_id.to_owned()), secret }
    }

    /// The same key with the account of its session.
    #[must_use]
    pub(super) fn with_account(&self, account_id: &str) -> Self {
        Self::from_parts(account_id, self.id.clone(), self.secret.clone())
    }

    /// Parses a key that a browser presented. `None` if the text has neither of the two forms.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, rest) = text.split_once('.')?;
        let (account_id, secret) = match rest.split_once('.') {
            Some((part, secret)) => (Some(account_of(part)?), secret),
            None => (None, rest),
        };
        let (millis, random) = id.strip_prefix(PREFIX)?.split_once('_')?;
        let is_number = !millis.is_empty() && millis.len() <= 19 && millis.bytes().all(|b| b.is_ascii_digit());
        let well_formed = is_number && secret::is_base64url(random, ID_RANDOM) && secret::is_base64url(secret, SECRET);
        well_formed.then(|| Self { id: id.to_owned(), account_id, secret: Secret::presented(secret) })
    }

    /// The part that identifies the session. Grants no access.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `None` if the key has the old form.
    pub fn account_id(&self) -> Option<&str> {
        self.account_id.as_deref()
    }

    /// The part that grants access to the session.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Whether both are the same key. A key of the old form has no account to compare.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_same_account = match (&self.account_id, &other.account_id) {
            (Some(own), Some(other)) => own == other,
            (None, _) | (_, None) => true,
        };
        self.id == other.id && self.secret == other.secret && is_same_account
    }

    /// The full key. Only for the cookie.
    pub fn expose(&self) -> String {
        match &self.account_id {
            Some(account_id) => format!("{}.{}.{}", self.id, account_part(account_id), self.secret.expose()),
            None => self.derivation_text(),
        }
    }

    /// The text from which other keys and secrets are derived: the key in its old form, so that both forms of a key
    /// derive the same secrets.
    pub(super) fn derivation_text(&self) -> String {
        format!("{}.{}", self.id, self.secret.expose())
    }

    /// The key as actix-session passes it.
    pub fn cookie_value(&self) -> Result<CookieValue> {
        CookieValue::try_from(self.expose()).map_err(|error| Error::bug(error.to_string()))
    }
}

/// The random part of a session's id, as a number. `None` if the id does not have the usual form.
pub(super) fn random_part(id: &str) -> Option<u128> {
    let (_, random) = id.strip_prefix(PREFIX)?.split_once('_')?;
    let mut bytes = [0; 16];
    let decoded = BASE64_URL_SAFE_NO_PAD.decode_slice(random, &mut bytes).ok()?;
    (decoded == bytes.len()).then(|| u128::from_be_bytes(bytes))
}

/// The account's id as a part of a key. If the id has the usual form, the part is the id's random text of 22
/// characters. Any other id, such as an imported one, becomes `-` and its base64. The two cannot be confused, because
/// base64 never has 21 characters.
pub(super) fn account_part(account_id: &str) -> String {
    match account_id.strip_prefix(ACCOUNT_PREFIX).filter(|random| secret::is_base64url(random, ID_RANDOM)) {
        Some(random) => random.to_owned(),
        None => format!("{ENCODED}{}", BASE64_URL_SAFE_NO_PAD.encode(account_id)),
    }
}

/// The account id for an account part. `None` if [`account_part`] would not produce this part.
pub(super) fn account_of(part: &str) -> Option<String> {
    if secret::is_base64url(part, ID_RANDOM) {
        return Some(format!("{ACCOUNT_PREFIX}{part}"));
    }
    let encoded = part.strip_prefix(ENCODED).filter(|encoded| encoded.len() < LONGEST_ACCOUNT)?;
    let account_id = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()?;
    // PostgreSQL does not store U+0000.
    (account_part(&account_id) == part && !account_id.contains('\0')).then_some(account_id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ACCOUNT: &str = "acc_0123456789abcdefghijkl";

    proptest! {
        #[test]
        fn a_key_parses_as_a_whole_or_not_at_all(
            good in "aiq_[0-9]{1,19}_[A-Za-z0-9_-]{22}(\\.[A-Za-z0-9_-]{22})?\\.[A-Za-z0-9_-]{43}", at in 0..130_usize, odd in any::<char>(),
        ) {
            let key = SessionKey::parse(&good).expect("a well-formed key");
            prop_assert_eq!(key.expose(), good.clone());
            prop_assert_eq!(good.split('.').next(), Some(key.id()));
            prop_assert_eq!(good.rsplit('.').next(), Some(key.secret().expose()));
            prop_assert_eq!(key.account_id().is_some(), good.split('.').count() == 3);

            let at = at % good.len();
            let changed = |middle: &str, rest: usize| format!("{}{middle}{}", &good[..at], &good[at + rest..]);
            let is_key_char = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if !is_key_char(odd) && odd != '.' {
                prop_assert!(SessionKey::parse(&changed(&odd.to_string(), 1)).is_none());
                prop_assert!(SessionKey::parse(&changed(&odd.to_string(), 0)).is_none());
            }
            prop_assert!(SessionKey::parse(&good[..at]).is_none());
            let longer = format!("{good}{odd}");
            prop_assert!(SessionKey::parse(&longer).is_none());
        }

        #[test]
        fn a_parsed_key_serializes_to_the_same_text(text in any::<String>()) {
            prop_assert!(SessionKey::parse(&text).is_none_or(|key| key.expose() == text));
        }

        #[test]
        fn any_account_id_can_be_part_of_a_key(account_id in "[^\u{0}]{0,80}|acc_[A-Za-z0-9_-]{20,24}|[A-Za-z0-9_-]{14,24}") {
            let key = SessionKey::generate(&account_id, Instant::from_micros(0)).unwrap();
            let again = SessionKey::parse(&key.expose()).expect("a key that parses");
            prop_assert_eq!(again.account_id(), Some(account_id.as_str()));
            prop_assert_eq!(again.expose(), key.expose());
        }

        #[test]
        fn a_parsed_account_part_serializes_to_the_same_text(part in "-?[A-Za-z0-9_-]{0,40}") {
            prop_assert!(account_of(&part).is_none_or(|account_id| account_part(&account_id) == part));
        }
    }

    #[test]
    fn a_generated_key_can_be_parsed() {
        let key = SessionKey::generate(ACCOUNT, Instant::from_micros(1_795_460_400_123_000)).unwrap();
        assert!(key.id().starts_with("aiq_1795460400123_"));
        assert_eq!(key.expose().split('.').nth(1), ACCOUNT.strip_prefix("acc_"));
        let again = SessionKey::parse(&key.expose()).unwrap();
        assert_eq!((again.id(), again.secret().expose()), (key.id(), key.secret().expose()));
        assert_eq!(again.account_id(), Some(ACCOUNT));
    }

    #[test]
    fn both_forms_of_a_key_are_the_same_key() {
        let key = SessionKey::generate(ACCOUNT, Instant::from_micros(0)).unwrap();
        let old = SessionKey::parse(&key.derivation_text()).unwrap();
        assert_eq!(old.account_id(), None);
        assert!(old.is_same(&key) && key.is_same(&old));
        assert_eq!(old.with_account(ACCOUNT).expose(), key.expose());
        assert!(!key.is_same(&key.with_account("acc_another")));
    }

    #[test]
    fn a_malformed_key_is_rejected() {
        let good = SessionKey::generate(ACCOUNT, Instant::from_micros(1_000)).unwrap().expose();
        let parts: Vec<&str> = good.split('.').collect();
        let [id, account, secret] = parts[..] else { panic!("{good}") };
        for odd in [
            "",
            ".",
            "..",
            "aiq_",
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}x"),
            &good.replace("aiq_1", "aiq_-1"),
            &good.replace('.', ""),
            id,
            &format!("{id}."),
            &format!("{id}..{secret}"),
            &format!("{id}.{account}"),
            &format!("{id}.{account}."),
            &format!("{id}.{account}x.{secret}"),
            &format!("{id}.{account}.{account}.{secret}"),
            // Needlessly encoded; not UTF-8; with U+0000; with unused bits set.
            &format!("{id}.-{}.{secret}", BASE64_URL_SAFE_NO_PAD.encode(ACCOUNT)),
            &format!("{id}.-_w.{secret}"),
            &format!("{id}.-AA.{secret}"),
            &format!("{id}.-YR.{secret}"),
            &good.replace("aiq_1_", "aiq__"),
            &good.replace('.', "\0"),
            &format!("{id}.{account}.{}", "é".repeat(43)),
        ] {
            assert!(SessionKey::parse(odd).is_none(), "{odd:?}");
        }
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        let key = SessionKey::generate(ACCOUNT, Instant::from_micros(0)).unwrap();
        assert!(!format!("{key:?}").contains(key.secret().expose()));
    }
}
