//! Corrects stored times that lie in the future. The database's clock was ahead when they were stored, and has been set
//! back since. Called when a request reads such a row, when the clock is seen to go back, and at start.
//!
//! Invariant: each such time is set to now, once. Otherwise it would count as "just now" until the clock reaches it:
//! wrong passwords would stay counted and confirmations would stay valid.

use diesel::QueryableByName;

use super::{
    conn::{Conn, EngineConn},
    database::Db,
    express,
    query::{find, run},
};
use crate::base::{error::Result, instant::Instant};

/// Maximum number of rows that one statement changes.
const BATCH: usize = 500;

/// Columns that hold past times, by table with its primary key.
const PAST: &[(&str, &str, &[&str])] = &[
    (
        "accounts",
        "id",
        &[
            "created_at",
            "password_changed_at",
            "last_login_at",
            "disabled_at",
            "invited_at",
            "deletion_asked_at",
            "deleted_at",
            "factor_reset_at",
            "passkey_offered_at",
        ],
    ),
    (
        "devices",
        "account_id, id",
        &["first_seen", "last_seen", "proved_at", "acknowledged_at", "sync_noted_at", "forgotten_at"],
    ),
    ("sessions", "account_id, id", &["ended_at", "key_used_at", "used_after_end_at"]),
    ("drafts", "account_id, id", &["updated_at", "deleted_at"]),
    ("operations", "account_id, id", &["at"]),
    ("trails", "account_id", &["closed_at"]),
    ("apps", "id", &["created_at", "disabled_at", "last_used_at"]),
    ("app_grants", "account_id, id", &["created_at"]),
    ("app_codes", "account_id, secret_hash", &["created_at", "spent_at"]),
    ("audit_repeats", "account_id, kind", &["began_at", "last_at"]),
    ("former_keys", "account_id, id", &["replaced_at"]),
    ("instance", "id", &["unconfirmed_at"]),
    ("links", "account_id, token_hash", &["used_at"]),
    ("mails", "account_id, id", &["failed_at"]),
    ("hand_overs", "account_id, token_hash", &["confirmed_at"]),
    ("help_requests", "account_id", &["asked_at"]),
    ("nodes", "id", &["beaten_at"]),
    ("totp_apps", "account_id", &["created_at"]),
    ("recovery_codes", "account_id, number", &["made_at", "used_at", "seen_at"]),
    ("passkeys", "account_id, id", &["created_at", "last_used_at", "warned_at"]),
    ("spent_proofs", "account_id, hash", &["spent_at"]),
    ("throttle_counts", "subject", &["last_failed_at", "changed_at"]),
    ("throttle_tries", "subject, try_id", &["began_at"]),
];

/// Columns whose correction also changes other columns: table, key, column, SET clause.
const LINKED: &[(&str, &str, &str, &str)] = &[
    // Expiry times move with the times from which they are counted.
    (
        "sessions",
        "account_id, id",
        "last_activity",
        "expires_at = {before}expires_at{utc} - (last_activity - {now}){after}, last_activity = {now}",
    ),
    (
        "sessions",
        "account_id, id",
        "created_at",
        "expires_at = {least}(expires_at, {before}absolute_expires_at{utc} - (created_at - {now}){after}), \
         absolute_expires_at = {before}absolute_expires_at{utc} - (created_at - {now}){after}, created_at = {now}",
    ),
    (
        "links",
        "account_id, token_hash",
        "made_at",
        "expires_at = {before}expires_at{utc} - (made_at - {now}){after}, made_at = {now}",
    ),
    (
        "mails",
        "account_id, id",
        "created_at",
        "due_at = {before}due_at{utc} - (created_at - {now}){after}, created_at = {now}",
    ),
    // It is no longer known whether the password changed after this confirmation, so the confirmation expires.
    ("sessions", "account_id, id", "authenticated_at", "authenticated_at = {long_ago}"),
    ("sessions", "account_id, id", "second_factor_at", "second_factor_at = {long_ago}"),
];

/// How an engine writes time expressions in SQL.
struct Dialect {
    now: &'static str,
    second: &'static str,
    least: &'static str,
    skip_locked: &'static str,
}

const POSTGRES: Dialect = Dialect {
    now: express::POSTGRES_NOW,
    second: "interval '1 second'",
    least: "LEAST",
    skip_locked: " FOR UPDATE SKIP LOCKED",
};
const SQLITE: Dialect = Dialect { now: express::SQLITE_NOW, second: "1000000", least: "min", skip_locked: "" };

