//! Using a passkey (WebAuthn Level 3, 7.2): to sign in without an address, or to confirm as a known account.

use serde_json::{Value, json};
use webauthn_rs::prelude::{DiscoverableAuthentication, WebauthnError};

use super::{
    answer::{Answer, Assertion},
    ceremonies::{Ceremonies, Started, public_key},
    handle::UserHandle,
    pending::{self, Kind},
    refused::Refused,
    stored::{Data, StoredPasskey},
};
use crate::base::error::{Error, Result};
use crate::base::instant::Instant;

/// Whether an answer is right.
#[derive(Debug)]
pub enum Outcome {
    Right(Used),
    /// The signature is right, but the counter did not go up: there may be a copy of the passkey. Sign nobody in, store
    /// nothing, and keep the passkey. Two uses at the same moment look like this too.
    CounterWentBack {
        stored: u32,
        answered: u32,
    },
    Wrong(Refused),
}

/// A right answer.
#[derive(Debug)]
pub struct Used {
    /// Replaces the stored data, with the new counter and backup flags. Read and write the row in one transaction.
    pub data: String,
    /// Always true: without it the answer is wrong.
    pub is_user_verified: bool,
    /// Whether the passkey can exist on several devices: `swk` instead of `hwk` (RFC 8176).
    pub is_backup_eligible: bool,
    pub is_backed_up: bool,
}

impl Ceremonies {
    /// Asks for any passkey of this service.
    ///
    /// # Errors
    /// Only for a bug.
    pub fn start_sign_in(&self, now: Instant) -> Result<Started> {
        self.start(Kind::SignIn, None, Vec::new(), now)
    }

    /// Asks for one of the passkeys of a known account, given by their stored data.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are none: the browser would offer every passkey.
    pub fn start_confirm(&self, owner: UserHandle, passkeys: &[&str], now: Instant) -> Result<Started> {
        if passkeys.is_empty() {
            return Err(Error::Invalid("this account has no passkey".to_owned()));
        }
        let allowed = passkeys.iter().map(|data| descriptor(data)).collect::<Result<_>>()?;
        self.start(Kind::Confirm, Some(owner), allowed, now)
    }

    /// Reads the answer to [`Self::start_sign_in`]. `passkey` is the one that [`super::credential_id_of`] the answer
    /// leads to.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the answer cannot be read, or comes too late.
    pub fn finish_sign_in(
        &self,
        state: &[u8],
        answer: &Value,
        passkey: StoredPasskey<'_>,
        now: Instant,
    ) -> Result<Outcome> {
        let state = pending::read(state, Kind::SignIn, None, now)?;
        let answer = Answer::<Assertion>::read(answer)?;
        // A passkey that was found without an address has a handle (WebAuthn Level 3, 7.2, step 6).
        if answer.user_handle().is_none() {
            return Ok(Outcome::Wrong(Refused::Account));
        }
        self.finish(state, &answer, passkey)
    }

    /// Reads the answer to [`Self::start_confirm`] of `owner`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the answer cannot be read, or comes too late.
    pub fn finish_confirm(
        &self,
        owner: UserHandle,
        state: &[u8],
        answer: &Value,
        passkey: StoredPasskey<'_>,
        now: Instant,
    ) -> Result<Outcome> {
        let state = pending::read(state, Kind::Confirm, Some(owner), now)?;
        let answer = Answer::<Assertion>::read(answer)?;
        if passkey.owner != owner {
            return Ok(Outcome::Wrong(Refused::Account));
        }
        self.finish(state, &answer, passkey)
    }

    fn start(&self, kind: Kind, owner: Option<UserHandle>, allowed: Vec<Value>, now: Instant) -> Result<Started> {
        let started = self.webauthn.start_discoverable_authentication();
        let (question, state) = started.map_err(|error| Error::bug(format!("passkey question: {error}")))?;
        let mut options = public_key(&question)?;
        if let Some(options) = options.as_object_mut() {
            options.insert("allowCredentials".to_owned(), allowed.into());
            options.remove("extensions");
        }
        Ok(Started { options, state: pending::write(kind, owner, state, now)? })
    }

    fn finish(
        &self,
        state: DiscoverableAuthentication,
        answer: &Answer<Assertion>,
        passkey: StoredPasskey<'_>,
    ) -> Result<Outcome> {
        // Nobody signs the handle. The owner is known from the row, and an answer that contradicts it is wrong.
        if answer.user_handle().is_some_and(|handle| !passkey.owner.is(handle)) {
            return Ok(Outcome::Wrong(Refused::Account));
        }
        if answer.is_cross_origin() {
            return Ok(Outcome::Wrong(Refused::Origin));
        }
        let mut data = Data::parse(passkey.data)?;
        let stored = data.counter();
        // A device may learn to back its passkeys up, but webauthn-rs refuses a sign-in after that. The signature covers
        // the flag, and the changed copy is stored only if the signature is right.
        if answer.is_backup_eligible() {
            data.allow_backup();
        }
        let mut passkey = data.passkey()?;
        let checked = serde_json::from_value(answer.checked()).map_err(|_| Refused::Malformed)?;
        let used = match self.webauthn.finish_discoverable_authentication_v2(&checked, state, &passkey) {
            Ok(used) => used,
            // The counter is compared last, so everything else is right.
            Err(WebauthnError::CredentialPossibleCompromise) => {
                return Ok(Outcome::CounterWentBack { stored, answered: answer.counter() });
            }
            Err(error) => return Ok(Outcome::Wrong(Refused::from(&error))),
        };
        passkey.update_credential(&used);
        Ok(Outcome::Right(Used {
            data: Data::of(&passkey)?.text(),
            is_user_verified: used.user_verified(),
            is_backup_eligible: used.backup_eligible(),
            is_backed_up: used.backup_state(),
        }))
    }
}

/// A passkey as `allowCredentials` lists it.
fn descriptor(data: &str) -> Result<Value> {
    let data = Data::parse(data)?;
    let id = serde_json::to_value(&data.passkey()?).ok().and_then(|passkey| passkey.pointer("/cred/cred_id").cloned());
    let mut descriptor = json!({"type": "public-key", "id": id});
    if let Some(fields) = descriptor.as_object_mut().filter(|_| data.transports().is_array()) {
        fields.insert("transports".to_owned(), data.transports().clone());
    }
    Ok(descriptor)
}
