//! Parses a PostgreSQL URL, including the parameters that tokio-postgres does not support. Called by the settings and
//! the connect plan.
//!
//! Invariant: a parameter that is not understood is refused, so that Sessile never connects in a way that was not
//! intended.

use std::error::Error as _;
use std::path::PathBuf;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use url::form_urlencoded;

/// How the server's certificate is verified.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Any certificate is accepted. This protects against eavesdroppers, not against an impostor.
    Any,
    /// The certificate's chain must end in a certificate of this file.
    Chain(PathBuf),
    /// The chain must end in a certificate of this file, and the certificate must be for the requested host.
    ChainAndHost(PathBuf),
}

pub(crate) struct Parsed {
    pub config: Config,
    pub trust: Trust,
    /// The search path, in PostgreSQL's syntax.
    pub search_path: Option<String>,
}

/// The query parameters that tokio-postgres parses.
const OPTIONS: &[&str] = &[
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "options",
    "password",
    "port",
    "sslnegotiation",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

pub(crate) fn parse(url: &str) -> Result<Parsed, String> {
    let rest = ["postgres://", "postgresql://"]
        .into_iter()
        .find_map(|scheme| url.strip_prefix(scheme))
        .ok_or("is not a PostgreSQL URL: write postgres://USER@HOST/DATABASE")?;
    if rest.contains(char::is_control) {
        return Err("contains a control character: percent-encode it".to_owned());
    }
    // Otherwise a part of the password could be taken for a host or an option, and appear in a message.
    if rest.matches('@').count() > 1 {
        return Err("contains more than one @: write %40 for an @ in a password".to_owned());
    }
    let query_at = rest.find('@').unwrap_or(0);
    let query_at = rest.get(query_at..).and_then(|s| s.find('?')).map(|at| query_at + at);
    let (base, query) = rest.split_at(query_at.unwrap_or(rest.len()));

    let Taken { others: query, sslmode, sslrootcert, search_path } = take_own(query.trim_start_matches('?'))?;
    let separator = if query.is_empty() { "" } else { "?" };
    let mut config: Config = format!("postgres://{base}{separator}{query}").parse().map_err(|error| refusal(&error))?;
    if config.get_hosts().is_empty() {
        // The certificate is then verified for the address.
        for address in config.get_hostaddrs().to_vec() {
            config.host(address.to_string());
        }
    }
    let hosts = config.get_hosts();
    if hosts.is_empty() || hosts.iter().any(|host| *host == Host::Tcp(String::new())) {
        return Err("names no host: write postgres://USER@HOST/DATABASE".to_owned());
    }
    let (mode, trust) = trust(&sslmode, sslrootcert)?;
    config.ssl_mode(mode);
    Ok(Parsed { config, trust, search_path })
}

/// The query, split into our parameters and the others.
struct Taken {
    /// The other parameters; each is one of [`OPTIONS`].
    others: String,
    sslmode: String,
    sslrootcert: Option<PathBuf>,
    search_path: Option<String>,
}

/// Takes the parameters that tokio-postgres does not support out of a query.
fn take_own(query: &str) -> Result<Taken, String> {
    let mut others = Vec::new();
    let mut taken = Taken { others: String::new(), sslmode: "prefer".to_owned(), sslrootcert: None, search_path: None };
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (key, value) = decoded(option);
        match key.as_str() {
            "sslmode" => taken.sslmode = value,
            "sslrootcert" => taken.sslrootcert = Some(PathBuf::from(value)),
            "search_path" if !value.is_empty() => taken.search_path = Some(value),
            "load_balance_hosts" => {
                return Err("has load_balance_hosts, but only the primary can be used: remove it".to_owned());
            }
            "target_session_attrs" => others.extend(session_attrs(&value)?),
            key if OPTIONS.contains(&key) && option.contains('=') => others.push(option),
            // Do not name the option: it may be part of a password that contains an &.
            _ => {
                return Err(format!(
                    "has an unknown option: write only sslmode, sslrootcert, search_path, {}",
                    OPTIONS.join(", ")
                ));
            }
        }
    }
    taken.others = others.join("&");
    Ok(taken)
}

/// Only a primary is ever used, so `any` and `primary` need no parameter.
fn session_attrs(value: &str) -> Result<Option<&'static str>, String> {
    match value {
        "any" | "primary" => Ok(None),
        "read-write" => Ok(Some("target_session_attrs=read-write")),
        "read-only" | "standby" | "prefer-standby" => {
            Err(format!("has target_session_attrs={value}, but only the primary can be used: write read-write"))
        }
        _ => Err("has an unknown `target_session_attrs`: write read-write".to_owned()),
    }
}

/// Decodes the name and the value of a parameter. Unlike in a form, a plus sign stands for itself.
fn decoded(option: &str) -> (String, String) {
    form_urlencoded::parse(option.replace('+', "%2B").as_bytes())
        .next()
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .unwrap_or_default()
}

/// The meaning of `sslmode` (PostgreSQL 15, section 34.19.1). As in libpq, `require` with a root certificate verifies
/// the chain. Unlike in libpq, `allow` tries TLS first.
fn trust(sslmode: &str, sslrootcert: Option<PathBuf>) -> Result<(SslMode, Trust), String> {
    if sslrootcert.as_ref().is_some_and(|file| *file == *"system") {
        return Err("has sslrootcert=system, which is not supported: write the path of a PEM file".to_owned());
    }
    match (sslmode, sslrootcert) {
        ("disable", _) => Ok((SslMode::Disable, Trust::Any)),
        ("allow" | "prefer", None) => Ok((SslMode::Prefer, Trust::Any)),
        ("require", None) => Ok((SslMode::Require, Trust::Any)),
        ("require" | "verify-ca", Some(file)) => Ok((SslMode::Require, Trust::Chain(file))),
        ("verify-full", Some(file)) => Ok((SslMode::Require, Trust::ChainAndHost(file))),
        ("verify-ca" | "verify-full", None) => Err(format!(
            "has sslmode={sslmode} but no sslrootcert: add sslrootcert=FILE, the PEM file of the authority to trust"
        )),
        ("allow" | "prefer", Some(_)) => {
            Err("has an sslrootcert, but no sslmode that checks it: add sslmode=verify-full".to_owned())
        }
        _ => Err("has an unknown sslmode: write disable, prefer, require, verify-ca or verify-full".to_owned()),
    }
}

/// The error's text followed by all its causes, which its Display omits.
pub(crate) fn causes(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    // Drop the prefix of server errors, which adds nothing.
    text.trim_start_matches("db error: ").replace('\n', " ")
}

/// The message for a URL that tokio-postgres rejects. It names only options that are in [`OPTIONS`], and no values.
fn refusal(error: &tokio_postgres::Error) -> String {
    format!("is invalid: {}; write postgres://USER@HOST/DATABASE", causes(error))
}
