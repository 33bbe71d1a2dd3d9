//! Everything that is kept about the sessions, devices and opened apps of an account, except hashes of secrets. Called by
//! the export of an account.
//!
//! Invariant: an export contains nothing that opens or proves anything.

use std::collections::BTreeMap;

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _, SelectableHelper as _};
use serde_json::{Value, json};

use super::{ended::EndReason, record::Record};
use crate::{
    base::{
        db::{
            Conn, Instant, run,
            schema::{app_codes, app_grants, devices, former_keys, sessions},
        },
        error::Result,
    },
    records::device::Device,
};

/// The columns of an ended session.
type End = (Option<Instant>, Option<EndReason>, Option<String>, Option<Instant>);

/// All sessions, live and ended, newest first, with their former ids and what clients stored in them.
pub async fn sessions(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<Value>> {
    let own = sessions::table.filter(sessions::account_id.eq(account_id)).order(sessions::created_at.desc());
    let end = (sessions::ended_at, sessions::ended_reason.nullable(), sessions::ended_by, sessions::used_after_end_at);
    let rows: Vec<(Record, String, Option<String>, End)> =
        run!(conn, load(own.select((Record::as_select(), sessions::data, sessions::previous_id, end))))?;
    let former = former_keys::table.filter(former_keys::account_id.eq(account_id)).order(former_keys::replaced_at);
    let former: Vec<(String, String, Instant)> =
        run!(conn, load(former.select((former_keys::session_id, former_keys::id, former_keys::replaced_at))))?;
    let mut ids: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (session, id, replaced_at) in former {
        ids.entry(session).or_default().push(json!({ "id": id, "replacedAt": replaced_at }));
    }
    Ok(rows
        .into_iter()
        .map(|(record, data, previous_id, (ended_at, reason, by, used_after_end_at))| {
            json!({
                "id": record.id, "deviceId": record.device_id, "createdAt": record.created_at,
                "passwordGivenAt": record.authenticated_at, "secondFactorGivenAt": record.second_factor_at,
                "proofs": record.amr(), "lastActivity": record.last_activity,
                "expiresAt": record.expires_at, "absoluteExpiresAt": record.absolute_expires_at, "ip": record.ip,
                "client": record.client(), "nameForApps": record.sid(), "previousId": previous_id,
                "formerIds": ids.remove(&record.id).unwrap_or_default(), "endedAt": ended_at,
                "endedBecause": reason.map(EndReason::as_str), "endedBy": by, "usedAfterEndAt": used_after_end_at,
                "data": serde_json::from_str::<Value>(&data).unwrap_or(Value::String(data)),
            })
        })
        .collect())
}

/// All devices, also those that were forgotten, latest sign-in first.
pub async fn devices(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<Value>> {
    type More = (Option<Instant>, Option<String>, Option<Instant>, Option<Instant>);
    let own = devices::table.filter(devices::account_id.eq(account_id)).order(devices::last_seen.desc());
    let more = (devices::proved_at, devices::app_version, devices::sync_noted_at, devices::forgotten_at);
    let rows: Vec<(Device, More)> = run!(conn, load(own.select((Device::as_select(), more))))?;
    let one = |(device, (proved_at, app_version, sync_noted_at, forgotten_at)): (Device, More)| {
        json!({
            "id": device.id, "name": device.name, "client": device.client(), "firstSeen": device.first_seen,
            "lastSeen": device.last_seen, "passwordGivenAt": proved_at, "acknowledgedAt": device.acknowledged_at,
            "appVersion": app_version, "draftsNotedAt": sync_noted_at, "forgottenAt": forgotten_at,
        })
    };
    Ok(rows.into_iter().map(one).collect())
}

/// The apps that the person opened, and their last ways into them.
pub async fn opened_apps(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<Value>> {
    let grants = app_grants::table.filter(app_grants::account_id.eq(account_id)).order(app_grants::created_at);
    let grants: Vec<(String, String, String, Instant)> =
        run!(conn, load(grants.select((app_grants::id, app_grants::app_id, app_grants::sid, app_grants::created_at))))?;
    let codes = app_codes::table.filter(app_codes::account_id.eq(account_id)).order(app_codes::created_at);
    let codes: Vec<(String, String, String, Instant, Option<Instant>)> = run!(
        conn,
        load(codes.select((
            app_codes::app_id,
            app_codes::sid,
            app_codes::target,
            app_codes::created_at,
            app_codes::spent_at
        )))
    )?;
    let grants = grants
        .into_iter()
        .map(|(id, app, sid, at)| json!({ "id": id, "appId": app, "nameForApps": sid, "openedAt": at }));
    let codes = codes.into_iter().map(|(app, sid, target, at, spent_at)| {
        json!({ "appId": app, "nameForApps": sid, "target": target, "askedAt": at, "openedAt": spent_at })
    });
    Ok(grants.chain(codes).collect())
}
