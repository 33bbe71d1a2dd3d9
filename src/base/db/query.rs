//! Macros that run one query on either engine. Used by every module that queries the database.
//!
//! Invariants: on PostgreSQL, every query has the deadline of its connection. On SQLite, `first` sends no `LIMIT`.
//!
//! SQLite plans for the value of a `LIMIT` that is a parameter, so it compiles such a statement anew on each use, which
//! takes longer than the read itself. SQLite returns rows one at a time, so taking the first row needs no `LIMIT`.

/// Runs a query on either engine: `run!(conn, load(query))?`. The method is one of diesel's `RunQueryDsl`.
macro_rules! run {
    ($conn:expr, first($query:expr)) => {
        run!($conn, [first, get_result]($query))
    };
    ($conn:expr, $method:ident($query:expr)) => {
        run!($conn, [$method, $method]($query))
    };
    ($conn:expr, [$postgres:ident, $sqlite:ident]($query:expr)) => {
        match &mut $conn.engine {
            $crate::base::db::conn::EngineConn::Postgres(conn, deadline) => {
                $crate::base::db::conn::within(*deadline, ::diesel_async::RunQueryDsl::$postgres($query, &mut **conn))
                    .await
            }
            $crate::base::db::conn::EngineConn::Sqlite(conn) => {
                ::diesel::RunQueryDsl::$sqlite($query, &mut **conn).map_err($crate::base::error::Error::from)
            }
        }
    };
}

/// Like [`run!`] with `first`, or with `get_result` for a statement that returns rows. Returns `None` if no row is
/// found.
macro_rules! find {
    ($conn:expr, first($query:expr)) => {
        find!($conn, [first, get_result]($query))
    };
    ($conn:expr, $method:ident($query:expr)) => {
        find!($conn, [$method, $method]($query))
    };
    ($conn:expr, [$postgres:ident, $sqlite:ident]($query:expr)) => {
        match &mut $conn.engine {
            $crate::base::db::conn::EngineConn::Postgres(conn, deadline) => {
                $crate::base::db::conn::within(
                    *deadline,
                    ::futures_util::FutureExt::map(
                        ::diesel_async::RunQueryDsl::$postgres($query, &mut **conn),
                        ::diesel::OptionalExtension::optional,
                    ),
                )
                .await
            }
            $crate::base::db::conn::EngineConn::Sqlite(conn) => {
                ::diesel::OptionalExtension::optional(::diesel::RunQueryDsl::$sqlite($query, &mut **conn))
                    .map_err($crate::base::error::Error::from)
            }
        }
    };
}

pub(crate) use {find, run};
