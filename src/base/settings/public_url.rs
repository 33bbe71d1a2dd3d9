//! The public origin of the service, or of a protected app. Created by the settings and by whoever adds an app; used for links, origin checks and cookie names.
//!
//! Invariant: the origin is normalised: lower case, no default port, nothing after the authority.

use url::Url;

use super::values::quoted;

/// Scheme, host and port of the service as browsers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    origin: String,
    authority_at: usize,
}

impl PublicUrl {
    /// The origin as browsers send it in `Origin` (RFC 6454, section 6.2), such as `https://id.example.com`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The host, with the port unless it is the scheme's default, as browsers send it in `Host` (RFC 9110, section
    /// 7.2).
    pub fn host(&self) -> &str {
        self.origin.get(self.authority_at..).unwrap_or_default()
    }

    /// The port, unless it is the scheme's default.
    pub fn port(&self) -> Option<&str> {
        let (host, port) = self.host().rsplit_once(':')?;
        (!host.starts_with('[') || host.ends_with(']')).then_some(port)
    }

    /// Whether browsers connect over TLS, to this program or to a proxy.
    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https://")
    }

    /// The origin if `SESSILE_PUBLIC_URL` is not set.
    pub fn localhost(port: u16, https: bool) -> Self {
        let (scheme, default) = if https { ("https://", 443) } else { ("http://", 80) };
        let port = if port == default { String::new() } else { format!(":{port}") };
        Self { origin: format!("{scheme}localhost{port}"), authority_at: scheme.len() }
    }

    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        Url::parse(&self.origin).is_ok_and(|url| match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        })
    }

    /// Parses the origin of the service.
    ///
    /// # Errors
    /// The text says what is wrong, without the name of the setting.
    pub fn parse(value: &str) -> Result<Self, String> {
        Self::parse_like(value, "https://id.example.com")
    }

    /// Parses an origin. The texts of errors name `example` as a valid one.
    ///
    /// # Errors
    /// The text says what is wrong, without the name of the value.
    pub fn parse_like(value: &str, example: &str) -> Result<Self, String> {
        let wrong = |what: &str| Err(format!("{what}: write scheme and host, such as {example}"));
        if value.contains('@') {
            // Do not quote the value: it may contain a password.
            return wrong("contains a user name or password");
        }
        // The URL standard accepts spaces, backslashes and the like. In a setting these are mistakes.
        let is_plain = value.bytes().all(|byte| byte > b' ' && byte != b'\\' && byte != 0x7f);
        let url = match Url::parse(value) {
            Ok(url) if is_plain => url,
            _ => return wrong(&format!("{} is not a URL", quoted(value))),
        };
        let rest = value.split_once("://").map_or("/", |(_, rest)| rest);
        if !matches!(url.scheme(), "http" | "https") || rest.starts_with('/') || url.port() == Some(0) {
            return wrong(&format!("{} is not an http or https URL", quoted(value)));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return wrong(&format!("{} contains more than an origin", quoted(value)));
        }
        Ok(Self { origin: url.origin().ascii_serialization(), authority_at: url.scheme().len() + "://".len() })
    }
}
