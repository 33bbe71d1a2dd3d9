//! Why and when a session ended, and who ended it.

use crate::{
    base::{
        db::{Instant, words},
        error::EndedBecause,
    },
    records::audit,
};

words! {
    /// Why a session ended, as stored in the row.
    pub enum EndReason {
        /// The session expired.
        Expired = "expired",
        /// The user, an operator or the session limit revoked it.
        Revoked = "revoked",
        /// The user signed out.
        LoggedOut = "logged-out",
        /// Another user signed in over it.
        Replaced = "replaced",
        /// The account's password changed.
        PasswordChanged = "password-changed",
        /// The account was disabled.
        AccountDisabled = "account-disabled",
    }
}

impl EndReason {
    /// The reason as shown to the session's own browser.
    pub fn shown(self) -> EndedBecause {
        match self {
            Self::Expired => EndedBecause::Expired,
            Self::LoggedOut => EndedBecause::LoggedOut,
            Self::Replaced => EndedBecause::Replaced,
            Self::Revoked | Self::PasswordChanged | Self::AccountDisabled => EndedBecause::Revoked,
        }
    }

    /// The audit event for this reason.
    pub fn event(self) -> audit::Kind {
        match self {
            Self::Expired => audit::Kind::SessionExpired,
            Self::LoggedOut => audit::Kind::Logout,
            Self::Replaced => audit::Kind::SessionReplaced,
            Self::Revoked | Self::PasswordChanged | Self::AccountDisabled => audit::Kind::SessionRevoked,
        }
    }
}

/// The details of a session's end that a holder of its secret may learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    pub because: EndedBecause,
    /// When the session ended, if known.
    pub at: Option<Instant>,
    pub hand: Hand,
}

/// Who ended a session, if the user is shown more than the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hand {
    /// No further detail: the session expired, or it was ended in the same browser.
    None,
    /// The user, from another device.
    Elsewhere,
    /// The user, by changing the password.
    NewPassword,
    /// An operator.
    Operator,
    /// An operator, by setting a new password.
    OperatorsPassword,
    /// An operator, by disabling the account.
    Closed,
    /// A login that exceeded the session limit.
    Limit,
}

impl Ended {
    /// Builds the details from the columns of an ended session's row.
    pub fn by(reason: EndReason, by: Option<&str>, at: Instant) -> Self {
        let hand = match (reason, by) {
            (EndReason::Revoked, Some(audit::SYSTEM)) => Hand::Limit,
            (EndReason::Revoked, Some(audit::OPERATOR)) => Hand::Operator,
            (EndReason::Revoked, _) => Hand::Elsewhere,
            (EndReason::PasswordChanged, Some(audit::OPERATOR)) => Hand::OperatorsPassword,
            (EndReason::PasswordChanged, _) => Hand::NewPassword,
            (EndReason::AccountDisabled, _) => Hand::Closed,
            (EndReason::Expired | EndReason::LoggedOut | EndReason::Replaced, _) => Hand::None,
        };
        Self { because: reason.shown(), at: Some(at), hand }
    }

    /// The details for a session that is outdated: an operator ended all sessions, and its row does not say so yet.
    pub fn outdated() -> Self {
        Self { because: EndReason::Revoked.shown(), at: None, hand: Hand::Operator }
    }

    /// Whether the session's row may not have ended yet.
    pub fn may_be_unrecorded(&self) -> bool {
        self.because == EndedBecause::Expired || self.at.is_none()
    }

    /// The details for a session that expired at `at`.
    pub fn expired(at: Instant) -> Self {
        Self { because: EndedBecause::Expired, at: Some(at), hand: Hand::None }
    }
}
