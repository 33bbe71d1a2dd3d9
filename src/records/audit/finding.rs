//! Problems found in a chain, with a text for the operator. Made by [`walk`](super::walk), shown by `doctor`.
//!
//! Invariant: a chain has at most one finding, the first problem in it.

use std::fmt;

/// The first problem in an account's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub account_id: String,
    /// The `audit.id` of the event with the problem. `None` if the problem is at the head or the checkpoint.
    pub audit_id: Option<i64>,
    pub wrong: Wrong,
}

/// The kinds of problems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// The event was changed, or does not follow the event before it.
    Changed,
    /// Events are missing before this one.
    Missing,
    /// Events were reordered.
    Reordered,
    /// An unsealed event or a copy of a link was inserted.
    Inserted,
    /// This many of the newest events are missing.
    TailCut(i64),
    /// The head is missing, has an invalid seal, or does not match the links.
    Head,
    /// Events that are older than the chain were removed or inserted.
    History,
    /// The chain does not begin with the account's creation, and there are no older events.
    Beginning,
    /// The checkpoint has an invalid seal.
    Checkpoint,
    /// The account is marked as deleted and its trail says nothing of it, or the other way round.
    Deletion,
    /// A seal cannot be checked: the key with this id is not in the key file.
    KeyMissing(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("changed, or does not follow the event before it"),
            Self::Missing => f.write_str("events before this one are missing"),
            Self::Reordered => f.write_str("events were reordered"),
            Self::Inserted => f.write_str("inserted afterwards"),
            Self::TailCut(links) => write!(f, "the newest events are missing: {links}"),
            Self::Head => f.write_str("the head of the chain was changed or is missing"),
            Self::History => f.write_str("events older than the chain were removed or inserted"),
            Self::Beginning => {
                f.write_str("the beginning is missing: the chain does not start with the account's creation")
            }
            Self::Checkpoint => f.write_str("the checkpoint of its deleted events was changed"),
            Self::Deletion => {
                f.write_str("the account is marked as deleted, and its trail does not end with its deletion")
            }
            Self::KeyMissing(id) => write!(
                f,
                "cannot be checked: key {id} is missing from the key file (SESSILE_KEY_FILE); add it back as a line \
                 trail:KEY"
            ),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.audit_id {
            Some(id) => write!(f, "account {}, event {id}: {}", self.account_id, self.wrong),
            None => write!(f, "account {}: {}", self.account_id, self.wrong),
        }
    }
}
