//! That a session has ended: why, when, by whose hand.

use crate::{
    base::{
        db::{Instant, words},
        error::EndedBecause,
    },
    records::audit,
};

words! {
    /// Why a session ended, as the row keeps it.
    pub enum EndReason {
        /// Time ran out.
        Expired = "expired",
        /// Somebody ended it from elsewhere.
        Revoked = "revoked",
        /// It was logged out.
        LoggedOut = "logged-out",
        /// Another person logged in over it.
        Replaced = "replaced",
        /// The account got a new password.
        PasswordChanged = "password-changed",
        /// The account was disabled.
        AccountDisabled = "account-disabled",
    }
}

impl EndReason {
    /// As the session's own browser is told.
    pub fn told(self) -> EndedBecause {
        match self {
            Self::Expired => EndedBecause::Expired,
            Self::LoggedOut => EndedBecause::LoggedOut,
            Self::Replaced => EndedBecause::Replaced,
            Self::Revoked | Self::PasswordChanged | Self::AccountDisabled => EndedBecause::Revoked,
        }
    }

    /// As the audit trail records it.
    pub fn event(self) -> audit::Kind {
        match self {
            Self::Expired => audit::Kind::SessionExpired,
            Self::LoggedOut => audit::Kind::Logout,
            Self::Replaced => audit::Kind::SessionReplaced,
            Self::Revoked | Self::PasswordChanged | Self::AccountDisabled => audit::Kind::SessionRevoked,
        }
    }
}

/// What may be told of a session that has ended, to who holds its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Why.
    pub because: EndedBecause,
    /// When, if it is known.
    pub at: Option<Instant>,
    /// By whose hand.
    pub hand: Hand,
}

/// By whose hand a session ended, where the person is told more than why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hand {
    /// Nobody's, or that of whoever sat there: the reason says it all.
    None,
    /// The person's, from another device.
    Elsewhere,
    /// The person's, by a new password.
    NewPassword,
    /// That of whoever runs this.
    Operator,
    /// That of whoever runs this, by a new password.
    OperatorsPassword,
    /// That of whoever runs this, by closing the account.
    Closed,
    /// A login's, since there were too many.
    Limit,
}

impl Ended {
    /// As the row tells it.
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
        Self { because: reason.told(), at: Some(at), hand }
    }

    /// Its time ran out.
    pub fn expired(at: Instant) -> Self {
        Self { because: EndedBecause::Expired, at: Some(at), hand: Hand::None }
    }
}
