//! The fields of the settings of a person, as they are typed and shown again. Called by the page of one person.
//!
//! Invariant: a refused form says beside a field what is wrong with it.

use serde::Deserialize;

use crate::{
    actions::person::change::{Changes, Refused},
    base::error::Error,
    records::account::{self, EmailAddress, Role, groups, person::Person},
};

/// The fields of the form.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PersonFields {
    pub(super) name: String,
    pub(super) email: String,
    /// Absent if the reader may give one role only.
    pub(super) role: Option<String>,
    /// One a line.
    pub(super) groups: String,
    pub(super) current_password: String,
}

/// What is wrong, by field.
#[derive(Debug, Clone, Default)]
pub(super) struct Wrong {
    pub name: Option<String>,
    pub email: Option<String>,
    pub role: Option<String>,
    pub groups: Option<String>,
    pub password: Option<String>,
}

impl Wrong {
    /// The reason why an action changed nothing.
    pub(super) fn of(refused: Refused) -> Self {
        let words = Some(refused.words().to_owned());
        match refused {
            Refused::EmailTaken => Self { email: words, ..Self::default() },
            Refused::LastOwner => Self { role: words, ..Self::default() },
        }
    }

    pub(super) fn is_any(&self) -> bool {
        !self.first().is_empty()
    }

    /// The id of the first field with an error; empty if there is none.
    pub(super) fn first(&self) -> &'static str {
        let fields = [
            ("name", &self.name),
            ("email", &self.email),
            ("role", &self.role),
            ("groups", &self.groups),
            ("current_password", &self.password),
        ];
        fields.into_iter().find(|(_, wrong)| wrong.is_some()).map_or("", |(id, _)| id)
    }
}

impl PersonFields {
    pub(super) fn of(person: &Person) -> Self {
        Self {
            name: person.account.name.clone(),
            email: person.account.email.clone(),
            role: None,
            groups: person.account.groups().collect::<Vec<_>>().join("\n"),
            current_password: String::new(),
        }
    }

    pub(super) fn role(&self) -> Option<Role> {
        self.role.as_deref().and_then(Role::from_word)
    }

    /// The changes, or what is wrong with each field. An address that was not changed is not checked: older versions
    /// accepted some that are refused now.
    pub(super) fn changes(&self, person: &Person) -> Result<Changes, Box<Wrong>> {
        let mut wrong = Wrong::default();
        let name = account::display_name(&self.name).and_then(|name| match name.is_empty() {
            true => Err(Error::Invalid("Enter a name.".into())),
            false => Ok(name),
        });
        let email = (self.email.trim() != person.account.email).then(|| EmailAddress::parse(&self.email)).transpose();
        let names = self.groups.lines().map(str::trim).filter(|line| !line.is_empty());
        let groups = groups::joined(names);
        let words = |error: &Error| Some(error.to_string());
        wrong.name = name.as_ref().err().and_then(words);
        wrong.email = email.as_ref().err().and_then(words);
        wrong.groups = groups.as_ref().err().and_then(words);
        if self.role.is_some() && self.role().is_none() {
            wrong.role = Some("Choose a role.".to_owned());
        }
        match (name, email, groups) {
            (Ok(name), Ok(email), Ok(groups)) if !wrong.is_any() => {
                Ok(Changes { name: Some(name), email, role: self.role(), groups: Some(groups), disabled: None })
            }
            _ => Err(Box::new(wrong)),
        }
    }
}

/// A role that the reader may choose.
pub(super) struct RoleChoice {
    pub word: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
    pub is_chosen: bool,
}

impl RoleChoice {
    /// The roles that the reader may give. Empty if there is no choice.
    pub(super) fn all(reader: Role, person: &Person, typed: Option<&PersonFields>) -> Vec<Self> {
        let chosen = typed.and_then(PersonFields::role).unwrap_or(person.account.role);
        let choice = |role: Role| Self {
            word: role.as_str(),
            label: role.label(),
            hint: match role {
                Role::Owner => "Does everything, and can make other owners.",
                Role::Admin => "Manages apps, and people who are neither admins nor owners.",
                Role::Member => "Manages nothing but their own account.",
            },
            is_chosen: role == chosen,
        };
        let roles = [Role::Member, Role::Admin, Role::Owner].into_iter().filter(|role| reader.may_give(*role));
        let choices: Vec<Self> = roles.map(choice).collect();
        if choices.len() > 1 { choices } else { Vec::new() }
    }
}
