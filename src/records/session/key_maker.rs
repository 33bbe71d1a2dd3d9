//! Makes session keys. A key that follows another, or that a login form asked for, is derived from what its browser holds
//! and a nonce that the row keeps: when the answer with the key is lost, asking again gives the very same key, and answers
//! that overtake one another all set the same cookie. Called by [`statements`](super::statements) and by the login.
//!
//! Invariant: nothing that is stored is enough to make a key; it takes the key file and the secret of the browser too.

use sha2::{Digest as _, Sha256};

use super::key::SessionKey;
use crate::base::{
    db::Instant,
    error::Result,
    keys::DerivationKeys,
    secret::{self, Secret},
};

/// Characters of a device's secret.
const DEVICE_SECRET: usize = 22;

/// A key that was just made, and what its row keeps so that it can be made again.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The key.
    pub key: SessionKey,
    /// Random; `None` when the key itself is random.
    pub nonce: Option<String>,
}

/// What names a login, so that it is the same login when it is sent again: the cookie of the visitor to whom its form was
/// shown, or the session key over which it was made.
#[derive(Debug, Clone)]
pub struct LoginForm(Secret);

impl LoginForm {
    /// The form that was shown to the visitor with this cookie.
    pub fn of_visitor(visitor: Secret) -> Self {
        Self(visitor)
    }

    /// A login with this key in the session cookie, whose session has ended or is another person's.
    pub fn over(presented: &SessionKey) -> Self {
        Self(Secret::presented(presented.expose()))
    }

    /// As the row keeps it.
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(format!("login form:{}", self.0.expose())).to_vec()
    }
}

/// Makes session keys. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KeyMaker(DerivationKeys);

impl KeyMaker {
    /// With the keys of the key file.
    pub fn new(keys: DerivationKeys) -> Self {
        Self(keys)
    }

    /// The key that follows `old`.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn successor(&self, old: &SessionKey, now: Instant) -> Result<NewKey> {
        self.derived(now, |nonce| successor_of(old, nonce))
    }

    /// The secret with this hash that follows `old` with this nonce; `None` when the key that derived it has left the file.
    pub fn successor_again(&self, old: &SessionKey, nonce: &str, hash: &[u8]) -> Option<Secret> {
        self.0.candidates(&successor_of(old, nonce)).find(|secret| secret.matches(hash))
    }

    /// The key of a session that a form began.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn of_form(&self, form: &LoginForm, now: Instant) -> Result<NewKey> {
        self.derived(now, |nonce| begun_by(form, nonce))
    }

    /// The secret with this hash of a session that `form` began with this nonce.
    pub fn of_form_again(&self, form: &LoginForm, nonce: &str, hash: &[u8]) -> Option<Secret> {
        self.0.candidates(&begun_by(form, nonce)).find(|secret| secret.matches(hash))
    }

    /// A key that follows nothing.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn random(&self, now: Instant) -> Result<NewKey> {
        Ok(NewKey { key: SessionKey::generate(now)?, nonce: None })
    }

    /// The device secret that goes with the key of a sign-in: the same for the same key.
    ///
    /// # Errors
    /// Never in practice: HMAC takes keys of any length.
    pub fn device_secret(&self, key: &SessionKey) -> Result<Secret> {
        Ok(cut(&self.0.derive(&goes_with(key))?))
    }

    /// The same, if it is the one with this hash.
    pub fn device_secret_again(&self, key: &SessionKey, hash: &[u8]) -> Option<Secret> {
        self.0.candidates(&goes_with(key)).map(|secret| cut(&secret)).find(|secret| secret.matches(hash))
    }

    /// The secret that a device's browser keeps after one with which it has signed in: the same for the same secret, so that
    /// two sign-ins at once give the browser one.
    ///
    /// # Errors
    /// Never in practice: HMAC takes keys of any length.
    pub fn next_device_secret(&self, device_id: &str, brought: &Secret) -> Result<Secret> {
        Ok(cut(&self.0.derive(&follows(device_id, brought))?))
    }

    /// The same, if it is the one with this hash.
    pub fn next_device_secret_again(&self, device_id: &str, brought: &Secret, hash: &[u8]) -> Option<Secret> {
        let subject = follows(device_id, brought);
        self.0.candidates(&subject).map(|secret| cut(&secret)).find(|secret| secret.matches(hash))
    }

    fn derived(&self, now: Instant, subject: impl FnOnce(&str) -> String) -> Result<NewKey> {
        let nonce = secret::random_name("")?;
        let key = SessionKey::new(now, self.0.derive(&subject(&nonce))?)?;
        Ok(NewKey { key, nonce: Some(nonce) })
    }
}

