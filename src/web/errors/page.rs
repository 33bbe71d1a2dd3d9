//! Error pages: what went wrong, what to do next and, if the request can be repeated, the form that was sent. Called by
//! [`errors`](super).
//!
//! Invariant: a page never shows the cause of an error.

use std::borrow::Cow;

use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use askama::Template;

use super::{
    help_code::HelpCode,
    sent_form_again::{Kind, SentFormAgain},
};
use crate::{
    base::error::{Error, Origins, Result},
    records::session::request::{Presented, RequestFacts},
    web::{
        forms,
        layout::{self, Page},
        request_summary::RequestSummary,
        site::Site,
    },
};

#[derive(Template)]
#[template(path = "error/error.html")]
pub(super) struct ErrorPage {
    page: Page,
    code: u16,
    heading: &'static str,
    words: Cow<'static, str>,
    help_code: HelpCode,
    back: Option<(Cow<'static, str>, &'static str)>,
    /// Whether the page reloads itself once the service is back.
    returns: bool,
    form: Option<SentFormAgain>,
}

/// The reader of an error page, as far as the cookie tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// The browser holds no session key of ours.
    Stranger,
    /// The browser holds a session key that we signed. The session may have ended.
    Holder,
}

impl ErrorPage {
    pub(super) fn answer(
        error: &Error,
        req: Option<&HttpRequest>,
        summary: &RequestSummary,
        form: Option<SentFormAgain>,
    ) -> Result<HttpResponse> {
        let facts = summary.facts.facts();
        let reader = match facts.as_deref() {
            Some(RequestFacts { presented: Presented::Key(_), .. }) => Reader::Holder,
            _ => Reader::Stranger,
        };
        let name = &summary.site.brand.name;
        let returns = summary.is_get && matches!(error, Error::Unavailable(_));
        let (heading, words) = match error {
            Error::Unavailable(_) => {
                ("Just a moment, please", away_in_words(name, reader, returns, form.as_ref()).into())
            }
            _ => in_plain_words(error, name),
        };
        let page = req.map_or_else(|| Page::bare(summary.site.brand.clone(), heading), |req| Page::new(req, heading));
        let page = Page { navigation: summary.routes.navigation(), ..page };
        let template = Self {
            page: with_navigation(page, facts.as_deref(), reader, &summary.site)?,
            code: error.status_code().as_u16(),
            heading,
            words,
            help_code: HelpCode::of(summary.id.as_str()),
            back: Some(match error {
                // Opening the address again would not repeat the form.
                _ if !summary.is_get && error.retry_after().is_some() => ("/".into(), "Go to the start page"),
                // The same address again.
                Error::Unavailable(_) | Error::Timeout | Error::TooManyAttempts(_) | Error::TooFast(_) => {
                    ("".into(), "Try again")
                }
                Error::CrossOrigin(origins) => (format!("{}/", origins.public).into(), "Go to the start page"),
                _ => ("/".into(), "Go to the start page"),
            }),
            returns,
            form,
        };
        layout::answer(error.status_code(), &template)
    }
}

/// Adds the navigation, and for a live session the person's name and sign-out form. While the database is away the name
/// is unknown, so only the navigation is shown.
fn with_navigation(page: Page, facts: Option<&RequestFacts>, reader: Reader, site: &Site) -> Result<Page> {
    match facts.and_then(RequestFacts::live) {
        Some(live) => {
            let token = forms::token_of_session(site, &live)?;
            Ok(page.of(&live.account, &token, ""))
        }
        None => Ok(Page {
            has_navigation: reader == Reader::Holder && facts.is_some_and(RequestFacts::is_undecided),
            ..page
        }),
    }
}

/// The words for an unavailable service. A reader with a session reads that the session continues.
fn away_in_words(name: &str, reader: Reader, returns: bool, form: Option<&SentFormAgain>) -> String {
    let next = match form {
        Some(form) if form.asks_password() => {
            "Nothing else that you typed is lost: type your password again, and send it again in a minute."
        }
        Some(form) if form.is_typed() => "Nothing that you typed is lost: send it again in a minute.",
        Some(_) => "Send it again in a minute.",
        None if returns && reader == Reader::Holder => "This page loads again by itself.",
        None => "Please try again in a minute.",
    };
    let stays = if reader == Reader::Holder { "You are not signed out. " } else { "" };
    format!("{name} cannot answer right now. {stays}{next}")
}

fn in_plain_words(error: &Error, name: &str) -> (&'static str, Cow<'static, str>) {
    if let Error::CrossOrigin(origins) = error {
        return ("That came from another site", where_from(origins, name).into());
    }
    let (heading, words) = in_fixed_words(error);
    (heading, words.into())
}

fn where_from(Origins { from, public, is_ours, .. }: &Origins, name: &str) -> String {
    match from {
        Some(from) if *is_ours => format!(
            "The page was opened at {from}, but {name} is at {public} and does only what its pages there ask for. Open it \
             there and try again."
        ),
        Some(from) if from != public => format!(
            "To keep you safe, {name} does only what its own pages at {public} ask for, and this came from {from}. Open \
             the page here and try again."
        ),
        _ => format!(
            "To keep you safe, {name} does only what its own pages at {public} ask for. Open the page here and try again."
        ),
    }
}

fn in_fixed_words(error: &Error) -> (&'static str, &'static str) {
    match error {
        Error::NotFound => ("Page not found", "The address may be mistyped, or the page may be gone."),
        Error::CrossOrigin(_) => ("That came from another site", ""),
        Error::MethodNotAllowed(_) => ("That does not work here", "This address cannot be used that way."),
        Error::Quota(_) => ("There is no room left", "Delete or shorten some of your drafts, then save again."),
        Error::TooLarge => ("That is too large", "What you sent is larger than this page takes."),
        Error::HeadTooLarge => {
            ("That is too large", "Your browser sent more than this page takes. Clearing this site's cookies may help.")
        }
        Error::Timeout => ("That took too long", "Your connection was too slow for this. Please try again."),
        Error::TooManyAttempts(_) => (
            "Too many attempts",
            "There were too many wrong passwords. Wait a moment, then try again. Forgotten yours? Ask the administrator.",
        ),
        Error::TooFast(_) => ("Too many requests", "Wait a moment, then try again. Nothing else was changed."),
        Error::Forbidden => ("You don't have access", "Your account may not do this. Ask the administrator."),
        Error::ConfirmationRequired => ("Confirm it's you", "Type your password again before you do this."),
        Error::SecondFactorRequired(..) => ("A second factor is needed", "Sign in again, with your code or passkey."),
        Error::SetUpRequired(_) => {
            ("Set up a second factor first", "You need an authenticator app or a passkey before you can do this.")
        }
        Error::Unavailable(_) => ("Just a moment, please", ""),
        Error::Internal(_) => (
            "Something went wrong",
            "It is not your fault. Please try again; if it happens again, tell the administrator.",
        ),
        Error::LoginRequired
        | Error::SessionEnded(_)
        | Error::InvalidCredentials
        | Error::PasskeyRefused(_)
        | Error::PasskeyUnknown => ("Sign in first", "You need to sign in to see this."),
        Error::Invalid(_) | Error::UnsupportedMediaType(_) | Error::Conflict(_) => {
            ("That could not be read", "What your browser sent was not understood. Go back and try again.")
        }
    }
}
