//! What is asked of somebody who makes an account: the fields, their checks, and the words beside them. Called by the
//! setup and the signup.

use askama::Template;

use crate::{
    account::{self, EmailAddress, Role, hasher::Hasher, strength},
    error::{Error, Result},
    page::Page,
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

impl AccountForm {
    /// What was typed, as an account to be made; else the form with the words beside its fields.
    ///
    /// # Errors
    /// The form to be shown again; or, inside, that too many passwords wait.
    pub async fn check(self, password: String, role: Role, hasher: &Hasher) -> Result<(account::New, Self), Refused> {
        let email = EmailAddress::parse(&self.email);
        let name = account::display_name(&self.name);
        let (email, name) = match (email, name, strength::check_length(&password)) {
            (Ok(email), Ok(name), Ok(())) => (email, name),
            (email, name, password) => {
                let words = |error: Error| error.to_string();
                return Err(Refused::Typed(Box::new(Self {
                    email_error: email.err().map(words),
                    name_error: name.err().map(words),
                    password_error: password.err().map(words),
                    ..self
                })));
            }
        };
        let about = vec![name.clone(), email.as_str().to_owned()];
        match hasher.choose(password, about).await {
            Ok(password_hash) => Ok((account::New { email, name, role, password_hash }, self)),
            Err(Error::Invalid(words)) => Err(Refused::Typed(Box::new(Self { password_error: Some(words), ..self }))),
            Err(error) => Err(Refused::Away(error, Box::new(self))),
        }
    }

    /// The same, for an address that has an account.
    pub fn address_taken(self) -> Self {
        let email_error = Some("There is an account with this address already. Choose another.".to_owned());
        Self { email_error, ..self }
    }
}

/// Why no account is made of what was typed.
pub(super) enum Refused {
    /// Something is wrong with it: the form again.
    Typed(Box<AccountForm>),
    /// Nothing is, but it cannot be done now.
    Away(Error, Box<AccountForm>),
}