fn successor_of(old: &SessionKey, nonce: &str) -> String {
    format!("successor:{}:{nonce}", old.expose())
}

fn begun_by(form: &LoginForm, nonce: &str) -> String {
    format!("login:{}:{nonce}", form.0.expose())
}

fn goes_with(key: &SessionKey) -> String {
    format!("device:{}", key.expose())
}

fn follows(device_id: &str, brought: &Secret) -> String {
    format!("device after:{device_id}:{}", brought.expose())
}

fn cut(secret: &Secret) -> Secret {
    Secret::presented(secret.expose().get(..DEVICE_SECRET).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};

    use super::*;
    use crate::base::keys::Keys;

    /// The maker of a key file with these lines.
    fn maker(lines: &[u8]) -> KeyMaker {
        let folder = std::env::temp_dir().join(secret::random_name("sessile-maker-").unwrap());
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("session.key");
        let text: Vec<String> = lines.iter().map(|n| BASE64_STANDARD_NO_PAD.encode([*n; 64])).collect();
        std::fs::write(&file, text.join("\n")).unwrap();
        let maker = KeyMaker::new(Keys::read(&file).unwrap().unwrap().derivation());
        std::fs::remove_dir_all(folder).unwrap();
        maker
    }

    const NOW: Instant = Instant::from_micros(1_795_460_400_000_000);

    #[test]
    fn a_successor_is_made_again_from_the_old_key_and_the_nonce_alone() {
        let (maker, old) = (maker(&[1]), SessionKey::generate(NOW).unwrap());
        let NewKey { key, nonce } = maker.successor(&old, NOW).unwrap();
        let (nonce, hash) = (nonce.unwrap(), key.secret().hash());
        assert_eq!(maker.successor_again(&old, &nonce, &hash).as_ref(), Some(key.secret()));
        let other = SessionKey::generate(NOW).unwrap();
        assert_eq!(maker.successor_again(&other, &nonce, &hash), None);
        assert_eq!(maker.successor_again(&old, "another nonce", &hash), None);
        assert!(SessionKey::parse(&key.expose()).is_some(), "of the contract's form");
    }

    #[test]
    fn a_new_first_line_in_the_key_file_changes_nothing() {
        let old = SessionKey::generate(NOW).unwrap();
        let NewKey { key, nonce } = maker(&[1]).successor(&old, NOW).unwrap();
        let (nonce, hash) = (nonce.unwrap(), key.secret().hash());
        assert_eq!(maker(&[2, 1]).successor_again(&old, &nonce, &hash).as_ref(), Some(key.secret()));
        assert_eq!(maker(&[2]).successor_again(&old, &nonce, &hash), None);
        let device = maker(&[1]).device_secret(&key).unwrap();
        assert_eq!(maker(&[2, 1]).device_secret_again(&key, &device.hash()), Some(device));
    }

    #[test]
    fn what_follows_a_device_secret_is_the_same_each_time_and_another_for_each_device() {
        let maker_of = |lines: &[u8]| maker(lines);
        let (one, brought) = (maker_of(&[1]), Secret::random_short().unwrap());
        let next = one.next_device_secret("dev_a", &brought).unwrap();
        assert_eq!(one.next_device_secret("dev_a", &brought).unwrap(), next);
        assert!(next != brought && one.next_device_secret("dev_b", &brought).unwrap() != next);
        assert!(one.next_device_secret("dev_a", &next).unwrap() != next);
        assert_eq!(maker_of(&[2, 1]).next_device_secret_again("dev_a", &brought, &next.hash()), Some(next.clone()));
        assert!(secret::is_base64url(next.expose(), DEVICE_SECRET));
    }

    #[test]
    fn each_key_has_a_device_secret_of_its_own_of_128_bits() {
        let maker = maker(&[1]);
        let secret = || maker.device_secret(&SessionKey::generate(NOW).unwrap()).unwrap();
        let (one, other) = (secret(), secret());
        assert!(one != other && secret::is_base64url(one.expose(), DEVICE_SECRET));
    }
}
