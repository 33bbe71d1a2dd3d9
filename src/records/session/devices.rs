//! The devices of an account with the latest activity of their sessions, including ended sessions. Called by the pages
//! and the API of devices.
//!
//! Invariant: every statement filters by account. Another account's device is treated as missing.

use std::collections::BTreeSet;

use diesel::{
    ExpressionMethods as _, JoinOnDsl as _, NullableExpressionMethods as _, QueryDsl as _, SelectableHelper as _,
};

use super::{
    listing::own_device,
    live::{has_ended, has_not_ended, is_valid},
    record::Record,
};
use crate::{
    base::{
        db::{
            Conn, Instant, Together, apart, columns, find, first_of, run,
            schema::{devices, sessions},
        },
        error::Result,
    },
    records::device::{
        Device,
        arrivals::{MOST_NEW, unacknowledged},
    },
};

/// Maximum number of devices to list, those with the latest sign-in first. Signed-in devices are always listed.
const MOST: u16 = 200;
/// Maximum number of devices that one query reads.
const BATCH: usize = 1000;

/// A device with the latest activity of its sessions, including ended sessions.
#[derive(Debug, Clone)]
pub struct UsedDevice {
    pub device: Device,
    /// Address of the latest use.
    pub ip: Option<String>,
}

/// The device, latest activity and address of a session that has not ended.
type Use = (Option<String>, Instant, Option<String>);

impl UsedDevice {
    /// Moves `last_seen` forward to the latest activity of the device's sessions: of its newest ended session, or of
    /// one that has not ended.
    fn new((mut device, mut at, mut ip): (Device, Option<Instant>, Option<String>), unended: &[Use]) -> Self {
        let on_device = unended.iter().filter(|(id, ..)| id.as_deref() == Some(&device.id));
        if let Some((_, last, from)) = on_device.max_by_key(|(_, last, _)| *last)
            && at.is_none_or(|at| at < *last)
        {
            (at, ip) = (Some(*last), from.clone());
        }
        device.last_seen = at.map_or(device.last_seen, |at| at.max(device.last_seen));
        Self { device, ip }
    }
}

/// The devices and sessions of an account.
pub struct InUse {
    /// The devices, last seen first. An account with more than 200 devices gets the 200 that signed in last, plus all
    /// devices that are signed in.
    pub devices: Vec<UsedDevice>,
    /// The live sessions with the names of their devices, newest activity first.
    pub living: Vec<(Record, Option<String>)>,
    /// The newest unacknowledged devices.
    pub new: Vec<Device>,
}

type Row = (Option<(Device, Option<Instant>, Option<String>)>, Option<(Record, Option<String>, bool)>, Option<Device>);

/// The devices of an account and its live sessions, in one statement.
pub async fn in_use(conn: &mut Conn<'_>, account_id: &str) -> Result<InUse> {
    // Read only the newest ended session of each device, through an index of ended sessions. The account has few
    // sessions that have not ended, so these are all read.
    let ended = || {
        let of_account = sessions::table.filter(sessions::account_id.eq(account_id));
        let of_device = of_account.filter(sessions::device_id.eq(devices::id.nullable()));
        of_device.filter(has_ended()).order(sessions::last_activity.desc()).limit(1)
    };
    let rows: Vec<Row> = run!(
        conn,
        load(Together((
            first_of::<MOST, _>(
                devices::table
                    .filter(devices::account_id.eq(account_id))
                    .filter(devices::forgotten_at.is_null())
                    .order(devices::last_seen.desc())
                    .select(
                        (
                            columns::<Device>(),
                            ended().select(sessions::last_activity).single_value(),
                            ended().select(sessions::ip).single_value(),
                        )
                            .nullable()
                    )
            ),
            sessions::table
                .left_join(devices::table.on(own_device()))
                .filter(sessions::account_id.eq(account_id))
                .filter(has_not_ended())
                .select((columns::<Record>(), devices::name.nullable(), is_valid()).nullable()),
            first_of::<MOST_NEW, _>(unacknowledged(account_id).select(columns::<Device>().nullable())),
        )))
    )?;
    let (devices, mut unended, new) = apart(rows);
    unended.sort_by(|(a, ..), (b, ..)| b.last_activity.cmp(&a.last_activity).then_with(|| a.id.cmp(&b.id)));
    let uses: Vec<Use> = unended
        .iter()
        .map(|(record, ..)| (record.device_id.clone(), record.last_activity, record.ip.clone()))
        .collect();
    let is_cut = devices.len() == usize::from(MOST);
    let mut devices: Vec<UsedDevice> = devices.into_iter().map(|device| UsedDevice::new(device, &uses)).collect();
    let living = unended.into_iter().filter(|(_, _, is_live)| *is_live);
    let living: Vec<(Record, Option<String>)> = living.map(|(record, name, _)| (record, name)).collect();
    if is_cut {
        let listed: BTreeSet<&str> = devices.iter().map(|used| used.device.id.as_str()).collect();
        let signed_in = living.iter().filter_map(|(record, _)| record.device_id.as_deref());
        let others: BTreeSet<&str> = signed_in.filter(|id| !listed.contains(id)).collect();
        let others: Vec<String> = others.into_iter().map(str::to_owned).collect();
        for batch in others.chunks(BATCH) {
            devices.extend(those(conn, account_id, batch).await?);
        }
    }
    devices.sort_by(|a, b| b.device.last_seen.cmp(&a.device.last_seen).then_with(|| a.device.id.cmp(&b.device.id)));
    Ok(InUse { devices, living, new })
}

/// The account's devices among these ids, in no particular order. At most 1000 ids.
pub async fn those(conn: &mut Conn<'_>, account_id: &str, ids: &[String]) -> Result<Vec<UsedDevice>> {
    // Read only the newest ended session of each device, through an index of ended sessions. The account has few
    // sessions that have not ended, so these are all read.
    let ended = || {
        let of_account = sessions::table.filter(sessions::account_id.eq(account_id));
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
    let unended = unended_sessions(conn, account_id).await?;
    Ok(rows.into_iter().map(|device| UsedDevice::new(device, &unended)).collect())
}

/// The device, latest activity and address of each session of the account that has not ended.
async fn unended_sessions(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<Use>> {
    run!(
        conn,
        load(sessions::table.filter(sessions::account_id.eq(account_id)).filter(has_not_ended()).select((
            sessions::device_id,
            sessions::last_activity,
            sessions::ip
        )))
    )
}

/// The address from which a device of the account was last used, even if the device is forgotten.
pub async fn last_ip(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<Option<String>> {
    let unended_sessions = unended_sessions(conn, account_id).await?;
    let on_device = unended_sessions.into_iter().filter(|(device, ..)| device.as_deref() == Some(id));
    if let Some((_, _, ip)) = on_device.max_by_key(|(_, last, _)| *last) {
        return Ok(ip);
    }
    let own = sessions::table.filter(sessions::account_id.eq(account_id)).filter(sessions::device_id.eq(id));
    let ended = own.filter(has_ended());
    let ended = ended.order(sessions::last_activity.desc()).select(sessions::ip);
    let ip: Option<Option<String>> = find!(conn, first(ended))?;
    Ok(ip.flatten())
}
