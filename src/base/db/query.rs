//! The macros that run one query on either engine.

/// Runs a query on whichever engine: `run!(conn, load(query))?`. The method is one of diesel's `RunQueryDsl`.
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

/// Like [`run!`] with `first`, or `get_result` for what returns rows, but finding nothing is `None`.
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
