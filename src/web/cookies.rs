//! The names and attributes of all cookies, and the only parser of `Cookie` headers. Every cookie is HttpOnly,
//! SameSite=Strict and valid for the whole origin. Under https it is Secure and its name starts with `__Host-`, so that
//! no sibling domain can set it (RFC 6265bis, 4.1.3). Browsers share cookies between the ports of a host, so each name
//! contains the public origin's port, if it has one.
//!
//! Invariant: a cookie name must match the exact bytes that were sent. Browsers protect `__Host-` by those bytes: any
//! site can set a cookie whose name becomes ours only by decoding it or by trimming Unicode white space.

use actix_web::{
    cookie::{Cookie, SameSite, time::Duration},
    http::header::{self, HeaderMap, HeaderValue},
};
use memchr::memchr;
use percent_encoding::percent_decode_str;

use crate::{
    base::{
        clock::zone,
        keys::Keys,
        secret::{self, Secret},
        settings::PublicUrl,
    },
    records::session::{
        SessionKey,
        request::{MOST_KEYS, Presented},
    },
};

/// The lifetime of the device cookie: the longest that browsers allow.
const DEVICE_DAYS: i64 = 400;
const SHORT_SECRET: usize = 22;
/// The longest session cookie that is verified. Ours are far shorter.
const LONGEST: usize = 4096;
/// The most accounts for which one browser can be a device.
const MOST_DEVICES: usize = 5;

/// The names of the cookies, with `__Host-` and the port where they apply.
#[derive(Debug, Clone)]
pub struct CookieNames {
    /// The signed session key.
    pub session: String,
    /// The secrets that identify this browser as a device.
    pub device: String,
    /// The secret that binds the forms of a visitor who has not signed in.
    pub visitor: String,
    /// The state between the password and the second factor.
    pub half: String,
    /// Marks that this navigation has bounced once.
    pub bounce: String,
    /// The reader's time zone. The page's script writes it, so it is the only cookie that scripts can read.
    pub zone: String,
    /// Names without the port. Sessions begun before names had ports use them, so these cookies are still read.
    before_ports: Option<BeforePorts>,
    https: bool,
}

#[derive(Debug, Clone)]
struct BeforePorts {
    session: String,
    device: String,
}

/// The session cookies of a request.
#[derive(Debug)]
pub struct SentSession {
    /// The session that the request presents.
    pub presented: Presented,
    /// Every session key of ours in the request, without duplicates. A sign-out ends all of these sessions.
    pub keys: Vec<SessionKey>,
    /// The key came under the name without the port. The answer sets it again under the current name.
    pub under_old_name: bool,
    /// The presented key also came under the name without the port. The next login or logout removes that cookie. Every
    /// other cookie under that name belongs to another instance on this host and is left alone.
    pub holds_old_cookie: bool,
    /// The presented key's cookie as it was sent, if it has the current name and the signature of the first key.
    as_sent: Option<String>,
}

impl CookieNames {
    pub fn new(public: &PublicUrl) -> Self {
        let https = public.is_https();
        let plain = |name: &str| if https { format!("__Host-{name}") } else { name.to_owned() };
        let name = |name: &str| match public.port() {
            Some(port) => format!("{}_{port}", plain(name)),
            None => plain(name),
        };
        let before_ports =
            public.port().map(|_| BeforePorts { session: plain("aiq_session"), device: plain("aiq_device") });
        Self {
            session: name("aiq_session"),
            device: name("aiq_device"),
            visitor: name("aiq_visitor"),
            half: name("aiq_second"),
            bounce: name("aiq_bounce"),
            zone: name("aiq_zone"),
            before_ports,
            https,
        }
    }

