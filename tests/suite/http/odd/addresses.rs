//! Every address of the program, for cases that test each of them.

use sessile::serve::routes::Routes;

use crate::http::serve;

/// The kind of body that an address reads. `Json` names its method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    None,
    Form,
    Json(&'static str),
}

/// What a proxy asks about may have any method.
const ANY: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// An address with its methods, in the form of `Allow`.
#[derive(Debug, Clone, Copy)]
pub struct Address {
    pattern: &'static str,
    methods: &'static str,
    pub body: Body,
}

/// Add each new address of `src/serve/routes.rs` here.
pub const ADDRESSES: &[Address] = &[
    address("/", "GET, HEAD", Body::None),
    address("/setup", "GET, HEAD, POST", Body::Form),
    address("/login", "GET, HEAD, POST", Body::Form),
    address("/signup", "GET, HEAD, POST", Body::Form),
    address("/forgot", "GET, HEAD, POST", Body::Form),
    address("/link/{token}", "GET, HEAD, POST", Body::Form),
    address("/login/second", "GET, HEAD, POST", Body::Form),
    address("/account/security", "GET, HEAD, POST", Body::Form),
    address("/account/security/app", "GET, HEAD, POST", Body::Form),
    address("/account/security/app/remove", "GET, HEAD, POST", Body::Form),
    address("/account/security/recovery", "GET, HEAD, POST", Body::Form),
    address("/api/second-factor", "GET, HEAD", Body::None),
    address("/api/second-factor/app", "POST, PUT, DELETE", Body::Json("PUT")),
    address("/api/second-factor/recovery-codes", "POST", Body::None),
    address("/account/security/passkeys/{id}", "GET, HEAD, POST", Body::Form),
    address("/account/security/passkeys/{id}/remove", "GET, HEAD, POST", Body::Form),
    address("/api/passkeys", "POST", Body::Json("POST")),
    address("/api/passkeys/options", "POST", Body::None),
    address("/api/passkeys/offer", "POST", Body::None),
    address("/api/passkeys/sign-in", "POST", Body::Json("POST")),
    address("/api/passkeys/sign-in/options", "POST", Body::Json("POST")),
    address("/api/passkeys/confirm", "POST", Body::Json("POST")),
    address("/api/passkeys/confirm/options", "POST", Body::None),
    address("/api/passkeys/{id}", "PATCH, DELETE", Body::Json("PATCH")),
    address("/account/phone", "GET, HEAD, POST", Body::Form),
    address("/account/email", "GET, HEAD, POST", Body::Form),
    address("/people/invite", "GET, HEAD, POST", Body::Form),
    address("/people/{id}/link", "GET, HEAD, POST", Body::Form),
    address("/account/delete", "GET, HEAD, POST", Body::Form),
    address("/account/export", "GET, HEAD, POST", Body::Form),
    address("/people", "GET, HEAD", Body::None),
    address("/people/{id}", "GET, HEAD, POST", Body::Form),
    address("/people/{id}/confirm", "GET, HEAD, POST", Body::Form),
    address("/api/account", "DELETE", Body::None),
    address("/api/account/export", "GET, HEAD", Body::None),
    address("/api/people", "GET, HEAD", Body::None),
    address("/api/people/{id}", "GET, HEAD, PATCH, DELETE", Body::Json("PATCH")),
    address("/api/people/{id}/export", "GET, HEAD", Body::None),
    address("/api/people/{id}/revoke-sessions", "POST", Body::None),
    address("/api/people/invitations", "POST", Body::Json("POST")),
    address("/api/people/{id}/password-link", "POST", Body::None),
    address("/confirm", "GET, HEAD, POST", Body::Form),
    address("/account", "GET, HEAD, POST", Body::Form),
    address("/logout", "POST", Body::Form),
    address("/dashboard", "GET, HEAD", Body::None),
    address("/devices", "GET, HEAD, POST", Body::Form),
    address("/activity", "GET, HEAD", Body::None),
    address("/drafts", "GET, HEAD, POST", Body::Form),
    address("/api/drafts", "GET, HEAD", Body::None),
    address("/api/session/sync", "POST", Body::Json("POST")),
    address("/api/establish-session", "POST", Body::Json("POST")),
    address("/api/session", "GET, HEAD, DELETE", Body::None),
    address("/api/sessions", "GET, HEAD", Body::None),
    address("/api/sessions/revoke-others", "POST", Body::None),
    address("/api/sessions/{id}", "DELETE", Body::None),
    address("/api/devices", "GET, HEAD", Body::None),
    address("/api/devices/{id}", "PATCH, DELETE", Body::Json("PATCH")),
    address("/api/activity", "GET, HEAD", Body::None),
    address("/api/openapi.json", "GET, HEAD", Body::None),
    address("/api/events", "GET, HEAD", Body::None),
    address("/api/session/data", "GET, HEAD, PATCH", Body::Json("PATCH")),
    address("/healthz", "GET, HEAD", Body::None),
    address("/readyz", "GET, HEAD", Body::None),
    address("/metrics", "GET, HEAD", Body::None),
    address("/manifest.webmanifest", "GET, HEAD", Body::None),
    address("/sw.js", "GET, HEAD", Body::None),
    address("/offline", "GET, HEAD", Body::None),
    address("/.well-known/change-password", "GET, HEAD", Body::None),
    address("/.well-known/security.txt", "GET, HEAD", Body::None),
    address("/favicon.ico", "GET, HEAD", Body::None),
    address("/robots.txt", "GET, HEAD", Body::None),
    address("/static/{name:.*}", "GET, HEAD", Body::None),
    address("/.well-known/jwks.json", "GET, HEAD", Body::None),
    address("/.sessile/gate/{token}", ANY, Body::None),
    address("/.sessile/echo", ANY, Body::None),
    address("/.sessile/start", "GET, HEAD", Body::None),
    address("/.sessile/done", "GET, HEAD", Body::None),
    address("/.sessile/sign-out", "GET, HEAD", Body::None),
    address("/apps", "GET, HEAD, POST", Body::Form),
    address("/apps/{id}", "GET, HEAD, POST", Body::Form),
    address("/apps/{id}/confirm", "GET, HEAD, POST", Body::Form),
    address("/apps/{id}/open", "GET, HEAD", Body::None),
    address("/apps/{id}/sign-out", "GET, HEAD", Body::None),
    address("/api/apps", "GET, HEAD", Body::None),
    address("/api/apps/{id}/ends", "GET, HEAD", Body::None),
    // The body is read only after the app's secret was checked.
    address("/api/apps/{id}/living", "POST", Body::None),
];

