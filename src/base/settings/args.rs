//! The flags of `serve`, and the settings table that the check reads. Both come from one list. Used by the command line
//! and by the settings check.
//!
//! Invariant: every setting is declared here, once, with its variable, its default and its help text.

use std::fmt;

use super::input::Setting;

/// Declares the flags of `serve` and the table that [`SettingsArgs::check`] reads. Each line holds the field (its
/// kebab-case form is the flag), the variable, the name of the value, the default if there is one, the default as shown
/// in the help, and the help text.
macro_rules! settings {
    ($($field:ident $variable:literal $value_name:literal [$($default:literal)?] $shown:literal $help:literal)+) => {
        /// The flags of `serve`, unchecked. The default has no flags, for commands that read only the environment.
        /// `Debug` shows no values, because a database URL can contain a password.
        #[derive(clap::Args, Clone, Default)]
        pub struct SettingsArgs {
            $(
                #[doc = $help]
                #[arg(
                    long,
                    value_name = $value_name,
                    help = concat!($help, " [env: ", $variable, "] [default: ", $shown, "]"),
                    help_heading = "Settings"
                )]
                pub $field: Option<String>,
            )+
        }

        impl SettingsArgs {
            pub(super) fn into_table(self) -> Vec<Setting> {
                vec![$(Setting::new(
                    $variable,
                    stringify!($field),
                    [$($default)?].first().copied(),
                    self.$field,
                )),+]
            }
        }
    };
}

