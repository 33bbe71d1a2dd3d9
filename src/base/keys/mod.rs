//! The key file. Its keys, one per line, sign cookies, form tokens and the audit trail, and encrypt second factors. All
//! nodes share them. The first key signs and encrypts, all keys verify and decrypt. A line `trail:KEY` verifies only the
//! audit trail. Read at the start by `serve` and by commands that record events.
//!
//! Invariant: the file is created atomically, only its owner can read it, and it is never overwritten.

mod audit;
mod derivation;
mod identity;
mod make;
mod sealing;

use std::io;
use std::path::Path;

use actix_web::cookie::{Cookie, CookieJar, Key};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

pub use self::{
    audit::{AccountKey, AuditKey, AuditKeys},
    derivation::DerivationKeys,
    identity::IdentityKeys,
    make::private_folder,
    sealing::{Sealed, SealingKeys},
};
use self::{
    make::{KEY_BYTES, WAYS, Way},
    sealing::SealingKey,
};
use crate::base::{
    error::{Error, Result},
    secret,
};

/// Characters of a cookie's MAC: 32 bytes in base64.
const COOKIE_MAC: usize = 44;
/// Prefix of a key that only verifies old audit events.
const TRAIL_ONLY: &str = "trail:";

/// Accepts base64 with or without padding, so the output of `head -c 64 /dev/urandom | base64 -w0` is a valid line.
const ANY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The keys of the file, with the signing key first.
#[derive(Clone)]
pub struct Keys {
    keys: Vec<SigningKey>,
    trail: AuditKeys,
    sealing: SealingKeys,
    made_now: bool,
}

#[derive(Clone)]
struct SigningKey {
    cookies: Key,
    /// The state of the MAC that signs cookies, after it has read the key.
    cookie_mac: Hmac<Sha256>,
    forms: Vec<u8>,
    sessions: Vec<u8>,
    addresses: Vec<u8>,
    revisions: Vec<u8>,
    identity: Vec<u8>,
    openings: Vec<u8>,
    trail: AuditKey,
    sealing: SealingKey,
    fingerprint: String,
}

/// A verified text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified<'a> {
    pub text: &'a str,
    /// Whether the key signed it that signs now.
    pub by_first_key: bool,
}

impl Keys {
    /// Reads the file, or creates it with one random key. If several nodes do so at once, one creates it and all read
    /// the same key.
    ///
    /// # Errors
    /// When the file cannot be read or created, or its content is invalid.
    pub fn read_or_make(path: &Path) -> Result<Self> {
        if std::fs::metadata(path).is_ok_and(|found| found.len() == 0) {
            // Another node that is starting may be about to write it.
            let text = make::read_whole(path).map_err(|error| unusable(path, &error))?;
            return Self::parse(&text, path);
        }
        if let Some(keys) = Self::read(path)? {
            return Ok(keys);
        }
        Self::make(path, &WAYS)
    }

    fn make(path: &Path, ways: &[Way]) -> Result<Self> {
        let made_now = make::make(path, ways).map_err(|error| unusable(path, &error))?;
        let text = make::read_whole(path).map_err(|error| unusable(path, &error))?;
        Ok(Self { made_now, ..Self::parse(&text, path)? })
    }

