//! Where each table is placed. Called by [`distribute`](super::distribute), [`migration`](super::migration) and `doctor`.
//!
//! Invariant: all rows of an account are on one worker, in every table that has the account first in its primary key. All
//! tables without an account can be read on the coordinator, so that a node can start, beat and announce while a worker is
//! away.

use diesel::{
    QueryableByName, sql_query,
    sql_types::{Array, Bool, Double, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

use super::look::{Line, look};
use crate::base::{db::foreign, error::Result};

/// The table with which the tables of accounts are placed together.
const ACCOUNTS: &str = "accounts";
/// The two tables of counts are placed together, by the subject of a count.
const COUNTS: &str = "throttle_counts";
/// The number to which each session that lives belongs.
const GENERATION: &str = "session_generation";

/// How the rows of a table are placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placement {
    /// With their account, which this column names.
    Account(&'static str),
    /// By this column of their own, apart from other tables.
    Key(String),
    /// By the subject of the count.
    Count,
    /// A copy on each server, for what every statement about sessions compares. Seldom written.
    Copied,
    /// On the coordinator.
    Coordinator,
}

impl Placement {
    /// The placement of a table with this primary key.
    pub(super) fn of(table: &str, first_of_key: &str, has_account: bool) -> Self {
        if table == ACCOUNTS {
            return Self::Account("id");
        }
        if table.starts_with("throttle_") {
            return Self::Count;
        }
        if table == GENERATION {
            return Self::Copied;
        }
        match (has_account, first_of_key) {
            (true, "account_id") => Self::Account("account_id"),
            (true, key) if !key.is_empty() => Self::Key(key.to_owned()),
            _ => Self::Coordinator,
        }
    }

    /// The statement that distributes the table. `None` if it stays on the coordinator.
    pub(super) fn statement(&self, table: &str) -> Option<String> {
        let (column, beside) = match self {
            Self::Account(column) if table == ACCOUNTS => (*column, "none"),
            Self::Account(column) => (*column, ACCOUNTS),
            Self::Key(column) => (column.as_str(), "none"),
            Self::Count if table == COUNTS => ("subject", "none"),
            Self::Count => ("subject", COUNTS),
            Self::Copied => return Some(format!("SELECT create_reference_table('{table}')")),
            Self::Coordinator => return None,
        };
        Some(format!("SELECT create_distributed_table('{table}', '{column}', colocate_with => '{beside}')"))
    }

    /// Where the rows are, for people.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Account("id") => "by account".to_owned(),
            Self::Account(_) => "by account, beside accounts".to_owned(),
            Self::Key(column) => format!("by its own key, {column}"),
            Self::Count => "by its own key, subject".to_owned(),
            Self::Copied => "a copy on each server".to_owned(),
            Self::Coordinator => "stays on the coordinator".to_owned(),
        }
    }
}

/// A table of this program.
pub(super) struct Table {
    pub(super) name: String,
    pub(super) placement: Placement,
    /// Whether it is distributed.
    pub(super) is_distributed: bool,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    first_of_key: String,
    #[diesel(sql_type = Bool)]
    has_account: bool,
    #[diesel(sql_type = Bool)]
    is_distributed: bool,
}

/// The tables in the current schema, in the order in which they must be distributed. Only on a server with Citus.
pub(super) async fn tables(conn: &mut AsyncPgConnection) -> Result<Vec<Table>> {
    let ours: Vec<String> = foreign::ours()?.into_iter().filter(|name| name != foreign::RECORD).collect();
    let query = "SELECT relname::text AS name, \
         coalesce((SELECT attname::text FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] \
         WHERE indrelid = c.oid AND indisprimary), '') AS first_of_key, \
         EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'account_id' AND NOT attisdropped) \
         AS has_account, \
         EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = c.oid) AS is_distributed \
         FROM pg_class c WHERE relkind IN ('r', 'p') AND NOT relispartition AND relname = ANY($1) \
         AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) \
         ORDER BY relname <> 'accounts', relname";
    let rows: Vec<Row> = sql_query(query).bind::<Array<Text>, _>(&ours).load(conn).await?;
    let table = |row: Row| {
        let placement = Placement::of(&row.name, &row.first_of_key, row.has_account);
        Table { placement, name: row.name, is_distributed: row.is_distributed }
    };
    Ok(rows.into_iter().map(table).collect())
}

