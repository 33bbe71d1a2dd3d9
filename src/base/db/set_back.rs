//! Corrects stored times that lie in the future. The database's clock was ahead when they were stored, and has been set
//! back since. Called when a request reads such a row, when the clock is seen to go back, and at start.
//!
//! Invariants: each such time is set to now, once. Otherwise it would count as "just now" until the clock reaches it:
//! wrong passwords would stay counted and confirmations would stay valid. No statement reads more than a portion of a table
//! that grows with the accounts, so the size of a table does not matter.

use diesel::{
    QueryableByName,
    sql_types::{Nullable, Text},
};

use super::{
    conn::{Conn, EngineConn},
    database::Db,
    express,
    query::{find, run},
};
use crate::base::{error::Result, instant::Instant};

/// Maximum number of rows that one statement changes.
const BATCH: usize = 500;
/// One statement reads about this many rows: it always includes all rows of its last account.
const PORTION: usize = 5_000;

/// Columns that hold past times, by table with its primary key, in the order in which they are corrected: small tables,
/// then sessions. Sessions come before accounts, so that a confirmation from the future expires before the change of
/// password that followed it becomes a thing of the past.
const PAST: &[(&str, &str, &[&str])] = &[
    ("apps", "id", &["created_at", "disabled_at", "last_used_at"]),
    ("instance", "id", &["unconfirmed_at"]),
    ("nodes", "id", &["beaten_at"]),
    ("throttle_counts", "subject", &["last_failed_at", "changed_at"]),
    ("throttle_tries", "subject, try_id", &["began_at"]),
    ("sessions", "account_id, id", &["ended_at", "key_used_at", "used_after_end_at"]),
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
    ("drafts", "account_id, id", &["updated_at", "deleted_at"]),
    ("operations", "account_id, id", &["at"]),
    ("trails", "account_id", &["closed_at"]),
    ("app_grants", "account_id, id", &["created_at"]),
    ("app_codes", "account_id, secret_hash", &["created_at", "spent_at"]),
    ("audit_repeats", "account_id, kind", &["began_at", "last_at"]),
    ("former_keys", "account_id, id", &["replaced_at"]),
    ("links", "account_id, token_hash", &["used_at"]),
    ("mails", "account_id, id", &["failed_at"]),
    ("hand_overs", "account_id, token_hash", &["confirmed_at"]),
    ("help_requests", "account_id", &["asked_at"]),
    ("totp_apps", "account_id", &["created_at"]),
    ("recovery_codes", "account_id, number", &["made_at", "used_at", "seen_at"]),
    ("passkeys", "account_id, id", &["created_at", "last_used_at", "warned_at"]),
    ("spent_proofs", "account_id, hash", &["spent_at"]),
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
    /// Sets every stored time in the future to now, and returns how many rows changed. Calls `then` after each portion of a
    /// table, with the number of its rows that changed. The caller announces them, and can leave the database to requests.
    ///
    /// # Errors
    /// Those of a statement and of `then`. The portions before the error stay committed.
    pub async fn settle_future(&self, mut then: impl AsyncFnMut(usize) -> Result<()>) -> Result<usize> {
        let mut settled = 0;
        for table in PAST.iter().map(Table::of) {
            let Some(account) = table.account else {
                let changed = self.settle(&table, None).await?;
                settled += changed;
                then(changed).await?;
                continue;
            };
            let mut last = None;
            while let Some(portion) = self.next_portion(&table, account, last).await? {
                let changed = self.settle(&table, Some(&portion)).await?;
                settled += changed;
                last = Some(portion.up_to);
                then(changed).await?;
            }
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

    /// The portion after that of the account `last`, or the first one. `None` after the last row.
    async fn next_portion(
        &self,
        table: &Table,
        account: &'static str,
        last: Option<String>,
    ) -> Result<Option<Portion>> {
        let start = Start { account, is_first: last.is_none(), id: last.unwrap_or_default() };
        let query = format!(
            "SELECT max({account}) AS account FROM (SELECT {account} FROM {} WHERE {} ORDER BY {account} LIMIT {PORTION}) \
             AS portion",
            table.name,
            start.condition()
        );
        let id = start.id.clone();
        let read = async move |conn: &mut Conn<'_>| {
            let query = diesel::sql_query(query.clone()).bind::<Text, _>(id.clone());
            let end: End = run!(conn, get_result(query))?;
            Ok(end.account)
        };
        let end = self.read(read).await?;
        Ok(end.map(|up_to| Portion { start, up_to }))
    }

    /// Checks first whether there is such a row: a read does not block writers.
    async fn settle(&self, table: &Table, portion: Option<&Portion>) -> Result<usize> {
        let any: Vec<_> = table.corrections.iter().map(|one| one.ahead.as_str()).collect();
        let first =
            format!("SELECT 1 AS found FROM {} WHERE {}({}) LIMIT 1", table.name, within(portion), any.join(" OR "));
        let bounds = Portion::bounds(portion);
        let found = async move |conn: &mut Conn<'_>| {
            let query = Dialect::of(conn).write(&first);
            let found: Option<Found> = match &bounds {
                Some((after, up_to)) => {
                    let query = diesel::sql_query(query).bind::<Text, _>(after.clone()).bind::<Text, _>(up_to.clone());
                    find!(conn, get_result(query))?
                }
                None => find!(conn, get_result(diesel::sql_query(query)))?,
            };
            Ok(found.is_some())
        };
        if !self.read(found).await? {
            return Ok(0);
        }
        let mut settled = 0;
        for correction in &table.corrections {
            settled += self.correct(table, correction, portion).await?;
        }
        Ok(settled)
    }

    async fn correct(&self, table: &Table, correction: &Correction, portion: Option<&Portion>) -> Result<usize> {
        let (Table { name, key, .. }, Correction { ahead, set }, within) = (table, correction, within(portion));
        let distributed = self.is_distributed();
        let statement = if distributed {
            // No statement can lock rows of several workers. Times in the future are rare, so one statement corrects all
            // rows of the portion.
            format!("UPDATE {name} SET {set} WHERE {within}({ahead})")
        } else {
            format!(
                "UPDATE {name} SET {set} WHERE ({ahead}) AND ({key}) IN \
                 (SELECT {key} FROM {name} WHERE {within}({ahead}) ORDER BY {key} LIMIT {BATCH}{{skip_locked}})"
            )
        };
        let mut settled = 0;
        loop {
            let (statement, bounds) = (statement.clone(), Portion::bounds(portion));
            let rows = self
                .statement(async move |conn: &mut Conn<'_>| {
                    let statement = if distributed {
                        let present: Instant = run!(conn, get_result(diesel::select(express::now())))?;
                        write_for_workers(&statement, present)
                    } else {
                        Dialect::of(conn).write(&statement)
                    };
                    let statement = diesel::sql_query(statement);
                    match &bounds {
                        Some((after, up_to)) => {
                            run!(conn, execute(statement.bind::<Text, _>(after.clone()).bind::<Text, _>(up_to.clone())))
                        }
                        None => run!(conn, execute(statement)),
                    }
                })
                .await?;
            settled += rows;
            if rows < BATCH || distributed {
                return Ok(settled);
            }
        }
    }
}

