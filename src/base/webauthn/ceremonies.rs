//! The service as authenticators know it: its relying party id, name and origin.
//!
//! Invariant: the only origin is the public one, with its port. Subdomains and other ports are other origins.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::{Host, Url};
use webauthn_rs::{Webauthn, WebauthnBuilder};

use crate::base::error::{Error, Result};
use crate::base::settings::PublicUrl;

/// Starts and finishes ceremonies. Made once, at the start.
#[derive(Debug, Clone)]
pub struct Ceremonies {
    pub(super) webauthn: Webauthn,
    rp_id: String,
}

/// Why browsers make and use no passkeys for this service, in words for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPasskeys {
    #[error("browsers have no passkeys for an IP address: give the service a host name")]
    IpAddress,
    #[error("browsers have passkeys only for https, or for http on localhost")]
    PlainHttp,
    #[error("browsers have no passkeys for this address")]
    NotAHost,
}

/// The question of a ceremony.
#[derive(Debug)]
pub struct Started {
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`.
    pub options: Value,
    /// For the caller to seal. It contains the challenge, so its hash is unique.
    pub state: Vec<u8>,
}

impl Ceremonies {
    /// The ceremonies of the service at a public address, with the name that browsers show.
    ///
    /// # Errors
    /// When a browser would refuse every ceremony.
    pub fn new(public: &PublicUrl, name: &str) -> Result<Self, NoPasskeys> {
        let origin = Url::parse(public.origin()).map_err(|_| NoPasskeys::NotAHost)?;
        let rp_id = match origin.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => return Err(NoPasskeys::IpAddress),
            None => return Err(NoPasskeys::NotAHost),
        };
        if !public.is_https() && !public.is_loopback() {
            return Err(NoPasskeys::PlainHttp);
        }
        let builder = WebauthnBuilder::new(&rp_id, &origin).map_err(|_| NoPasskeys::NotAHost)?;
        let webauthn = builder.rp_name(name).build().map_err(|_| NoPasskeys::NotAHost)?;
        Ok(Self { webauthn, rp_id })
    }

    /// The host that passkeys are made for. Passkeys for another host cannot be used here.
    pub fn rp_id(&self) -> &str {
        &self.rp_id
    }

    pub(super) fn rp_id_hash(&self) -> [u8; 32] {
        Sha256::digest(self.rp_id.as_bytes()).into()
    }
}

/// The `publicKey` member of a question of webauthn-rs.
pub(super) fn public_key(question: &impl Serialize) -> Result<Value> {
    let question = serde_json::to_value(question).map_err(|error| Error::bug(format!("passkey options: {error}")))?;
    question.get("publicKey").cloned().ok_or_else(|| Error::bug("passkey options without publicKey"))
}
