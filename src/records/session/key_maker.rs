//! Makes session keys. A key that follows another, or that a login form asked for, is derived from what its browser holds
//! and a nonce that the row keeps: when the answer with the key is lost, asking again gives the very same key, and answers
//! that overtake one another all set the same cookie. Called by [`statements`](super::statements) and by the login.
//!
//! Invariant: nothing that is stored is enough to make a key; it takes the key file and the secret of the browser too.

use sha2::{Digest as _, Sha256};

use super::key::SessionKey;
use crate::{
    base::{
        db::Instant,
        error::Result,
        keys::DerivationKeys,
        secret::{self, Secret},
    },
    records::device::DeviceSecrets,
};

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
        Self(Secret::presented(presented.derivation_text()))
    }

    /// As the row keeps it.
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(format!("login form:{}", self.0.expose())).to_vec()
    }
}

/// Makes session keys. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KeyMaker {
    keys: DerivationKeys,
    devices: DeviceSecrets,
}

impl KeyMaker {
    /// With the keys of the key file.
    pub fn new(keys: DerivationKeys) -> Self {
        Self { devices: DeviceSecrets::new(keys.clone()), keys }
    }

    /// Makes the secrets of devices from the same keys.
    pub fn devices(&self) -> &DeviceSecrets {
        &self.devices
    }

    /// The key of the account that follows `old`, of whichever form that is.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn successor(&self, old: &SessionKey, account_id: &str, now: Instant) -> Result<NewKey> {
        self.derived(account_id, now, |nonce| successor_of(old, nonce))
    }

    /// The secret with this hash that follows `old` with this nonce; `None` when the key that derived it has left the file.
    pub fn successor_again(&self, old: &SessionKey, nonce: &str, hash: &[u8]) -> Option<Secret> {
        self.keys.candidates(&successor_of(old, nonce)).find(|secret| secret.matches(hash))
    }

    /// The key of a session that a form began.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn of_form(&self, form: &LoginForm, account_id: &str, now: Instant) -> Result<NewKey> {
        self.derived(account_id, now, |nonce| begun_by(form, nonce))
    }

    /// The secret with this hash of a session that `form` began with this nonce.
    pub fn of_form_again(&self, form: &LoginForm, nonce: &str, hash: &[u8]) -> Option<Secret> {
        self.keys.candidates(&begun_by(form, nonce)).find(|secret| secret.matches(hash))
    }

    /// A key that follows nothing.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn random(&self, account_id: &str, now: Instant) -> Result<NewKey> {
        Ok(NewKey { key: SessionKey::generate(account_id, now)?, nonce: None })
    }

    /// The device secret that goes with the key of a sign-in: the same for the same key.
    ///
    /// # Errors
    /// Never in practice: HMAC takes keys of any length.
    pub fn device_secret(&self, key: &SessionKey) -> Result<Secret> {
        self.devices.of_key(&key.derivation_text())
    }

    /// The same, if it is the one with this hash.
    pub fn device_secret_again(&self, key: &SessionKey, hash: &[u8]) -> Option<Secret> {
        self.devices.of_key_again(&key.derivation_text(), hash)
    }

    fn derived(&self, account_id: &str, now: Instant, subject: impl FnOnce(&str) -> String) -> Result<NewKey> {
        let nonce = secret::random_name("")?;
        let key = SessionKey::new(account_id, now, self.keys.derive(&subject(&nonce))?)?;
        Ok(NewKey { key, nonce: Some(nonce) })
    }
}

fn successor_of(old: &SessionKey, nonce: &str) -> String {
    format!("successor:{}:{nonce}", old.derivation_text())
}

fn begun_by(form: &LoginForm, nonce: &str) -> String {
    format!("login:{}:{nonce}", form.0.expose())
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
    const ACCOUNT: &str = "acc_0123456789abcdefghijkl";

    #[test]
    fn what_follows_a_key_follows_it_in_the_old_form_too() {
        let (maker, key) = (maker(&[1]), SessionKey::generate(ACCOUNT, NOW).unwrap());
        let old = SessionKey::parse(&key.derivation_text()).unwrap();
        assert_eq!(old.account_id(), None);
        let NewKey { key: next, nonce } = maker.successor(&old, ACCOUNT, NOW).unwrap();
        assert_eq!(next.account_id(), Some(ACCOUNT));
        let again = maker.successor_again(&key, &nonce.unwrap(), &next.secret().hash());
        assert_eq!(again.as_ref(), Some(next.secret()));
        assert_eq!(LoginForm::over(&old).hash(), LoginForm::over(&key).hash());
        assert_eq!(maker.device_secret(&old).unwrap(), maker.device_secret(&key).unwrap());
    }

    #[test]
    fn a_successor_is_made_again_from_the_old_key_and_the_nonce_alone() {
        let (maker, old) = (maker(&[1]), SessionKey::generate(ACCOUNT, NOW).unwrap());
        let NewKey { key, nonce } = maker.successor(&old, ACCOUNT, NOW).unwrap();
        let (nonce, hash) = (nonce.unwrap(), key.secret().hash());
        assert_eq!(maker.successor_again(&old, &nonce, &hash).as_ref(), Some(key.secret()));
        let other = SessionKey::generate(ACCOUNT, NOW).unwrap();
        assert_eq!(maker.successor_again(&other, &nonce, &hash), None);
        assert_eq!(maker.successor_again(&old, "another nonce", &hash), None);
        assert!(SessionKey::parse(&key.expose()).is_some(), "of the contract's form");
    }

    #[test]
    fn a_new_first_line_in_the_key_file_changes_nothing() {
        let old = SessionKey::generate(ACCOUNT, NOW).unwrap();
        let NewKey { key, nonce } = maker(&[1]).successor(&old, ACCOUNT, NOW).unwrap();
        let (nonce, hash) = (nonce.unwrap(), key.secret().hash());
        assert_eq!(maker(&[2, 1]).successor_again(&old, &nonce, &hash).as_ref(), Some(key.secret()));
        assert_eq!(maker(&[2]).successor_again(&old, &nonce, &hash), None);
        let device = maker(&[1]).device_secret(&key).unwrap();
        assert_eq!(maker(&[2, 1]).device_secret_again(&key, &device.hash()), Some(device));
    }

    #[test]
    fn each_key_has_a_device_secret_of_its_own_of_128_bits() {
        let maker = maker(&[1]);
        let secret = || maker.device_secret(&SessionKey::generate(ACCOUNT, NOW).unwrap()).unwrap();
        let (one, other) = (secret(), secret());
        assert!(one != other && secret::is_base64url(one.expose(), 22));
    }
}
