//! Adding a passkey (WebAuthn Level 3, 7.1).

use serde_json::{Value, json};
use webauthn_rs::prelude::PasskeyRegistration;

use super::{
    answer::{Answer, Attestation},
    ceremonies::{Ceremonies, Started, public_key},
    handle::UserHandle,
    names,
    pending::{self, Kind},
    refused::Refused,
    stored::Data,
};
use crate::base::error::{Error, Result};
use crate::base::instant::Instant;

/// What the authenticator shows about the account when a person chooses a passkey.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    pub email: &'a str,
    pub name: &'a str,
}

/// A passkey to store.
#[derive(Debug, Clone)]
pub struct NewPasskey {
    /// Unique for this service: refuse it if another account has it.
    pub credential_id: Vec<u8>,
    /// JSON with the public key, the counter, the transports and the backup flags.
    pub data: String,
    /// The kind of authenticator; nobody vouches for it.
    pub aaguid: Option<[u8; 16]>,
    /// The name of the authenticator, if its AAGUID is well known.
    pub authenticator: Option<&'static str>,
    /// How a browser reaches the authenticator.
    pub transports: Vec<&'static str>,
    /// Whether the passkey can exist on several devices.
    pub is_backup_eligible: bool,
    pub is_backed_up: bool,
}

impl Ceremonies {
    /// Asks for a new passkey that is not one of `existing`, the credential ids of the account.
    ///
    /// # Errors
    /// Only for a bug.
    pub fn start_registration(
        &self,
        owner: UserHandle,
        person: Person<'_>,
        existing: &[Vec<u8>],
        now: Instant,
    ) -> Result<Started> {
        let name = if person.name.trim().is_empty() { person.email } else { person.name };
        let started =
            self.webauthn.start_passkey_registration(owner.uuid(), person.email, name, Some(existing.to_vec()));
        let (question, state) = started.map_err(|error| Error::bug(format!("passkey registration: {error}")))?;
        let mut options = public_key(&question)?;
        if let Some(options) = options.as_object_mut() {
            // webauthn-rs asks for a passkey that needs an address first. Nothing that it verifies depends on this.
            let selection =
                json!({"residentKey": "required", "requireResidentKey": true, "userVerification": "required"});
            options.insert("authenticatorSelection".to_owned(), selection);
            options.insert("attestation".to_owned(), json!("none"));
        }
        Ok(Started { options, state: pending::write(Kind::Register, Some(owner), state, now)? })
    }

    /// Reads the answer to [`Self::start_registration`].
    ///
    /// # Errors
    /// [`Error::Invalid`] with the reason.
    pub fn finish_registration(
        &self,
        owner: UserHandle,
        state: &[u8],
        answer: &Value,
        now: Instant,
    ) -> Result<NewPasskey> {
        let state: PasskeyRegistration = pending::read(state, Kind::Register, Some(owner), now)?;
        let answer = Answer::<Attestation>::read(answer)?;
        let checked = serde_json::from_value(answer.checked()).map_err(|_| Refused::Malformed)?;
        let finished = self.webauthn.finish_passkey_registration(&checked, &state);
        let passkey = finished.map_err(|error| Refused::from(&error))?;
        let credential_id = passkey.cred_id().to_vec();
        // The browser's copy of the id is not part of what was checked.
        if credential_id != answer.credential_id.0 {
            return Err(Refused::Malformed.into());
        }
        let transports = answer.transports();
        let mut data = Data::of(&passkey)?;
        data.forget_attestation();
        data.set_transports(&transports);
        // Fail now rather than at each sign-in.
        data.passkey()?;
        let aaguid = aaguid_in(&answer.response.attestation_object.0, &self.rp_id_hash(), &credential_id);
        Ok(NewPasskey {
            data: data.text(),
            authenticator: aaguid.and_then(names::authenticator),
            aaguid: aaguid.filter(|aaguid| *aaguid != [0; 16]),
            transports,
            is_backup_eligible: data.is_backup_eligible(),
            is_backed_up: data.is_backed_up(),
            credential_id,
        })
    }
}

/// The AAGUID in an attestation object whose authenticator data was checked. The data begins with the hash of the
/// relying party id, and continues with the flags (1 byte), the counter (4), the AAGUID (16), the length of the
/// credential id (2) and the credential id (WebAuthn Level 3, 6.1 and 6.5.1).
fn aaguid_in(object: &[u8], rp_id_hash: &[u8], credential_id: &[u8]) -> Option<[u8; 16]> {
    let starts = object.windows(rp_id_hash.len()).enumerate().filter(|(_, window)| *window == rp_id_hash);
    starts.map(|(start, _)| start).find_map(|start| {
        let (aaguid, rest) = object.get(start + 37..)?.split_first_chunk()?;
        rest.get(2..)?.starts_with(credential_id).then_some(*aaguid)
    })
}
