//! A signed-in person confirms with a passkey instead of their password. Called by the login's API.
//!
//! One transaction. Locks, in this order: the account's row, the count of the network, its live sessions by id, then devices.
//!
//! Invariant: only a passkey of the person's own account confirms, and the session's old key stops working in the same
//! transaction.

use super::{
    asked::{self, Asked, Purpose},
    proof::{self, Refusal},
    tools::{Answer, Tools},
};
use crate::{
    actions::{
        confirm::{Confirmation, Confirmed, complete},
        password_proof::run_to_completion,
    },
    base::{
        db::Conn,
        error::Result,
        secret::Secret,
        webauthn::{Refused, StoredPasskey, UserHandle, credential_id_of},
    },
    records::{account, audit::Kind, passkey, session::CurrentUser},
};

/// Asks for one of the person's passkeys.
///
/// # Errors
/// [`Error::Invalid`](crate::base::error::Error::Invalid) if they have none.
pub async fn ask(tools: &Tools, user: &CurrentUser, visitor: &Secret) -> Result<Asked> {
    let id = user.account.id.clone();
    let own = tools.sessions.db.read(async move |conn: &mut Conn<'_>| passkey::all(conn, &id).await).await?;
    let data: Vec<&str> = own.iter().map(|passkey| passkey.data.as_str()).collect();
    let owner = UserHandle::of(&user.account.id);
    let started = tools.ceremonies.start_confirm(owner, &data, tools.sessions.clock.now())?;
    asked::seal(&tools.sessions.sealing, Purpose::Confirm(user), visitor, started)
}

/// Checks the answer, gives the session a new key and carries out the requested ending, all or nothing. Runs to completion
/// even if the client disconnects.
///
/// # Errors
/// [`Error::Invalid`](crate::base::error::Error::Invalid) for an answer that cannot be read, or to a question of another
/// session.
pub async fn confirm(tools: &Tools, answer: Answer, confirmation: Confirmation) -> Result<Result<Confirmed, Refusal>> {
    let purpose = Purpose::Confirm(&confirmation.user);
    let state = asked::open(&tools.sessions.sealing, purpose, &answer.visitor, &answer.state)?;
    let credential_id = credential_id_of(&answer.credential)?;
    let tools = tools.clone();
    run_to_completion(async move {
        let (db, given) = (tools.sessions.db.clone(), (answer, state, credential_id));
        db.write(async move |conn: &mut Conn<'_>| settle(conn, &tools, &given, &confirmation).await).await
    })
    .await
}

async fn settle(
    conn: &mut Conn<'_>,
    tools: &Tools,
    (answer, state, credential_id): &(Answer, Vec<u8>, Vec<u8>),
    Confirmation { user, key: old, then, ip, .. }: &Confirmation,
) -> Result<Result<Confirmed, Refusal>> {
    let id = user.account.id.as_str();
    account::lock(conn, id).await?;
    let counted = match proof::begin(conn, &answer.network).await? {
        Ok(counted) => counted,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let found = match passkey::owner(conn, credential_id).await?.filter(|(owner, _)| owner == id) {
        Some((_, passkey)) => passkey::one(conn, id, &passkey).await?,
        None => None,
    };
    let Some(passkey) = found else {
        proof::unknown(conn, tools, &counted).await?;
        return Ok(Err(Refusal::Wrong(Refused::Account)));
    };
    let now = tools.sessions.clock.now();
    let check = |stored: StoredPasskey<'_>| {
        tools.ceremonies.finish_confirm(UserHandle::of(id), state, &answer.credential, stored, now)
    };
    let event = user.event(Kind::PasskeyUsed).ip(ip.as_deref());
    let proof = proof::settle(conn, tools, &user.account, (passkey, state), (&counted, event.clone()), check).await?;
    let proof = match proof {
        Ok(proof) => proof,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let amr = Some(&proof.amr);
    let confirmed = complete(conn, &tools.sessions, (user, old), amr, then.as_ref(), ip.as_deref()).await?;
    if let Confirmed::Yes { key, .. } = &confirmed {
        let event = event.session(key.id());
        proof::note_use(conn, tools, id, &proof, (user.device_name.as_deref(), event)).await?;
    }
    Ok(Ok(confirmed))
}
