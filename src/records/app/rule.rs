//! The rules that say who may open an app.
//!
//! Invariant: a rule that this version does not know admits nobody.

use std::fmt;

use crate::records::account::{Account, Role, groups::is_group};

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
            second_factors: 0,
            factor_reset_at: None,
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
    fn a_stored_rule_is_read_as_it_was_written() {
        for text in ["everyone", "role:member", "group:Till staff", "account:acc_1"] {
            assert_eq!(Rule::parse(text).map(|rule| rule.to_string()).as_deref(), Some(text));
        }
        for odd in ["group:a,b", "group:a\nb", "group:-a", "role:king", "Everyone"] {
            assert_eq!(Rule::parse(odd), None, "{odd}");
        }
    }
}
