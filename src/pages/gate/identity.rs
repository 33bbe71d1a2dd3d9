//! What an app is told about the person: headers, and a signed assertion (RFC 7519) that nobody can make up.
//!
//! Invariant: every value is ASCII. An app gets the complete set of headers, empty where there is no value.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::json;

use crate::{
    base::error::Result,
    records::{
        app::{App, Identity},
        session::grants::Granted,
    },
    web::{
        identity_headers::{OWN, REMOTE},
        site::Site,
    },
};

/// How long an assertion is valid, in seconds.
const LASTS: i64 = 60;
/// What is encoded besides everything that is not ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// The person, as an app is told.
#[derive(Debug)]
pub struct Identification {
    own: [String; 7],
}

impl Identification {
    /// # Errors
    /// When the operating system cannot supply random bytes for the signature.
    pub fn new(site: &Site, app: &App, granted: &Granted) -> Result<Self> {
        let Granted { account, record, now, .. } = granted;
        let seconds = |micros: i64| micros.div_euclid(1_000_000);
        let issued = seconds(now.micros());
        let groups: Vec<&str> = account.groups().collect();
        let claims = json!({
            "iss": site.public.origin(),
            "aud": app.origin,
            "sub": account.id,
            "email": account.email,
            "name": account.name,
            "role": account.role,
            "groups": groups,
            "sid": record.sid(),
            "auth_time": seconds(record.authenticated_at.micros()),
            "amr": record.amr(),
            "iat": issued,
            "exp": issued + LASTS,
        });
        let assertion = site.identity.sign(&claims)?;
        let text = |value: &str| utf8_percent_encode(value, ENCODED).to_string();
        let own = [
            text(&account.id),
            text(&account.email),
            text(&account.name),
            account.role.to_string(),
            text(&groups.join(",")),
            text(record.sid()),
            assertion,
        ];
        Ok(Self { own })
    }

    pub fn headers(&self, identity: Identity) -> Vec<(&'static str, String)> {
        let [_, email, name, _, groups, ..] = &self.own;
        let remote = [email, email, name, groups].map(String::clone);
        let remote = REMOTE.into_iter().zip(remote).filter(|_| identity == Identity::Remote);
        OWN.into_iter().zip(self.own.iter().cloned()).chain(remote).collect()
    }
}

/// The headers of a request without a person.
pub fn empty(identity: Identity) -> Vec<(&'static str, String)> {
    let remote = REMOTE.into_iter().filter(|_| identity == Identity::Remote);
    OWN.into_iter().chain(remote).map(|name| (name, String::new())).collect()
}
