//! Forms: the extractor that reads them and their tokens, which are bound to the session or, without one, to a
//! visitor's cookie. Called by every handler that shows or receives a form.
//!
//! Invariant: a form without a valid token is never carried out. If it came from our own origin, it is shown again with
//! everything that was typed; if its origin is unknown, it is refused.

use std::pin::Pin;

use actix_web::{FromRequest, HttpMessage as _, HttpRequest, cookie::Cookie, dev::Payload, web};
use serde::de::DeserializeOwned;

use super::{
    limits,
    origin::{self, Proof},
};
use crate::web::site::Site;
use crate::{
    base::{
        error::{Error, Result},
        secret::Secret,
    },
    records::session::request::{self, Loaded, Presented, RequestFacts},
};

/// The largest form in bytes, unless a route sets another limit.
const LARGEST: usize = 16 * 1024;

/// The message for a browser that sent a form without any of our cookies.
pub const NO_COOKIES: &str = "Your browser sent no cookie with this form, and nobody can sign in without one. Allow cookies for \
                              this site in your browser, then try again.";

/// A token for a form that is about to be shown.
#[derive(Debug, Clone)]
pub struct FormToken {
    /// For the hidden field `csrf`.
    pub value: String,
    /// The visitor's cookie to set with the form, if the browser has none.
    pub cookie: Option<Cookie<'static>>,
    /// The session that the token is bound to, if a person is signed in.
    pub session_id: Option<String>,
    /// The account of that session.
    pub account_id: Option<String>,
}

/// Makes a form token for the current session or visitor.
pub fn token(site: &Site, req: &HttpRequest) -> Result<FormToken> {
    if let Some(live) = request::current().and_then(|facts| facts.live()) {
        return token_of_session(site, &live);
    }
    let (secret, cookie) = match site.cookies.visitor(req.headers()) {
        Some(secret) => (secret, None),
        None => {
            let secret = Secret::random_short()?;
            let cookie = site.cookies.visitor_cookie(&secret);
            (secret, Some(cookie))
        }
    };
    Ok(FormToken { value: site.keys.form_token(&of_visitor(&secret))?, cookie, session_id: None, account_id: None })
}

/// Makes a form token for a session.
pub fn token_of_session(site: &Site, live: &Loaded) -> Result<FormToken> {
    let value = site.keys.form_token(&of_session(live))?;
    let (session_id, account_id) = (Some(live.record.id.clone()), Some(live.account.id.clone()));
    Ok(FormToken { value, cookie: None, session_id, account_id })
}

/// Identifies a sign-in by account and time. The session's id would not do: it changes at each password confirmation,
/// and forms on pages opened before that must stay valid.
fn of_session(live: &Loaded) -> String {
    format!("session:{}:{}", live.account.id, live.record.created_at.micros())
}

fn of_visitor(secret: &Secret) -> String {
    format!("visitor:{}", secret.expose())
}

/// Whether a token was made for the current session or visitor.
fn is_fresh(site: &Site, req: &HttpRequest, facts: &RequestFacts, token: &str) -> bool {
    let subject = match facts.live() {
        Some(live) => Some(of_session(&live)),
        None => site.cookies.visitor(req.headers()).as_ref().map(of_visitor),
    };
    subject.is_some_and(|subject| site.keys.is_form_token(token, &subject))
}

/// A form that was sent.
#[derive(Debug)]
pub struct Form<Fields> {
    /// The fields as they were typed.
    pub fields: Fields,
    /// Whether the token was valid. If not, the handler shows the form again and does nothing else.
    pub is_fresh: bool,
    /// Whether the browser sent neither a visitor cookie nor a session cookie. It may refuse cookies altogether.
    pub is_without_cookies: bool,
}

#[derive(serde::Deserialize)]
struct Csrf {
    #[serde(default)]
    csrf: String,
}

impl<Fields: DeserializeOwned + 'static> FromRequest for Form<Fields> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = web::Form::<Vec<(String, String)>>::from_request(req, payload);
        let req = req.clone();
        Box::pin(async move {
            let pairs = body.await.map_err(|error| refused(&error))?.into_inner();
            let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let csrf: Csrf = read(&text)?;
            let site = req.app_data::<web::Data<Site>>().ok_or_else(|| Error::bug("no site in this application"))?;
            let facts = request::current().ok_or_else(|| Error::bug("outside of a request"))?;
            let is_fresh = is_fresh(site, &req, &facts, &csrf.csrf);
            let proof = req.extensions().get::<Proof>().copied();
            if !is_fresh && proof != Some(Proof::Shown) {
                return Err(Error::CrossOrigin(origin::origins(req.headers(), &site.public)));
            }
            // The session cookie was read by an outer layer, which may have removed it from the request.
            let is_without_cookies =
                matches!(facts.presented, Presented::Nothing) && site.cookies.has_none(req.headers());
            Ok(Self { fields: read(&text)?, is_fresh, is_without_cookies })
        })
    }
}

fn read<Fields: DeserializeOwned>(text: &str) -> Result<Fields> {
    web::Query::<Fields>::from_query(text)
        .map(web::Query::into_inner)
        .map_err(|error| Error::Invalid(format!("the form cannot be read: {error}")))
}

fn refused(error: &actix_web::Error) -> Error {
    use actix_web::error::UrlencodedError as Odd;
    match error.as_error::<Odd>() {
        Some(Odd::Overflow { .. }) => Error::TooLarge,
        Some(Odd::ContentType) => Error::UnsupportedMediaType("a form (application/x-www-form-urlencoded)"),
        Some(Odd::Payload(error)) => limits::unread(error),
        _ => Error::Invalid("the form cannot be read".into()),
    }
}

/// The configuration of the form extractor, with a limit of 16 KiB.
pub fn config() -> web::FormConfig {
    config_of(LARGEST)
}

/// Like [`config`], but with a limit of `largest` bytes.
pub fn config_of(largest: usize) -> web::FormConfig {
    web::FormConfig::default().limit(largest)
}
