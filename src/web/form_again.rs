//! Shows a form again with what was typed and when to try again. Called by handlers that render their own form;
//! [`errors`] does the same for all other forms.
//!
//! Invariant: the form is shown again only for an error that can be retried. Any other error is returned.

use std::time::Duration;

use actix_web::{
    HttpResponse, ResponseError as _,
    http::{StatusCode, header},
};

use crate::{
    base::error::{Error, Result},
    web::errors,
};

/// What a person has to type again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Nothing.
    Nothing,
    /// The password, because a page never contains one.
    Password,
}

/// What there were too many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMany {
    WrongPasswords,
    /// Codes of the second factor.
    Codes,
    /// Attempts to create an account.
    NewAccounts,
}

impl TooMany {
    fn in_words(self, wait: Duration) -> String {
        let wait = in_words(wait);
        match self {
            Self::WrongPasswords => {
                format!("Too many wrong passwords. Wait {wait}, then try again. Forgotten it? Ask the administrator.")
            }
            Self::Codes => format!("Too many wrong codes. Wait {wait}, then try again."),
            Self::NewAccounts => format!("Too many attempts from your network. Wait {wait}, then try again."),
        }
    }
}

/// Shows a form with a password again after a retryable error.
///
/// # Errors
/// Errors that cannot be retried, and those of `form`.
pub fn form_again<Form>(error: Error, form: Form) -> Result<HttpResponse>
where
    Form: FnOnce(StatusCode, String) -> Result<HttpResponse>,
{
    form_again_after(error, TooMany::WrongPasswords, Lost::Password, form)
}

/// Like [`form_again`], but the caller gives what there were too many of and what has to be typed again.
pub fn form_again_after<Form>(error: Error, too_many: TooMany, lost: Lost, form: Form) -> Result<HttpResponse>
where
    Form: FnOnce(StatusCode, String) -> Result<HttpResponse>,
{
    let Some(seconds) = error.retry_after() else {
        return Err(error);
    };
    errors::log(&error);
    let words = match &error {
        Error::TooManyAttempts(wait) => too_many.in_words(*wait),
        Error::TooFast(wait) => {
            format!("Too many requests in a short time. Nothing is lost: wait {}, then try again.", in_words(*wait))
        }
        _ => match lost {
            Lost::Nothing => "This is not possible right now. Nothing is lost: try again shortly.",
            Lost::Password => {
                "This is not possible right now. Nothing is lost: type your password again and try again shortly."
            }
        }
        .to_owned(),
    };
    let mut answer = form(error.status_code(), words)?;
    answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    Ok(answer)
}

/// Adds `Retry-After`.
pub fn with_retry(mut answer: HttpResponse, error: &Error) -> HttpResponse {
    if let Some(seconds) = error.retry_after() {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}

/// A wait in words, rounded up.
fn in_words(wait: Duration) -> String {
    match wait.as_millis().div_ceil(1000) {
        0 | 1 => "a moment".to_owned(),
        seconds @ 2..=90 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_worded_and_rounded_up() {
        let said = |ms| in_words(Duration::from_millis(ms));
        assert_eq!(
            [said(1), said(1000), said(1001), said(90_000)],
            ["a moment", "a moment", "2 seconds", "90 seconds"]
        );
        assert_eq!([said(90_001), said(900_000)], ["2 minutes", "15 minutes"]);
    }
}
