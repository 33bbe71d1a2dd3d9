//! What a configuration is made of, checked: only these values reach a template.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use url::Url;

use super::{proxy::Proxy, public_paths};
use crate::base::settings::PublicUrl;

/// Stands for the gate token where it is not known.
pub const NO_TOKEN: &str = "GATE_TOKEN";

/// What a configuration is made of.
#[derive(Debug, Clone, Copy)]
pub struct Snippet<'a> {
    /// The registered origin of the app.
    pub app_origin: &'a str,
    /// Paths that the proxy does not ask about: one path each, or all below a path that ends with a slash.
    pub public_paths: &'a [String],
    /// Where the app listens, as `HOST:PORT`.
    pub upstream: &'a str,
    /// Where Sessile listens, as `HOST:PORT`.
    pub sessile: &'a str,
    pub token: Option<&'a str>,
    pub proxy: Proxy,
}

/// The files of a configuration, with their names.
pub type Files = askama::Result<Vec<(&'static str, String)>>;

/// The checked values that templates show.
pub struct Values {
    /// `https://shop.example.com`.
    pub origin: String,
    /// The host without its port.
    pub host: String,
    /// Letters, digits and underscores: makes the names in a configuration unique among several apps.
    pub slug: String,
    pub https: bool,
    pub port: u16,
    /// The address to listen on: this machine's only for an app that is reached only from this machine.
    pub listen_address: &'static str,
    pub upstream: Peer,
    pub sessile: Peer,
    pub token: String,
    /// Regular expressions for paths that are not checked: see [`public_paths`].
    pub public: Vec<String>,
}

/// The host as a name in a configuration. Other hosts never have the same: where the host has characters that `_` stands for,
/// besides dots, a few digits of its hash follow.
fn slug(host: &str, port: Option<&str>) -> String {
    let mut slug: String = host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if !host.chars().all(|c| c.is_ascii_alphanumeric() || c == '.') {
        let hash = Sha256::digest(host);
        slug.push('_');
        slug.extend(hash.iter().take(4).map(|byte| format!("{byte:02x}")));
    }
    slug.extend(port.map(|port| format!("_{port}")));
    slug
}

impl Values {
    pub fn new(snippet: &Snippet<'_>) -> Result<Self, String> {
        let app = PublicUrl::parse(snippet.app_origin)?;
        let url = Url::parse(app.origin()).map_err(|error| format!("{}: {error}", app.origin()))?;
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(format!("{} is not an http or https origin", snippet.app_origin));
        };
        let listen_address = if app.is_loopback() { "127.0.0.1" } else { "" };
        let token = snippet.token.unwrap_or(NO_TOKEN);
        if token.is_empty() || !token.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
            return Err("the gate token is not one that Sessile made".to_owned());
        }
        let host = host.to_string();
        Ok(Self {
            origin: app.origin().to_owned(),
            slug: slug(&host, app.port()),
            host,
            https: app.is_https(),
            port,
            listen_address,
            upstream: snippet.upstream.parse()?,
            sessile: snippet.sessile.parse()?,
            token: token.to_owned(),
            public: snippet.public_paths.iter().map(|path| public_paths::pattern(path)).collect::<Result<_, _>>()?,
        })
    }

    /// Whether a second listener redirects http to https.
    pub fn redirects(&self) -> bool {
        self.https && self.port == 443
    }

    pub fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }
}

/// Accepts `HOST:PORT`.
///
/// # Errors
/// Says what is wrong.
pub fn check_place(address: &str) -> Result<(), String> {
    address.parse::<Peer>().map(|_| ())
}

/// The address of a server behind the proxy.
pub struct Peer {
    pub host: String,
    pub port: u16,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(address: &str) -> Result<Self, String> {
        let wrong = || format!("the address {address} is not of the form HOST:PORT");
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let known = match inner {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)),
        };
        match port.parse() {
            Ok(port) if known && port != 0 => Ok(Self { host: host.to_owned(), port }),
            _ => Err(wrong()),
        }
    }
}

impl Peer {
    /// The host without the brackets of an IPv6 address.
    pub fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
