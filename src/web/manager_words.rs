//! Words for what people who manage others did: in the activity of the person to whom it was done, and in their own.
//! Called by [`activity_words`](super::activity_words) and by the pages that show activity.
//!
//! Invariant: an event says who did it by a name that is looked up when it is shown, because no trail holds the name of
//! another person.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::{db::Conn, error::Result},
    records::{
        account::person,
        audit::{Kind, Recorded},
    },
};

/// The names of the other people in some events of an account.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// The account whose events they are.
    own: String,
    of: BTreeMap<String, String>,
}

/// Reads the names. Runs no statement if no event names another person.
pub async fn names(conn: &mut Conn<'_>, own: &str, events: &[Recorded]) -> Result<Names> {
    let others: BTreeSet<&str> = events.iter().filter_map(|event| other(event, own)).collect();
    let of = person::names(conn, &others).await?;
    Ok(Names { own: own.to_owned(), of })
}

/// The other person in an event: to whom the account did something, or who did something to the account.
fn other<'e>(event: &'e Recorded, own: &str) -> Option<&'e str> {
    // Whoever signed in over a session is a stranger.
    if event.kind == Kind::SessionReplaced {
        return None;
    }
    event.other_account().or_else(|| event.acting_account().filter(|actor| *actor != own))
}

impl Names {
    /// The title and the line of an event in which somebody manages somebody else.
    pub fn words(&self, event: &Recorded) -> Option<(&'static str, String)> {
        let other = other(event, &self.own).filter(|_| !self.own.is_empty())?;
        let name = self.of.get(other).cloned();
        if event.other_account().is_some() {
            let name = name.unwrap_or_else(|| "Somebody whose account is deleted".to_owned());
            return Some((done_to_another(event.kind)?, name));
        }
        let name = name.unwrap_or_else(|| "An administrator whose account is deleted".to_owned());
        let line = match (event.kind, event.detail.as_deref()) {
            (Kind::AccountRenamed | Kind::AccountEmailChanged, Some(was)) => {
                format!("{name}, before: {}", was.trim_start_matches("was "))
            }
            (Kind::EmailChangeAsked, Some(to)) => format!("{name}: {}", to.trim_start_matches("to ")),
            (Kind::AccountRoleChanged, Some(roles)) => format!("{name}: {roles}"),
            (Kind::AccountGroupsChanged, Some("")) => format!("{name}: none"),
            (Kind::AccountGroupsChanged, Some(groups)) => format!("{name}: {groups}"),
            _ => match &event.device_name {
                Some(device) => format!("{name}: {device}"),
                None => name,
            },
        };
        Some((done_by_another(event.kind)?, line))
    }
}

fn done_to_another(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::AccountInvited => "You invited somebody",
        Kind::InvitationCancelled => "You cancelled an invitation",
        Kind::PasswordLinkMade => "You made somebody a link for a new password",
        Kind::EmailChangeAsked => "You asked somebody to verify a new email address",
        Kind::AccountRenamed => "You changed somebody's name",
        Kind::AccountEmailChanged => "You changed somebody's email address",
        Kind::AccountRoleChanged => "You changed somebody's role",
        Kind::AccountGroupsChanged => "You changed somebody's groups",
        Kind::AccountDisabled => "You disabled an account",
        Kind::AccountEnabled => "You enabled an account",
        Kind::AccountExported => "You downloaded somebody's data",
        Kind::AccountDeleted => "You deleted an account",
        Kind::SecondFactorReset => "You removed somebody's second factor",
        Kind::SessionRevoked => "You signed somebody out",
        _ => return None,
    })
}

fn done_by_another(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::AccountInvited => "An administrator sent an invitation",
        Kind::InvitationCancelled => "An administrator cancelled the invitation",
        Kind::PasswordLinkMade => "An administrator made you a link for a new password",
        Kind::EmailChangeAsked => "An administrator asked for another email address",
        Kind::AccountRenamed => "An administrator changed the name",
        Kind::AccountEmailChanged => "An administrator changed the email address",
        Kind::AccountRoleChanged => "An administrator changed the role",
        Kind::AccountGroupsChanged => "An administrator changed the groups",
        Kind::AccountDisabled => "An administrator disabled the account",
        Kind::AccountEnabled => "An administrator enabled the account again",
        Kind::AccountExported => "An administrator downloaded the data",
        Kind::SecondFactorReset => "An administrator removed the second factor",
        Kind::SessionRevoked => "An administrator signed this device out",
        _ => return None,
    })
}
