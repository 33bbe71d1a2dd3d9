//! The pages on an app's host, and those of the gate that a proxy hands on to the browser. They fetch nothing, because every
//! other address there belongs to the app. Called by the gate, by the pages on apps' hosts and by the error answers.
//!
//! Invariant: a page goes on only to an address that its caller has built from a registered origin.

use actix_web::{
    HttpResponse, ResponseError as _,
    http::{StatusCode, header},
};
use askama::Template;

use super::app_face::Face;
use crate::base::error::{Error, Result};

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
#[derive(Debug, Default)]
pub struct AppHostPage {
    heading: String,
    words: Vec<String>,
    link: Option<Link>,
    second: Option<Link>,
    /// Whether the page goes on to the first link by itself.
    goes_on: bool,
    in_frame: bool,
}

/// The page as it is sent.
#[derive(Template)]
#[template(path = "app_host/page.html")]
struct Shown<'a> {
    page: &'a AppHostPage,
    face: &'a Face,
}

impl AppHostPage {
    /// A page that says something.
    pub fn new(heading: &str, words: &[&str]) -> Self {
        let words = words.iter().map(|line| (*line).to_owned()).collect();
        Self { heading: heading.to_owned(), words, ..Self::default() }
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
        Self { in_frame: true, ..self }
    }

    #[must_use]
    pub fn link(mut self, link: Link) -> Self {
        match self.link {
            None => self.link = Some(link),
            Some(_) => self.second = Some(link),
        }
        self
    }

    pub fn answer(&self, status: StatusCode, face: &Face) -> Result<HttpResponse> {
        let body = self.render(face)?;
        let mut answer = HttpResponse::build(status);
        answer
            .content_type("text/html; charset=utf-8")
            .insert_header((header::CONTENT_SECURITY_POLICY, face.policy(self.in_frame)));
        Ok(answer.body(body))
    }

    fn render(&self, face: &Face) -> Result<String> {
        Shown { page: self, face }.render().map_err(Error::bug)
    }
}

/// The page for an error on an app's host.
pub(super) fn error_page(error: &Error, face: &Face) -> HttpResponse {
    let (heading, words) = match error {
        Error::NotFound => ("Page not found", "The address may be mistyped, or the page may be gone."),
        Error::Unavailable(_) => {
            ("Just a moment, please", "Signing in is not possible right now. Please try again in a minute.")
        }
        Error::TooFast(_) | Error::TooManyAttempts(_) => ("Too many requests", "Wait a moment, then try again."),
        Error::MethodNotAllowed(_) => ("That does not work here", "This address cannot be used that way."),
        _ => ("Something went wrong", "Please go back and try again."),
    };
    let page = AppHostPage::new(heading, &[words]);
    page.answer(error.status_code(), face).unwrap_or_else(|error| error.error_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{
        brand::Brand,
        settings::{BrandSettings, Rgb},
    };

    #[test]
    fn an_address_cannot_leave_its_attribute() {
        let face = Face::new(Brand::default()).unwrap();
        let page = AppHostPage::going_on("https://shop.example.com/?a=\"><script>".to_owned()).render(&face).unwrap();
        assert!(!page.contains("<script>") && page.contains("http-equiv=\"refresh\""), "{page}");
    }

    #[test]
    fn a_page_shows_the_operators_name_colour_and_contact() {
        let settings = BrandSettings {
            name: "Möwe & Sons".to_owned(),
            accent: Some(Rgb([0xc2, 0x18, 0x5b])),
            contact: Some("Anna, 0171 5550199".to_owned()),
            ..BrandSettings::default()
        };
        let face = Face::new(Brand::read(&settings).unwrap()).unwrap();
        let page = AppHostPage::new("You are signed out", &[]).render(&face).unwrap();
        for part in ["You are signed out · Möwe &#38; Sons</title>", "--accent:#c2185b", "href=\"tel:01715550199\""] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("Sessile"), "{page}");
        assert!(page.contains(&format!("<style>{}</style>", face.style)), "{page}");
    }
}
