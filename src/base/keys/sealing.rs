//! Encrypts the secrets that the database stores (ChaCha20-Poly1305, RFC 8439): the secrets of authenticator apps and the
//! hashes of recovery codes. Encrypts also what a browser keeps for us between two requests. Each key is derived from a
//! line of the key file; the first encrypts, all decrypt. Called by `records::second_factor` and by the actions that
//! sign people in.
//!
//! Invariant: a sealed secret opens only for the account that it was sealed for, and a browser's text only for the same
//! purpose and binding. A key's id is a one-way hash of the key, so the database may store it.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};

use crate::base::{
    error::{Away, Error, Result},
    secret,
};

/// The associated data of stored secrets begins with this.
const STORED: &str = "stored second factor";
/// Random bytes before a browser's text. Each text has a key of its own, made from them, because visitors can ask for
/// more texts than one key may encrypt with random nonces.
const SALT: usize = 16;

/// The sealing keys. The first seals, all open. Cheap to clone.
#[derive(Clone)]
pub struct SealingKeys(Arc<[SealingKey]>);

/// The keys that are derived from a line of the key file.
#[derive(Clone)]
pub(super) struct SealingKey {
    id: String,
    stored: LessSafeKey,
    /// Makes the keys of browsers' texts.
    browsers: Hmac<Sha256>,
}

/// An encrypted secret, as the database stores it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The id of the key that opens it.
    pub key_id: String,
    /// The nonce, the ciphertext and the tag.
    pub bytes: Vec<u8>,
}

impl SealingKeys {
    /// `keys` are in the order of the key file.
    pub(super) fn new(keys: impl Iterator<Item = SealingKey>) -> Self {
        Self(keys.collect())
    }

    /// The ids of all keys, the sealing key first. Ids are not secret.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }

    /// The id of the key that seals. A secret with another id should be sealed again.
    pub fn first_id(&self) -> &str {
        &self.first().id
    }

    /// Encrypts a secret of an account.
    ///
    /// # Errors
    /// When the operating system cannot supply random bytes.
    pub fn seal(&self, account_id: &str, plaintext: &[u8]) -> Result<Sealed> {
        let key = self.first();
        let bytes = encrypt(&key.stored, &context(STORED, account_id), plaintext)?;
        Ok(Sealed { key_id: key.id.clone(), bytes })
    }

    /// Decrypts a secret of an account.
    ///
    /// # Errors
    /// [`Away::Refused`] if the key file lacks the key, and [`Error::Internal`] if the secret was changed, or sealed for
    /// another account.
    pub fn open(&self, account_id: &str, sealed: &Sealed) -> Result<Vec<u8>> {
        let key = self.0.iter().find(|key| key.id == sealed.key_id).ok_or_else(|| missing(&sealed.key_id))?;
        decrypt(&key.stored, &context(STORED, account_id), &sealed.bytes)
            .ok_or_else(|| Error::bug(format!("a stored second factor of {account_id} was changed")))
    }

    /// Encrypts what a browser keeps for us, as base64url. Only [`Self::open_from_browser`] with the same purpose and
    /// binding opens the text. The text does not expire: put a time into `json`, and whatever makes it single use.
    ///
    /// # Errors
    /// When the operating system cannot supply random bytes.
    pub fn seal_for_browser(&self, purpose: &str, binding: &str, json: &[u8]) -> Result<String> {
        let salt = secret::random_bytes::<SALT>()?;
        let key = self.first().of_browser(&salt)?;
        let mut bytes = salt.to_vec();
        bytes.extend(encrypt(&key, &context(purpose, binding), json)?);
        Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What [`Self::seal_for_browser`] encrypted. `None` for any text that it did not make for this purpose and binding.
    pub fn open_from_browser(&self, purpose: &str, binding: &str, text: &str) -> Option<Vec<u8>> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (salt, sealed) = bytes.split_first_chunk::<SALT>()?;
        let context = context(purpose, binding);
        self.0.iter().find_map(|key| decrypt(&key.of_browser(salt).ok()?, &context, sealed))
    }

