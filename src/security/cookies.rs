//! The cookies: their names, their attributes, and how they are read. All are HttpOnly, SameSite=Strict and for the whole
//! origin; under https they are Secure and carry `__Host-`, so that no neighbour can set them (RFC 6265bis, 4.1.3).

use actix_web::{
    HttpRequest,
    cookie::{Cookie, SameSite, time::Duration},
    http::header,
};

use crate::secret::{self, Secret};

/// How long a browser keeps its device: the longest that browsers allow.
const DEVICE_DAYS: i64 = 400;
const SHORT_SECRET: usize = 22;

/// The names, with or without `__Host-`.
#[derive(Debug, Clone)]
pub struct CookieNames {
    /// Holds the session key, signed.
    pub session: String,
    /// Holds what makes a browser the same device next time.
    pub device: String,
    /// Binds the forms of somebody who has not logged in.
    pub visitor: String,
    /// Says that this navigation has bounced once.
    pub bounce: String,
    /// The reader's time zone. Written by the page's script, so it is the only one that scripts can read.
    pub zone: String,
    https: bool,
}

impl CookieNames {
    /// The names on http or https.
    pub fn new(https: bool) -> Self {
        let name = |plain: &str| if https { format!("__Host-{plain}") } else { plain.to_owned() };
        Self {
            session: name("aiq_session"),
            device: name("aiq_device"),
            visitor: name("aiq_visitor"),
            bounce: name("aiq_bounce"),
            zone: name("aiq_zone"),
            https,
        }
    }

    /// Whether cookies are Secure.
    pub fn secure(&self) -> bool {
        self.https
    }

    /// The device cookie.
    pub fn device_cookie(&self, secret: &Secret) -> Cookie<'static> {
        let mut cookie = self.cookie(&self.device, secret.expose());
        cookie.set_max_age(Duration::days(DEVICE_DAYS));
        cookie
    }

    /// The visitor's cookie, until the browser closes.
    pub fn visitor_cookie(&self, secret: &Secret) -> Cookie<'static> {
        self.cookie(&self.visitor, secret.expose())
    }

    /// The mark of a bounce. Lax, since it has to arrive with the cross-site navigation that must not bounce again.
    pub fn bounce_cookie(&self) -> Cookie<'static> {
        let mut cookie = self.cookie(&self.bounce, "1");
        cookie.set_same_site(SameSite::Lax);
        cookie.set_max_age(Duration::seconds(10));
        cookie
    }

    /// Takes a cookie back.
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

/// A cookie that should hold a random text of 128 bits; anything else counts as none.
pub fn short_secret(req: &HttpRequest, name: &str) -> Option<Secret> {
    let cookie = all_named(req.headers(), name).into_iter().next()?;
    secret::is_base64url(cookie.value(), SHORT_SECRET).then(|| Secret::presented(cookie.value()))
}

/// Every cookie of that name in a request's headers, in the order sent. The name counts as it was sent: one that only
/// decodes to it was not set by us, and may have got round `__Host-`. A value that does not decode is as it was sent: it is
/// none of ours, and still a cookie of that name.
pub fn all_named(headers: &header::HeaderMap, name: &str) -> Vec<Cookie<'static>> {
    pairs(headers)
        .filter(|pair| pair.split('=').next().map(str::trim) == Some(name))
        .filter_map(|pair| Cookie::parse_encoded(pair).or_else(|_| Cookie::parse(pair)).ok())
        .map(Cookie::into_owned)
        .collect()
}

/// What the `Cookie` headers hold besides cookies that would be taken for `name`, in the order sent. What nobody can
/// read is left out.
pub fn others(headers: &header::HeaderMap, name: &str) -> Vec<String> {
    pairs(headers)
        .filter(|pair| Cookie::parse_encoded(*pair).is_ok_and(|cookie| cookie.name() != name))
        .map(str::to_owned)
        .collect()
}

fn pairs(headers: &header::HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| std::str::from_utf8(pair).ok())
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
}