/// The corrections of one table.
struct Table {
    name: &'static str,
    key: &'static str,
    /// The column of the account, by which the table is read in portions. `None` if the table does not grow with the
    /// accounts, or its rows are deleted soon.
    account: Option<&'static str>,
    corrections: Vec<Correction>,
}

/// One UPDATE: its condition and its SET clause.
struct Correction {
    ahead: String,
    set: String,
}

impl Table {
    fn of(&(name, key, columns): &(&'static str, &'static str, &'static [&'static str])) -> Self {
        let account = match name {
            "accounts" => Some("id"),
            _ if key.starts_with("account_id") => Some("account_id"),
            _ => None,
        };
        let linked = LINKED.iter().filter(|(table, ..)| *table == name);
        let linked = linked.map(|(.., column, set)| Correction { ahead: is_ahead(column), set: (*set).to_owned() });
        let ahead: Vec<_> = columns.iter().map(|column| is_ahead(column)).collect();
        let set = columns
            .iter()
            .map(|column| format!("{column} = CASE WHEN {column} > {{latest}} THEN {{now}} ELSE {column} END"));
        let set: Vec<_> = set.collect();
        let past = Correction { ahead: ahead.join(" OR "), set: set.join(", ") };
        Self { name, key, account, corrections: linked.chain([past]).collect() }
    }
}

fn is_ahead(column: &str) -> String {
    format!("{column} > {{latest}}")
}

/// The rows of a range of accounts.
struct Portion {
    start: Start,
    /// The last account of the range.
    up_to: String,
}

/// Where a portion begins: after the account `id`, or with the first account. In some tables the first account has an empty id.
struct Start {
    account: &'static str,
    is_first: bool,
    id: String,
}

impl Start {
    fn condition(&self) -> String {
        format!("{} {} $1", self.account, if self.is_first { ">=" } else { ">" })
    }
}

impl Portion {
    /// The values of the parameters in [`within`].
    fn bounds(portion: Option<&Self>) -> Option<(String, String)> {
        portion.map(|portion| (portion.start.id.clone(), portion.up_to.clone()))
    }
}

/// The beginning of a condition that is true of the rows of a portion. Its parameters are [`Portion::bounds`].
fn within(portion: Option<&Portion>) -> String {
    match portion {
        Some(Portion { start, .. }) => format!("{} AND {} <= $2 AND ", start.condition(), start.account),
        None => String::new(),
    }
}

/// The last account of a portion.
#[derive(QueryableByName)]
struct End {
    #[diesel(sql_type = Nullable<Text>)]
    account: Option<String>,
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
