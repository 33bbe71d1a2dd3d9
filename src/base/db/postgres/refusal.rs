//! Why no connection could be had: the server is away, or it refuses us until somebody changes something. Told by SQLSTATE
//! (PostgreSQL 15, appendix A), since the words are in the server's language. No text from here holds a password.

use tokio_postgres::error::{DbError, SqlState};

use crate::base::{
    database_url::postgres::causes,
    error::{Away, Error},
};

/// Why a connection was not made.
#[derive(Debug, Clone)]
pub struct ConnectError {
    kind: Kind,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// It may work in a moment.
    Away,
    /// It works once somebody has changed something at the server or in the URL.
    Refused,
    /// It cannot work with this URL.
    Unusable,
}

impl ConnectError {
    pub(super) fn away(text: impl Into<String>) -> Self {
        Self { kind: Kind::Away, text: text.into() }
    }

    pub(super) fn unusable(text: impl Into<String>) -> Self {
        Self { kind: Kind::Unusable, text: text.into() }
    }

    /// What the server, or what lies before it, has against us.
    pub(super) fn of(error: &tokio_postgres::Error) -> Self {
        let words = causes(error);
        match error.as_db_error().map_or_else(|| without_code(&words), by_code) {
            Some(remedy) => Self { kind: Kind::Refused, text: format!("{words}: {remedy}") },
            None => Self::away(words),
        }
    }

    /// The same about one of the hosts.
    pub(super) fn at(self, host: &str) -> Self {
        Self { text: format!("{host}: {}", self.text), ..self }
    }

    /// What all hosts have against us, on one line.
    pub(super) fn all(errors: Vec<Self>) -> Self {
        let kind = errors.iter().map(|error| error.kind).max().unwrap_or(Kind::Away);
        let texts: Vec<_> = errors.into_iter().map(|error| error.text).collect();
        Self { kind, text: texts.join("; ") }
    }

    /// For a request: a 503, whatever it is.
    pub fn for_request(self) -> Error {
        let what = if self.kind == Kind::Away { Away::Database } else { Away::Refused };
        Error::unavailable(what, self.text)
    }

    /// For a start or a command, which ends with what cannot work.
    pub fn for_start(self) -> Error {
        match self.kind {
            Kind::Unusable => Error::Conflict(self.text),
            _ => self.for_request(),
        }
    }
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ConnectError {}

/// What to do about a refusal; `None` if waiting may do.
fn by_code(error: &DbError) -> Option<&'static str> {
    let code = error.code();
    if *code == SqlState::INVALID_PASSWORD {
        return Some("correct the user and the password in DATABASE_URL");
    }
    if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        // The function in the server's source tells a role from a line of pg_hba.conf.
        return Some(match error.routine() {
            Some("InitializeSessionUserId") => {
                "create the role with CREATE ROLE … LOGIN, let it sign in with ALTER ROLE … LOGIN, or correct the user in \
                 DATABASE_URL"
            }
            _ => "let it in with a line of pg_hba.conf, or add sslmode=require to DATABASE_URL if it wants TLS",
        });
    }
    match code.code() {
        "3D000" => Some("create it with CREATE DATABASE … OWNER …, or correct its name in DATABASE_URL"),
        "42501" => Some("grant it with GRANT CONNECT ON DATABASE … TO …"),
        "53300" => Some(match error.routine() {
            Some("InitializeSessionUserId") => "raise it with ALTER ROLE … CONNECTION LIMIT, or lower SESSILE_POOL_MAX",
            Some("CheckMyDatabase") => "raise it with ALTER DATABASE … CONNECTION LIMIT, or lower SESSILE_POOL_MAX",
            _ => "raise max_connections of the server, or lower SESSILE_POOL_MAX",
        }),
        "55000" => Some("name another database in DATABASE_URL"),
        "42704" | "22023" | "42602" | "42939" => Some("correct the options in DATABASE_URL"),
        // What PgBouncer says of itself: an unknown database or user, a parameter that it does not take.
        "08P01" => Some("correct DATABASE_URL, or the configuration of the pooler that it leads to"),
        _ => None,
    }
}

/// The same for what our side found wrong; tokio-postgres has no codes for it, but its words are always the same.
fn without_code(words: &str) -> Option<&'static str> {
    if words.contains("server does not support TLS") {
        return Some("turn on ssl at the server, or write sslmode=disable in DATABASE_URL");
    }
    if words.contains("TLS handshake") {
        return Some("check sslmode and sslrootcert in DATABASE_URL against the server's certificate");
    }
    if words.contains("password missing") {
        return Some("add the password to DATABASE_URL");
    }
    if words.contains("unsupported authentication method") {
        return Some("allow scram-sha-256 in pg_hba.conf");
    }
    words.contains("does not allow writes").then_some("name the primary in DATABASE_URL")
}
