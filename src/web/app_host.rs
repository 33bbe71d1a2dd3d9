//! The pages on an app's host, and those of the gate that a proxy hands on to the browser. They fetch nothing, because every
//! other address there belongs to the app. Called by the gate, by the pages on apps' hosts and by the error answers.
//!
//! Invariant: a page goes on only to an address that its caller has built from a registered origin.

use actix_web::{
    HttpResponse, ResponseError as _,
    http::{StatusCode, header},
};
use askama::Template;

use crate::base::error::{Error, Result};

/// The style of the pages. The policy allows exactly this text.
const STYLE: &str = include_str!("../../templates/app_host/page.css");
const POLICY: &str = "default-src 'none'; style-src 'sha256-JVJnSISbjm9Ezq49IUYN2yjfQIpwR1hiwDwHREgj2j4='; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// The same, for a page that a frame of the app shows.
const FRAME_POLICY: &str = "default-src 'none'; style-src 'sha256-JVJnSISbjm9Ezq49IUYN2yjfQIpwR1hiwDwHREgj2j4='; \
                            base-uri 'none'; form-action 'self'; frame-ancestors 'self'";

/// A link to an absolute address.
#[derive(Debug, Clone)]
pub struct Link {
    pub href: String,
    pub label: String,
    pub in_new_tab: bool,
}

impl Link {
    pub fn to(href: String, label: &str) -> Self {
        Self { href, label: label.to_owned(), in_new_tab: false }
    }
}

/// A page on an app's host.
#[derive(Debug, Template)]
#[template(path = "app_host/page.html")]
pub struct AppHostPage {
    heading: String,
    words: Vec<String>,
    link: Option<Link>,
    second: Option<Link>,
    /// Whether the page goes on to the first link by itself.
    goes_on: bool,
    style: &'static str,
    policy: &'static str,
}

impl AppHostPage {
    /// A page that says something.
    pub fn new(heading: &str, words: &[&str]) -> Self {
        let words = words.iter().map(|line| (*line).to_owned()).collect();
        Self {
            heading: heading.to_owned(),
            words,
            link: None,
            second: None,
            goes_on: false,
            style: STYLE,
            policy: POLICY,
        }
    }

    /// A page that goes on to `href` by itself. Not a redirect: the `form-action` of an app's own policy would stop a
    /// redirect to another origin, and an app's SameSite=Strict cookies would not be sent after one.
    pub fn going_on(href: String) -> Self {
        Self::new("One moment…", &[]).link(Link::to(href, "Continue")).goes_on()
    }

    /// Makes the page go on to its first link by itself.
    #[must_use]
    pub fn goes_on(self) -> Self {
        Self { goes_on: true, ..self }
    }

    /// Lets a frame of the app show the page.
    #[must_use]
    pub fn in_frame(self) -> Self {
        Self { policy: FRAME_POLICY, ..self }
    }

    #[must_use]
    pub fn link(mut self, link: Link) -> Self {
        match self.link {
            None => self.link = Some(link),
            Some(_) => self.second = Some(link),
        }
        self
    }

    pub fn answer(&self, status: StatusCode) -> Result<HttpResponse> {
        let body = self.render().map_err(Error::bug)?;
        let mut answer = HttpResponse::build(status);
        answer.content_type("text/html; charset=utf-8").insert_header((header::CONTENT_SECURITY_POLICY, self.policy));
        Ok(answer.body(body))
    }
}

/// The page for an error on an app's host.
pub(super) fn error_page(error: &Error) -> HttpResponse {
    let (heading, words) = match error {
        Error::NotFound => ("Page not found", "The address may be mistyped, or the page may be gone."),
        Error::Unavailable(_) => {
            ("Just a moment, please", "Signing in is not possible right now. Please try again in a minute.")
        }
        Error::TooFast(_) | Error::TooManyAttempts(_) => ("Too many requests", "Wait a moment, then try again."),
        Error::MethodNotAllowed(_) => ("That does not work here", "This address cannot be used that way."),
        _ => ("Something went wrong", "Please go back and try again."),
    };
    AppHostPage::new(heading, &[words]).answer(error.status_code()).unwrap_or_else(|error| error.error_response())
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_policy_allows_exactly_the_style() {
        let style = format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(STYLE)));
        assert!(POLICY.contains(&style) && FRAME_POLICY.contains(&style));
    }

    #[test]
    fn an_address_cannot_leave_its_attribute() {
        let page = AppHostPage::going_on("https://shop.example.com/?a=\"><script>".to_owned()).render().unwrap();
        assert!(!page.contains("<script>") && page.contains("http-equiv=\"refresh\""), "{page}");
    }
}
