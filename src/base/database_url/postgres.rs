//! A PostgreSQL URL, with the parts that tokio-postgres does not know taken out of it. Called by the connect plan. What
//! it does not understand it refuses, rather than to connect in a way that was not meant.

use std::error::Error as _;
use std::path::PathBuf;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use url::form_urlencoded;

/// How far the server's certificate is trusted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Any certificate: encrypted against who listens, not against who answers in the server's place.
    Any,
    /// A chain that ends in this file.
    Chain(PathBuf),
    /// That, and a certificate for the host that was asked for.
    ChainAndHost(PathBuf),
}

pub(crate) struct Parsed {
    pub config: Config,
    pub trust: Trust,
    /// The schemas in which tables are looked for, as PostgreSQL writes them.
    pub search_path: Option<String>,
}

/// What tokio-postgres takes besides what is taken out of the query first.
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
        return Err("holds a control character: write it in percent encoding".to_owned());
    }
    // Else a part of the password would be taken for a host or an option, and be told.
    if rest.matches('@').count() > 1 {
        return Err("holds more than one @: write %40 for one in a password".to_owned());
    }
    let query_at = rest.find('@').unwrap_or(0);
    let query_at = rest.get(query_at..).and_then(|s| s.find('?')).map(|at| query_at + at);
    let (base, query) = rest.split_at(query_at.unwrap_or(rest.len()));

    let Taken { others: query, sslmode, sslrootcert, search_path } = take_own(query.trim_start_matches('?'))?;
    let separator = if query.is_empty() { "" } else { "?" };
    let mut config: Config = format!("postgres://{base}{separator}{query}").parse().map_err(|error| refusal(&error))?;
    if config.get_hosts().is_empty() {
        // The certificate is checked for the address, then.
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

/// What is taken out of a query.
struct Taken {
    /// The rest; each is one of [`OPTIONS`].
    others: String,
    sslmode: String,
    sslrootcert: Option<PathBuf>,
    search_path: Option<String>,
}

/// Takes out of a query what tokio-postgres does not know.
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
                return Err("has load_balance_hosts, but only the primary can be used: leave it out".to_owned());
            }
            "target_session_attrs" => others.extend(session_attrs(&value)?),
            key if OPTIONS.contains(&key) && option.contains('=') => others.push(option),
            // Not told which, for it may be a part of a password that holds an &.
            _ => {
                return Err(format!(
                    "has an option that is not known: write only sslmode, sslrootcert, search_path, {}",
                    OPTIONS.join(", ")
                ));
            }
        }
    }
    taken.others = others.join("&");
    Ok(taken)
}

/// Whatever it says, only a primary is used, so that `any` and `primary` need nothing more.
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

/// Name and value of an option in percent encoding. A plus sign means itself here, unlike in a form.
fn decoded(option: &str) -> (String, String) {
    form_urlencoded::parse(option.replace('+', "%2B").as_bytes())
        .next()
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .unwrap_or_default()
}

/// What `sslmode` means (PostgreSQL 15, section 34.19.1). As there, `require` with a root certificate verifies the
/// chain. `allow` tries TLS first, not last.
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

/// An error with everything that caused it, which its Display alone leaves out.
pub(crate) fn causes(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    // What a server says needs no introduction.
    text.trim_start_matches("db error: ").replace('\n', " ")
}

/// What tokio-postgres has against a URL. It names options, which are known by now, and no values.
fn refusal(error: &tokio_postgres::Error) -> String {
    format!("is refused: {}; write postgres://USER@HOST/DATABASE", causes(error))
}