impl Db {
    /// Sets every stored time in the future to now, and returns how many rows changed.
    ///
    /// # Errors
    /// The batches before the error stay committed.
    pub async fn settle_future(&self) -> Result<usize> {
        let mut settled = 0;
        for (table, key, column, set) in LINKED {
            settled += self.settle(table, key, &format!("{column} > {{latest}}"), set).await?;
        }
        for (table, key, columns) in PAST {
            let ahead: Vec<_> = columns.iter().map(|column| format!("{column} > {{latest}}")).collect();
            let set = columns
                .iter()
                .map(|column| format!("{column} = CASE WHEN {column} > {{latest}} THEN {{now}} ELSE {column} END"));
            let set: Vec<_> = set.collect();
            settled += self.settle(table, key, &ahead.join(" OR "), &set.join(", ")).await?;
        }
        if settled > 0 {
            tracing::warn!(settled, "the database's clock was set back: stored times in the future were set to now");
        }
        Ok(settled)
    }

    /// The columns that are corrected, as `table.column`.
    pub fn settled_columns() -> Vec<String> {
        let past = PAST.iter().flat_map(|(table, _, columns)| columns.iter().map(move |column| (*table, *column)));
        let linked = LINKED.iter().map(|(table, _, column, _)| (*table, *column));
        past.chain(linked).map(|(table, column)| format!("{table}.{column}")).collect()
    }

    /// Checks first whether there is such a row: a read does not block writers.
    async fn settle(&self, table: &str, key: &str, ahead: &str, set: &str) -> Result<usize> {
        let first = format!("SELECT 1 AS found FROM {table} WHERE {ahead} LIMIT 1");
        let found = async move |conn: &mut Conn<'_>| {
            let query = Dialect::of(conn).write(&first);
            let found: Option<Found> = find!(conn, get_result(diesel::sql_query(query)))?;
            Ok(found.is_some())
        };
        if !self.read(found).await? {
            return Ok(0);
        }
        let statement = format!(
            "UPDATE {table} SET {set} WHERE ({ahead}) AND ({key}) IN \
             (SELECT {key} FROM {table} WHERE {ahead} ORDER BY {key} LIMIT {BATCH}{{skip_locked}})"
        );
        if self.is_distributed() {
            // No statement can lock rows of several workers. Such a row is rare, so all are set at once.
            let statement = format!("UPDATE {table} SET {set} WHERE {ahead}");
            let all = async move |conn: &mut Conn<'_>| {
                let present: Instant = run!(conn, get_result(diesel::select(express::now())))?;
                run!(conn, execute(diesel::sql_query(write_for_workers(&statement, present))))
            };
            return self.statement(all).await;
        }
        let mut settled = 0;
        loop {
            let statement = statement.clone();
            let rows = self
                .statement(async move |conn: &mut Conn<'_>| {
                    let statement = Dialect::of(conn).write(&statement);
                    run!(conn, execute(diesel::sql_query(statement)))
                })
                .await?;
            settled += rows;
            if rows < BATCH {
                return Ok(settled);
            }
        }
    }
}

/// The result of checking whether a row exists.
#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    #[expect(dead_code, reason = "a query has at least one column")]
    found: i32,
}

impl Dialect {
    fn of(conn: &Conn<'_>) -> &'static Self {
        match &conn.engine {
            EngineConn::Postgres(..) => &POSTGRES,
            EngineConn::Sqlite(_) => &SQLITE,
        }
    }

    fn write(&self, statement: &str) -> String {
        let Self { now, second, least, skip_locked } = self;
        statement
            .replace("{latest}", &format!("({now} + 5 * {second})"))
            .replace("{long_ago}", &format!("({now} - 86400 * {second})"))
            .replace("{now}", now)
            .replace("{second}", second)
            .replace("{least}", least)
            .replace("{skip_locked}", skip_locked)
            .replace("{before}", "")
            .replace("{utc}", "")
            .replace("{after}", "")
    }
}

/// Writes a statement for [distributed](super::citus) tables. There, only functions whose result never changes may have a
/// column as an argument. So the present time is written as a constant, and times are moved as times of UTC: the result of
/// moving a time of a zone depends on the zone.
fn write_for_workers(statement: &str, present: Instant) -> String {
    let at = |seconds: i64| format!("to_timestamp({}::float8 / 1000000)", present.micros() + seconds * 1_000_000);
    statement
        .replace("{latest}", &at(5))
        .replace("{long_ago}", &at(-86_400))
        .replace("{now}", &at(0))
        .replace("{least}", POSTGRES.least)
        .replace("{before}", "((")
        .replace("{utc}", " AT TIME ZONE 'UTC')")
        .replace("{after}", ") AT TIME ZONE 'UTC'")
}
