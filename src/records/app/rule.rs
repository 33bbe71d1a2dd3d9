//! The rules that say who may open an app.
//!
//! Invariant: a rule that this version does not know admits nobody.

use std::fmt;

use crate::{
    base::error::{Error, Result},
    records::account::{Account, Role},
};

/// Who may open an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Everybody with an account.
    Everyone,
    /// Exactly this role.
    Role(Role),
    /// The members of a group.
    Group(String),
    /// The account with this id.
    Account(String),
}

impl Rule {
    pub fn fits(&self, account: &Account) -> bool {
        match self {
            Self::Everyone => true,
            Self::Role(role) => account.role == *role,
            Self::Group(group) => account.groups().any(|own| own == group),
            Self::Account(id) => account.id == *id,
        }
    }

    /// Parses a stored rule. The account of a rule is an id.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "everyone" => Some(Self::Everyone),
            Some(("role", role)) => Role::from_word(role).map(Self::Role),
            Some(("group", group)) if is_group(group) => Some(Self::Group(group.to_owned())),
            Some(("account", id)) if !id.is_empty() => Some(Self::Account(id.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("everyone"),
            Self::Role(role) => write!(f, "role:{role}"),
            Self::Group(group) => write!(f, "group:{group}"),
            Self::Account(id) => write!(f, "account:{id}"),
        }
    }
}

/// The most groups of an account.
const MOST_GROUPS: usize = 50;

/// Checks the names of an account's groups.
///
/// # Errors
/// [`Error::Invalid`] with a message for a form.
pub fn checked_groups(groups: Vec<String>) -> Result<Vec<String>> {
    if groups.len() > MOST_GROUPS {
        return Err(Error::Invalid(format!("A person can be in at most {MOST_GROUPS} groups.")));
    }
    match groups.iter().find(|group| !is_group(group)) {
        Some(odd) => Err(Error::Invalid(format!(
            "{odd:?} cannot be the name of a group: use letters, digits, spaces and . _ - and begin with a letter or digit."
        ))),
        None => Ok(groups),
    }
}

/// Whether a text can be the name of a group.
fn is_group(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || b" _.-".contains(&b);
    text.len() <= 63 && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) && text.bytes().all(is_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(role: Role, groups: &str) -> Account {
        let text = |text: &str| text.to_owned();
        Account {
            id: text("acc_1"),
            email: text("kim@example.com"),
            name: text("Kim"),
            role,
            time_zone: None,
            groups: text(groups),
        }
    }

    #[test]
    fn a_rule_fits_exactly_whom_it_names() {
        let kim = account(Role::Admin, "Till staff,Night");
        let fits = |rule: &str| Rule::parse(rule).is_some_and(|rule| rule.fits(&kim));
        for rule in ["everyone", "role:admin", "group:Till staff", "group:Night", "account:acc_1"] {
            assert!(fits(rule), "{rule}");
        }
        for rule in
            ["role:owner", "role:member", "group:Till", "group:night", "group:", "account:acc_2", "account:", "all", ""]
        {
            assert!(!fits(rule), "{rule}");
        }
    }

    #[test]
    fn groups_of_an_account_are_checked() {
        let checked = |groups: &[&str]| checked_groups(groups.iter().map(|group| (*group).to_owned()).collect());
        assert_eq!(checked(&["Till staff", "night-2"]).unwrap(), ["Till staff", "night-2"]);
        assert!(checked(&["a,b"]).is_err() && checked(&["-a"]).is_err() && checked(&[""]).is_err());
        assert!(checked(&["a"; 50]).is_ok() && checked(&["a"; 51]).is_err());
    }

    #[test]
    fn a_stored_rule_is_read_as_it_was_written() {
        for text in ["everyone", "role:member", "group:Till staff", "account:acc_1"] {
            assert_eq!(Rule::parse(text).map(|rule| rule.to_string()).as_deref(), Some(text));
        }
        for odd in ["group:a,b", "group:a\nb", "group:-a", "role:king", "Everyone"] {
            assert_eq!(Rule::parse(odd), None, "{odd}");
        }
    }
}
