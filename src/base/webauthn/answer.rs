//! What `PublicKeyCredential.toJSON()` gives, read with limits. Extensions are ignored: none is needed, and nobody signs
//! what the browser says about them.
//!
//! Invariant: `id` and `rawId` are the same, and every part has a limited size.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::refused::Refused;
use crate::base::error::Result;

/// The transports of WebAuthn Level 3 that webauthn-rs knows.
const TRANSPORTS: [&str; 5] = ["usb", "nfc", "ble", "internal", "hybrid"];

/// Bytes in base64url without padding.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Cow<'_, str>")]
pub(super) struct Bytes<const MAX: usize>(pub Vec<u8>);

impl<const MAX: usize> TryFrom<Cow<'_, str>> for Bytes<MAX> {
    type Error = &'static str;

    fn try_from(text: Cow<'_, str>) -> Result<Self, Self::Error> {
        if text.len() > MAX.div_ceil(3) * 4 {
            return Err("too long");
        }
        BASE64_URL_SAFE_NO_PAD.decode(text.as_bytes()).map(Self).map_err(|_| "not base64url")
    }
}

impl<const MAX: usize> Bytes<MAX> {
    fn text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(&self.0)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Answer<R> {
    #[serde(rename = "rawId")]
    pub credential_id: Bytes<1023>,
    id: String,
    #[serde(rename = "type")]
    kind: String,
    pub response: R,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attestation {
    #[serde(rename = "clientDataJSON")]
    client_data: Bytes<4096>,
    pub attestation_object: Bytes<16_384>,
    transports: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Assertion {
    #[serde(rename = "clientDataJSON")]
    client_data: Bytes<4096>,
    pub authenticator_data: Bytes<4096>,
    signature: Bytes<1024>,
    user_handle: Option<Bytes<64>>,
}

/// The id of the passkey that an answer is from.
///
/// # Errors
/// When the answer cannot be read.
pub fn credential_id_of(answer: &Value) -> Result<Vec<u8>> {
    Ok(Answer::<Assertion>::read(answer)?.credential_id.0)
}

impl<R: DeserializeOwned> Answer<R> {
    pub(super) fn read(answer: &Value) -> Result<Self, Refused> {
        let read = Self::deserialize(answer).map_err(|_| Refused::Malformed)?;
        let is_consistent = read.kind == "public-key" && read.id == read.credential_id.text();
        if is_consistent && !read.credential_id.0.is_empty() { Ok(read) } else { Err(Refused::Malformed) }
    }
}

impl Answer<Attestation> {
    /// The transports that are known, each once.
    pub(super) fn transports(&self) -> Vec<&'static str> {
        let said = self.response.transports.as_ref().and_then(Value::as_array);
        let has = |name: &str| said.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)));
        TRANSPORTS.into_iter().filter(|name| has(name)).collect()
    }

    /// The answer as webauthn-rs reads it.
    pub(super) fn checked(&self) -> Value {
        json!({
            "id": self.id,
            "rawId": self.id,
            "type": self.kind,
            "response": {
                "clientDataJSON": self.response.client_data.text(),
                "attestationObject": self.response.attestation_object.text(),
            },
        })
    }
}

impl Answer<Assertion> {
    /// The user handle. Some authenticators give an empty one instead of none.
    pub(super) fn user_handle(&self) -> Option<&[u8]> {
        self.response.user_handle.as_ref().map(|handle| handle.0.as_slice()).filter(|handle| !handle.is_empty())
    }

    /// Whether the passkey says that it may be backed up (WebAuthn Level 3, 6.1, bit 3 of the flags).
    pub(super) fn is_backup_eligible(&self) -> bool {
        self.response.authenticator_data.0.get(32).is_some_and(|flags| flags & 0x08 != 0)
    }

    /// Whether the page that asked was in a frame of another site. webauthn-rs looks at this only when a passkey is added.
    pub(super) fn is_cross_origin(&self) -> bool {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Framed {
            #[serde(default)]
            cross_origin: Option<bool>,
            top_origin: Option<Value>,
        }
        let framed = serde_json::from_slice::<Framed>(&self.response.client_data.0);
        framed.is_ok_and(|framed| framed.cross_origin == Some(true) || framed.top_origin.is_some())
    }

    /// The number of uses that the passkey has counted.
    pub(super) fn counter(&self) -> u32 {
        let bytes = self.response.authenticator_data.0.get(33..37).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_be_bytes)
    }

    /// The answer as webauthn-rs reads it. It does not look at the user handle.
    pub(super) fn checked(&self) -> Value {
        json!({
            "id": self.id,
            "rawId": self.id,
            "type": self.kind,
            "response": {
                "clientDataJSON": self.response.client_data.text(),
                "authenticatorData": self.response.authenticator_data.text(),
                "signature": self.response.signature.text(),
                "userHandle": null,
            },
        })
    }
}
