//! What a browser holds for an app: the key in the app's cookie, and the code on the way there. Both name their account,
//! so that each statement can. The database stores only the hash of the secret part.
//!
//! Invariant: a text that parses serializes to the same text.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{
    base::{
        error::Result,
        secret::{self, Secret},
    },
    records::session::key::{account_of, account_part},
};

const ID: usize = 22;
const SECRET: usize = 43;

/// `<22 base64url>.<account part>.<43 base64url>`: the grant's id, the account, and a secret of 256 random bits.
#[derive(Debug, Clone)]
pub struct GrantKey {
    id: String,
    account_id: String,
    secret: Secret,
}

impl GrantKey {
    /// A new random key.
    ///
    /// # Errors
    /// When the operating system cannot supply random bytes.
    pub fn generate(account_id: &str) -> Result<Self> {
        let id = secret::random_name("")?;
        Ok(Self { id, account_id: account_id.to_owned(), secret: Secret::random()? })
    }

    pub fn parse(text: &str) -> Option<Self> {
        let (id, rest) = text.split_once('.')?;
        let (account, secret) = rest.split_once('.')?;
        let is_well_formed = secret::is_base64url(id, ID) && secret::is_base64url(secret, SECRET);
        let account_id = is_well_formed.then(|| account_of(account)).flatten()?;
        let key = Self { id: id.to_owned(), account_id, secret: Secret::presented(secret) };
        key.as_number().is_some().then_some(key)
    }

    /// The grant's id. Opens nothing.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn account_id(&self) -> &str {
        &self.account_id
    }

    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The full key. Only for the cookie.
    pub fn expose(&self) -> String {
        format!("{}.{}.{}", self.id, account_part(&self.account_id), self.secret.expose())
    }

    /// The id as a number, for the cache.
    pub fn as_number(&self) -> Option<u128> {
        let mut bytes = [0; 16];
        let decoded = BASE64_URL_SAFE_NO_PAD.decode_slice(&self.id, &mut bytes).ok()?;
        (decoded == bytes.len()).then(|| u128::from_be_bytes(bytes))
    }
}

/// `<account part>.<43 base64url>`: the account, and a secret of 256 random bits.
#[derive(Debug, Clone)]
pub struct Code {
    account_id: String,
    secret: Secret,
}

impl Code {
    /// A new random code.
    ///
    /// # Errors
    /// When the operating system cannot supply random bytes.
    pub fn generate(account_id: &str) -> Result<Self> {
        Ok(Self { account_id: account_id.to_owned(), secret: Secret::random()? })
    }

    pub fn parse(text: &str) -> Option<Self> {
        let (account, secret) = text.split_once('.')?;
        let account_id = secret::is_base64url(secret, SECRET).then(|| account_of(account)).flatten()?;
        Some(Self { account_id, secret: Secret::presented(secret) })
    }

    pub fn account_id(&self) -> &str {
        &self.account_id
    }

    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The full code. Only for the address that spends it.
    pub fn expose(&self) -> String {
        format!("{}.{}", account_part(&self.account_id), self.secret.expose())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ACCOUNT: &str = "acc_0123456789abcdefghijkl";

    #[test]
    fn keys_and_codes_can_be_parsed() {
        let (key, code) = (GrantKey::generate(ACCOUNT).unwrap(), Code::generate("imported 7").unwrap());
        let again = GrantKey::parse(&key.expose()).unwrap();
        assert_eq!((again.id(), again.account_id(), again.expose()), (key.id(), ACCOUNT, key.expose()));
        let again = Code::parse(&code.expose()).unwrap();
        assert_eq!((again.account_id(), again.expose()), ("imported 7", code.expose()));
        assert!(!format!("{key:?}{code:?}").contains(key.secret().expose()));
        assert!(GrantKey::parse(&code.expose()).is_none() && Code::parse(&key.expose()).is_none());
    }

    proptest! {
        #[test]
        fn a_parsed_text_serializes_to_the_same_text(
            text in "[A-Za-z0-9_-]{20,23}\\.-?[A-Za-z0-9_-]{0,24}\\.[A-Za-z0-9_-]{42,44}"
        ) {
            prop_assert!(GrantKey::parse(&text).is_none_or(|key| key.expose() == text));
            let code = text.split_once('.').unwrap().1;
            prop_assert!(Code::parse(code).is_none_or(|parsed| parsed.expose() == code));
        }
    }
}
