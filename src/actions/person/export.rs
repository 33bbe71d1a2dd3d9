//! Everything that is kept about a person, as JSON. Called by the pages, the API and the commands for people, and by the
//! account page for the person's own data.
//!
//! Locks, in this order: both accounts by id, their sessions. What is exported is read afterwards.
//!
//! Invariant: an export contains no hash of a secret, and each export is recorded.

use serde_json::{Value, json};

use super::admitted::admit_over;
use crate::{
    actions::apps::manager::Manager,
    base::{
        db::{Conn, Db},
        error::{Error, Result},
    },
    records::{
        account::{self, person},
        app::{Rule, statements},
        audit::{self, Kind},
        draft, hand_over, help, link, mail, second_factor,
        session::{CurrentUser, Reach, acting::Acting, export},
    },
};

/// Exports the account with this id for a manager.
///
/// # Errors
/// [`Error::NotFound`], [`Error::SessionEnded`], [`Error::ConfirmationRequired`] and [`Error::Forbidden`].
pub async fn of_person(db: &Db, by: &Manager, id: &str) -> Result<Value> {
    let (by, account_id) = (by.clone(), id.to_owned());
    db.write(async move |conn: &mut Conn<'_>| {
        admit_over(conn, &by, &account_id).await?.record(conn, Kind::AccountExported, None).await
    })
    .await?;
    read(db, id).await
}

/// Exports the person's own account. Returns `None` if the session has ended. `acting` has the session's current key.
///
/// # Errors
/// [`Error::ConfirmationRequired`].
pub async fn own(db: &Db, user: &CurrentUser, acting: Acting, ip: Option<&str>) -> Result<Option<Value>> {
    let event = user.event(Kind::AccountExported).ip(ip);
    let held = db
        .write(async move |conn: &mut Conn<'_>| {
            let Some(who) = acting.hold_confirmed(conn, Reach::Itself).await? else { return Ok(false) };
            audit::record(conn, &[event.session(&who.session_id)]).await.map(|()| true)
        })
        .await?;
    if !held {
        return Ok(None);
    }
    read(db, &user.account.id).await.map(Some)
}

async fn read(db: &Db, id: &str) -> Result<Value> {
    let id = id.to_owned();
    db.read(async move |conn: &mut Conn<'_>| gather(conn, &id).await).await
}

async fn gather(conn: &mut Conn<'_>, id: &str) -> Result<Value> {
    let person = person::find(conn, id).await?.ok_or(Error::NotFound)?;
    let password_changed_at = account::password_age(conn, id).await?;
    let (drafts, operations) = draft::export::all(conn, id).await?;
    let names_person = |rule: &Rule| matches!(rule, Rule::Account(account) if account == id);
    let apps = statements::all(conn).await?;
    let rules = apps.iter().filter(|app| app.admits.iter().any(names_person));
    let rules: Vec<Value> = rules.map(|app| json!({ "id": app.id, "name": app.name, "url": app.origin })).collect();
    let groups: Vec<&str> = person.account.groups().collect();
    Ok(json!({
        "account": {
            "id": person.account.id, "email": person.account.email, "name": person.account.name,
            "role": person.account.role, "groups": groups, "status": person.status(),
            "timeZone": person.account.time_zone, "createdAt": person.created_at,
            "passwordChangedAt": password_changed_at, "lastLoginAt": person.last_login_at,
            "disabledAt": person.disabled_at, "invitedAt": person.invited_at, "deletesAt": person.deletes_at(),
        },
        "appsThatNameThePerson": rules,
        "devices": export::devices(conn, id).await?,
        "sessions": export::sessions(conn, id).await?,
        "secondFactor": second_factor::kept(conn, id).await?,
        "openedApps": export::opened_apps(conn, id).await?,
        "drafts": drafts,
        "operations": operations,
        "links": link::kept(conn, id).await?,
        "handOvers": hand_over::kept(conn, id).await?,
        "mails": mail::kept(conn, id).await?,
        "askedForHelpAt": help::asked_at(conn, id).await?,
        "activity": audit::export::events(conn, id).await?,
        "activityCountedSoFar": audit::export::counted(conn, id).await?,
        "addressesInTheActivityOfOthers": audit::export::addresses_elsewhere(conn, id).await?,
    }))
}
