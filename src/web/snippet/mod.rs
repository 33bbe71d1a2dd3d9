//! Proxy configurations that protect an app: what `sessile app snippet` and the pages for admins print. The files under
//! `ops/proxies` are made by the same templates.
//!
//! Invariant: only checked values reach a template, so none can change the meaning of a configuration.

mod caddy;
mod envoy;
mod haproxy;
mod nginx;
mod public_paths;
mod traefik;

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

pub use self::public_paths::check as check_public_path;

/// Stands for the gate token where it is not known.
pub const NO_TOKEN: &str = "GATE_TOKEN";

/// A proxy whose configuration can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    Nginx,
    Caddy,
    Traefik,
    Haproxy,
    Envoy,
}

impl Proxy {
    pub const ALL: [Self; 5] = [Self::Nginx, Self::Caddy, Self::Traefik, Self::Haproxy, Self::Envoy];

    /// Its name on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Traefik => "traefik",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Proxy {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let words = Self::ALL.map(Self::word).join(", ");
        Self::ALL.into_iter().find(|proxy| proxy.word() == word).ok_or_else(|| format!("use one of: {words}"))
    }
}

/// What a configuration is made of.
#[derive(Debug, Clone, Copy)]
pub struct Snippet<'a> {
    /// The registered origin of the app.
    pub app_origin: &'a str,
    /// Paths that the proxy does not ask about: see [`check_public_path`].
    pub public_paths: &'a [String],
    /// Where the app listens, as `HOST:PORT`.
    pub upstream: &'a str,
    /// Where Sessile listens, as `HOST:PORT`.
    pub sessile: &'a str,
    pub token: Option<&'a str>,
    pub proxy: Proxy,
}

/// The configuration as text. Several files are divided by lines `--- NAME`. Without a token the first line says so.
///
/// # Errors
/// A value that cannot stand in a configuration.
pub fn render(snippet: &Snippet<'_>) -> Result<String, String> {
    let values = Values::new(snippet)?;
    let files = match snippet.proxy {
        Proxy::Nginx => nginx::files(&values),
        Proxy::Caddy => caddy::files(&values),
        Proxy::Traefik => traefik::files(&values),
        Proxy::Haproxy => haproxy::files(&values),
        Proxy::Envoy => envoy::files(&values),
    };
    let files = files.map_err(|error| format!("the configuration cannot be rendered: {error}"))?;
    let first = match snippet.token {
        Some(_) => "",
        None => "# Replace GATE_TOKEN by the app's gate token, which `sessile app add` and `rotate-token` print.\n",
    };
    Ok(match files.as_slice() {
        [(_, only)] => format!("{first}{only}\n"),
        several => several.iter().fold(first.to_owned(), |text, (name, file)| text + &format!("--- {name}\n{file}\n")),
    })
}

/// Every identity header that the gate may send. A proxy passes them on from the gate's answer only.
const IDENTITY: [&str; 11] = [
    "X-Sessile-User",
    "X-Sessile-Email",
    "X-Sessile-Name",
    "X-Sessile-Role",
    "X-Sessile-Groups",
    "X-Sessile-Session",
    "X-Sessile-Assertion",
    "Remote-User",
    "Remote-Email",
    "Remote-Name",
    "Remote-Groups",
];

/// The files of a configuration, with their names.
type Files = askama::Result<Vec<(&'static str, String)>>;

/// The checked values that templates show.
struct Values {
    /// `https://shop.example.com`.
    origin: String,
    /// The host without its port.
    host: String,
    /// Letters, digits and underscores: makes the names in a configuration unique among several apps.
    slug: String,
    https: bool,
    port: u16,
    /// The address to listen on: this machine's only for an app that is reached only from this machine.
    listen_address: &'static str,
    upstream: Peer,
    sessile: Peer,
    token: String,
    /// Regular expressions for paths that are not checked: see [`public_paths`].
    public: Vec<String>,
}

impl Values {
    fn new(snippet: &Snippet<'_>) -> Result<Self, String> {
        let app = Url::parse(snippet.app_origin).map_err(|error| format!("{}: {error}", snippet.app_origin))?;
        let (Some(host), Some(port)) = (app.host(), app.port_or_known_default()) else {
            return Err(format!("{} is not an http or https origin", snippet.app_origin));
        };
        let listen_address = if is_loopback(&host) { "127.0.0.1" } else { "" };
        let token = snippet.token.unwrap_or(NO_TOKEN);
        if token.is_empty() || !token.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
            return Err("the gate token is not one that Sessile made".to_owned());
        }
        let host = host.to_string();
        Ok(Self {
            origin: app.origin().ascii_serialization(),
            slug: host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect(),
            host,
            https: app.scheme() == "https",
            port,
            listen_address,
            upstream: snippet.upstream.parse()?,
            sessile: snippet.sessile.parse()?,
            token: token.to_owned(),
            public: snippet.public_paths.iter().map(|path| public_paths::pattern(path)).collect::<Result<_, _>>()?,
        })
    }

    /// Whether a second listener redirects http to https.
    fn redirects(&self) -> bool {
        self.https && self.port == 443
    }

    fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// The address of a server behind the proxy.
struct Peer {
    host: String,
    port: u16,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(address: &str) -> Result<Self, String> {
        let (host, port) = address.rsplit_once(':').ok_or_else(|| format!("{address}: write it as HOST:PORT"))?;
        let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let known = match inner {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)),
        };
        match port.parse() {
            Ok(port) if known && port != 0 => Ok(Self { host: host.to_owned(), port }),
            _ => Err(format!("{address}: write it as HOST:PORT")),
        }
    }
}

impl Peer {
    /// The host without the brackets of an IPv6 address.
    fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests;
