//! The address of the database: a file of SQLite, or a PostgreSQL URL. Read by the settings, used by `db` to connect.
//!
//! Invariant: the password in a PostgreSQL URL leaves its type only through [`PostgresUrl::expose`].

pub(crate) mod hosts;
pub(crate) mod options;
pub(crate) mod postgres;
pub(crate) mod tls;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::text::{file_path, quoted};

/// Where the data lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file, made if it is not there.
    Sqlite(PathBuf),
    /// A PostgreSQL server, or several of which one is chosen when connecting.
    Postgres(PostgresUrl),
}

/// A PostgreSQL URL that has been parsed once with success. Debug shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    whole: String,
    without_password: String,
}

impl PostgresUrl {
    /// Checks the whole URL, the file of its `sslrootcert` included.
    pub(crate) fn parse(value: &str) -> Result<Self, String> {
        let postgres::Parsed { config, trust, search_path } = postgres::parse(value)?;
        // Any timeout will do: `db` parses the URL again, with its own.
        let session = options::session(config.get_options(), search_path.as_deref(), Duration::from_secs(1))?;
        tls::connector(trust)?;
        let without_password = without_password(&config, options::search_path(&session));
        Ok(Self { whole: value.to_owned(), without_password })
    }

    /// The URL with its password. For connecting; never for a log or a message.
    pub fn expose(&self) -> &str {
        &self.whole
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresUrl(redacted)")
    }
}

impl DatabaseUrl {
    pub(crate) fn parse(value: &str) -> Result<Self, String> {
        if let Some(path) = value.strip_prefix("sqlite://") {
            return sqlite(path);
        }
        if value.starts_with("postgres://") || value.starts_with("postgresql://") {
            return PostgresUrl::parse(value).map(Self::Postgres);
        }
        // Not quoted: it may hold a password.
        Err("is not a database URL: write sqlite://PATH or postgres://USER@HOST/DATABASE".to_owned())
    }
}

/// Where it is, for people: the whole path of a file, or a URL without its password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => std::path::absolute(path).as_ref().unwrap_or(path).display().fmt(f),
            Self::Postgres(url) => f.write_str(&url.without_password),
        }
    }
}

/// SQLite itself would take `:memory:` and `file:` for something else than a path.
fn sqlite(path: &str) -> Result<DatabaseUrl, String> {
    let is_special = path.starts_with([':', '?']) || path.starts_with("file:") || path.contains(['?', '#']);
    if path.is_empty() || is_special {
        return Err(format!(
            "{} is not a SQLite file: write a path and nothing else, such as sqlite://data/sessile.sqlite3",
            quoted(&format!("sqlite://{path}"))
        ));
    }
    file_path(path).map(DatabaseUrl::Sqlite)
}

/// The hosts, user, database and schema of a PostgreSQL URL.
fn without_password(config: &tokio_postgres::Config, search_path: Option<&str>) -> String {
    let hosts: Vec<_> = hosts::each(config).iter().map(hosts::name).collect();
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    let schema = search_path.map(|path| format!("?search_path={path}")).unwrap_or_default();
    format!("postgres://{user}{}/{database}{schema}", hosts.join(","))
}
