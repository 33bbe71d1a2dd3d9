//! What is found wrong with a chain, in words. Made by whoever [verifies](super::verify).

use std::fmt;

/// What is wrong with an account's chain, where that shows first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whose.
    pub account_id: String,
    /// The event where it shows, by `audit.id`, which is the account's own number; `None` if it shows at the head.
    pub audit_id: Option<i64>,
    /// What.
    pub wrong: Wrong,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// The event is not as it was sealed, or does not follow what stands before it.
    Changed,
    /// Events are missing before this one.
    Missing,
    /// Events stand in another order than they happened.
    Reordered,
    /// An event was put in that is no link, or a link twice.
    Inserted,
    /// This many of the newest events were cut off.
    TailCut(i64),
    /// The head is not as it was sealed, is not the head of these links, or is gone.
    Head,
    /// Events from before the chain were taken out or put in.
    History,
    /// There is no beginning: not even that the account was made.
    Beginning,
    /// The checkpoint that stands for what was removed is not as it was sealed.
    Checkpoint,
    /// The key of this id sealed it and is not in the key file.
    KeyMissing(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("changed, or not what followed the one before"),
            Self::Missing => f.write_str("events before it are missing"),
            Self::Reordered => f.write_str("the order was changed"),
            Self::Inserted => f.write_str("put in afterwards"),
            Self::TailCut(links) => write!(f, "the newest events are missing: {links}"),
            Self::Head => f.write_str("the head of the chain was changed or is gone"),
            Self::History => f.write_str("events from before the chain were taken out or put in"),
            Self::Beginning => f.write_str("the beginning is missing, with the making of the account"),
            Self::Checkpoint => f.write_str("the checkpoint that stands for its oldest events was changed"),
            Self::KeyMissing(id) => write!(
                f,
                "not checkable: key {id} is missing from the key file (SESSILE_KEY_FILE); put it back as a line trail:KEY"
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
