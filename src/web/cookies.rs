//! Cookies: their names, their attributes, and the one parser of `Cookie` headers. All are HttpOnly, SameSite=Strict and for
//! the whole origin. Under https they are Secure and carry `__Host-`, so that no sibling domain can set them (RFC 6265bis,
//! 4.1.3). Browsers do not keep the cookies of different ports apart, so a port in the public origin is part of each name.
//!
//! Invariant: a name counts only as the exact bytes that were sent. A browser protects `__Host-` by those bytes: a name that
//! becomes ours by decoding or by trimming Unicode white space may have been set by anybody.

use actix_web::{
    cookie::{Cookie, SameSite, time::Duration},
    http::header::{self, HeaderMap, HeaderValue},
};

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

/// How long a browser keeps its device cookie: the longest that browsers allow.
const DEVICE_DAYS: i64 = 400;
const SHORT_SECRET: usize = 22;
/// Longest session cookie that is verified; ours are far shorter.
const LONGEST: usize = 4096;
/// Accounts whose device one browser can be.
const MOST_DEVICES: usize = 5;

/// The names of the cookies, with `__Host-` and port where they apply.
#[derive(Debug, Clone)]
pub struct CookieNames {
    /// Holds the session key, signed.
    pub session: String,
    /// Holds the secret that makes a browser the same device next time.
    pub device: String,
    /// Binds the forms of a visitor who has not signed in.
    pub visitor: String,
    /// Marks that this navigation has bounced once.
    pub bounce: String,
    /// The reader's time zone. Written by the page's script, so it is the only one that scripts can read.
    pub zone: String,
    /// The names without a port, which versions before this one set. Their cookies are still read.
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
    /// Every session key of ours in the request, each once. A sign-out ends the sessions of all of them.
    pub keys: Vec<SessionKey>,
    /// The key came under the name without a port and is to be set again under the current name.
    pub under_old_name: bool,
    /// The presented key came under the name without a port. That cookie goes with the next login or logout. Every other cookie
    /// under that name belongs to another instance on this host and is left alone.
    pub holds_old_cookie: bool,
}

impl CookieNames {
    /// The names under this origin.
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
        let mut keys = current.keys;
        old.keys.into_iter().for_each(|key| add_once(&mut keys, key));
        SentSession { presented, keys, under_old_name, holds_old_cookie }
    }

    /// Leaves in a request only what was accepted: the session's key, signed by the first key under the current name, and our
    /// other cookies. actix-session parses the header again, and less strictly.
    pub fn keep_accepted(&self, headers: &mut HeaderMap, presented: &Presented, keys: &Keys) {
        let mut kept = Vec::new();
        if let Presented::Key(key) = presented {
            kept.push(self.signed(key, keys));
        }
        let devices = self.device_secrets(headers);
        if !devices.is_empty() {
            kept.push(format!("{}={}", self.device, joined(&devices)));
        }
        kept.extend(self.visitor(headers).map(|secret| format!("{}={}", self.visitor, secret.expose())));
        headers.remove(header::COOKIE);
        if let Ok(value) = HeaderValue::try_from(kept.join("; "))
            && !kept.is_empty()
        {
            headers.insert(header::COOKIE, value);
        }
    }

    /// The removal of the session cookie under its old name. It belongs to every answer that sets another key than the one
    /// presented, or none: else the old cookie would take over once the current one is gone.
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

    /// The secrets of this browser's devices, one for each account that signed in on it; also from a cookie under the old
    /// name.
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

    /// Whether a request brings neither a visitor cookie nor a session cookie, ours or not.
    pub fn has_none(&self, headers: &HeaderMap) -> bool {
        !sent(headers).any(|(name, _)| name == self.visitor || name == self.session)
    }

    /// The secret that binds a visitor's forms.
    pub fn visitor(&self, headers: &HeaderMap) -> Option<Secret> {
        short_secret(headers, &self.visitor)
    }

    /// The name of the time zone that the page's script has found out, if there is one of that name.
    pub fn zone(&self, headers: &HeaderMap) -> Option<String> {
        let name = sent(headers).find_map(|(name, value)| value.filter(|_| name == self.zone))?;
        zone::named(name).map(|_| name.to_owned())
    }

    /// Whether the request comes from a page that bounced it.
    pub fn has_bounced(&self, headers: &HeaderMap) -> bool {
        sent(headers).any(|(name, _)| name == self.bounce)
    }

    fn signed(&self, key: &SessionKey, keys: &Keys) -> String {
        keys.sign_cookie(&self.session, key.expose()).encoded().to_string()
    }

    /// Whether cookies are Secure.
    pub fn secure(&self) -> bool {
        self.https
    }

    /// The device cookie: a secret for each account that signed in on this browser, the last one first.
    pub fn device_cookie(&self, secrets: &[Secret]) -> Cookie<'static> {
        let mut cookie = self.cookie(&self.device, &joined(secrets));
        cookie.set_max_age(Duration::days(DEVICE_DAYS));
        cookie
    }

    /// The visitor cookie, until the browser closes.
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

    /// Removes a cookie.
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
    /// Whether there is any, ours or not.
    any: bool,
    /// The keys that we signed, each once.
    keys: Vec<SessionKey>,
}

