//! A session in few bytes, for the [`cache`](super::cache): a hundred thousand sessions take some 40 MB.
//!
//! Invariant: unpacking yields what was packed, for a live session whose key has been used.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    record::Record,
    stored::{Lineage, Stored},
};
use crate::{
    base::db::Instant,
    records::{
        account::{Account, Role},
        device::Shape,
    },
};

/// The packed form. Times are microseconds.
#[derive(Serialize, Deserialize)]
struct Packed<'a> {
    id: &'a str,
    account_id: &'a str,
    device_id: Option<&'a str>,
    times: [i64; 7],
    ip: Option<&'a str>,
    browser: &'a str,
    os: &'a str,
    kind: &'a str,
    installed: bool,
    version: i64,
    email: &'a str,
    name: &'a str,
    role: &'a str,
    time_zone: Option<&'a str>,
    groups: &'a str,
    second_factors: i64,
    factor_reset_at: Option<i64>,
    amr: Option<&'a str>,
    second_factor_at: Option<i64>,
    device_name: Option<&'a str>,
    sid: Option<&'a str>,
    secret_hash: &'a [u8],
    #[serde(borrow)]
    state: Vec<(&'a str, &'a str)>,
}

/// `None` for a session that cannot be packed.
pub fn pack(stored: &Stored) -> Option<Box<[u8]>> {
    let state = stored.state.as_object()?.iter();
    pack_with(stored, state.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect())
}

/// Like [`pack`], without the state of the session.
pub fn pack_without_state(stored: &Stored) -> Option<Box<[u8]>> {
    pack_with(stored, Vec::new())
}

fn pack_with(stored: &Stored, state: Vec<(&str, &str)>) -> Option<Box<[u8]>> {
    let Stored { record, account, .. } = stored;
    let times = [
        record.created_at,
        record.authenticated_at,
        record.last_activity,
        record.expires_at,
        record.absolute_expires_at,
        stored.password_changed_at,
        stored.now,
    ];
    let packed = Packed {
        id: &record.id,
        account_id: &record.account_id,
        device_id: record.device_id.as_deref(),
        times: times.map(Instant::micros),
        ip: record.ip.as_deref(),
        browser: &record.browser,
        os: &record.os,
        kind: record.kind.as_str(),
        installed: record.installed,
        version: record.version,
        email: &account.email,
        name: &account.name,
        role: account.role.as_str(),
        time_zone: account.time_zone.as_deref(),
        groups: &account.groups,
        second_factors: account.second_factors,
        factor_reset_at: account.factor_reset_at.map(Instant::micros),
        amr: record.amr.as_deref(),
        second_factor_at: record.second_factor_at.map(Instant::micros),
        device_name: stored.device_name.as_deref(),
        // Most sessions still have their first id.
        sid: record.sid.as_deref().filter(|sid| *sid != record.id),
        secret_hash: &stored.secret_hash,
        state,
    };
    postcard::to_stdvec(&packed).ok().map(Vec::into_boxed_slice)
}

/// `None` if the bytes are not those of [`pack`].
pub fn unpack(bytes: &[u8]) -> Option<Stored> {
    let packed: Packed<'_> = postcard::from_bytes(bytes).ok()?;
    let [created_at, authenticated_at, last_activity, expires_at, absolute_expires_at, password_changed_at, now] =
        packed.times.map(Instant::from_micros);
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let record = Record {
        id: packed.id.to_owned(),
        account_id: packed.account_id.to_owned(),
        device_id: owned(packed.device_id),
        created_at,
        authenticated_at,
        last_activity,
        expires_at,
        absolute_expires_at,
        ip: owned(packed.ip),
        browser: packed.browser.to_owned(),
        os: packed.os.to_owned(),
        kind: Shape::from_word(packed.kind)?,
        installed: packed.installed,
        version: packed.version,
        sid: owned(packed.sid),
        amr: owned(packed.amr),
        second_factor_at: packed.second_factor_at.map(Instant::from_micros),
    };
    let account = Account {
        id: packed.account_id.to_owned(),
        email: packed.email.to_owned(),
        name: packed.name.to_owned(),
        role: Role::from_word(packed.role)?,
        time_zone: owned(packed.time_zone),
        groups: packed.groups.to_owned(),
        second_factors: packed.second_factors,
        factor_reset_at: packed.factor_reset_at.map(Instant::from_micros),
    };
    Some(Stored {
        record,
        account,
        device_name: owned(packed.device_name),
        secret_hash: packed.secret_hash.to_vec(),
        state: packed.state.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect(),
        ended_at: None,
        ended_reason: None,
        ended_by: None,
        used_after_end_at: None,
        is_outdated: false,
        password_changed_at,
        lineage: Lineage { previous_id: None, key_nonce: None, key_used_at: None },
        device_secret: None,
        previous_device_secret: None,
        now,
    })
}