const fn address(pattern: &'static str, methods: &'static str, body: Body) -> Address {
    Address { pattern, methods, body }
}

impl Address {
    /// A path that matches the pattern.
    pub fn path(self) -> String {
        let mut path = String::new();
        let mut rest = self.pattern;
        while let Some((before, after)) = rest.split_once('{') {
            path = path + before + "something";
            rest = after.split_once('}').expect("a closing brace").1;
        }
        path + rest
    }

    pub fn methods(self) -> impl Iterator<Item = &'static str> {
        self.methods.split(", ")
    }

    /// Whether the address takes methods that nobody has heard of, too.
    pub fn takes_any(self) -> bool {
        self.methods == ANY
    }

    pub fn takes(self, method: &str) -> bool {
        self.methods().any(|one| one == method)
    }
}

/// Addresses that read forms, all by POST.
pub fn with_forms() -> impl Iterator<Item = String> {
    ADDRESSES.iter().filter(|address| address.body == Body::Form).map(|address| address.path())
}

/// Addresses that read JSON, with their method.
pub fn with_json() -> impl Iterator<Item = (&'static str, String)> {
    ADDRESSES.iter().filter_map(|address| match address.body {
        Body::Json(method) => Some((method, address.path())),
        Body::None | Body::Form => None,
    })
}

#[test]
fn the_list_of_addresses_is_that_of_the_routes() {
    let sorted = |mut list: Vec<(String, String)>| {
        list.sort();
        list
    };
    let table = Routes::declare().table;
    let declared = table.addresses().map(|route| (route.path.to_owned(), route.methods.to_string())).collect();
    let listed = ADDRESSES.iter().map(|address| (address.pattern.to_owned(), address.methods.to_owned())).collect();
    assert_eq!(sorted(listed), sorted(declared));
}

#[test]
fn every_address_lists_its_methods() {
    let (_db, server) = serve(&[]);
    for address in ADDRESSES.iter().filter(|address| !address.pattern.starts_with("/static/") && !address.takes_any()) {
        let answer = server.client().send("OPTIONS", &address.path(), &[], b"");
        assert_eq!((answer.status, answer.header("allow")), (405, Some(address.methods)), "{address:?}");
    }
}
