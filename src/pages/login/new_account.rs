//! What is asked of somebody who creates an account: the fields, their checks, and the words beside them. Called by the
//! setup and the signup.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;

use crate::{
    base::error::{Error, Result},
    records::account::{self, EmailAddress, strength},
    web::{
        form_again::{Lost, form_again_after},
        forms::NO_COOKIES,
        layout::Page,
    },
};

/// The form as it is shown, again or for the first time.
#[derive(Template, Default)]
#[template(path = "login/new_account.html")]
pub(super) struct AccountForm {
    pub page: Page,
    pub token: String,
    /// Where it is sent.
    pub action: &'static str,
    pub heading: &'static str,
    pub lead: &'static str,
    /// The secret of the setup link; empty for a signup.
    pub setup: String,
    pub email: String,
    pub name: String,
    pub email_error: Option<String>,
    pub name_error: Option<String>,
    pub password_error: Option<String>,
    pub problem: Option<String>,
    /// Whether there is a form at all, or only the problem.
    pub usable: bool,
}

/// What was typed, once it has the form of an account.
pub(super) struct Typed {
    pub email: EmailAddress,
    pub name: String,
    pub password: String,
}

impl AccountForm {
    /// What was typed, if it has the form of an account; else this form with the words beside its fields. Costs nothing:
    /// whether the password is hard to guess is found out with its hash.
    pub fn check(self, password: String) -> Result<(Typed, Self), Box<Self>> {
        let email = EmailAddress::parse(&self.email);
        let name = account::display_name(&self.name);
        match (email, name, strength::check_length(&password)) {
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

    /// The same, for an address that has an account.
    pub fn address_taken(self) -> Self {
        let email_error = Some("There is already an account with this email. Sign in instead.".to_owned());
        Self { email_error, ..self }
    }

    /// The form again after an error: a password that is easy to guess, too many tries, or something that is away.
    ///
    /// # Errors
    /// Whatever makes no sense to try again.
    pub fn again(
        self,
        error: Error,
        form: impl FnOnce(StatusCode, Self) -> Result<HttpResponse>,
    ) -> Result<HttpResponse> {
        match error {
            Error::Invalid(words) => {
                form(StatusCode::UNPROCESSABLE_ENTITY, Self { password_error: Some(words), ..self })
            }
            error => form_again_after(error, "Too many tries from your network", Lost::Password, |status, words| {
                form(status, Self { problem: Some(words), ..self })
            }),
        }
    }
}

/// Why a form was not carried out whose token is not this browser's.
pub(super) fn not_fresh(is_without_cookies: bool) -> String {
    let words = match is_without_cookies {
        true => NO_COOKIES,
        false => "This page had been open for a while. Please choose your password once more.",
    };
    words.to_owned()
}
