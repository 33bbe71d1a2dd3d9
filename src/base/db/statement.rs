//! Statements that diesel cannot build for both engines: reads that lock their rows, and updates of many audit chain
//! heads at once. Called by the session and audit records.
//!
//! Invariant: sessions are locked in order of account and id, so that two transactions cannot deadlock.

use diesel::{
    QueryResult, Queryable, RunQueryDsl, Selectable, SqliteConnection,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    query_dsl::LoadQuery as SqliteLoadQuery,
    sql_types::{BigInt, Binary, Bool, Nullable, Text},
    sqlite::Sqlite,
};
use diesel_async::{AsyncPgConnection, methods::LoadQuery};

use super::{citus, conn::Conn, query::run, schema::trails};
use crate::base::{error::Result, instant::Instant};

/// Locks the rows that a read returns until the transaction ends, in the order of the read. SQLite has a single writer,
/// so there this is a plain read.
#[derive(Debug, Clone, Copy)]
pub struct ForUpdate<Read> {
    read: Read,
    lock: &'static str,
}

/// Not `FOR UPDATE`, which would also block inserts that reference the row, such as an event of an account.
const WAIT: &str = " FOR NO KEY UPDATE";
const SKIP_LOCKED: &str = " FOR NO KEY UPDATE SKIP LOCKED";

impl<Read> ForUpdate<Read> {
    /// Waits for rows that another transaction has locked. All transactions lock in the same order, so this cannot
    /// deadlock.
    pub fn wait(read: Read) -> Self {
        Self { read, lock: WAIT }
    }

    /// Skips rows that another transaction has locked.
    pub fn skip_locked(read: Read) -> Self {
        Self { read, lock: SKIP_LOCKED }
    }

    /// Loads rows of many accounts, locked as by [`skip_locked`](Self::skip_locked). If the tables are
    /// [distributed](super::citus), one statement cannot lock them. Then only one transaction at a time does such work,
    /// and the rows are not locked, so the statement that changes them must check their condition again. While another
    /// transaction does such work, this returns no rows.
    pub async fn load_across<Row>(conn: &mut Conn<'_>, read: Read) -> Result<Vec<Row>>
    where
        Row: Send,
        Self: for<'q> LoadQuery<'q, AsyncPgConnection, Row> + for<'q> SqliteLoadQuery<'q, SqliteConnection, Row>,
    {
        let locked = if !conn.is_distributed() {
            Self::skip_locked(read)
        } else if citus::begin_walk(conn, false).await? {
            Self { read, lock: "" }
        } else {
            return Ok(Vec::new());
        };
        run!(conn, load(locked))
    }

    /// Like [`wait`](Self::wait), for rows of many accounts. If the tables are [distributed](super::citus), this waits for
    /// the other transactions that do such work, and locks no row.
    pub async fn wait_across(conn: &mut Conn<'_>, read: Read) -> Result<Self> {
        if !conn.is_distributed() {
            return Ok(Self::wait(read));
        }
        citus::begin_walk(conn, true).await?;
        Ok(Self { read, lock: "" })
    }
}

impl<Read: Query> Query for ForUpdate<Read> {
    type SqlType = Read::SqlType;
}
impl<Read> QueryId for ForUpdate<Read> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl<Read, Conn> RunQueryDsl<Conn> for ForUpdate<Read> {}

impl<Read: QueryFragment<Pg>> QueryFragment<Pg> for ForUpdate<Read> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.read.walk_ast(out.reborrow())?;
        out.push_sql(self.lock);
        Ok(())
    }
}
impl<Read: QueryFragment<Sqlite>> QueryFragment<Sqlite> for ForUpdate<Read> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.read.walk_ast(out)
    }
}

/// The number of rows that a read returns. With a limit in the read, counting takes bounded time.
#[derive(Debug, Clone, Copy)]
pub struct Counted<Read>(Read);

impl<Read> Counted<Read> {
    pub fn of(read: Read) -> Self {
        Self(read)
    }
}

impl<Read> Query for Counted<Read> {
    type SqlType = BigInt;
}
impl<Read> QueryId for Counted<Read> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl<Read, Conn> RunQueryDsl<Conn> for Counted<Read> {}

impl<Engine: diesel::backend::Backend, Read: QueryFragment<Engine>> QueryFragment<Engine> for Counted<Read> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Engine>) -> QueryResult<()> {
        out.push_sql("SELECT count(*) FROM (");
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(") AS counted");
        Ok(())
    }
}

/// Locks the account's live sessions plus one more, in order of account and id, and returns their ids. The ids come
/// from a subquery: with OR, SQLite would scan the table.
#[derive(Debug, Clone, Copy)]
pub struct LivingAnd<'a> {
    pub account_id: &'a str,
    /// The additional session: its account and its id.
    pub also: (&'a str, &'a str),
}