    /// Reads the file. `None` if it is missing.
    ///
    /// # Errors
    /// When the file cannot be read, or its content is invalid.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable(path, &error)),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (past, lines): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with(TRAIL_ONLY));
        let keys: Option<Vec<_>> = lines.into_iter().map(SigningKey::parse).collect();
        let past: Option<Vec<_>> = past.iter().map(|line| SigningKey::parse(line[TRAIL_ONLY.len()..].trim())).collect();
        let both = keys.filter(|keys| !keys.is_empty()).zip(past);
        both.map(|(keys, past)| {
            let trail = AuditKeys::new(keys.iter().chain(&past).map(|key| key.trail.clone()));
            let sealing = SealingKeys::new(keys.iter().map(|key| key.sealing.clone()));
            Self { keys, trail, sealing, made_now: false }
        })
        .ok_or_else(|| {
            Error::Invalid(format!(
                "the key file {} (SESSILE_KEY_FILE) contains something other than keys: restore it from your backup",
                path.display()
            ))
        })
    }

    /// Removes the file if this process created it. Called when the database needs another key file, so that nobody
    /// mistakes the new file for the right one.
    pub fn take_back(&self, path: &Path) {
        if self.made_now
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!(%error, "removing the new key file failed");
        }
    }

    pub fn cookie_key(&self) -> Key {
        self.keys[0].cookies.clone()
    }

    /// The value of a signed cookie; `None` if none of the keys signed it.
    pub fn verify_cookie(&self, cookie: &Cookie<'static>) -> Option<String> {
        Some(self.verify_cookie_value(cookie.value())?.text.to_owned())
    }

    /// The text in the value of a signed cookie; `None` if none of the keys signed it. The value is the one that
    /// [`Self::sign_cookie`] makes: the base64 of the text's MAC, and the text.
    pub fn verify_cookie_value<'a>(&self, value: &'a str) -> Option<Verified<'a>> {
        let (mac, text) = value.split_at_checked(COOKIE_MAC)?;
        let mut decoded = [0; COOKIE_MAC];
        let length = BASE64_STANDARD.decode_slice(mac, &mut decoded).ok()?;
        let mac = decoded.get(..length)?;
        let is_signed = |key: &SigningKey| key.cookie_mac.clone().chain_update(text).verify_slice(mac).is_ok();
        let signer = self.keys.iter().position(is_signed)?;
        Some(Verified { text, by_first_key: signer == 0 })
    }

    /// A cookie signed with the first key.
    pub fn sign_cookie(&self, name: &str, value: String) -> Cookie<'static> {
        let mut jar = CookieJar::new();
        jar.signed_mut(&self.keys[0].cookies).add(Cookie::new(name.to_owned(), value));
        jar.get(name).cloned().unwrap_or_else(|| Cookie::new(name.to_owned(), ""))
    }

    /// A token that only this instance can make from `subject`.
    pub fn form_token(&self, subject: &str) -> Result<String> {
        secret::sign(&self.keys[0].forms, subject)
    }

    /// Whether one of the keys made `token` from `subject`.
    pub fn is_form_token(&self, token: &str, subject: &str) -> bool {
        self.keys
            .iter()
            .any(|key| secret::sign(&key.forms, subject).is_ok_and(|right| secret::same_text(&right, token)))
    }

    /// The keys for deriving the secrets of sessions and devices.
    pub fn derivation(&self) -> DerivationKeys {
        DerivationKeys::new(self.keys.iter().map(|key| key.sessions.clone()))
    }

    /// A keyed hash of a network address. Without the key file it does not reveal the address.
    pub fn conceal_address(&self, network: &str) -> Result<String> {
        secret::sign(&self.keys[0].addresses, network)
    }

    /// A seal that proves later that this instance issued `revision`.
    pub fn seal_revision(&self, revision: &str) -> Result<String> {
        secret::sign(&self.keys[0].revisions, revision)
    }

    /// Whether one of the keys made `seal` for `revision`.
    pub fn has_sealed_revision(&self, revision: &str, seal: &str) -> bool {
        self.keys
            .iter()
            .any(|key| secret::sign(&key.revisions, revision).is_ok_and(|right| secret::same_text(&right, seal)))
    }

    /// The text with a seal, for what a browser holds to open an app.
    pub fn seal_opening(&self, text: &str) -> Result<String> {
        Ok(format!("{text}.{}", secret::sign(&self.keys[0].openings, text)?))
    }

    /// The text that one of the keys sealed.
    pub fn sealed_opening<'a>(&self, sealed: &'a str) -> Option<&'a str> {
        let (text, seal) = sealed.rsplit_once('.')?;
        let is_right =
            |key: &SigningKey| secret::sign(&key.openings, text).is_ok_and(|right| secret::same_text(&right, seal));
        self.keys.iter().any(is_right).then_some(text)
    }

    /// The keys of the audit trail, each derived from a key of the file.
    pub fn trail(&self) -> &AuditKeys {
        &self.trail
    }

    /// The keys that encrypt second factors, and what a browser keeps for us.
    pub fn sealing(&self) -> &SealingKeys {
        &self.sealing
    }

    /// The keys that sign assertions for apps.
    pub fn identity(&self) -> Result<IdentityKeys> {
        IdentityKeys::new(self.keys.iter().map(|key| key.identity.as_slice()))
    }

    /// The fingerprint of the signing key. Not secret: the database stores it.
    pub fn fingerprint(&self) -> &str {
        &self.keys[0].fingerprint
    }

    /// Whether one of the keys has this fingerprint.
    pub fn knows(&self, fingerprint: &str) -> bool {
        self.keys.iter().any(|key| key.fingerprint == fingerprint)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({} keys)", self.keys.len())
    }
}

fn unusable(path: &Path, error: &io::Error) -> Error {
    Error::Invalid(format!("the key file {} cannot be used: {error}; see SESSILE_KEY_FILE", path.display()))
}