    /// The session cookies in these headers. A cookie under the current name wins over one under the old name.
    pub fn sent_session(&self, headers: &HeaderMap, keys: &Keys) -> SentSession {
        let current = SessionCookies::read(headers, &self.session, keys);
        let old = self.before_ports.as_ref().map(|names| SessionCookies::read(headers, &names.session, keys));
        let old = old.unwrap_or_default();
        let (presented, under_old_name, holds_old_cookie) = match (current.presented(), old.presented()) {
            (Presented::Nothing | Presented::Foreign, Presented::Key(old)) => (Presented::Key(old), true, true),
            (Presented::Key(key), Presented::Key(old)) => {
                let is_same = key.is_same(&old);
                (Presented::Key(key), false, is_same)
            }
            (current, _) => (current, false, false),
        };
        let as_sent = current.as_sent.filter(|_| matches!(presented, Presented::Key(_)) && !under_old_name);
        let mut keys = current.keys;
        old.keys.into_iter().for_each(|key| add_once(&mut keys, key));
        SentSession { presented, keys, under_old_name, holds_old_cookie, as_sent }
    }

    /// Rewrites the request's cookies to those that were accepted: the session key, signed by the first key under the
    /// current name, and our other cookies. Needed because actix-session parses the header again, and less strictly.
    pub fn keep_accepted(&self, headers: &mut HeaderMap, sent: &SentSession, devices: &[Secret], keys: &Keys) {
        let Some(line) = headers.get(header::COOKIE) else { return };
        let mut kept = String::with_capacity(line.len());
        let (visitor, half) = (self.visitor(headers), self.half(headers));
        let mut keep = |parts: &[&str]| {
            kept.push_str(if kept.is_empty() { "" } else { "; " });
            parts.iter().for_each(|part| kept.push_str(part));
        };
        match (&sent.as_sent, &sent.presented) {
            (Some(as_sent), _) => keep(&[&self.session, "=", as_sent]),
            (None, Presented::Key(key)) => keep(&[&self.signed(key, keys)]),
            (None, Presented::Nothing | Presented::Foreign) => {}
        }
        if !devices.is_empty() {
            keep(&[&self.device, "=", &joined(devices)]);
        }
        if let Some(secret) = visitor {
            keep(&[&self.visitor, "=", secret.expose()]);
        }
        if let Some(half) = half {
            keep(&[&self.half, "=", &half]);
        }
        let mut lines = headers.get_all(header::COOKIE);
        if lines.next().is_some_and(|line| line.as_bytes() == kept.as_bytes()) && lines.next().is_none() {
            return;
        }
        headers.remove(header::COOKIE);
        if !kept.is_empty()
            && let Ok(value) = HeaderValue::try_from(kept)
        {
            headers.insert(header::COOKIE, value);
        }
    }

