//! Which database, and where. Made by the settings, used by `db`. The password in a PostgreSQL URL leaves this type
//! only through [`PostgresUrl::expose`].

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::values::{self, quoted};
use crate::base::db::ConnectPlan;

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
    pub(super) fn parse(value: &str) -> Result<Self, String> {
        // Any times will do: it is parsed again, with the right ones, by who connects.
        let any = Duration::from_secs(1);
        let without_password = ConnectPlan::parse(value, any, any)?.address();
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
    pub(super) fn parse(value: &str) -> Result<Self, String> {
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
    values::file(path).map(DatabaseUrl::Sqlite)
}
