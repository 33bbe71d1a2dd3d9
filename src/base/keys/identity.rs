//! The keys that sign assertions about people for protected apps (ES256, RFC 7518). One is derived from each line of the
//! key file, so all nodes have the same keys without storing any. The first signs; all are published, so that an assertion
//! stays valid for its minute when a new first line is added. Made once, at the start.
//!
//! Invariant: a key's id is the thumbprint of its public key (RFC 7638), so it reveals nothing.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use p256::{SecretKey, elliptic_curve::sec1::ToSec1Point as _};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::base::error::{Error, Result};

/// The keys, the signing key first. Cheap to clone.
#[derive(Clone)]
pub struct IdentityKeys(Arc<Inner>);

struct Inner {
    keys: Vec<IdentityKey>,
    random: SystemRandom,
}

struct IdentityKey {
    pair: EcdsaKeyPair,
    /// The header of assertions that it signs, encoded.
    header: String,
    public: Value,
}

impl IdentityKeys {
    /// `seeds` are in the order of the key file.
    pub(super) fn new<'a>(seeds: impl Iterator<Item = &'a [u8]>) -> Result<Self> {
        let random = SystemRandom::new();
        let keys = seeds.map(|seed| IdentityKey::derive(seed, &random)).collect::<Result<_>>()?;
        Ok(Self(Arc::new(Inner { keys, random })))
    }

    /// The JSON Web Token (RFC 7519) with these claims.
    ///
    /// # Errors
    /// When the operating system cannot supply random bytes.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        let Inner { keys, random } = &*self.0;
        let key = keys.first().ok_or_else(|| Error::bug("no key to sign an assertion with"))?;
        let mut token = format!("{}.{}", key.header, BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = key.pair.sign(random, token.as_bytes());
        let signature = signature.map_err(|error| Error::bug(format!("signing an assertion: {error}")))?;
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        Ok(token)
    }

    /// The public keys as a JSON Web Key Set (RFC 7517).
    pub fn public(&self) -> Value {
        json!({"keys": self.0.keys.iter().map(|key| &key.public).collect::<Vec<_>>()})
    }
}

impl std::fmt::Debug for IdentityKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IdentityKeys({} keys)", self.0.keys.len())
    }
}

impl IdentityKey {
    /// Expands the seed (RFC 5869, 2.3, one block) until the block is a private key, which is nearly always the first.
    fn derive(seed: &[u8], random: &SystemRandom) -> Result<Self> {
        let mac = Hmac::<Sha256>::new_from_slice(seed).map_err(|error| Error::bug(format!("hmac: {error}")))?;
        let block = |number: u8| <[u8; 32]>::from(mac.clone().chain_update([number, 1]).finalize().into_bytes());
        let found = (0..=u8::MAX).map(block).find_map(|bytes| Some((bytes, SecretKey::from_slice(&bytes).ok()?)));
        let (private, key) = found.ok_or_else(|| Error::bug("no private key can be derived from the key file"))?;
        let public = key.public_key().to_sec1_point(false);
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &private, public.as_bytes(), random)
            .map_err(|error| Error::bug(format!("the identity key does not fit: {error}")))?;
        let coordinate = |bytes: Option<&p256::FieldBytes>| {
            bytes.map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes)).ok_or_else(|| Error::bug("a key without a point"))
        };
        let (x, y) = (coordinate(public.x())?, coordinate(public.y())?);
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(canonical));
        let header = json!({"alg": "ES256", "kid": kid, "typ": "JWT"}).to_string();
        let public = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "alg": "ES256", "use": "sig"});
        Ok(Self { pair, header: BASE64_URL_SAFE_NO_PAD.encode(header), public })
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn all_nodes_have_the_same_keys_and_verify_each_other() {
        let seeds = [vec![1; 32], vec![2; 32]];
        let keys = || IdentityKeys::new(seeds.iter().map(Vec::as_slice)).unwrap();
        assert_eq!(keys().public(), keys().public());
        let token = keys().sign(&json!({"sub": "acc_1"})).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
        let header: Value = serde_json::from_slice(&decode(signed.split('.').next().unwrap())).unwrap();
        let public = keys().public();
        let key = &public["keys"][0];
        assert_eq!((&header["kid"], &header["alg"]), (&key["kid"], &json!("ES256")));
        let point = [vec![4], decode(key["x"].as_str().unwrap()), decode(key["y"].as_str().unwrap())].concat();
        let verified =
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), &decode(signature));
        assert!(verified.is_ok());
        assert_eq!(public["keys"].as_array().unwrap().len(), 2);
    }
}
