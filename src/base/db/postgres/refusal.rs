//! Why a connection failed: the server is away, or it refuses us until an operator changes something. Errors are
//! classified by SQLSTATE (PostgreSQL 15, appendix A), because the text is in the server's language. Called by the
//! connect plan.
//!
//! Invariant: no text from here holds a password.

use tokio_postgres::error::{DbError, SqlState};

use crate::base::{
    database_url::postgres::causes,
    error::{Away, Error},
};

/// The cause of a failed connection: its kind, and a text for the operator.
#[derive(Debug, Clone)]
pub struct ConnectError {
    kind: Kind,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A retry may succeed soon.
    Away,
    /// An operator has to change the server or the URL first.
    Refused,
    /// No connection with this URL can work.
    Unusable,
}

impl ConnectError {
    pub(super) fn away(text: impl Into<String>) -> Self {
        Self { kind: Kind::Away, text: text.into() }
    }

    pub(super) fn unusable(text: impl Into<String>) -> Self {
        Self { kind: Kind::Unusable, text: text.into() }
    }

    /// Classifies an error of the server, of a pooler, or of our own checks.
    pub(super) fn of(error: &tokio_postgres::Error) -> Self {
        let message = causes(error);
        match error.as_db_error().map_or_else(|| without_code(&message), by_code) {
            Some(remedy) => Self { kind: Kind::Refused, text: format!("{message}: {remedy}") },
            None => Self::away(message),
        }
    }

    /// Adds the name of the host.
    pub(super) fn at(self, host: &str) -> Self {
        Self { text: format!("{host}: {}", self.text), ..self }
    }

    /// Joins the errors of all hosts on one line. The worst kind counts.
    pub(super) fn all(errors: Vec<Self>) -> Self {
        let kind = errors.iter().map(|error| error.kind).max().unwrap_or(Kind::Away);
        let texts: Vec<_> = errors.into_iter().map(|error| error.text).collect();
        Self { kind, text: texts.join("; ") }
    }

    /// The error for a request, which is answered with 503.
    pub fn for_request(self) -> Error {
        let what = if self.kind == Kind::Away { Away::Database } else { Away::Refused };
        Error::unavailable(what, self.text)
    }

    /// The error for a start or a command, which ends if the URL cannot work.
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

/// The remedy for a refusal; `None` if waiting may help.
fn by_code(error: &DbError) -> Option<&'static str> {
    let code = error.code();
    if *code == SqlState::INVALID_PASSWORD {
        return Some("correct the user and the password in DATABASE_URL");
    }
    if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        // The name of the server's source function distinguishes a missing role from a rule in pg_hba.conf.
        return Some(match error.routine() {
            Some("InitializeSessionUserId") => {
                "create the role with CREATE ROLE … LOGIN, allow it to log in with ALTER ROLE … LOGIN, or correct the user \
                 in DATABASE_URL"
            }
            _ => {
                "allow the connection in pg_hba.conf, or add sslmode=require to DATABASE_URL if the server requires TLS"
            }
        });
    }
    match code.code() {
        "3D000" => Some("create the database with CREATE DATABASE … OWNER …, or correct its name in DATABASE_URL"),
        "42501" => Some("run GRANT CONNECT ON DATABASE … TO …"),
        "53300" => Some(match error.routine() {
            Some("InitializeSessionUserId") => {
                "raise the limit with ALTER ROLE … CONNECTION LIMIT, or lower SESSILE_POOL_MAX"
            }
            Some("CheckMyDatabase") => {
                "raise the limit with ALTER DATABASE … CONNECTION LIMIT, or lower SESSILE_POOL_MAX"
            }
            _ => "raise max_connections of the server, or lower SESSILE_POOL_MAX",
        }),
        "55000" => Some("name another database in DATABASE_URL"),
        "42704" | "22023" | "42602" | "42939" => Some("correct the options in DATABASE_URL"),
        // PgBouncer's code for an unknown database or user, and for a parameter that it does not accept.
        "08P01" => Some("correct DATABASE_URL, or the configuration of the pooler that it names"),
        _ => None,
    }
}

/// The remedy for an error found on our side. tokio-postgres has no codes for these, but its texts are constants.
fn without_code(message: &str) -> Option<&'static str> {
    if message.contains("server does not support TLS") {
        return Some("turn on ssl on the server, or set sslmode=disable in DATABASE_URL");
    }
    if message.contains("TLS handshake") {
        return Some("check sslmode and sslrootcert in DATABASE_URL against the server's certificate");
    }
    if message.contains("password missing") {
        return Some("add the password to DATABASE_URL");
    }
    if message.contains("unsupported authentication method") {
        return Some("allow scram-sha-256 in pg_hba.conf");
    }
    message.contains("does not allow writes").then_some("name the primary in DATABASE_URL")
}
