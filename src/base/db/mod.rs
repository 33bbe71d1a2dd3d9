//! The database, whichever engine it is: pools, units of work, and the macros that run a query on either engine.
//! The only folder that knows which engine speaks. Called by every module that stores something.
//!
//! Invariant: every unit of work has a bounded wait for its connection and a deadline kept on our side; a connection
//! that broke, hung or turned read-only never goes back to the pool; and there are never more than the settings say.

mod anchor_rows;
mod conn;
mod draft_rows;
mod email_keys;
mod express;
mod file;
mod foreign;
pub mod inspect;
pub mod instant;
pub(crate) mod lease;
mod marks;
pub mod migrate;
mod notify;
mod pairs;
mod place;
mod pools;
mod postgres;
pub mod schema;
mod set_back;
mod sqlite;
pub(crate) mod sqlite_sockets;
mod statement;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use self::notify::Tell;
pub use self::{
    anchor_rows::{AnchorRow, AnchorRows},
    conn::{Conn, EngineConn, Epilogue},
    draft_rows::{DraftRow, DraftRows},
    express::{Merged, Now, UnorderedNumber, before_now, from_now, merged, now, octet_length, substr},
    inspect::Schema,
    instant::Instant,
    marks::Marks,
    notify::{Heard, LONGEST_TEXT, announce, mention},
    pairs::{PairIn, pair_in},
    place::{Place, Present},
    postgres::ConnectPlan,
    statement::{LivingAnd, Locked, TouchRow, Touches, TrailHead, TrailHeads},
};
use crate::base::{
    clock::Clock,
    error::{Away, Error, Result},
    keys::TrailKeys,
    metrics::{Metrics, Pool},
    settings::{DatabaseUrl, Settings},
};

impl Conn<'_> {
    /// Whether the database answers on this connection at all.
    ///
    /// # Errors
    /// When it does not.
    pub async fn answers(&mut self) -> Result<()> {
        let _: Instant = run!(self, get_result(diesel::select(now())))?;
        Ok(())
    }
}

/// Runs a query on whichever engine: `run!(conn, load(query))?`. The method is one of diesel's `RunQueryDsl`.
macro_rules! run {
    ($conn:expr, $method:ident($query:expr)) => {
        match &mut $conn.engine {
            $crate::base::db::EngineConn::Postgres(conn, deadline) => {
                $crate::base::db::within(*deadline, ::diesel_async::RunQueryDsl::$method($query, &mut **conn)).await
            }
            $crate::base::db::EngineConn::Sqlite(conn) => {
                ::diesel::RunQueryDsl::$method($query, &mut **conn).map_err($crate::base::error::Error::from)
            }
        }
    };
}

/// Like [`run!`] with `first`, or `get_result` for what returns rows, but finding nothing is `None`.
macro_rules! find {
    ($conn:expr, $method:ident($query:expr)) => {
        match &mut $conn.engine {
            $crate::base::db::EngineConn::Postgres(conn, deadline) => {
                $crate::base::db::within(
                    *deadline,
                    ::futures_util::FutureExt::map(
                        ::diesel_async::RunQueryDsl::$method($query, &mut **conn),
                        ::diesel::OptionalExtension::optional,
                    ),
                )
                .await
            }
            $crate::base::db::EngineConn::Sqlite(conn) => {
                ::diesel::OptionalExtension::optional(::diesel::RunQueryDsl::$method($query, &mut **conn))
                    .map_err($crate::base::error::Error::from)
            }
        }
    };
}

/// An enum that is a word in the database, in the API and in Rust. The words are the contract's.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ::diesel::expression::AsExpression, ::diesel::deserialize::FromSqlRow)]
        #[diesel(sql_type = ::diesel::sql_types::Text)]
        pub enum $name { $($(#[$about])* $variant,)+ }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// From its word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == word)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<Engine> ::diesel::serialize::ToSql<::diesel::sql_types::Text, Engine> for $name
        where
            Engine: ::diesel::backend::Backend,
            str: ::diesel::serialize::ToSql<::diesel::sql_types::Text, Engine>,
        {
            fn to_sql<'b>(&'b self, out: &mut ::diesel::serialize::Output<'b, '_, Engine>) -> ::diesel::serialize::Result {
                self.as_str().to_sql(out)
            }
        }

        impl<Engine> ::diesel::deserialize::FromSql<::diesel::sql_types::Text, Engine> for $name
        where
            Engine: ::diesel::backend::Backend,
            String: ::diesel::deserialize::FromSql<::diesel::sql_types::Text, Engine>,
        {
            fn from_sql(value: Engine::RawValue<'_>) -> ::diesel::deserialize::Result<Self> {
                let word = <String as ::diesel::deserialize::FromSql<::diesel::sql_types::Text, Engine>>::from_sql(value)?;
                Self::from_word(&word).ok_or_else(|| format!("{word:?} is no {}", stringify!($name)).into())
            }
        }
    };
}

pub(crate) use {find, run, words};

/// Waits for a statement no longer than its deadline.
///
/// # Errors
/// [`Error::Unavailable`] when the deadline passes; whether the statement took effect is then unknown.
pub async fn within<T>(deadline: Duration, statement: impl Future<Output = diesel::QueryResult<T>>) -> Result<T> {
    match tokio::time::timeout(deadline, statement).await {
        Ok(result) => result.map_err(Error::from),
        Err(_) => Err(Error::unavailable(Away::Deadline, "a statement passed its deadline")),
    }
}

