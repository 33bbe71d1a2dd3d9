//! The session key that a browser holds: the session's id and a secret, of which the database holds only the hash.

use actix_session::storage::SessionKey as CookieValue;

use crate::base::{
    db::Instant,
    error::{Error, Result},
    secret::{self, Secret},
};

const PREFIX: &str = "aiq_";
const ID_RANDOM: usize = 22;
const SECRET: usize = 43;

/// `aiq_<unix milliseconds>_<22 base64url>.<43 base64url>`: 128 random bits that name the session, 256 that open it.
#[derive(Debug, Clone)]
pub struct SessionKey {
    id: String,
    secret: Secret,
}

impl SessionKey {
    /// A new one.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn generate(now: Instant) -> Result<Self> {
        Self::new(now, Secret::random()?)
    }

    /// One with a new id and this secret.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn new(now: Instant, secret: Secret) -> Result<Self> {
        Ok(Self { id: secret::random_name(&format!("{PREFIX}{}_", now.millis()))?, secret })
    }

    /// The one with this id and secret.
    pub(super) fn from_parts(id: String, secret: Secret) -> Self {
        Self { id, secret }
    }

    /// Reads what a browser presented; `None` if it is not even of the form.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.split_once('.')?;
        let (millis, random) = id.strip_prefix(PREFIX)?.split_once('_')?;
        let is_number = !millis.is_empty() && millis.len() <= 19 && millis.bytes().all(|b| b.is_ascii_digit());
        let well_formed = is_number && secret::is_base64url(random, ID_RANDOM) && secret::is_base64url(secret, SECRET);
        well_formed.then(|| Self { id: id.to_owned(), secret: Secret::presented(secret) })
    }

    /// The half that names the session.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The half that opens it.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Whether this is the same key.
    pub fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.secret == other.secret
    }

    /// The whole, for the cookie alone.
    pub fn expose(&self) -> String {
        format!("{}.{}", self.id, self.secret.expose())
    }

    /// As actix-session passes it.
    ///
    /// # Errors
    /// Never in practice: a key is far shorter than a cookie may be.
    pub fn cookie_value(&self) -> Result<CookieValue> {
        CookieValue::try_from(self.expose()).map_err(|error| Error::bug(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_is_read_as_a_whole_or_not_at_all(
            good in "aiq_[0-9]{1,19}_[A-Za-z0-9_-]{22}\\.[A-Za-z0-9_-]{43}", at in 0..100_usize, odd in any::<char>(),
        ) {
            let key = SessionKey::parse(&good).expect("it is of the form");
            prop_assert_eq!(key.expose(), good.clone());
            prop_assert_eq!(good.split_once('.'), Some((key.id(), key.secret().expose())));

            let at = at % good.len();
            let changed = |middle: &str, rest: usize| format!("{}{middle}{}", &good[..at], &good[at + rest..]);
            let of_the_form = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if !of_the_form(odd) && odd != '.' {
                prop_assert!(SessionKey::parse(&changed(&odd.to_string(), 1)).is_none());
                prop_assert!(SessionKey::parse(&changed(&odd.to_string(), 0)).is_none());
            }
            prop_assert!(SessionKey::parse(&good[..at]).is_none());
            let longer = format!("{good}{odd}");
            prop_assert!(SessionKey::parse(&longer).is_none());
        }

        #[test]
        fn nothing_is_read_into_another_text(text in any::<String>()) {
            prop_assert!(SessionKey::parse(&text).is_none_or(|key| key.expose() == text));
        }
    }

    #[test]
    fn what_is_generated_can_be_read_again() {
        let key = SessionKey::generate(Instant::from_micros(1_795_460_400_123_000)).unwrap();
        assert!(key.id().starts_with("aiq_1795460400123_"));
        let again = SessionKey::parse(&key.expose()).unwrap();
        assert_eq!((again.id(), again.secret().expose()), (key.id(), key.secret().expose()));
    }

    #[test]
    fn what_is_not_of_the_form_is_refused() {
        let good = SessionKey::generate(Instant::from_micros(1_000)).unwrap().expose();
        let id = good.split('.').next().unwrap();
        for odd in [
            "",
            ".",
            "aiq_",
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}x"),
            &good.replace("aiq_1", "aiq_-1"),
            &good.replace('.', ""),
            id,
            &format!("{id}."),
            &good.replace("aiq_1_", "aiq__"),
            &good.replace('.', "\0"),
            &format!("{}.{}", id, "é".repeat(43)),
        ] {
            assert!(SessionKey::parse(odd).is_none(), "{odd:?}");
        }
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        let key = SessionKey::generate(Instant::from_micros(0)).unwrap();
        assert!(!format!("{key:?}").contains(key.secret().expose()));
    }
}
