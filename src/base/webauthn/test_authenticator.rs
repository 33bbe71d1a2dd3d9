//! An authenticator in software, with the part of the browser that talks to it, for tests. It makes ES256 passkeys
//! without attestation, and [`Twist`] makes it break one rule at a time. The HTTP tests include this file by its path, so
//! it uses nothing of this crate.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    rand::{SecureRandom as _, SystemRandom},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
const ATTESTED: u8 = 0x40;

/// A device or password manager, in a browser that shows a page of `origin`.
pub struct Authenticator {
    pub origin: String,
    pub aaguid: [u8; 16],
    pub transports: Vec<&'static str>,
    /// Whether the passkeys count their uses. Synced ones do not.
    pub counts: bool,
    pub is_backup_eligible: bool,
    pub is_backed_up: bool,
    passkeys: Vec<Passkey>,
}

struct Passkey {
    id: Vec<u8>,
    user: Vec<u8>,
    pair: EcdsaKeyPair,
    counter: u32,
}

/// What is wrong with an answer. By default nothing is.
#[derive(Default)]
pub struct Twist {
    pub origin: Option<&'static str>,
    pub is_cross_origin: bool,
    pub rp_id: Option<&'static str>,
    pub is_unverified: bool,
    pub counter: Option<u32>,
    /// The id that the browser claims.
    pub credential_id: Option<Vec<u8>>,
    /// `Some(None)` leaves the handle out.
    pub user_handle: Option<Option<Vec<u8>>>,
    pub challenge: Option<String>,
    /// `webauthn.get` instead of `webauthn.create`, or the other way round.
    pub kind: Option<&'static str>,
    /// Another key signs.
    pub is_forged: bool,
}

impl Authenticator {
    /// A security key: it counts, and its passkeys exist once.
    pub fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            aaguid: [0; 16],
            transports: vec!["usb", "nfc"],
            counts: true,
            is_backup_eligible: false,
            is_backed_up: false,
            passkeys: Vec::new(),
        }
    }

    /// A password manager that keeps passkeys on several devices.
    pub fn synced(origin: &str) -> Self {
        let transports = vec!["internal", "hybrid"];
        Self { transports, counts: false, is_backup_eligible: true, is_backed_up: true, ..Self::new(origin) }
    }

    /// The number of uses that the latest passkey has counted.
    pub fn set_counter(&mut self, counter: u32) {
        self.passkeys.last_mut().unwrap().counter = counter;
    }

    /// The answer of `navigator.credentials.create`.
    pub fn create(&mut self, options: &Value, twist: &Twist) -> Value {
        let passkey = Passkey {
            id: random(32),
            user: decode(options["user"]["id"].as_str().unwrap()),
            pair: key_pair(),
            counter: twist.counter.unwrap_or(u32::from(self.counts)),
        };
        let rp_id = twist.rp_id.unwrap_or(options["rp"]["id"].as_str().unwrap());
        let mut data = self.authenticator_data(rp_id, passkey.counter, ATTESTED, twist);
        data.extend(self.aaguid);
        data.extend(u16::try_from(passkey.id.len()).unwrap().to_be_bytes());
        data.extend(&passkey.id);
        data.extend(cose_key(passkey.pair.public_key().as_ref()));
        // A map with "fmt": "none", "attStmt": {} and "authData": bytes (CBOR, RFC 8949).
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59".to_vec();
        object.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        object.extend(&data);
        let id = encode(twist.credential_id.as_ref().unwrap_or(&passkey.id));
        let client_data = self.client_data("webauthn.create", options, twist);
        self.passkeys.push(passkey);
        json!({
            "id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "cross-platform",
            "clientExtensionResults": {"credProps": {"rk": true}},
            "response": {
                "clientDataJSON": encode(client_data.as_bytes()),
                "attestationObject": encode(&object),
                "authenticatorData": encode(&data),
                "transports": self.transports,
                "publicKeyAlgorithm": -7,
            },
        })
    }

    /// The answer of `navigator.credentials.get`, with the latest passkey that is allowed.
    pub fn get(&mut self, options: &Value, twist: &Twist) -> Value {
        let allowed = options["allowCredentials"].as_array().filter(|all| !all.is_empty());
        let is_allowed = |id: &[u8]| allowed.is_none_or(|all| all.iter().any(|one| one["id"] == encode(id)));
        let at = self.passkeys.iter().rposition(|passkey| is_allowed(&passkey.id)).expect("an allowed passkey");
        let counter = twist.counter.unwrap_or(self.passkeys[at].counter + u32::from(self.counts));
        self.passkeys[at].counter = counter;
        let rp_id = twist.rp_id.unwrap_or(options["rpId"].as_str().unwrap());
        let data = self.authenticator_data(rp_id, counter, 0, twist);
        let client_data = self.client_data("webauthn.get", options, twist);
        let passkey = &self.passkeys[at];
        let signed = [data.as_slice(), &Sha256::digest(client_data.as_bytes())].concat();
        let (other, random) = (key_pair(), SystemRandom::new());
        let signer = if twist.is_forged { &other } else { &passkey.pair };
        let signature = signer.sign(&random, &signed).unwrap();
        let user = twist.user_handle.clone().unwrap_or_else(|| Some(passkey.user.clone()));
        let id = encode(twist.credential_id.as_ref().unwrap_or(&passkey.id));
        json!({
            "id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "cross-platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encode(client_data.as_bytes()),
                "authenticatorData": encode(&data),
                "signature": encode(signature.as_ref()),
                "userHandle": user.map(|user| encode(&user)),
            },
        })
    }

    fn authenticator_data(&self, rp_id: &str, counter: u32, more: u8, twist: &Twist) -> Vec<u8> {
        let mut flags = PRESENT | more;
        flags |= if twist.is_unverified { 0 } else { VERIFIED };
        flags |= if self.is_backup_eligible { BACKUP_ELIGIBLE } else { 0 };
        flags |= if self.is_backed_up { BACKED_UP } else { 0 };
        [Sha256::digest(rp_id.as_bytes()).as_slice(), &[flags], &counter.to_be_bytes()].concat()
    }

    fn client_data(&self, kind: &str, options: &Value, twist: &Twist) -> String {
        json!({
            "type": twist.kind.unwrap_or(kind),
            "challenge": twist.challenge.as_deref().unwrap_or(options["challenge"].as_str().unwrap()),
            "origin": twist.origin.unwrap_or(&self.origin),
            "crossOrigin": twist.is_cross_origin,
            "other_keys_can_be_added_here": "do not compare clientDataJSON against a template",
        })
        .to_string()
    }
}

fn key_pair() -> EcdsaKeyPair {
    let (algorithm, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap()
}

/// The public key as a COSE key (RFC 9052): `{1: 2, 3: -7, -1: 1, -2: x, -3: y}`.
fn cose_key(point: &[u8]) -> Vec<u8> {
    let (x, y) = point[1..].split_at(32);
    [b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20", x, b"\x22\x58\x20", y].concat()
}

fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SystemRandom::new().fill(&mut bytes).unwrap();
    bytes
}

pub fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub fn decode(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}