/// The database. Cheap to clone; all clones share the pools, and the counts of what is done.
#[derive(Clone)]
pub struct Db(Arc<Engine>, Metrics, TrailKeysCell);

/// The keys of the audit trail, once they have been read.
type TrailKeysCell = Arc<OnceLock<TrailKeys>>;

enum Engine {
    Postgres(Box<pools::Pools>),
    Sqlite(Box<sqlite::Lanes>),
}

impl Db {
    /// Prepares the pools; connects to nothing yet. The folder of an SQLite file is made, for its owner only.
    ///
    /// # Errors
    /// When the address of the database makes no sense or the folder cannot be made.
    pub fn open(settings: &Settings) -> Result<Self> {
        if let DatabaseUrl::Sqlite(path) = &settings.database {
            file::make(path)?;
        }
        Self::open_existing(settings)
    }

    /// The same, but a file that is missing is not made.
    ///
    /// # Errors
    /// When the address of the database makes no sense or there is no such file.
    pub fn open_existing(settings: &Settings) -> Result<Self> {
        let (metrics, keys) = (Metrics::default(), TrailKeysCell::default());
        let engine = match &settings.database {
            DatabaseUrl::Postgres(url) => {
                Engine::Postgres(Box::new(pools::Pools::open(url, settings, metrics.clone(), keys.clone())?))
            }
            DatabaseUrl::Sqlite(path) => {
                Engine::Sqlite(Box::new(sqlite::Lanes::open(path, settings, &metrics, keys.clone())?))
            }
        };
        Ok(Self(Arc::new(engine), metrics, keys))
    }

    /// The counts of this node.
    pub fn metrics(&self) -> &Metrics {
        &self.1
    }

    /// The connections as they are now.
    pub fn pool(&self) -> Pool {
        match &*self.0 {
            Engine::Postgres(pools) => pools.figures(),
            Engine::Sqlite(lanes) => lanes.figures(),
        }
    }

    /// Hands over the keys that transactions need to record events, once they have been read; the first stay.
    pub fn use_trail_keys(&self, keys: &TrailKeys) {
        let _ = self.2.set(keys.clone());
    }

    /// Runs reads. Tried once more after a lost connection, never after a deadline.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database is away, or what `work` returned.
    pub async fn read<T, Work>(&self, work: Work) -> Result<T>
    where
        T: Send + 'static,
        Work: AsyncFn(&mut Conn<'_>) -> Result<T> + Send + 'static,
    {
        let reading = async {
            match &*self.0 {
                Engine::Postgres(pools) => match pools.read(&work).await {
                    Err(Error::Unavailable(fault)) if fault.what == Away::Connection => {
                        pools.forget_idle();
                        pools.read(&work).await
                    }
                    result => result,
                },
                Engine::Sqlite(lanes) => lanes.read(work).await,
            }
        };
        self.1.database_work("read", reading).await
    }

    /// Runs one statement that writes, without a transaction around it. Never tried twice.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn statement<T, Work>(&self, work: Work) -> Result<T>
    where
        T: Send + 'static,
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T> + Send + 'static,
    {
        let writing = async {
            match &*self.0 {
                Engine::Postgres(pools) => pools.statement(work).await,
                Engine::Sqlite(lanes) => lanes.statement(work).await,
            }
        };
        self.1.database_work("statement", writing).await
    }

    /// Runs one transaction; an error from `work` rolls it back. Once this returns `Ok` it lasts.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database is away. If that was a deadline, or a connection lost in the middle,
    /// whether it was committed is unknown. Else what `work` returned.
    pub async fn write<T, Work>(&self, work: Work) -> Result<T>
    where
        T: Send + 'static,
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T> + Send + 'static,
    {
        let writing = async {
            match &*self.0 {
                Engine::Postgres(pools) => pools.transaction(work).await,
                Engine::Sqlite(lanes) => lanes.transaction(work).await,
            }
        };
        self.1.database_work("transaction", writing).await
    }

    /// Tells of what is announced and mentioned by this process and all others on the database, until this is dropped.
    /// After each gap it says [`Heard::Sure`] again: then ask the database what was missed. One listener a process.
    pub async fn listen(&self, tell: impl Fn(Heard) + Send + Sync + 'static) {
        let tell: Tell = Arc::new(tell);
        let _when_dropped = notify::Deaf(Arc::clone(&tell));
        match &*self.0 {
            Engine::Postgres(pools) => pools.listen(&tell).await,
            Engine::Sqlite(lanes) => lanes.listen(tell).await,
        }
    }

    /// Makes sure that what was overwritten cannot be read in the database's files any more, where that is ours to do: in
    /// PostgreSQL it is up to its vacuum.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn bury(&self) -> Result<()> {
        match &*self.0 {
            Engine::Postgres(_) => Ok(()),
            Engine::Sqlite(lanes) => lanes.empty_the_log().await,
        }
    }

    /// Brings the schema up to date; see [`migrate`].
    ///
    /// # Errors
    /// When the database is away, or its schema is newer than this program.
    pub async fn migrate(&self) -> Result<()> {
        match &*self.0 {
            Engine::Postgres(pools) => pools.migrate().await,
            Engine::Sqlite(lanes) => lanes.migrate().await,
        }
    }

    /// Measures how far `clock` is from the database's time, and corrects it by as many microseconds as are returned.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn measure_clock(&self, clock: &Clock) -> Result<i64> {
        let before = clock.now();
        let database = self.read(async |conn: &mut Conn<'_>| run!(conn, get_result(diesel::select(now())))).await?;
        Ok(clock.correct(before, database, clock.now()))
    }
}
