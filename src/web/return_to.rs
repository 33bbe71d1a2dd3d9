//! The login page's address and its `next` parameter, which leads back after the login. Handlers require a login by
//! taking a [`CurrentUser`](crate::records::session::CurrentUser). The error answers of pages and the login use this
//! module.
//!
//! Invariant: nobody is ever redirected to another origin.

use url::{Url, form_urlencoded};

use crate::base::settings::PublicUrl;

/// The longest address that a login leads back to. One that opens an app contains an encoded address of the app.
const LONGEST: usize = 4800;
pub const LOGIN: &str = "/login";
/// The destination of a login without `next`.
pub const HOME: &str = "/dashboard";

/// The login page that leads back to `path_and_query`.
pub fn login_address(path_and_query: &str) -> String {
    address_with_next(LOGIN, path_and_query)
}

/// The login page for a person who has just signed out, and wants to go on to `next` with another account.
pub fn signed_out(next: Option<&str>) -> String {
    let address = match next {
        Some(next) => login_address(next),
        None => LOGIN.to_owned(),
    };
    let sign = if address.contains('?') { '&' } else { '?' };
    format!("{address}{sign}done=signed-out")
}

/// The login page for a person whose first step of a sign-in is void.
pub fn expired_second_step(next: Option<&str>) -> String {
    let address = next.map_or_else(|| LOGIN.to_owned(), login_address);
    let sign = if address.contains('?') { '&' } else { '?' };
    format!("{address}{sign}done=expired")
}

/// A page that leads on to `path_and_query`.
pub fn address_with_next(page: &str, path_and_query: &str) -> String {
    if matches!(path_and_query, "" | "/") || path_and_query.len() > LONGEST {
        return page.to_owned();
    }
    let next: String = form_urlencoded::byte_serialize(path_and_query.as_bytes()).collect();
    format!("{page}?next={next}")
}

/// The page `confirm`, which asks for the second factor too if the account has one, and leads on to `path_and_query`.
pub fn second_confirmation(confirm: &str, path_and_query: &str) -> String {
    let next: String = form_urlencoded::byte_serialize(path_and_query.as_bytes()).collect();
    format!("{confirm}?level=2&next={next}")
}

/// Resolves `next` to path, query and fragment. None if it leads to another origin.
pub fn own_address(public: &PublicUrl, next: &str) -> Option<String> {
    if next.is_empty() || next.len() > LONGEST {
        return None;
    }
    let base = Url::parse(public.origin()).ok()?;
    let url = base.join(next).ok()?;
    if url.origin() != base.origin() || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let address = url[url::Position::BeforePath..].to_owned();
    // A path that begins with two slashes, used alone, names another host.
    (!address.starts_with("//")).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_leads_to_our_own_origin_only() {
        let public = PublicUrl::localhost(8080, false);
        let good = [
            ("/dashboard", "/dashboard"),
            ("/drafts?id=1#end", "/drafts?id=1#end"),
            ("dashboard", "/dashboard"),
            ("http://localhost:8080/dashboard", "/dashboard"),
            ("/a/../dashboard", "/dashboard"),
            ("/\u{e9}", "/%C3%A9"),
            ("/da\nsh", "/dash"),
        ];
        for (next, address) in good {
            assert_eq!(own_address(&public, next).as_deref(), Some(address), "{next:?}");
        }
        let long = format!("/{}", "a".repeat(LONGEST));
        let bad = [
            "",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "data:,x",
            "http://localhost:8080@evil.example/",
            "http://user@localhost:8080/",
            "http://localhost:8081/",
            "https://localhost:8080/",
            "http://localhost:8080//evil.example",
            "/\t/evil.example",
            "/.//evil.example",
            "http:///evil.example",
            &long,
        ];
        for next in bad {
            assert_eq!(own_address(&public, next), None, "{next:?}");
        }
    }

    #[test]
    fn the_login_remembers_the_whole_address() {
        assert_eq!(login_address("/drafts?a=1&b=2"), "/login?next=%2Fdrafts%3Fa%3D1%26b%3D2");
        assert_eq!((login_address("/"), login_address("")), ("/login".to_owned(), "/login".to_owned()));
        assert_eq!(signed_out(None), "/login?done=signed-out");
        assert_eq!(signed_out(Some("/drafts")), "/login?next=%2Fdrafts&done=signed-out");
    }
}
