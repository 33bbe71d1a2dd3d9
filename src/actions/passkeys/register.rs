//! A signed-in person adds a passkey. Called by the API of passkeys.
//!
//! Locks, in this order: the account's row, the session, the recovery codes.
//!
//! Invariant: a new passkey needs a recent confirmation, with a second factor if the account has one. It raises no level and
//! ends no session.

use super::{
    asked::{self, Asked, Purpose},
    tools::{Answer, Tools},
};
use crate::{
    actions::second_factor::{codes::make_with_first_factor, manage::report},
    base::{
        db::Conn,
        error::{Error, Result},
        recovery_code::RecoveryCode,
        secret::Secret,
        webauthn::{NewPasskey, Person, UserHandle},
    },
    records::{
        audit::{self, Kind},
        passkey::{self, MOST, Passkey},
        second_factor::spent,
        session::{CurrentUser, Reach},
    },
};

/// A passkey that was added.
pub struct Added {
    pub passkey: Passkey,
    /// The recovery codes, if this was the account's first factor.
    pub codes: Option<Vec<RecoveryCode>>,
}

/// Asks the browser to make a passkey.
///
/// # Errors
/// [`Error::ConfirmationRequired`], and [`Error::Conflict`] if the account has as many as it may.
pub async fn ask(tools: &Tools, user: &CurrentUser, visitor: &Secret) -> Result<Asked> {
    if !user.may_change_proofs() {
        return Err(Error::ConfirmationRequired);
    }
    let id = user.account.id.clone();
    let own = tools.sessions.db.read(async move |conn: &mut Conn<'_>| passkey::all(conn, &id).await).await?;
    if own.len() >= MOST {
        return Err(too_many());
    }
    let existing: Vec<Vec<u8>> = own.into_iter().map(|passkey| passkey.credential_id).collect();
    let person = Person { email: &user.account.email, name: &user.account.name };
    let now = tools.sessions.clock.now();
    let started = tools.ceremonies.start_registration(UserHandle::of(&user.account.id), person, &existing, now)?;
    asked::seal(&tools.sessions.sealing, Purpose::Add(user), visitor, started)
}

fn too_many() -> Error {
    Error::Conflict(format!("an account has at most {MOST} passkeys: remove one first"))
}

/// Adds the passkey that the browser made. Without a `name` it is called after its authenticator, or after the device.
/// Returns `None` if the session has ended.
///
/// # Errors
/// [`Error::Invalid`] for a wrong answer, [`Error::ConfirmationRequired`], and [`Error::Conflict`] if the account has as many
/// as it may or the passkey exists.
pub async fn add(
    tools: &Tools,
    (user, ip): (&CurrentUser, Option<&str>),
    answer: Answer,
    name: Option<String>,
) -> Result<Option<Added>> {
    let state = asked::open(&tools.sessions.sealing, Purpose::Add(user), &answer.visitor, &answer.state)?;
    let (owner, now) = (UserHandle::of(&user.account.id), tools.sessions.clock.now());
    let made = tools.ceremonies.finish_registration(owner, &state, &answer.credential, now)?;
    let (tools, user, ip) = (tools.clone(), user.clone(), ip.map(str::to_owned));
    let db = tools.sessions.db.clone();
    db.write(async move |conn: &mut Conn<'_>| {
        let Some((who, _)) = user.acting().hold_for_proofs(conn, Reach::Itself).await? else { return Ok(None) };
        let id = user.account.id.as_str();
        let own = passkey::all(conn, id).await?;
        if own.len() >= MOST {
            return Err(too_many());
        }
        if !spent::spend(conn, id, &state).await? {
            return Err(Error::Invalid("this passkey was added already".to_owned()));
        }
        let new = passkey::New {
            name: name.unwrap_or_else(|| unused(&first_name(&made, &user), &own)),
            rp_id: tools.ceremonies.rp_id().to_owned(),
            credential_id: made.credential_id,
            data: made.data,
        };
        let Some(passkey) = passkey::add(conn, id, &new).await? else {
            return Err(Error::Conflict("this passkey exists already".to_owned()));
        };
        let event = user.event(Kind::PasskeyAdded).session(&who.session_id).ip(ip.as_deref()).detail(&passkey.name);
        audit::record(conn, std::slice::from_ref(&event)).await?;
        let of_codes = user.event(Kind::RecoveryMade).session(&who.session_id).ip(ip.as_deref());
        let codes = make_with_first_factor(conn, &tools.sessions, (id, &of_codes)).await?;
        // Not its name: a mail must not carry a text that somebody else may have chosen.
        report(conn, &tools.sessions, &user.account, ("A passkey was added", ip.as_deref())).await?;
        Ok(Some(Added { passkey, codes }))
    })
    .await
}

/// The name of a passkey that the person has not named.
fn first_name(made: &NewPasskey, user: &CurrentUser) -> String {
    let device = || user.device_name.clone().unwrap_or_else(|| user.record.client().label());
    made.authenticator.map_or_else(device, str::to_owned)
}

/// The name, with a number if another passkey of the account has it.
fn unused(name: &str, own: &[Passkey]) -> String {
    let is_free = |name: &str| own.iter().all(|passkey| passkey.name != name);
    let numbered = (2..=MOST + 1).map(|number| format!("{name} {number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| is_free(name)).unwrap_or_else(|| name.to_owned())
}