settings! {
    database_url "DATABASE_URL" "URL" ["sqlite://data/sessile.sqlite3"] "sqlite://data/sessile.sqlite3"
        "Database: sqlite://PATH or postgres://…; others on this machine can read a password on the command line: set the variable for one"
    listen_database_url "SESSILE_LISTEN_DATABASE_URL" "URL" [] "DATABASE_URL"
        "The same PostgreSQL database without a connection pooler, for LISTEN"
    listen "SESSILE_LISTEN" "ADDRESS" ["127.0.0.1:8080"] "127.0.0.1:8080"
        "Address to listen on; port 0 picks a free one"
    public_url "SESSILE_PUBLIC_URL" "URL" [] "http://localhost:PORT"
        "Origin that browsers see; https:// turns on secure cookies, HSTS and the redirect"
    tls_cert "SESSILE_TLS_CERT" "FILE" [] "none"
        "Certificate chain (PEM), to serve TLS itself"
    tls_key "SESSILE_TLS_KEY" "FILE" [] "none"
        "Private key (PEM) of the certificate"
    trusted_proxies "SESSILE_TRUSTED_PROXIES" "CIDRS" [] "none"
        "Networks whose forwarding headers are trusted, separated by commas"
    key_file "SESSILE_KEY_FILE" "FILE" ["data/session.key"] "data/session.key"
        "File of the session keys, shared by all nodes; created at the first start"
    name "SESSILE_NAME" "NAME" ["Sessile"] "Sessile"
        "Name on every page and in the installed app: 1 to 40 characters"
    logo "SESSILE_LOGO" "FILE" [] "none"
        "SVG or PNG of at most 256 KiB, shown instead of the mark"
    accent "SESSILE_ACCENT" "COLOUR" [] "none"
        "Accent colour, such as #0b6e63; readable shades are derived from it"
    contact "SESSILE_CONTACT" "TEXT" [] "none"
        "Whom people ask for help; a mail address or telephone number in it becomes a link"
    privacy_url "SESSILE_PRIVACY_URL" "URL" [] "none"
        "Page on privacy, linked below the sign-in"
    signup "SESSILE_SIGNUP" "WHO" ["closed"] "closed"
        "open lets anyone create an account, once there is an owner; or closed"
    second_factor "SESSILE_SECOND_FACTOR" "WHO" ["optional"] "optional"
        "Who must have a second factor: admins (owners and admins), everyone, or optional"
    password_min "SESSILE_PASSWORD_MIN" "COUNT" ["12"] "12"
        "Characters of a new password: 8 to 64; with a second factor 8 suffice"
    smtp_url "SESSILE_SMTP_URL" "URL" [] "none"
        "Mail server: smtps://USER:PASSWORD@HOST, smtp+starttls://… or smtp://HOST; others on this machine can read a password on the command line: set the variable for one"
    mail_from "SESSILE_MAIL_FROM" "ADDRESS" [] "none"
        "Sender of all mails, such as Surfside <id@example.com>"
    idle_ttl "SESSILE_IDLE_TTL" "DURATION" ["72h"] "72h"
        "A session ends this long after its last activity"
    absolute_ttl "SESSILE_ABSOLUTE_TTL" "DURATION" ["30d"] "30d"
        "A session ends this long after login, whatever its activity"
    touch_interval "SESSILE_TOUCH_INTERVAL" "DURATION" ["60s"] "60s"
        "Activity is written at most this often for a session"
    prune_interval "SESSILE_PRUNE_INTERVAL" "DURATION" ["1h"] "1h"
        "Time between two prunings; 0s turns them off"
    address_ttl "SESSILE_ADDRESS_TTL" "DURATION" ["90d"] "90d"
        "IP addresses are wiped after this time"
    audit_ttl "SESSILE_AUDIT_TTL" "DURATION" ["400d"] "400d"
        "Audit events older than this are removed"
    pool_max "SESSILE_POOL_MAX" "COUNT" ["10"] "10"
        "Database connections"
    pool_timeout "SESSILE_POOL_TIMEOUT" "DURATION" ["2s"] "2s"
        "How long a request waits for a database connection"
    statement_timeout "SESSILE_STATEMENT_TIMEOUT" "DURATION" ["3s"] "3s"
        "Deadline of a statement"
    sessions_per_account "SESSILE_SESSIONS_PER_ACCOUNT" "COUNT" ["20"] "20"
        "Live sessions an account may have; 0 for no limit"
    drafts_max "SESSILE_DRAFTS_MAX" "SIZE" ["8MiB"] "8MiB"
        "Room for the drafts of one account: a whole number with KiB, MiB or GiB"
    session_cache "SESSILE_SESSION_CACHE" "SWITCH" ["on"] "on"
        "off reads the database on every request"
    session_cache_max "SESSILE_SESSION_CACHE_MAX" "SIZE" ["64MiB"] "64MiB"
        "Memory for cached sessions: a whole number with KiB, MiB or GiB"
    workers "SESSILE_WORKERS" "COUNT" [] "cores"
        "Threads that answer requests"
    log "SESSILE_LOG" "FILTER" ["info"] "info"
        "What is logged: a tracing filter, such as info,sessile=debug"
    log_format "SESSILE_LOG_FORMAT" "FORMAT" ["text"] "text"
        "Form of the log: text or json"
}

/// The two settings that every command accepts, before or after its name. `serve` also lists them among its settings.
#[derive(clap::Args, Clone, Default)]
pub struct PlaceArgs {
    /// Database: sqlite://PATH or postgres://… [env: DATABASE_URL] [default: sqlite://data/sessile.sqlite3]
    ///
    /// Others on this machine can read a password on the command line: set the variable for one.
    #[arg(long, global = true, value_name = "URL", help_heading = "Database and keys")]
    database_url: Option<String>,
    /// File of the session keys [env: SESSILE_KEY_FILE] [default: data/session.key]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Database and keys")]
    key_file: Option<String>,
}

impl SettingsArgs {
    /// Adds the flags that every command accepts.
    #[must_use]
    pub fn at(self, place: PlaceArgs) -> Self {
        Self {
            database_url: place.database_url.or(self.database_url),
            key_file: place.key_file.or(self.key_file),
            ..self
        }
    }
}

impl fmt::Debug for SettingsArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingsArgs").finish_non_exhaustive()
    }
}
