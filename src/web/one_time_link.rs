//! A one-time link as a page or an answer of the API shows it. Used by the pages and the API for invitations and new
//! passwords.
//!
//! Invariant: the link is in no log and in no address of a page, except its own.

use serde::Serialize;

use super::{layout::When, qr::Qr};
use crate::{
    base::{db::Instant, error::Result},
    records::link::Made,
};

/// The answer of the API.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkView {
    link: String,
    expires_at: Instant,
}

/// For `parts/one_time_link.html`.
#[derive(Debug)]
pub struct ShownLink {
    pub link: String,
    pub qr: Qr,
    pub until: When,
}

/// The address of the page for links.
pub fn address(origin: &str, made: &Made, page: &str) -> String {
    format!("{origin}{page}{}", made.token.expose())
}

impl LinkView {
    pub fn new(link: String, made: &Made) -> Self {
        Self { link, expires_at: made.expires_at }
    }
}

impl ShownLink {
    pub fn new(link: String, made: &Made, now: Instant) -> Result<Self> {
        Ok(Self { qr: Qr::draw(&link)?, link, until: When::until(made.expires_at, now) })
    }
}
