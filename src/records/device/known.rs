//! Reads, renames and forgets the devices of an account. Called by the pages and the API of devices, by the sync, and
//! by the actions that end sessions.
//!
//! Invariant: every statement names the account. Another account's device is treated as missing.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::time::Duration;

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _,
    SelectableHelper as _,
};

use super::{client::Client, owners, row::Device};
use crate::{
    base::{
        db::{Conn, Instant, before_now, find, now, run, schema::devices},
        error::{Error, Result},
        secret::Secret,
        text,
    },
    records::news,
};

/// One device of the account. Finds a forgotten device only if it is unacknowledged.
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

/// Whether the account has another device than this one.
pub async fn has_others(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<bool> {
    let others = devices::table.filter(devices::account_id.eq(account_id)).filter(devices::id.ne(id));
    let other: Option<String> = find!(conn, first(others.select(devices::id)))?;
    Ok(other.is_some())
}

/// The names of these devices by id. Skips forgotten devices and those of other accounts.
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

/// Renames a device and returns its old name. `None` if the account has no such device.
pub async fn rename(conn: &mut Conn<'_>, account_id: &str, id: &str, name: &str) -> Result<Option<String>> {
    let was = names(conn, account_id, &BTreeSet::from([id])).await?.remove(id);
    if was.as_ref().is_some_and(|was| was != name) {
        set_name(conn, account_id, id, name).await?;
    }
    Ok(was)
}

/// Sets the name of a device. The caller has checked that the account has it.
pub async fn set_name(conn: &mut Conn<'_>, account_id: &str, id: &str, name: &str) -> Result<()> {
    let own = devices::table.filter(devices::id.eq(id)).filter(devices::account_id.eq(account_id));
    run!(conn, execute(diesel::update(own).set(devices::name.eq(name))))?;
    news::looked_up_changed(conn, iter::once(account_id)).await
}

/// What the app on a device reports about itself.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Whether it runs as an installed app.
    pub installed: Option<bool>,
    /// The app's version.
    pub app_version: Option<String>,
    /// The wanted name of the device. The caller has checked it.
    pub name: Option<String>,
}

/// The name of a device after an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The current name.
    pub name: String,
    /// The old name, if the update changed it.
    pub was: Option<String>,
}

/// Stores changed facts about the app on a device. `None` if there is no such device. If the device has the name
/// generated from its browser, the name is generated again, such as "App on iPhone".
pub async fn note_facts(conn: &mut Conn<'_>, account_id: &str, id: &str, facts: &Facts) -> Result<Option<Named>> {
    let device = || devices::table.filter(devices::account_id.eq(account_id)).filter(devices::id.eq(id));
    let Some((known, version)): Option<(Device, Option<String>)> =
        find!(conn, first(device().select((Device::as_select(), devices::app_version))))?
    else {
        return Ok(None);
    };
    let (client, installed) = (known.client(), facts.installed.unwrap_or(known.installed));
    let generated = (known.name == client.label()).then(|| Client { installed, ..client }.label());
    let Device { name, installed: was_installed, .. } = known;
    let new = (
        facts.name.clone().or(generated).unwrap_or_else(|| name.clone()),
        installed,
        facts.app_version.clone().or_else(|| version.clone()),
    );
    if new == (name.clone(), was_installed, version) {
        return Ok(Some(Named { name, was: None }));
    }
    let changes = (devices::name.eq(&new.0), devices::installed.eq(new.1), devices::app_version.eq(&new.2));
    run!(conn, execute(diesel::update(device()).set(changes)))?;
    news::looked_up_changed(conn, iter::once(account_id)).await?;
    let was = (new.0 != name).then_some(name);
    Ok(Some(Named { name: new.0, was }))
}

/// The minimum time between two audit events about edits on a device.
const SYNC_NOTED: Duration = Duration::from_secs(600);

/// Returns whether uploaded drafts must be audited, and notes the time if so. Edits alone are audited at most once in
/// ten minutes.
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

/// What remains of a forgotten device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// The row is deleted.
    Nothing,
    /// The device stays listed as unacknowledged. The next sign-in of its browser makes a new device.
    Question,
    /// The device stays acknowledged. The next sign-in of its browser uses the same device.
    Acknowledged,
}

/// Forgets a device. The caller has ended its sessions, whose rows stay without a device.
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
    if rest == Rest::Nothing {
        run!(conn, execute(diesel::delete(own)))?;
    } else {
        // No browser has this secret.
        let unused = Secret::random()?.hash();
        run!(conn, execute(diesel::update(own).set((hidden, devices::secret_hash.eq(unused)))))?;
    }
    // After the device's row, as in the sweep of old devices.
    owners::remove(conn, hash.as_slice()).await
}

/// Trims a device name and checks that it has 1 to 60 printable characters.
///
/// # Errors
/// [`Error::Invalid`] with a message for the API.
pub fn check_name(typed: &str) -> Result<String> {
    let name = typed.trim();
    if name.chars().count() > 60 || !text::is_name(name) {
        return Err(Error::Invalid("a device name must have 1 to 60 printable characters".into()));
    }
    Ok(name.to_owned())
}