/// How the tables are placed.
#[derive(Debug, Clone, PartialEq)]
pub enum Placements {
    /// All on one server.
    OneServer,
    /// Distributed.
    Distributed {
        /// The names of the workers, with their ports.
        workers: Vec<String>,
        /// Workers that are switched off in the coordinator, or do not answer it.
        away: Vec<String>,
        /// Workers whose clocks differ from the coordinator's, each with the seconds.
        clocks: Vec<(String, f64)>,
        /// How many tables are distributed by account, and how many by their own key.
        counts: [usize; 2],
        /// Tables on the coordinator that belong there.
        coordinator: Vec<String>,
        /// Tables on the coordinator that should be distributed.
        missing: Vec<String>,
    },
}

/// How the tables are placed. Changes nothing.
pub async fn read(conn: &mut AsyncPgConnection) -> Result<Placements> {
    if !look(conn).await? {
        return Ok(Placements::OneServer);
    }
    let (mut counts, mut coordinator, mut missing) = ([0, 0], Vec::new(), Vec::new());
    for table in tables(conn).await? {
        match (table.placement, table.is_distributed) {
            (Placement::Coordinator, _) => coordinator.push(table.name),
            (_, false) => missing.push(table.name),
            (Placement::Account(_), true) => counts[0] += 1,
            (Placement::Key(_) | Placement::Count, true) => counts[1] += 1,
            (Placement::Copied, true) => {}
        }
    }
    let (workers, mut away) = (workers(conn, true).await?, workers(conn, false).await?);
    let mut clocks = Vec::new();
    for Clock { worker, is_there, apart } in clocks_of_workers(conn).await? {
        if !is_there {
            away.push(worker);
        } else if apart > MOST_APART {
            clocks.push((worker, apart));
        }
    }
    Ok(Placements::Distributed { workers, away, clocks, counts, coordinator, missing })
}

/// How many seconds the clocks of the servers may be apart. A worker compares expiry times with its own clock.
const MOST_APART: f64 = 1.0;

#[derive(QueryableByName)]
struct Clock {
    #[diesel(sql_type = Text)]
    worker: String,
    #[diesel(sql_type = Bool)]
    is_there: bool,
    /// Seconds between the worker's clock and the coordinator's.
    #[diesel(sql_type = Double)]
    apart: f64,
}

async fn clocks_of_workers(conn: &mut AsyncPgConnection) -> Result<Vec<Clock>> {
    let query = "SELECT nodename || ':' || nodeport AS worker, success AS is_there, CASE WHEN success \
         THEN abs(result::float8 - extract(epoch FROM clock_timestamp())::float8) ELSE 0 END AS apart \
         FROM run_command_on_workers('SELECT extract(epoch FROM clock_timestamp())')";
    Ok(sql_query(query).load(conn).await?)
}

/// The workers, with their ports.
pub(super) async fn workers(conn: &mut AsyncPgConnection, active: bool) -> Result<Vec<String>> {
    let query = "SELECT nodename || ':' || nodeport AS value FROM pg_dist_node WHERE groupid <> 0 \
         AND noderole = 'primary' AND isactive = $1 ORDER BY nodename, nodeport";
    let rows: Vec<Line> = sql_query(query).bind::<Bool, _>(active).load(conn).await?;
    Ok(rows.into_iter().map(|row| row.value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_go_with_their_account_or_by_the_key_that_they_are_found_by() {
        let of = |table: &str, key: &str, has_account| Placement::of(table, key, has_account);
        assert_eq!(of("accounts", "id", false), Placement::Account("id"));
        assert_eq!(of("sessions", "account_id", true), Placement::Account("account_id"));
        assert_eq!(of("account_of_email", "email_key", true), Placement::Key("email_key".to_owned()));
        assert_eq!(of("throttle_tries", "subject", false), Placement::Count);
        for local in ["nodes", "apps", "instance", "announcements"] {
            assert_eq!(of(local, "id", false).statement(local), None);
        }
        let copied = of("session_generation", "id", false).statement("session_generation");
        assert_eq!(copied.as_deref(), Some("SELECT create_reference_table('session_generation')"));
        let statement = of("drafts", "account_id", true).statement("drafts").unwrap();
        assert_eq!(statement, "SELECT create_distributed_table('drafts', 'account_id', colocate_with => 'accounts')");
    }
}