impl SigningKey {
    fn parse(line: &str) -> Option<Self> {
        let bytes = ANY_BASE64.decode(line).ok().filter(|bytes| bytes.len() == KEY_BYTES)?;
        let derived = |purpose: &str| Sha256::new().chain_update(purpose).chain_update(&bytes).finalize().to_vec();
        let cookies = Key::from(&bytes);
        Some(Self {
            cookie_mac: Hmac::new_from_slice(cookies.signing()).ok()?,
            cookies,
            forms: derived("sessile form tokens"),
            sessions: derived("sessile session keys"),
            addresses: derived("sessile network addresses"),
            revisions: derived("sessile revisions of drafts"),
            identity: derived("sessile identity of people for apps"),
            openings: derived("sessile openings of apps"),
            trail: AuditKey::new(derived("sessile audit trail")),
            sealing: SealingKey::new(&derived("sessile second factors"), &derived("sessile texts kept by browsers"))?,
            fingerprint: BASE64_STANDARD_NO_PAD.encode(&derived("sessile key fingerprint")[..12]),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn folder() -> std::path::PathBuf {
        std::env::temp_dir().join(secret::random_name("sessile-key-").unwrap())
    }

    #[test]
    fn eight_nodes_that_start_at_once_share_one_key() {
        let path = folder().join("data/session.key");
        let fingerprints: Vec<String> = std::thread::scope(|scope| {
            let nodes: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Keys::read_or_make(&path).unwrap().fingerprint().to_owned())).collect();
            nodes.into_iter().map(|node| node.join().unwrap()).collect()
        });
        assert!(fingerprints.iter().all(|one| *one == fingerprints[0]));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn signatures_of_an_older_key_stay_valid() {
        let line = |n: u8| BASE64_STANDARD_NO_PAD.encode([n; KEY_BYTES]);
        let old = Keys::parse(&line(1), Path::new("k")).unwrap();
        let both = Keys::parse(&format!("{}\n{}\n", line(2), line(1)), Path::new("k")).unwrap();
        let cookie = old.sign_cookie("aiq_session", "value".into());
        assert_eq!(both.verify_cookie(&cookie).as_deref(), Some("value"));
        assert_eq!(old.verify_cookie(&both.sign_cookie("aiq_session", "value".into())), None);
        let sealed = old.seal_opening("a.b").unwrap();
        assert_eq!((both.sealed_opening(&sealed), both.sealed_opening("a.b")), (Some("a.b"), None));
        assert_eq!(both.sealed_opening(&sealed.replace('a', "c")), None);
        let secret = old.sealing().seal("acc_kim", b"a secret").unwrap();
        assert_eq!(both.sealing().open("acc_kim", &secret).unwrap(), b"a secret");
        assert!(both.is_form_token(&old.form_token("s").unwrap(), "s"));
        assert!(both.knows(old.fingerprint()) && !old.knows(both.fingerprint()));
    }

    #[test]
    fn a_line_is_valid_with_or_without_padding() {
        let bare = BASE64_STANDARD_NO_PAD.encode([3; KEY_BYTES]);
        let padded = base64::prelude::BASE64_STANDARD.encode([3; KEY_BYTES]);
        assert_eq!((bare.len(), padded.len()), (86, 88));
        let read = |text: &str| Keys::parse(text, Path::new("k")).unwrap().fingerprint().to_owned();
        assert_eq!(read(&bare), read(&padded));
        // `base64 -w0 >>` leaves the last line without a newline.
        assert_eq!(Keys::parse(&format!("{bare}\n{padded}"), Path::new("k")).unwrap().keys.len(), 2);
    }

    #[test]
    fn a_trail_key_verifies_no_cookie() {
        let line = |n: u8| BASE64_STANDARD_NO_PAD.encode([n; KEY_BYTES]);
        let old = Keys::parse(&line(1), Path::new("k")).unwrap();
        let kept = Keys::parse(&format!("trail: {}\n{}\n", line(1), line(2)), Path::new("k")).unwrap();
        assert!(kept.trail().find(old.trail().signing().id()).is_some());
        assert_ne!(kept.trail().signing().id(), old.trail().signing().id());
        assert_eq!(kept.verify_cookie(&old.sign_cookie("aiq_session", "value".into())), None);
        assert!(!kept.sealing().ids().any(|id| id == old.sealing().first_id()), "it opens no second factor");
        assert!(!kept.knows(old.fingerprint()));
        assert!(
            Keys::parse(&format!("trail:{}", line(1)), Path::new("k")).is_err(),
            "a file without a signing key is invalid"
        );
    }

    #[test]
    fn a_file_without_valid_keys_is_refused() {
        let run_together = BASE64_STANDARD_NO_PAD.encode([3; KEY_BYTES]).repeat(2);
        for text in ["", "\n", "short", &"A".repeat(200), &run_together] {
            assert!(Keys::parse(text, Path::new("k")).is_err(), "{text:?}");
        }
    }
}
