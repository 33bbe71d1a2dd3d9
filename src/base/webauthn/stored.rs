//! A passkey as it is stored: the JSON of webauthn-rs's `Passkey`, with the transports, which webauthn-rs drops.
//!
//! Invariant: no attestation is stored. It was not asked for, and its certificates could identify a device.

use serde_json::{Value, json};
use webauthn_rs::prelude::Passkey;

use super::handle::UserHandle;
use crate::base::error::{Error, Result};

/// A row of the table of passkeys.
#[derive(Debug, Clone, Copy)]
pub struct StoredPasskey<'a> {
    /// The handle of the account that the row belongs to.
    pub owner: UserHandle,
    /// [`super::NewPasskey::data`] or the latest [`super::Used::data`].
    pub data: &'a str,
}

/// The JSON of a passkey.
#[derive(Debug, Clone)]
pub(super) struct Data(Value);

impl Data {
    pub(super) fn of(passkey: &Passkey) -> Result<Self> {
        serde_json::to_value(passkey).map(Self).map_err(bad)
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).map(Self).map_err(bad)
    }

    pub(super) fn passkey(&self) -> Result<Passkey> {
        serde_json::from_value(self.0.clone()).map_err(bad)
    }

    pub(super) fn text(&self) -> String {
        self.0.to_string()
    }

    pub(super) fn is_backup_eligible(&self) -> bool {
        self.get("backup_eligible").as_bool().unwrap_or(false)
    }

    pub(super) fn is_backed_up(&self) -> bool {
        self.get("backup_state").as_bool().unwrap_or(false)
    }

    pub(super) fn counter(&self) -> u32 {
        self.get("counter").as_u64().and_then(|counter| counter.try_into().ok()).unwrap_or(0)
    }

    /// The JSON array of transports, or null.
    pub(super) fn transports(&self) -> &Value {
        self.get("transports")
    }

    pub(super) fn allow_backup(&mut self) {
        self.set("backup_eligible", json!(true));
    }

    pub(super) fn set_transports(&mut self, transports: &[&str]) {
        self.set("transports", if transports.is_empty() { Value::Null } else { json!(transports) });
    }

    pub(super) fn forget_attestation(&mut self) {
        self.set("attestation", json!({"data": "None", "metadata": "None"}));
        self.set("attestation_format", json!("none"));
    }

    fn get(&self, name: &str) -> &Value {
        self.0.get("cred").and_then(|credential| credential.get(name)).unwrap_or(&Value::Null)
    }

    fn set(&mut self, name: &str, value: Value) {
        if let Some(credential) = self.0.get_mut("cred").and_then(Value::as_object_mut) {
            credential.insert(name.to_owned(), value);
        }
    }
}

fn bad(error: serde_json::Error) -> Error {
    Error::bug(format!("a stored passkey: {error}"))
}
