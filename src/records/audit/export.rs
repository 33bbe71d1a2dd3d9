//! Everything that the audit trail holds about an account. Called by the export of an account.
//!
//! Invariant: of the trails of others, an export contains only what the person left there.

use diesel::{ExpressionMethods as _, QueryDsl as _, dsl::sql, sql_types::Bool};
use serde_json::{Value, json};

use super::{
    event::{Kind, Recorded},
    page::newest_before,
};
use crate::base::{
    db::{
        Conn, Instant, run,
        schema::{audit, audit_repeats as repeats},
    },
    error::Result,
};

/// Events that one statement reads.
const BATCH: i64 = 500;

/// All events of the account, newest first.
pub async fn events(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<Value>> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let some = newest_before(conn, account_id, before, BATCH).await?;
        let Some(last) = some.last() else { return Ok(all) };
        before = Some(last.id);
        all.extend(some.iter().map(view));
    }
}

fn view(event: &Recorded) -> Value {
    json!({
        "id": event.id, "at": event.at, "kind": event.kind, "actor": event.actor, "sessionId": event.session_id,
        "deviceId": event.device_id, "deviceName": event.device_name, "ip": event.ip, "detail": event.detail,
    })
}

/// Events that are only counted so far.
pub async fn counted(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<Value>> {
    type Row =
        (Kind, Instant, i64, i64, Option<Instant>, (Option<String>, Option<String>, Option<String>, Option<String>));
    let last = (repeats::session_id, repeats::device_id, repeats::device_name, repeats::detail);
    let own = repeats::table.filter(repeats::account_id.eq(account_id)).order(repeats::kind);
    let rows: Vec<Row> = run!(
        conn,
        load(own.select((repeats::kind, repeats::began_at, repeats::recorded, repeats::held, repeats::last_at, last)))
    )?;
    let one = |(kind, began_at, recorded, held, last_at, (session, device, name, detail)): Row| {
        json!({
            "kind": kind, "since": began_at, "recorded": recorded, "counted": held, "lastAt": last_at,
            "sessionId": session, "deviceId": device, "deviceName": name, "detail": detail,
        })
    };
    Ok(rows.into_iter().map(one).collect())
}

/// The addresses that the person left in the trails of others.
pub async fn addresses_elsewhere(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<Value>> {
    // The condition is that of the index, word by word.
    let in_others = sql::<Bool>("audit.ip IS NOT NULL AND audit.actor <> audit.account_id AND audit.account_id <> ''");
    let those = audit::table.filter(audit::actor.eq(account_id)).filter(in_others);
    // Sorted here: with an order, PostgreSQL may follow the index of times through the trails of everybody.
    let mut rows: Vec<(Instant, String, Option<String>)> =
        run!(conn, load(those.limit(BATCH).select((audit::at, audit::kind, audit::ip))))?;
    rows.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
    Ok(rows.into_iter().map(|(at, kind, ip)| json!({ "at": at, "kind": kind, "ip": ip })).collect())
}
