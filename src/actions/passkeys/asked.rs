//! A question as the browser keeps it until the answer: its options, and the sealed state. Called by the other modules of
//! this folder.
//!
//! Invariant: a state opens only in the browser, for the purpose and, if known, for the session or the first step that it
//! was made for.

use serde::Serialize;
use serde_json::Value;

use crate::{
    actions::second_factor::half::Half,
    base::{
        error::{Error, Result},
        keys::SealingKeys,
        secret::Secret,
        webauthn::Started,
    },
    records::session::CurrentUser,
};

/// A question for the browser.
#[derive(Debug, Clone, Serialize)]
pub struct Asked {
    /// For `navigator.credentials`.
    options: Value,
    /// The browser sends it back with the answer.
    state: String,
}

/// What a passkey is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose<'a> {
    SignIn,
    /// The second factor after a right password.
    SecondStep(&'a Half),
    Add(&'a CurrentUser),
    Confirm(&'a CurrentUser),
}

impl Purpose<'_> {
    fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in with a passkey",
            Self::SecondStep(_) => "passkey after a password",
            Self::Add(_) => "new passkey",
            Self::Confirm(_) => "confirmation with a passkey",
        }
    }

    /// The browser, and what else the state belongs to.
    fn binding(self, visitor: &Secret) -> String {
        let visitor = visitor.expose();
        match self {
            Self::SignIn => visitor.to_owned(),
            Self::SecondStep(half) => format!("{visitor}:{}:{}", half.account_id, String::from_utf8_lossy(half.name())),
            // The session's lifelong name, because a confirmation in another tab changes its id.
            Self::Add(user) | Self::Confirm(user) => format!("{visitor}:{}:{}", user.account.id, user.record.sid()),
        }
    }
}

/// The question for the browser with this visitor secret.
pub(super) fn seal(keys: &SealingKeys, purpose: Purpose<'_>, visitor: &Secret, started: Started) -> Result<Asked> {
    let state = keys.seal_for_browser(purpose.name(), &purpose.binding(visitor), &started.state)?;
    Ok(Asked { options: started.options, state })
}

/// The state of a question.
///
/// # Errors
/// [`Error::Invalid`] for a state of another browser or purpose.
pub(super) fn open(keys: &SealingKeys, purpose: Purpose<'_>, visitor: &Secret, state: &str) -> Result<Vec<u8>> {
    keys.open_from_browser(purpose.name(), &purpose.binding(visitor), state)
        .ok_or_else(|| Error::Invalid("the passkey took too long, or another page asked for it: try again".to_owned()))
}