    fn first(&self) -> &SealingKey {
        &self.0[0]
    }
}

impl SealingKey {
    /// `stored` and `browsers` are two secrets derived from a line of the key file.
    pub(super) fn new(stored: &[u8], browsers: &[u8]) -> Option<Self> {
        let id = Sha256::new().chain_update("sessile sealing key id").chain_update(stored).finalize();
        Some(Self {
            id: BASE64_URL_SAFE_NO_PAD.encode(&id[..9]),
            stored: aead_key(stored).ok()?,
            browsers: Hmac::new_from_slice(browsers).ok()?,
        })
    }

    fn of_browser(&self, salt: &[u8; SALT]) -> Result<LessSafeKey> {
        aead_key(&self.browsers.clone().chain_update(salt).finalize().into_bytes())
    }
}

impl std::fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

fn missing(key_id: &str) -> Error {
    Error::unavailable(
        Away::Refused,
        format!(
            "the key file (SESSILE_KEY_FILE) lacks the key {key_id}, with which a second factor is encrypted: add the old \
             key as a further line"
        ),
    )
}

/// The associated data. The length keeps a purpose and a binding apart.
fn context(purpose: &str, binding: &str) -> String {
    format!("sessile {}:{purpose}:{binding}", purpose.len())
}

fn aead_key(bytes: &[u8]) -> Result<LessSafeKey> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, bytes);
    key.map(LessSafeKey::new).map_err(|_| Error::bug("a sealing key has a wrong length"))
}

/// A random nonce, the ciphertext and its tag.
fn encrypt(key: &LessSafeKey, context: &str, plaintext: &[u8]) -> Result<Vec<u8>> {
    let nonce = secret::random_bytes::<NONCE_LEN>()?;
    let mut text = plaintext.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut text)
        .map_err(|_| Error::bug("the text to encrypt is too long"))?;
    Ok([nonce.as_slice(), &text].concat())
}