impl LivingAnd<'_> {
    fn within<'b, Engine>(&'b self, out: &mut AstPass<'_, 'b, Engine>, [begin, end]: [&str; 2]) -> QueryResult<()>
    where
        Engine: diesel::backend::Backend + diesel::sql_types::HasSqlType<Text>,
        str: diesel::serialize::ToSql<Text, Engine>,
    {
        let (also_account, also_id) = &self.also;
        out.push_sql("SELECT id FROM sessions WHERE account_id IN (");
        out.push_bind_param::<Text, _>(self.account_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(also_account)?;
        out.push_sql(") AND id ");
        out.push_sql(begin);
        out.push_sql("SELECT id FROM sessions WHERE account_id = ");
        out.push_bind_param::<Text, _>(self.account_id)?;
        out.push_sql(" AND ended_at IS NULL UNION ALL SELECT ");
        out.push_bind_param::<Text, _>(also_id)?;
        out.push_sql(end);
        out.push_sql(" AND ended_at IS NULL ORDER BY account_id, id");
        Ok(())
    }
}

impl Query for LivingAnd<'_> {
    type SqlType = Text;
}
impl QueryId for LivingAnd<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl<Conn> RunQueryDsl<Conn> for LivingAnd<'_> {}

impl QueryFragment<Pg> for LivingAnd<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.within(&mut out, ["= ANY(ARRAY(", "::text))"])?;
        out.push_sql(" FOR NO KEY UPDATE");
        Ok(())
    }
}
impl QueryFragment<Sqlite> for LivingAnd<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.within(&mut out, ["IN (", ")"])
    }
}

/// The stored head of an account's chain of audit events.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = trails)]
#[diesel(check_for_backend(Pg, Sqlite))]
pub struct TrailHead {
    pub account_id: String,
    /// The number of links, which is the last link's `seq`.
    pub links: i64,
    /// How many of the account's events are older than the chain.
    pub unchained: i64,
    /// The digest over all links. This field and those below are set from the first link on.
    pub digest: Option<Vec<u8>>,
    /// The id of the key that sealed the head.
    pub key_id: Option<String>,
    /// The seal over the head.
    pub mac: Option<Vec<u8>>,
    /// When the account was deleted. [`TrailHeads`] does not write this field.
    pub closed_at: Option<Instant>,
}

/// Updates many existing heads in one statement. Inserts none.
#[derive(Debug, Clone, Copy)]
pub struct TrailHeads<'a>(pub &'a [TrailHead]);

impl TrailHeads<'_> {
    fn write<'b, Engine>(&'b self, out: &mut AstPass<'_, 'b, Engine>) -> QueryResult<()>
    where
        Engine: diesel::backend::Backend
            + diesel::sql_types::HasSqlType<Nullable<Text>>
            + diesel::sql_types::HasSqlType<Nullable<Binary>>,
        String: diesel::serialize::ToSql<Text, Engine>,
        i64: diesel::serialize::ToSql<BigInt, Engine>,
        Option<String>: diesel::serialize::ToSql<Nullable<Text>, Engine>,
        Option<Vec<u8>>: diesel::serialize::ToSql<Nullable<Binary>, Engine>,
    {
        if self.0.len() > 1 {
            // Each number of heads has a text of its own, so such statements would fill the cache.
            out.unsafe_to_cache_prepared();
        }
        out.push_sql("WITH heads (account_id, links, unchained, digest, key_id, mac) AS (VALUES ");
        for (n, head) in self.0.iter().enumerate() {
            out.push_sql(if n == 0 { "(" } else { ", (" });
            out.push_bind_param::<Text, _>(&head.account_id)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&head.links)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&head.unchained)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Binary>, _>(&head.digest)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Text>, _>(&head.key_id)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Binary>, _>(&head.mac)?;
            out.push_sql(")");
        }
        out.push_sql(
            ") UPDATE trails SET links = heads.links, unchained = heads.unchained, digest = heads.digest, \
             key_id = heads.key_id, mac = heads.mac FROM heads WHERE trails.account_id = heads.account_id",
        );
        Ok(())
    }
}

impl Query for TrailHeads<'_> {
    type SqlType = Bool;
}
impl QueryId for TrailHeads<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl<Conn> RunQueryDsl<Conn> for TrailHeads<'_> {}

impl QueryFragment<Pg> for TrailHeads<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.write(&mut out)
    }
}
impl QueryFragment<Sqlite> for TrailHeads<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.write(&mut out)
    }
}
