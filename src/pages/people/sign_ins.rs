//! The devices of a person with their sign-ins, as rows of the person's page. Called by the page.
//!
//! Invariant: each device and each sign-in without a device has one row.

use crate::{
    base::db::Instant,
    records::session::{CurrentUser, Record, devices::UsedDevice},
    web::layout::When,
};

/// A device, or a sign-in whose device is unknown.
pub(super) struct DeviceRow {
    pub name: String,
    pub kind: &'static str,
    /// The client, such as "Firefox on Linux"; `None` if the device has that name.
    pub label: Option<String>,
    pub ip: Option<String>,
    pub last: When,
    /// The number of live sessions.
    pub sessions: usize,
    /// What the link to sign out names: a device or a session. `None` if it is signed out.
    pub which: Option<String>,
}

/// The rows: those that are signed in first, then the most recently used ones.
pub(super) fn rows(
    devices: Vec<UsedDevice>,
    living: &[(Record, Option<String>)],
    user: &CurrentUser,
) -> Vec<DeviceRow> {
    let known: Vec<&str> = devices.iter().map(|used| used.device.id.as_str()).collect();
    let is_known = |record: &&Record| record.device_id.as_deref().is_some_and(|id| known.contains(&id));
    let alone: Vec<(Instant, DeviceRow)> = living
        .iter()
        .map(|(record, _)| record)
        .filter(|record| !is_known(record))
        .map(|record| (record.last_activity, DeviceRow::of_session(record, user)))
        .collect();
    let mut rows: Vec<(Instant, DeviceRow)> = devices
        .into_iter()
        .map(|used| {
            let id = used.device.id.clone();
            let here = living.iter().filter(|(record, _)| record.device_id.as_deref() == Some(id.as_str()));
            DeviceRow::of_device(used, &here.map(|(record, _)| record).collect::<Vec<_>>(), user)
        })
        .chain(alone)
        .collect();
    rows.sort_by_key(|(last, row)| (row.sessions == 0, std::cmp::Reverse(*last)));
    rows.into_iter().map(|(_, row)| row).collect()
}

impl DeviceRow {
    fn of_device(used: UsedDevice, here: &[&Record], user: &CurrentUser) -> (Instant, Self) {
        let device = used.device;
        let newest = here.iter().max_by_key(|record| record.last_activity);
        let last = newest.map_or(device.last_seen, |record| record.last_activity.max(device.last_seen));
        let label = device.client().label();
        let row = Self {
            kind: device.client().kind.as_str(),
            label: (label != device.name).then_some(label),
            ip: newest.and_then(|record| record.ip.clone()).or(used.ip),
            last: When::past(last, user.now),
            sessions: here.len(),
            which: (!here.is_empty()).then(|| device.id.clone()),
            name: device.name,
        };
        (last, row)
    }

    fn of_session(record: &Record, user: &CurrentUser) -> Self {
        Self {
            name: record.client().label(),
            kind: record.client().kind.as_str(),
            label: None,
            ip: record.ip.clone(),
            last: When::past(record.last_activity, user.now),
            sessions: 1,
            which: Some(record.id.clone()),
        }
    }
}