    /// The removal of the session cookie under its old name. Every answer that sets another key than the presented one,
    /// or removes it, needs this: otherwise the old cookie takes over once the current one is gone.
    pub fn removal_of_old(&self, answer: &HeaderMap, presented: &Presented, keys: &Keys) -> Option<Cookie<'static>> {
        let old = &self.before_ports.as_ref()?.session;
        let same = match presented {
            Presented::Key(key) => Some(self.signed(key, keys)),
            Presented::Nothing | Presented::Foreign => None,
        };
        let pair = |cookie: &HeaderValue| cookie.to_str().ok()?.split(';').next().map(str::to_owned);
        let sets_another = answer
            .get_all(header::SET_COOKIE)
            .filter_map(pair)
            .any(|pair| pair.split('=').next() == Some(&self.session) && Some(&pair) != same.as_ref());
        sets_another.then(|| self.removal(old))
    }

    /// Whether a `Set-Cookie` header sets or removes a session cookie.
    pub fn is_of_session(&self, set_cookie: &HeaderValue) -> bool {
        let old = self.before_ports.as_ref().map(|names| names.session.as_bytes());
        let name = set_cookie.as_bytes().split(|byte| *byte == b'=').next();
        name == Some(self.session.as_bytes()) || (old.is_some() && name == old)
    }

    /// The device secrets of this browser, one for each account that signed in on it. Falls back to the cookie under
    /// the old name.
    pub fn device_secrets(&self, headers: &HeaderMap) -> Vec<Secret> {
        let current = short_secrets(headers, &self.device);
        match &self.before_ports {
            Some(old) if current.is_empty() => short_secrets(headers, &old.device),
            _ => current,
        }
    }

    /// Whether an answer sets the device cookie.
    pub fn sets_device(&self, answer: &HeaderMap) -> bool {
        let name = |cookie: &HeaderValue| cookie.as_bytes().split(|byte| *byte == b'=').next().map(<[u8]>::to_vec);
        answer.get_all(header::SET_COOKIE).any(|cookie| name(cookie).as_deref() == Some(self.device.as_bytes()))
    }

    /// Whether a request has neither a visitor cookie nor a session cookie, valid or not.
    pub fn has_none(&self, headers: &HeaderMap) -> bool {
        values(headers, &self.visitor).chain(values(headers, &self.session)).next().is_none()
    }

    /// The secret that binds a visitor's forms.
    pub fn visitor(&self, headers: &HeaderMap) -> Option<Secret> {
        short_secret(headers, &self.visitor)
    }

    /// The state between the password and the second factor, as it was sealed. Several different values count as none.
    pub fn half(&self, headers: &HeaderMap) -> Option<String> {
        let mut found: Option<&str> = None;
        for value in values(headers, &self.half).flatten().filter(|value| value.len() <= LONGEST) {
            if found.is_some_and(|other| other != value) {
                return None;
            }
            found = Some(value);
        }
        found.map(str::to_owned)
    }

    /// The cookie with the state between the password and the second factor, for ten minutes at most.
    pub fn half_cookie(&self, value: &str) -> Cookie<'static> {
        let mut cookie = self.cookie(&self.half, value);
        cookie.set_max_age(Duration::minutes(10));
        cookie
    }

    /// The time zone that the page's script detected, if it is a known zone.
    pub fn zone(&self, headers: &HeaderMap) -> Option<String> {
        let name = values(headers, &self.zone).flatten().next()?;
        zone::named(name).map(|_| name.to_owned())
    }

    /// Whether the request carries the mark of a bounce.
    pub fn has_bounced(&self, headers: &HeaderMap) -> bool {
        values(headers, &self.bounce).next().is_some()
    }

    fn signed(&self, key: &SessionKey, keys: &Keys) -> String {
        keys.sign_cookie(&self.session, key.expose()).encoded().to_string()
    }

    /// Whether cookies are Secure.
    pub fn secure(&self) -> bool {
        self.https
    }

    /// The device cookie. It holds one secret for each account that signed in on this browser, newest first.
    pub fn device_cookie(&self, secrets: &[Secret]) -> Cookie<'static> {
        let mut cookie = self.cookie(&self.device, &joined(secrets));
        cookie.set_max_age(Duration::days(DEVICE_DAYS));
        cookie
    }

    /// The visitor cookie, which lasts until the browser closes.
    pub fn visitor_cookie(&self, secret: &Secret) -> Cookie<'static> {
        self.cookie(&self.visitor, secret.expose())
    }

    /// The mark of a bounce. Lax, because it has to arrive with the cross-site navigation that must not bounce again.
    pub fn bounce_cookie(&self) -> Cookie<'static> {
        let mut cookie = self.cookie(&self.bounce, "1");
        cookie.set_same_site(SameSite::Lax);
        cookie.set_max_age(Duration::seconds(10));
        cookie
    }

    /// A cookie that removes the cookie `name`.
    pub fn removal(&self, name: &str) -> Cookie<'static> {
        let mut cookie = self.cookie(name, "");
        cookie.make_removal();
        cookie
    }

    fn cookie(&self, name: &str, value: &str) -> Cookie<'static> {
        Cookie::build(name.to_owned(), value.to_owned())
            .path("/")
            .http_only(true)
            .secure(self.https)
            .same_site(SameSite::Strict)
            .finish()
    }
}

/// The session cookies under one name.
#[derive(Default)]
struct SessionCookies {
    /// Whether the request has any session cookie, valid or not.
    any: bool,
    /// The keys that we signed, without duplicates.
    keys: Vec<SessionKey>,
    /// The value with the first of these keys as it was sent, if the first signing key signed it.
    as_sent: Option<String>,
}

impl SessionCookies {
    fn read(headers: &HeaderMap, name: &str, keys: &Keys) -> Self {
        let mut found = Self::default();
        for value in values(headers, name) {
            found.any = true;
            if let Some((key, by_first_key)) = value.and_then(|value| verified(value, keys)) {
                if by_first_key && found.keys.is_empty() {
                    found.as_sent = value.map(str::to_owned);
                }
                add_once(&mut found.keys, key);
            }
        }
        found
    }