impl SessionCookies {
    fn read(headers: &HeaderMap, name: &str, keys: &Keys) -> Self {
        let mut found = Self::default();
        for (_, value) in sent(headers).filter(|(sent, _)| *sent == name) {
            found.any = true;
            if let Some(key) = value.and_then(|value| verified(name, value, keys)) {
                add_once(&mut found.keys, key);
            }
        }
        found
    }

    /// The session that they present. Several different keys of ours present none: the browser holds at most one that we
    /// set, and nothing tells it from one that was planted.
    fn presented(&self) -> Presented {
        match self.keys.as_slice() {
            [key] => Presented::Key(key.clone()),
            [] if !self.any => Presented::Nothing,
            _ => Presented::Foreign,
        }
    }
}

/// Adds a key that is not among these. One more than a sign-out ends is enough to see that there are too many.
fn add_once(keys: &mut Vec<SessionKey>, key: SessionKey) {
    if keys.len() <= MOST_KEYS && !keys.iter().any(|other| other.is_same(&key)) {
        keys.push(key);
    }
}

/// The key in a session cookie's value, which is percent-encoded because the signature is base64.
fn verified(name: &str, value: &str, keys: &Keys) -> Option<SessionKey> {
    if value.len() > LONGEST {
        return None;
    }
    let cookie = Cookie::parse_encoded(format!("{name}={value}")).ok()?;
    SessionKey::parse(&keys.verify_cookie(&cookie)?)
}

/// The random texts of 128 bits under a name, with dots between them. Several different values count as none.
fn short_secrets(headers: &HeaderMap, name: &str) -> Vec<Secret> {
    let mut found: Option<&str> = None;
    let is_fine = |value: &&str| value.split('.').all(|one| secret::is_base64url(one, SHORT_SECRET));
    let values = sent(headers).filter(|(sent, _)| *sent == name).filter_map(|(_, value)| value);
    for value in values.filter(is_fine) {
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

/// The random text of 128 bits under a name. Several different ones count as none.
fn short_secret(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let mut found: Option<&str> = None;
    let values = sent(headers).filter(|(sent, _)| *sent == name).filter_map(|(_, value)| value);
    for value in values.filter(|value| secret::is_base64url(value, SHORT_SECRET)) {
        if found.is_some_and(|other| other != value) {
            return None;
        }
        found = Some(value);
    }
    found.map(Secret::presented)
}

/// The cookies in a request's headers, in the order sent. A pair whose name is no token (RFC 6265, 4.1.1) is left out; a value
/// that the grammar does not allow is `None`.
pub fn sent(headers: &HeaderMap) -> impl Iterator<Item = (&str, Option<&str>)> {
    headers.get_all(header::COOKIE).flat_map(|value| value.as_bytes().split(|byte| *byte == b';')).filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let name = trimmed(&pair[..equals]);
        let name = std::str::from_utf8(name).ok().filter(|_| !name.is_empty() && name.iter().all(is_token))?;
        Some((name, cookie_value(trimmed(&pair[equals + 1..]))))
    })
}

/// Without the spaces and tabs around it. No other byte is white space in a header (RFC 9110, 5.6.3).
fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// A value, which may stand in quotes.
fn cookie_value(text: &[u8]) -> Option<&str> {
    let bare = match text {
        [b'"', bare @ .., b'"'] => bare,
        bare => bare,
    };
    let allowed = |byte: &u8| byte.is_ascii_graphic() && !b"\",;\\".contains(byte);
    std::str::from_utf8(bare).ok().filter(|_| bare.iter().all(allowed))
}
