//! The devices of an account as its owner sees them: listed, renamed, forgotten. Called by the pages and the API of devices
//! and by [`ending`](crate::ending).
//!
//! Invariant: every statement names the account; another's device is as one that does not exist.

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _, SelectableHelper as _};

use super::Device;
use crate::{
    db::{
        Conn, Instant, find, run,
        schema::{devices, sessions},
    },
    error::Result,
};

/// Devices that are listed at most, those that signed in last.
const MOST: i64 = 200;

/// A device and what its sessions, ended ones too, say of it.
#[derive(Debug, Clone)]
pub struct Known {
    /// The device.
    pub device: Device,
    /// From where it was used last.
    pub ip: Option<String>,
}

impl Known {
    /// `last_seen` follows what its sessions did since.
    fn new((mut device, active, ip): (Device, Option<Instant>, Option<String>)) -> Self {
        device.last_seen = active.map_or(device.last_seen, |at| at.max(device.last_seen));
        Self { device, ip }
    }
}

/// The account's devices, last seen first; of a great many, the 200 that signed in last.
///
/// # Errors
/// When the database is away.
pub async fn list(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<Known>> {
    let of_device = || sessions::table.filter(sessions::device_id.eq(devices::id.nullable()));
    let newest = || of_device().order(sessions::last_activity.desc()).limit(1);
    let rows: Vec<(Device, Option<Instant>, Option<String>)> = run!(
        conn,
        load(
            devices::table
                .filter(devices::account_id.eq(account_id))
                .order(devices::last_seen.desc())
                .limit(MOST)
                .select((
                    Device::as_select(),
                    newest().select(sessions::last_activity).single_value(),
                    newest().select(sessions::ip).single_value(),
                ))
        )
    )?;
    let mut known: Vec<Known> = rows.into_iter().map(Known::new).collect();
    known.sort_by(|one, other| {
        other.device.last_seen.cmp(&one.device.last_seen).then_with(|| one.device.id.cmp(&other.device.id))
    });
    Ok(known)
}

/// One device of the account.
///
/// # Errors
/// When the database is away.
pub async fn one(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<Option<Device>> {
    find!(
        conn,
        first(
            devices::table
                .filter(devices::id.eq(id))
                .filter(devices::account_id.eq(account_id))
                .select(Device::as_select())
        )
    )
}

/// Which of these devices the account still has.
///
/// # Errors
/// When the database is away.
pub async fn those_there(conn: &mut Conn<'_>, account_id: &str, ids: &[&str]) -> Result<Vec<String>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    run!(
        conn,
        load(
            devices::table
                .filter(devices::id.eq_any(ids))
                .filter(devices::account_id.eq(account_id))
                .select(devices::id)
        )
    )
}

/// Gives a device another name; the name it had, or `None` when it is not the account's.
///
/// # Errors
/// When the database is away.
pub async fn rename(conn: &mut Conn<'_>, account_id: &str, id: &str, name: &str) -> Result<Option<String>> {
    let Some(before) = one(conn, account_id, id).await? else {
        return Ok(None);
    };
    let own = devices::table.filter(devices::id.eq(id)).filter(devices::account_id.eq(account_id));
    let renamed = run!(conn, execute(diesel::update(own).set(devices::name.eq(name))))?;
    Ok((renamed == 1).then_some(before.name))
}

/// Deletes a device; its sessions, which the caller has ended before, stay without one. `false` when it is not the
/// account's.
///
/// # Errors
/// When the database is away.
pub async fn forget(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<bool> {
    let own = devices::table.filter(devices::id.eq(id)).filter(devices::account_id.eq(account_id));
    Ok(run!(conn, execute(diesel::delete(own)))? == 1)
}
