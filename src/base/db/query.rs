//! Macros that run one query on either engine. Used by every module that queries the database.
//!
//! Invariant: on PostgreSQL, every query has the deadline of its connection.

/// Runs a query on either engine: `run!(conn, load(query))?`. The method is one of diesel's `RunQueryDsl`.
macro_rules! run {
    ($conn:expr, $method:ident($query:expr)) => {
        match &mut $conn.engine {
            $crate::base::db::conn::EngineConn::Postgres(conn, deadline) => {
                $crate::base::db::conn::within(*deadline, ::diesel_async::RunQueryDsl::$method($query, &mut **conn))
                    .await
            }
            $crate::base::db::conn::EngineConn::Sqlite(conn) => {
                ::diesel::RunQueryDsl::$method($query, &mut **conn).map_err($crate::base::error::Error::from)
            }
        }
    };
}

/// Like [`run!`] with `first`, or with `get_result` for a statement that returns rows. Returns `None` if no row is
/// found.
macro_rules! find {
    ($conn:expr, $method:ident($query:expr)) => {
        match &mut $conn.engine {
            $crate::base::db::conn::EngineConn::Postgres(conn, deadline) => {
                $crate::base::db::conn::within(
                    *deadline,
                    ::futures_util::FutureExt::map(
                        ::diesel_async::RunQueryDsl::$method($query, &mut **conn),
                        ::diesel::OptionalExtension::optional,
                    ),
                )
                .await
            }
            $crate::base::db::conn::EngineConn::Sqlite(conn) => {
                ::diesel::OptionalExtension::optional(::diesel::RunQueryDsl::$method($query, &mut **conn))
                    .map_err($crate::base::error::Error::from)
            }
        }
    };
}

pub(crate) use {find, run};
