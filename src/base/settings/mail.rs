//! The settings of the mail server. Called by the settings check.
//!
//! Invariant: a password is never sent in the clear to another machine.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::input::{Input, Refused};
use crate::base::secret::Secret;

/// The mail server, and the sender of all mails.
#[derive(Clone, Debug)]
pub struct MailSettings {
    pub server: SmtpServer,
    /// An address, or a name with an address in angle brackets.
    pub from: String,
}

/// A mail server. `Debug` shows no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpServer {
    pub host: String,
    pub port: u16,
    pub security: SmtpSecurity,
    /// User and password.
    pub login: Option<(String, Secret)>,
}

/// How the connection to the server is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    None,
    /// TLS after STARTTLS (RFC 3207).
    StartTls,
    /// TLS from the start (RFC 8314).
    Tls,
}

impl fmt::Display for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Reads both settings: both are set, or neither.
pub(super) fn read(input: &mut Input) -> Result<Option<MailSettings>, Refused> {
    let server = input.read_if_set("SESSILE_SMTP_URL", SmtpServer::parse);
    let from = input.read_if_set("SESSILE_MAIL_FROM", sender);
    let (set, missing) = match (server?, from?) {
        (Some(server), Some(from)) => return Ok(Some(MailSettings { server, from })),
        (None, None) => return Ok(None),
        (Some(_), None) => (input.label("SESSILE_SMTP_URL"), "SESSILE_MAIL_FROM"),
        (None, Some(_)) => (input.label("SESSILE_MAIL_FROM"), "SESSILE_SMTP_URL"),
    };
    Err(input.refuse(format!("{missing} is missing, but {set} is set: set both, or neither")))
}

/// An address to send from.
fn sender(value: &str) -> Result<String, String> {
    let parsed: Result<lettre::message::Mailbox, _> = value.parse();
    match parsed {
        Ok(_) => Ok(value.to_owned()),
        Err(_) => Err("it is no sender: write an address, such as Surfside <id@example.com>".to_owned()),
    }
}

impl SmtpServer {
    /// Parses `smtp://`, `smtps://` or `smtp+starttls://` with host, port, user and password. The messages do not repeat the
    /// value, which may contain a password.
    fn parse(value: &str) -> Result<Self, String> {
        let form = "write smtps://USER:PASSWORD@HOST, smtp+starttls://USER:PASSWORD@HOST or smtp://HOST";
        let url = Url::parse(value).map_err(|error| format!("it is no URL ({error}): {form}"))?;
        let (security, port) = match url.scheme() {
            "smtp" => (SmtpSecurity::None, 25),
            "smtp+starttls" => (SmtpSecurity::StartTls, 587),
            "smtps" => (SmtpSecurity::Tls, 465),
            _ => return Err(format!("its scheme is not one of a mail server: {form}")),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| format!("it names no host: {form}"))?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(format!("it has more than a host, a port, a user and a password: {form}"));
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(Cow::into_owned);
        let login = match url.password() {
            Some(password) => {
                let words = |_| "its user or password is not UTF-8".to_owned();
                Some((decoded(url.username()).map_err(words)?, Secret::presented(decoded(password).map_err(words)?)))
            }
            None if url.username().is_empty() => None,
            None => return Err(format!("it has a user without a password: {form}")),
        };
        if login.is_some() && security == SmtpSecurity::None && !is_this_machine(host) {
            return Err("it would send the password in the clear to another machine: use smtps:// or \
                        smtp+starttls://"
                .to_owned());
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: url.port().unwrap_or(port), security, login })
    }
}

fn is_this_machine(host: &str) -> bool {
    match Host::parse(host) {
        Ok(Host::Domain(name)) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        Ok(Host::Ipv4(ip)) => ip.is_loopback(),
        Ok(Host::Ipv6(ip)) => ip.is_loopback(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_parsed() {
        let parsed = |url: &str| SmtpServer::parse(url).unwrap();
        let plain = parsed("smtp://mail.example.com");
        assert_eq!((plain.port, plain.security, plain.login), (25, SmtpSecurity::None, None));
        let login = |user: &str, password: &str| Some((user.to_owned(), Secret::presented(password)));
        let tls = parsed("smtps://kim%40example.com:p%2Fw@mail.example.com");
        assert_eq!((tls.port, tls.security, tls.login), (465, SmtpSecurity::Tls, login("kim@example.com", "p/w")));
        assert_eq!(parsed("smtp+starttls://u:p@mail.example.com").port, 587);
        for local in ["localhost", "127.0.0.1", "[::1]"] {
            assert_eq!(parsed(&format!("smtp://u:p@{local}:2525")).login, login("u", "p"), "{local}");
        }
        assert!(!format!("{:?}", parsed("smtps://user:hunter@mail.example.com")).contains("hunter"));
    }

    #[test]
    fn a_bad_server_is_refused_without_its_password() {
        for bad in [
            "mail.example.com",
            "http://mail.example.com",
            "smtp://",
            "smtps://user@mail.example.com",
            "smtp://user:hunter@mail.example.com",
            "smtp://user:hunter@localhost.example.com",
            "smtps://user:hunter@mail.example.com/path",
            "smtps://user:hunter@mail.example.com?tls=no",
        ] {
            let words = SmtpServer::parse(bad).unwrap_err();
            assert!(!words.contains("hunter"), "{words}");
        }
        assert!(sender("id@example.com").is_ok() && sender("Surfside <id@example.com>").is_ok());
        assert!(sender("Surfside").is_err() && sender("a@b\r\nBcc: c@d").is_err());
    }
}
