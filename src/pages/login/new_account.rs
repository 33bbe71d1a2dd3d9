//! The form for creating an account: its fields, their validation and their error messages. Called by the setup and
//! sign-up pages.
//!
//! Invariant: a form that is shown again keeps the typed e-mail address and name, but never the password.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;

use crate::{
    base::error::{Error, Result},
    records::account::{self, EmailAddress, strength::Lengths},
    web::{
        form_again::{Lost, TooMany, form_again_after},
        forms::NO_COOKIES,
        layout::Page,
    },
};

/// The form, shown for the first time or again.
#[derive(Template, Default)]
#[template(path = "login/new_account.html")]
pub(super) struct AccountForm {
    pub page: Page,
    pub token: String,
    /// The address that the form is submitted to.
    pub action: &'static str,
    pub heading: String,
    pub lead: &'static str,
    /// The page to continue to after a signup.
    pub next: Option<String>,
    /// The address of the login page.
    pub sign_in: String,
    /// Whether the typed address already has an account.
    pub is_taken: bool,
    /// The secret of the setup link; empty for a signup.
    pub setup: String,
    pub email: String,
    pub name: String,
    pub email_error: Option<String>,
    pub name_error: Option<String>,
    pub password_error: Option<String>,
    /// How long the password must be.
    pub password_hint: String,
    pub problem: Option<String>,
    /// Whether to show the form. If not, only the problem is shown.
    pub usable: bool,
}

/// The typed values, after validation.
pub(super) struct Typed {
    pub email: EmailAddress,
    pub name: String,
    pub password: String,
}

impl AccountForm {
    /// Validates the fields. On failure, returns this form with the messages beside its fields. This is cheap: the
    /// strength of the password is checked later, when it is hashed.
    pub fn check(self, password: String, lengths: Lengths) -> Result<(Typed, Self), Box<Self>> {
        let email = EmailAddress::parse(&self.email);
        let name = account::display_name(&self.name);
        match (email, name, lengths.check(&password, false)) {
            (Ok(email), Ok(name), Ok(())) => Ok((Typed { email, name, password }, self)),
            (email, name, password) => {
                let words = |error: Error| error.to_string();
                Err(Box::new(Self {
                    email_error: email.err().map(words),
                    name_error: name.err().map(words),
                    password_error: password.err().map(words),
                    ..self
                }))
            }
        }
    }

    /// The form with the message that the address already has an account.
    pub fn address_taken(self) -> Self {
        let email_error = Some("There is already an account with this email.".to_owned());
        Self { email_error, is_taken: true, ..self }
    }

    /// Shows the form again after an error: a weak password, too many attempts, or an unavailable service.
    ///
    /// # Errors
    /// Returns `error` itself if a retry cannot fix it.
    pub fn again(
        self,
        error: Error,
        form: impl FnOnce(StatusCode, Self) -> Result<HttpResponse>,
    ) -> Result<HttpResponse> {
        match error {
            Error::Invalid(words) => {
                form(StatusCode::UNPROCESSABLE_ENTITY, Self { password_error: Some(words), ..self })
            }
            error => form_again_after(error, TooMany::NewAccounts, Lost::Password, |status, words| {
                form(status, Self { problem: Some(words), ..self })
            }),
        }
    }
}

/// Explains why a form with another browser's token was not carried out.
pub(super) fn not_fresh(is_without_cookies: bool) -> String {
    let words = match is_without_cookies {
        true => NO_COOKIES,
        false => "This page had been open for a while. Please choose your password again.",
    };
    words.to_owned()
}
