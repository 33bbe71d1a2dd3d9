//! What the owner does with a device: renames it, forgets it. Called by the pages and the API of devices, by the sync,
//! and by whatever ends sessions.
//!
//! Invariant: every statement names the account; another's device is as one that does not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _,
    SelectableHelper as _,
};

use super::{client::Client, owners, row::Device};
use crate::base::{
    db::{Conn, Instant, before_now, find, now, run, schema::devices},
    error::{Error, Result},
    secret::Secret,
    text,
};

/// One device of the account; of those that are forgotten, only one that nobody has answered for.
pub async fn one(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<Option<Device>> {
    find!(
        conn,
        first(
            devices::table
                .filter(devices::id.eq(id))
                .filter(devices::account_id.eq(account_id))
                .filter(devices::forgotten_at.is_null().or(devices::acknowledged_at.is_null()))
                .select(Device::as_select())
        )
    )
}

/// What those of these devices are called that the account still has.
pub async fn names(conn: &mut Conn<'_>, account_id: &str, ids: &BTreeSet<&str>) -> Result<BTreeMap<String, String>> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<&str> = ids.iter().copied().collect();
    let rows: Vec<(String, String)> = run!(
        conn,
        load(
            devices::table
                .filter(devices::id.eq_any(ids))
                .filter(devices::account_id.eq(account_id))
                .filter(devices::forgotten_at.is_null())
                .select((devices::id, devices::name))
        )
    )?;
    Ok(rows.into_iter().collect())
}

/// Gives a device another name; the name it had, or `None` when it is not the account's.
pub async fn rename(conn: &mut Conn<'_>, account_id: &str, id: &str, name: &str) -> Result<Option<String>> {
    let was = names(conn, account_id, &BTreeSet::from([id])).await?.remove(id);
    if was.as_ref().is_some_and(|was| was != name) {
        set_name(conn, account_id, id, name).await?;
    }
    Ok(was)
}

/// The same for a device that the account is known to have.
pub async fn set_name(conn: &mut Conn<'_>, account_id: &str, id: &str, name: &str) -> Result<()> {
    let own = devices::table.filter(devices::id.eq(id)).filter(devices::account_id.eq(account_id));
    run!(conn, execute(diesel::update(own).set(devices::name.eq(name)))).map(drop)
}

/// What a program says of itself that runs on a device.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Whether it runs as an app.
    pub installed: Option<bool>,
    /// Which version of it.
    pub app_version: Option<String>,
    /// What the device is to be called, checked.
    pub name: Option<String>,
}

/// What a device is called, and what it was called a moment ago if that was something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Its name before.
    pub was: Option<String>,
}

/// Notes what a program says of itself, if that is new; `None` when there is no such device. One that is called as its
/// browser looks is called as that looks now: "App on iPhone".
pub async fn note_facts(conn: &mut Conn<'_>, account_id: &str, id: &str, facts: &Facts) -> Result<Option<Named>> {
    let device = || devices::table.filter(devices::account_id.eq(account_id)).filter(devices::id.eq(id));
    let Some((known, version)): Option<(Device, Option<String>)> =
        find!(conn, first(device().select((Device::as_select(), devices::app_version))))?
    else {
        return Ok(None);
    };
    let (client, installed) = (known.client(), facts.installed.unwrap_or(known.installed));
    let as_it_looks = (known.name == client.label()).then(|| Client { installed, ..client }.label());
    let Device { name, installed: was_installed, .. } = known;
    let new = (
        facts.name.clone().or(as_it_looks).unwrap_or_else(|| name.clone()),
        installed,
        facts.app_version.clone().or_else(|| version.clone()),
    );
    if new == (name.clone(), was_installed, version) {
        return Ok(Some(Named { name, was: None }));
    }
    let changes = (devices::name.eq(&new.0), devices::installed.eq(new.1), devices::app_version.eq(&new.2));
    run!(conn, execute(diesel::update(device()).set(changes)))?;
    let was = (new.0 != name).then_some(name);
    Ok(Some(Named { name: new.0, was }))
}

/// How often the trail tells that drafts were edited on a device.
const SYNC_NOTED: Duration = Duration::from_secs(600);

/// Notes that the trail tells of drafts that came from a device, and whether it has to: of edits alone once in ten
/// minutes.
pub async fn note_sync(conn: &mut Conn<'_>, account_id: &str, id: &str, is_more_than_edited: bool) -> Result<bool> {
    let noted = devices::sync_noted_at.eq(now().nullable());
    let device = devices::table.filter(devices::account_id.eq(account_id)).filter(devices::id.eq(id));
    if is_more_than_edited {
        run!(conn, execute(diesel::update(device).set(noted)))?;
        return Ok(true);
    }
    let due = devices::sync_noted_at.is_null().or(devices::sync_noted_at.le(before_now(SYNC_NOTED).nullable()));
    Ok(run!(conn, execute(diesel::update(device.filter(due)).set(noted)))? == 1)
}

/// What is left of a device that is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Nothing.
    Nothing,
    /// That nobody has answered whose it was. Its browser is a new device the next time.
    Question,
    /// That it is the person's own. Its browser is the same device the next time.
    Acknowledged,
}

/// Forgets a device; its sessions, which the caller has ended before, stay without one.
pub async fn forget(conn: &mut Conn<'_>, account_id: &str, id: &str, rest: Rest) -> Result<()> {
    let own = devices::table.filter(devices::account_id.eq(account_id)).filter(devices::id.eq(id));
    let hidden = (
        devices::forgotten_at.eq(now().nullable()),
        devices::proved_at.eq(None::<Instant>),
        devices::previous_secret_hash.eq(None::<Vec<u8>>),
    );
    if rest == Rest::Acknowledged {
        return run!(conn, execute(diesel::update(own).set(hidden))).map(drop);
    }
    let hash: Option<Vec<u8>> = find!(conn, first(own.select(devices::secret_hash)))?;
    owners::remove(conn, hash.as_slice()).await?;
    if rest == Rest::Nothing {
        return run!(conn, execute(diesel::delete(own))).map(drop);
    }
    let nobodys = Secret::random()?.hash();
    run!(conn, execute(diesel::update(own).set((hidden, devices::secret_hash.eq(nobodys))))).map(drop)
}

/// A name somebody gives a device: 1 to 60 characters that can be seen.
///
/// # Errors
/// [`Error::Invalid`] with what is wrong.
pub fn check_name(typed: &str) -> Result<String> {
    let name = typed.trim();
    if name.chars().count() > 60 || !text::is_name(name) {
        return Err(Error::Invalid("a device's name has 1 to 60 characters that can be seen".into()));
    }
    Ok(name.to_owned())
}
