//! The database URL: an SQLite file or a PostgreSQL server. Parsed by the settings, used by `db` to connect.
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file, created if it is missing.
    Sqlite(PathBuf),
    /// A PostgreSQL server, or several hosts of which one is chosen on each connection.
    Postgres(PostgresUrl),
}

/// A valid PostgreSQL URL. Its Debug output is redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    whole: String,
    without_password: String,
}

impl PostgresUrl {
    /// Validates the whole URL, including the file of its `sslrootcert`.
    pub(crate) fn parse(value: &str) -> Result<Self, String> {
        let postgres::Parsed { config, trust, search_path } = postgres::parse(value)?;
        // Any timeout will do: `db` parses the URL again with its own timeout.
        let session = options::session(config.get_options(), search_path.as_deref(), Duration::from_secs(1))?;
        tls::connector(trust)?;
        let without_password = without_password(&config, options::search_path(&session));
        Ok(Self { whole: value.to_owned(), without_password })
    }

    /// The URL with its password. Use it only to connect, never in a log or a message.
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
        // Do not quote the value: it may contain a password.
        Err("is not a database URL: write sqlite://PATH or postgres://USER@HOST/DATABASE".to_owned())
    }
}

/// For messages: the absolute path of a file, or a URL without its password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => std::path::absolute(path).as_ref().unwrap_or(path).display().fmt(f),
            Self::Postgres(url) => f.write_str(&url.without_password),
        }
    }
}

/// SQLite itself gives `:memory:` and `file:` a special meaning.
fn sqlite(path: &str) -> Result<DatabaseUrl, String> {
    let is_special = path.starts_with([':', '?']) || path.starts_with("file:") || path.contains(['?', '#']);
    if path.is_empty() || is_special {
        return Err(format!(
            "{} is not an SQLite file: write only a path, such as sqlite://data/sessile.sqlite3",
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