    /// The session that the cookies present. Several different valid keys present no session: we set at most one, and
    /// nothing distinguishes it from a planted one.
    fn presented(&self) -> Presented {
        match self.keys.as_slice() {
            [key] => Presented::Key(key.clone()),
            [] if !self.any => Presented::Nothing,
            _ => Presented::Foreign,
        }
    }
}

/// Adds a key unless it is present. Stops one key above the limit of a sign-out, which is enough to see the excess.
fn add_once(keys: &mut Vec<SessionKey>, key: SessionKey) {
    if keys.len() <= MOST_KEYS && !keys.iter().any(|other| other.is_same(&key)) {
        keys.push(key);
    }
}

/// Verifies a session cookie. Its value is percent-encoded because the signature is base64. The boolean is whether the
/// first key signed it.
fn verified(value: &str, keys: &Keys) -> Option<(SessionKey, bool)> {
    if value.len() > LONGEST {
        return None;
    }
    let value = percent_decode_str(value).decode_utf8().ok()?;
    let verified = keys.verify_cookie_value(&value)?;
    Some((SessionKey::parse(verified.text)?, verified.by_first_key))
}

/// The 128-bit secrets under a name, separated by dots. Several different values count as none.
fn short_secrets(headers: &HeaderMap, name: &str) -> Vec<Secret> {
    let mut found: Option<&str> = None;
    let is_fine = |value: &&str| value.split('.').all(|one| secret::is_base64url(one, SHORT_SECRET));
    for value in values(headers, name).flatten().filter(is_fine) {
        if found.is_some_and(|other| other != value) {
            return Vec::new();
        }
        found = Some(value);
    }
    found.into_iter().flat_map(|value| value.split('.')).take(MOST_DEVICES).map(Secret::presented).collect()
}

fn joined(secrets: &[Secret]) -> String {
    secrets.iter().take(MOST_DEVICES).map(Secret::expose).collect::<Vec<_>>().join(".")
}

/// The 128-bit secret under a name. Several different values count as none.
fn short_secret(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let mut found: Option<&str> = None;
    for value in values(headers, name).flatten().filter(|value| secret::is_base64url(value, SHORT_SECRET)) {
        if found.is_some_and(|other| other != value) {
            return None;
        }
        found = Some(value);
    }
    found.map(Secret::presented)
}

/// The cookies in a request's headers, in order. A pair whose name is not a token (RFC 6265, 4.1.1) is skipped. A value
/// that violates the grammar is `None`.
pub fn sent(headers: &HeaderMap) -> impl Iterator<Item = (&str, Option<&str>)> {
    pairs(headers).filter_map(|(name, value)| {
        let name = std::str::from_utf8(name).ok().filter(|_| !name.is_empty() && name.iter().all(is_token))?;
        Some((name, cookie_value(value)))
    })
}

/// The values of the cookies under one of our names, in order. A value that violates the grammar is `None`.
fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = Option<&'a str>> {
    pairs(headers).filter(move |(sent, _)| *sent == name.as_bytes()).map(|(_, value)| cookie_value(value))
}

/// The names and values in a request's cookie headers, in order and not checked.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.get_all(header::COOKIE).flat_map(|value| split_at_semicolons(value.as_bytes())).filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        Some((trimmed(&pair[..equals]), trimmed(&pair[equals + 1..])))
    })
}

/// Faster than [`slice::split`], which compares each byte: every name is looked for in the whole header.
fn split_at_semicolons(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (pair, after) = match memchr(b';', text) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        rest = after;
        Some(pair)
    })
}

/// Trims spaces and tabs. No other byte is white space in a header (RFC 9110, 5.6.3).
fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// A valid cookie value, without its quotes.
fn cookie_value(text: &[u8]) -> Option<&str> {
    let bare = match text {
        [b'"', bare @ .., b'"'] => bare,
        bare => bare,
    };
    let allowed = |byte: &u8| byte.is_ascii_graphic() && !b"\",;\\".contains(byte);
    std::str::from_utf8(bare).ok().filter(|_| bare.iter().all(allowed))
}
