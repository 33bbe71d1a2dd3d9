//! Proxy configurations that protect an app: what `sessile app snippet` prints.
//!
//! Invariant: only checked values reach a configuration, so none can change its meaning.

use std::str::FromStr;

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
    /// Paths that the proxy does not ask about.
    pub public_paths: &'a [String],
    /// Where the app listens, as `HOST:PORT`.
    pub upstream: &'a str,
    /// Where Sessile listens, as `HOST:PORT`.
    pub sessile: &'a str,
    pub token: Option<&'a str>,
    pub proxy: Proxy,
}

/// The configuration as text.
///
/// # Errors
/// A value that cannot stand in a configuration.
pub fn render(snippet: &Snippet<'_>) -> Result<String, String> {
    Err(format!("there is no configuration for {} yet", snippet.proxy.word()))
}