fn decrypt(key: &LessSafeKey, context: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut text = text.to_vec();
    let plaintext = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context), &mut text).ok()?;
    Some(plaintext.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(lines: &[u8]) -> SealingKeys {
        SealingKeys::new(lines.iter().map(|line| SealingKey::new(&[*line; 32], &[line ^ 0x80; 32]).unwrap()))
    }

    #[test]
    fn a_secret_is_opened_for_its_account_only() {
        let keys = keys(&[1]);
        let sealed = keys.seal("acc_kim", b"a secret").unwrap();
        assert_eq!(keys.open("acc_kim", &sealed).unwrap(), b"a secret");
        assert!(matches!(keys.open("acc_lee", &sealed), Err(Error::Internal(_))));
        assert_eq!(keys.open("acc_kim", &keys.seal("acc_kim", b"").unwrap()).unwrap(), b"");
    }

    #[test]
    fn the_same_secret_is_sealed_differently_each_time_and_does_not_show() {
        let keys = keys(&[1]);
        let (one, other) = (keys.seal("acc_kim", b"a secret").unwrap(), keys.seal("acc_kim", b"a secret").unwrap());
        assert_ne!(one.bytes, other.bytes);
        assert_eq!(one.bytes.len(), 12 + 8 + 16);
        assert!(!one.bytes.windows(8).any(|bytes| bytes == b"a secret"));
    }

    #[test]
    fn a_secret_of_an_older_key_is_opened_by_its_id() {
        let old = keys(&[1]);
        let both = keys(&[2, 1]);
        let sealed = old.seal("acc_kim", b"a secret").unwrap();
        assert_eq!(sealed.key_id, old.first_id());
        assert_eq!(both.open("acc_kim", &sealed).unwrap(), b"a secret");
        assert_eq!(both.ids().collect::<Vec<_>>(), [both.first_id(), old.first_id()]);
        assert_eq!(both.seal("acc_kim", b"a secret").unwrap().key_id, both.first_id());
    }

    #[test]
    fn a_missing_key_is_named() {
        let sealed = keys(&[1]).seal("acc_kim", b"a secret").unwrap();
        let error = keys(&[2]).open("acc_kim", &sealed).unwrap_err();
        assert!(matches!(&error, Error::Unavailable(fault) if fault.what == Away::Refused));
        let words = error.to_string();
        assert!(words.contains(&sealed.key_id) && words.contains("SESSILE_KEY_FILE"), "{words}");
    }

    #[test]
    fn a_changed_secret_is_refused() {
        let keys = keys(&[1]);
        let sealed = keys.seal("acc_kim", b"a secret").unwrap();
        for at in 0..sealed.bytes.len() {
            let mut changed = sealed.clone();
            changed.bytes[at] ^= 1;
            assert!(matches!(keys.open("acc_kim", &changed), Err(Error::Internal(_))), "byte {at}");
            changed.bytes.truncate(at);
            assert!(keys.open("acc_kim", &changed).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn debug_shows_ids_only() {
        let keys = keys(&[1, 2]);
        assert_eq!(format!("{keys:?}"), format!("{:?}", keys.ids().collect::<Vec<_>>()));
        let sealed = keys.seal("acc_kim", b"a secret").unwrap();
        assert_eq!(format!("{sealed:?}"), format!("Sealed {{ key_id: {:?}, .. }}", sealed.key_id));
    }

    #[test]
    fn a_browsers_text_opens_for_its_purpose_and_binding_only() {
        let keys = keys(&[1]);
        let text = keys.seal_for_browser("half", "visitor-1", br#"{"account":"acc_kim"}"#).unwrap();
        assert_eq!(keys.open_from_browser("half", "visitor-1", &text).unwrap(), br#"{"account":"acc_kim"}"#);
        for (purpose, binding) in [("half", "visitor-2"), ("passkey", "visitor-1"), ("half", ""), ("", "visitor-1")] {
            assert_eq!(keys.open_from_browser(purpose, binding, &text), None, "{purpose} {binding}");
        }
        let shifted = keys.seal_for_browser("half:a", "b", b"{}").unwrap();
        assert_eq!(keys.open_from_browser("half", "a:b", &shifted), None);
    }

    #[test]
    fn a_browsers_text_is_opened_by_an_older_key_and_not_by_a_strange_one() {
        let text = keys(&[1]).seal_for_browser("half", "visitor", b"{}").unwrap();
        assert_eq!(keys(&[2, 1]).open_from_browser("half", "visitor", &text).unwrap(), b"{}");
        assert_eq!(keys(&[2]).open_from_browser("half", "visitor", &text), None);
        assert_ne!(keys(&[1]).seal_for_browser("half", "visitor", b"{}").unwrap(), text);
    }

    #[test]
    fn a_changed_text_of_a_browser_is_refused() {
        let keys = keys(&[1]);
        let text = keys.seal_for_browser("half", "visitor", b"{}").unwrap();
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&text).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = BASE64_URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(keys.open_from_browser("half", "visitor", &changed), None, "byte {at}");
            let cut = BASE64_URL_SAFE_NO_PAD.encode(&bytes[..at]);
            assert_eq!(keys.open_from_browser("half", "visitor", &cut), None, "{at} bytes");
        }
        for text in ["", "!", "{}", &format!("{text}="), &text[1..]] {
            assert_eq!(keys.open_from_browser("half", "visitor", text), None, "{text}");
        }
    }

    #[test]
    fn a_stored_secret_is_not_a_browsers_text() {
        let keys = keys(&[1]);
        let sealed = keys.seal("acc_kim", b"a secret").unwrap();
        let text = BASE64_URL_SAFE_NO_PAD.encode(&sealed.bytes);
        assert_eq!(keys.open_from_browser(STORED, "acc_kim", &text), None);
    }
}
