//! The state of a ceremony between the question and the answer, as bytes for the caller to seal.
//!
//! Invariant: a state is good for its own kind of ceremony and its own account only, and for [`LIFETIME`].

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::handle::UserHandle;
use crate::base::error::{Error, Result};
use crate::base::instant::Instant;

/// How long a question may be answered. A prompt waits for five minutes, and a person may answer twice.
pub const LIFETIME: Duration = Duration::from_secs(10 * 60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Register,
    SignIn,
    Confirm,
}

#[derive(Serialize, Deserialize)]
struct Pending<S> {
    kind: Kind,
    /// The user handle of the account that was asked, if it was known.
    owner: Option<String>,
    /// Microseconds since 1970.
    until: i64,
    state: S,
}

pub(super) fn write<S: Serialize>(kind: Kind, owner: Option<UserHandle>, state: S, now: Instant) -> Result<Vec<u8>> {
    let pending = Pending { kind, owner: owner.map(UserHandle::text), until: now.plus(LIFETIME).micros(), state };
    serde_json::to_vec(&pending).map_err(|error| Error::bug(format!("the state of a passkey ceremony: {error}")))
}

pub(super) fn read<S>(bytes: &[u8], kind: Kind, owner: Option<UserHandle>, now: Instant) -> Result<S>
where
    S: DeserializeOwned,
{
    let pending: Pending<S> = serde_json::from_slice(bytes).map_err(|_| stale())?;
    let is_ours = pending.kind == kind && pending.owner == owner.map(UserHandle::text);
    if is_ours && now <= Instant::from_micros(pending.until) { Ok(pending.state) } else { Err(stale()) }
}

fn stale() -> Error {
    Error::Invalid("the passkey took too long, or another page asked for it: try again".to_owned())
}
