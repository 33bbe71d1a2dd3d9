//! The two cookies on an app's host: the app's cookie, which holds the key of a grant, and the pending cookie, which binds
//! a sign-in under way to the browser. Both are HttpOnly, SameSite=Lax and valid for the whole origin. Under https they
//! are Secure and begin with `__Host-`; under http their names carry the app's port, because browsers share cookies
//! between the ports of a host. Called by the gate and by the pages on apps' hosts.
//!
//! Invariant: no other cookie is set on an app's host.

use actix_web::{
    cookie::{Cookie, SameSite, time::Duration},
    http::header::HeaderMap,
};
use url::Url;

use crate::{
    base::{
        error::Result,
        keys::Keys,
        secret::{self, Secret},
    },
    records::session::grants::GrantKey,
    web::cookies,
};

/// The longest that browsers allow.
const APP_DAYS: i64 = 400;
/// Longer than a sign-in takes, even if the person looks for the password first.
const PENDING_MINUTES: i64 = 60;
const PENDING: usize = 22;
/// The most rounds that are counted.
const MOST_ROUNDS: u8 = 9;

/// The names of the cookies of one app.
#[derive(Debug)]
pub struct AppCookies {
    app: String,
    pending: String,
    https: bool,
}

/// The value of the pending cookie.
#[derive(Debug, Clone)]
pub struct Pending {
    pub secret: Secret,
    /// How often the browser has got the app's cookie since the cookie was new, and came back without it.
    pub rounds: u8,
}

impl AppCookies {
    /// The cookies of the app at this origin.
    pub fn of(origin: &str) -> Self {
        let https = origin.starts_with("https://");
        let port = Url::parse(origin).ok().and_then(|url| url.port()).map(|port| format!("_{port}"));
        let name = |name: &str| match https {
            true => format!("__Host-{name}"),
            false => format!("{name}{}", port.as_deref().unwrap_or_default()),
        };
        Self { app: name("sessile_app"), pending: name("sessile_pending"), https }
    }

    /// The key in the app's cookie, if this instance sealed it, so that a made-up one costs no query. Several different
    /// values count as none: we set one, and nothing tells it from a planted one.
    pub fn key(&self, headers: &HeaderMap, keys: &Keys) -> Option<GrantKey> {
        GrantKey::parse(keys.sealed_opening(one_value(headers, &self.app)?)?)
    }

    pub fn pending(&self, headers: &HeaderMap) -> Option<Pending> {
        let value = one_value(headers, &self.pending)?;
        let (secret, rounds) = value.split_once('.').unwrap_or((value, "0"));
        let rounds = rounds.parse().ok().filter(|rounds| *rounds <= MOST_ROUNDS)?;
        secret::is_base64url(secret, PENDING).then(|| Pending { secret: Secret::presented(secret), rounds })
    }

    pub fn app_cookie(&self, key: &GrantKey, keys: &Keys) -> Result<Cookie<'static>> {
        Ok(self.cookie(&self.app, keys.seal_opening(&key.expose())?, Duration::days(APP_DAYS)))
    }

    pub fn pending_cookie(&self, pending: &Pending) -> Cookie<'static> {
        let value = format!("{}.{}", pending.secret.expose(), pending.rounds.min(MOST_ROUNDS));
        self.cookie(&self.pending, value, Duration::minutes(PENDING_MINUTES))
    }

    fn cookie(&self, name: &str, value: String, lasts: Duration) -> Cookie<'static> {
        Cookie::build(name.to_owned(), value)
            .path("/")
            .http_only(true)
            .secure(self.https)
            .same_site(SameSite::Lax)
            .max_age(lasts)
            .finish()
    }
}

/// The value of a cookie, unless it was sent with different values.
fn one_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = cookies::sent(headers).filter(|(sent, _)| *sent == name).filter_map(|(_, value)| value);
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{COOKIE, HeaderValue};

    use super::*;

    fn keys() -> Keys {
        let path = std::env::temp_dir().join(secret::random_name("sessile-key-").unwrap());
        Keys::read_or_make(&path).unwrap()
    }

    fn sent(value: &str) -> HeaderMap {
        [(COOKIE, HeaderValue::from_str(value).unwrap())].into_iter().collect()
    }

    #[test]
    fn the_names_carry_what_keeps_them_apart() {
        let names = |origin: &str| AppCookies::of(origin).app;
        assert_eq!(names("https://shop.example.com"), "__Host-sessile_app");
        assert_eq!(names("https://shop.example.com:8443"), "__Host-sessile_app");
        assert_eq!(names("http://localhost:3000"), "sessile_app_3000");
        assert_eq!(names("http://shop.lan"), "sessile_app");
        let key = GrantKey::generate("acc_1").unwrap();
        let cookie = AppCookies::of("https://shop.example.com").app_cookie(&key, &keys()).unwrap();
        assert!(cookie.to_string().ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=34560000"), "{cookie}");
    }

    #[test]
    fn a_cookie_is_read_as_it_was_set_or_not_at_all() {
        let (cookies, keys) = (AppCookies::of("https://shop.example.com"), keys());
        let made_up = GrantKey::generate("acc_0123456789abcdefghijkl").unwrap();
        let sealed = |key: &GrantKey| cookies.app_cookie(key, &keys).unwrap().value().to_owned();
        let (key, other) = (sealed(&made_up), sealed(&GrantKey::generate("acc_0123456789abcdefghijkl").unwrap()));
        let read = |text: &str| cookies.key(&sent(text), &keys).map(|key| key.expose());
        assert_eq!(read(&format!("a=b; __Host-sessile_app={key}")), Some(made_up.expose()));
        assert_eq!(read(&format!("__Host-sessile_app={key}; __Host-sessile_app={key}")), Some(made_up.expose()));
        assert_eq!(read(&format!("__Host-sessile_app={}", made_up.expose())), None, "not sealed");
        assert_eq!(read(&format!("__Host-sessile_app={key}; __Host-sessile_app={other}")), None);
        assert_eq!((read(&format!("sessile_app={key}")), read("__Host-sessile_app=")), (None, None));
        let pending = Pending { secret: Secret::random_short().unwrap(), rounds: 1 };
        let cookie = cookies.pending_cookie(&pending);
        let again = cookies.pending(&sent(&format!("{}={}", cookie.name(), cookie.value()))).unwrap();
        assert_eq!((again.secret, again.rounds), (pending.secret, 1));
        for odd in ["", "x", "0123456789abcdefghijkl.x", "0123456789abcdefghijkl.200", "0123456789abcdefghijkl.1.1"] {
            assert!(cookies.pending(&sent(&format!("__Host-sessile_pending={odd}"))).is_none(), "{odd}");
        }
    }
}
