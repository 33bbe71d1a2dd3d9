//! Makes session keys. Called by [`statements`](super::statements) and by the login.
//!
//! A key that follows another key or a login form is derived from a secret of the browser and a nonce in the row. If
//! the response with the key is lost, a repeated request gets the same key. Concurrent responses all set the same
//! cookie.
//!
//! Invariant: stored data alone is not enough to make a key. The key file and the browser's secret are needed too.

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

/// A new key, and the nonce that the row stores so that the key can be derived again.
#[derive(Debug, Clone)]
pub struct NewKey {
    pub key: SessionKey,
    /// Random nonce of a derived key; `None` if the key itself is random.
    pub nonce: Option<String>,
}

/// Identifies a login, so that a form that is sent twice counts as one login. Either the cookie of the visitor to whom
/// the form was shown, or the session key that the browser presented with the login.
#[derive(Debug, Clone)]
pub struct LoginForm(Secret);

impl LoginForm {
    /// The form that was shown to the visitor with this cookie.
    pub fn of_visitor(visitor: Secret) -> Self {
        Self(visitor)
    }

    /// A login with this key in the session cookie. The key's session has ended or belongs to another account.
    pub fn over(presented: &SessionKey) -> Self {
        Self(Secret::presented(presented.derivation_text()))
    }

    /// The hash that the row stores.
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
    pub fn new(keys: DerivationKeys) -> Self {
        Self { devices: DeviceSecrets::new(keys.clone()), keys }
    }

    /// The maker of device secrets, which uses the same keys.
    pub fn devices(&self) -> &DeviceSecrets {
        &self.devices
    }

    /// The keys with which other secrets of a session are derived, such as that of an authenticator app to set up.
    pub fn derivation(&self) -> &DerivationKeys {
        &self.keys
    }

    /// A new key for the account that follows `old`. `old` may have either form.
    ///
    /// # Errors
    /// When the operating system cannot supply random bytes.
    pub fn successor(&self, old: &SessionKey, account_id: &str, now: Instant) -> Result<NewKey> {
        self.derived(account_id, now, |nonce| successor_subject(old, nonce))
    }

    /// Derives the secret that follows `old` again. `None` if no key in the key file yields the hash.
    pub fn successor_again(&self, old: &SessionKey, nonce: &str, hash: &[u8]) -> Option<Secret> {
        self.keys.candidates(&successor_subject(old, nonce)).find(|secret| secret.matches(hash))
    }

    /// A new key for a session that a login form starts.
    ///
    /// # Errors
    /// When the operating system cannot supply random bytes.
    pub fn of_form(&self, form: &LoginForm, account_id: &str, now: Instant) -> Result<NewKey> {
        self.derived(account_id, now, |nonce| login_subject(form, nonce))
    }

    /// Derives the secret of a session that `form` started again. `None` if no key in the key file yields the hash.
    pub fn of_form_again(&self, form: &LoginForm, nonce: &str, hash: &[u8]) -> Option<Secret> {
        self.keys.candidates(&login_subject(form, nonce)).find(|secret| secret.matches(hash))
    }

    /// A random key, which cannot be derived again.
    ///
    /// # Errors
    /// When the operating system cannot supply random bytes.
    pub fn random(&self, account_id: &str, now: Instant) -> Result<NewKey> {
        Ok(NewKey { key: SessionKey::generate(account_id, now)?, nonce: None })
    }

    /// The device secret that belongs to the key of a sign-in. It is derived, so the same key gives the same secret.
    pub fn device_secret(&self, key: &SessionKey) -> Result<Secret> {
        self.devices.of_key(&key.derivation_text())
    }

    /// Derives the device secret again. `None` if no key in the key file yields the hash.
    pub fn device_secret_again(&self, key: &SessionKey, hash: &[u8]) -> Option<Secret> {
        self.devices.of_key_again(&key.derivation_text(), hash)
    }

    fn derived(&self, account_id: &str, now: Instant, subject: impl FnOnce(&str) -> String) -> Result<NewKey> {
        let nonce = secret::random_name("")?;
        let key = SessionKey::new(account_id, now, self.keys.derive(&subject(&nonce))?)?;
        Ok(NewKey { key, nonce: Some(nonce) })
    }
}

fn successor_subject(old: &SessionKey, nonce: &str) -> String {
    format!("successor:{}:{nonce}", old.derivation_text())
}

fn login_subject(form: &LoginForm, nonce: &str) -> String {
    format!("login:{}:{nonce}", form.0.expose())
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};

    use super::*;
    use crate::base::keys::Keys;

    /// A maker whose key file has these lines.
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
    fn both_forms_of_a_key_have_the_same_successor() {
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
    fn a_successor_is_derived_again_from_old_key_and_nonce() {
        let (maker, old) = (maker(&[1]), SessionKey::generate(ACCOUNT, NOW).unwrap());
        let NewKey { key, nonce } = maker.successor(&old, ACCOUNT, NOW).unwrap();
        let (nonce, hash) = (nonce.unwrap(), key.secret().hash());
        assert_eq!(maker.successor_again(&old, &nonce, &hash).as_ref(), Some(key.secret()));
        let other = SessionKey::generate(ACCOUNT, NOW).unwrap();
        assert_eq!(maker.successor_again(&other, &nonce, &hash), None);
        assert_eq!(maker.successor_again(&old, "another nonce", &hash), None);
        assert!(SessionKey::parse(&key.expose()).is_some(), "a well-formed key");
    }

    #[test]
    fn a_new_first_line_in_the_key_file_keeps_old_keys_derivable() {
        let old = SessionKey::generate(ACCOUNT, NOW).unwrap();
        let NewKey { key, nonce } = maker(&[1]).successor(&old, ACCOUNT, NOW).unwrap();
        let (nonce, hash) = (nonce.unwrap(), key.secret().hash());
        assert_eq!(maker(&[2, 1]).successor_again(&old, &nonce, &hash).as_ref(), Some(key.secret()));
        assert_eq!(maker(&[2]).successor_again(&old, &nonce, &hash), None);
        let device = maker(&[1]).device_secret(&key).unwrap();
        assert_eq!(maker(&[2, 1]).device_secret_again(&key, &device.hash()), Some(device));
    }

    #[test]
    fn each_key_has_its_own_128_bit_device_secret() {
        let maker = maker(&[1]);
        let secret = || maker.device_secret(&SessionKey::generate(ACCOUNT, NOW).unwrap()).unwrap();
        let (first, second) = (secret(), secret());
        assert!(first != second && secret::is_base64url(first.expose(), 22));
    }
}
