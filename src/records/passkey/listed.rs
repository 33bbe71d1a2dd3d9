//! A passkey as people and programs see it. Called by the API, the pages and the export.
//!
//! Invariant: neither the public key nor the counter is shown.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Passkey, all};
use crate::base::{
    db::{Conn, Instant},
    error::Result,
};

/// A passkey as the API shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PasskeyView {
    pub id: String,
    pub name: String,
    pub created_at: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Instant>,
}

impl From<&Passkey> for PasskeyView {
    fn from(passkey: &Passkey) -> Self {
        Self {
            id: passkey.id.clone(),
            name: passkey.name.clone(),
            created_at: passkey.created_at,
            last_used_at: passkey.last_used_at,
        }
    }
}

/// The account's passkeys as the API shows them, oldest first.
pub async fn views(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<PasskeyView>> {
    Ok(all(conn, account_id).await?.iter().map(PasskeyView::from).collect())
}

/// What is kept about the account's passkeys, for the export. The ids and keys of credentials name nobody elsewhere.
pub async fn kept(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<Value>> {
    let of_row = |passkey: Passkey| {
        json!({
            "id": passkey.id, "name": passkey.name, "createdAt": passkey.created_at, "lastUsedAt": passkey.last_used_at,
            "lastUsedOn": passkey.last_used_on, "warnedAt": passkey.warned_at, "host": passkey.rp_id,
            "data": passkey.data,
        })
    };
    Ok(all(conn, account_id).await?.into_iter().map(of_row).collect())
}
