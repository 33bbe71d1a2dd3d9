//! The devices of an account with what their sessions, ended ones too, tell of them. Called by the pages and the API of
//! devices.
//!
//! Invariant: every statement names the account; another account's device is as one that does not exist.

use std::collections::BTreeSet;

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _, SelectableHelper as _};

use super::live::{has_ended, has_not_ended, is_live};
use crate::{
    base::{
        db::{
            Conn, Instant, find, run,
            schema::{devices, sessions},
        },
        error::Result,
    },
    records::device::Device,
};

/// Devices that are listed at most, those that signed in last.
const MOST: i64 = 200;
/// Devices that are read at once.
const AT_ONCE: usize = 1000;

/// A device and what its sessions, ended ones too, say of it.
#[derive(Debug, Clone)]
pub struct UsedDevice {
    /// The device.
    pub device: Device,
    /// From where it was used last.
    pub ip: Option<String>,
}

impl UsedDevice {
    /// `last_seen` follows what its sessions did since.
    fn new((mut device, active, ip): (Device, Option<Instant>, Option<String>)) -> Self {
        device.last_seen = active.map_or(device.last_seen, |at| at.max(device.last_seen));
        Self { device, ip }
    }
}

/// The account's devices, last seen first; of a great many, the 200 that signed in last and all that are signed in.
///
/// # Errors
/// When the database is away.
pub async fn list(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<UsedDevice>> {
    let newest: Vec<String> = run!(
        conn,
        load(
            devices::table
                .filter(devices::account_id.eq(account_id))
                .filter(devices::forgotten_at.is_null())
                .order(devices::last_seen.desc())
                .limit(MOST)
                .select(devices::id)
        )
    )?;
    let mut ids: BTreeSet<String> = newest.into_iter().collect();
    if i64::try_from(ids.len()) == Ok(MOST) {
        ids.extend(signed_in(conn, account_id).await?);
    }
    let ids: Vec<String> = ids.into_iter().collect();
    let mut known = Vec::with_capacity(ids.len());
    for some in ids.chunks(AT_ONCE) {
        known.extend(those(conn, account_id, some).await?);
    }
    known.sort_by(|one, other| {
        other.device.last_seen.cmp(&one.device.last_seen).then_with(|| one.device.id.cmp(&other.device.id))
    });
    Ok(known)
}

/// Those of these devices that the account has, in no order. At most 1000 at once.
///
/// # Errors
/// When the database is away.
pub async fn those(conn: &mut Conn<'_>, account_id: &str, ids: &[String]) -> Result<Vec<UsedDevice>> {
    // Of a device's ended sessions the newest, through an index of those alone; the others are few.
    let ended = || {
        let of_account = sessions::table.filter(sessions::account_id.eq(devices::account_id));
        let of_device = of_account.filter(sessions::device_id.eq(devices::id.nullable()));
        of_device.filter(has_ended()).order(sessions::last_activity.desc()).limit(1)
    };
    let rows: Vec<(Device, Option<Instant>, Option<String>)> = run!(
        conn,
        load(
            devices::table
                .filter(devices::id.eq_any(ids))
                .filter(devices::account_id.eq(account_id))
                .filter(devices::forgotten_at.is_null())
                .select((
                    Device::as_select(),
                    ended().select(sessions::last_activity).single_value(),
                    ended().select(sessions::ip).single_value(),
                ))
        )
    )?;
    let going_on = going_on(conn, account_id).await?;
    let newest = |(device, mut at, mut ip): (Device, Option<Instant>, Option<String>)| {
        let here = going_on.iter().filter(|(id, ..)| id.as_deref() == Some(&device.id));
        if let Some((_, last, from)) = here.max_by_key(|(_, last, _)| *last)
            && at.is_none_or(|at| at < *last)
        {
            (at, ip) = (Some(*last), from.clone());
        }
        UsedDevice::new((device, at, ip))
    };
    Ok(rows.into_iter().map(newest).collect())
}

/// The account's sessions that have not ended: on which device, when and from where they were used last.
async fn going_on(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<(Option<String>, Instant, Option<String>)>> {
    run!(
        conn,
        load(sessions::table.filter(sessions::account_id.eq(account_id)).filter(has_not_ended()).select((
            sessions::device_id,
            sessions::last_activity,
            sessions::ip
        )))
    )
}

/// From where a device of the account was used last, forgotten or not.
///
/// # Errors
/// When the database is away.
pub async fn last_ip(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<Option<String>> {
    let going_on = going_on(conn, account_id).await?;
    let here = going_on.into_iter().filter(|(device, ..)| device.as_deref() == Some(id));
    if let Some((_, _, ip)) = here.max_by_key(|(_, last, _)| *last) {
        return Ok(ip);
    }
    let own = sessions::table.filter(sessions::account_id.eq(account_id)).filter(sessions::device_id.eq(id));
    let ended = own.filter(has_ended());
    let ended = ended.order(sessions::last_activity.desc()).select(sessions::ip);
    let ip: Option<Option<String>> = find!(conn, first(ended))?;
    Ok(ip.flatten())
}

/// The devices on which the account is signed in.
async fn signed_in(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<String>> {
    let rows: Vec<Option<String>> = run!(
        conn,
        load(
            sessions::table
                .filter(sessions::account_id.eq(account_id))
                .filter(is_live())
                .filter(sessions::device_id.is_not_null())
                .select(sessions::device_id)
        )
    )?;
    Ok(rows.into_iter().flatten().collect())
}
