//! Why an answer is refused.

use webauthn_rs::prelude::WebauthnError;

use crate::base::error::Error;

/// The reason, in words for the person. The name is for the audit trail and the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the answer of the passkey could not be read")]
    Malformed,
    /// The answer is to another question: an older one, or one of another ceremony.
    #[error("the passkey answered an older question: try again")]
    Challenge,
    /// The page that asked has another origin, or is framed by one.
    #[error("the passkey was used on another site")]
    Origin,
    #[error("the passkey belongs to another site")]
    RelyingParty,
    #[error("the device did not check that it is you: use its fingerprint, face or PIN check")]
    NotVerified,
    /// The answer names another account than the one that the passkey was stored for.
    #[error("the passkey belongs to another account")]
    Account,
    /// The answer is from another passkey than the one it is compared with.
    #[error("this is another passkey")]
    Credential,
    #[error("the signature of the passkey is wrong")]
    Signature,
    /// A passkey that could be backed up cannot become one that can not, and only one that can be backed up is.
    #[error("the passkey has changed in a way that passkeys do not: remove it and add it again")]
    Backup,
    /// An excluded passkey, or an algorithm that was not offered.
    #[error("the device offered a key that cannot be added: it may hold a passkey for this account already")]
    NotAccepted,
}

impl Refused {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Challenge => "challenge",
            Self::Origin => "origin",
            Self::RelyingParty => "relying-party",
            Self::NotVerified => "not-verified",
            Self::Account => "account",
            Self::Credential => "credential",
            Self::Signature => "signature",
            Self::Backup => "backup",
            Self::NotAccepted => "not-accepted",
        }
    }
}

impl From<&WebauthnError> for Refused {
    fn from(error: &WebauthnError) -> Self {
        match error {
            WebauthnError::MismatchedChallenge | WebauthnError::InvalidClientDataType => Self::Challenge,
            WebauthnError::InvalidRPOrigin | WebauthnError::CredentialCrossOrigin => Self::Origin,
            WebauthnError::InvalidRPIDHash => Self::RelyingParty,
            WebauthnError::UserNotPresent | WebauthnError::UserNotVerified => Self::NotVerified,
            WebauthnError::CredentialNotFound => Self::Credential,
            WebauthnError::AuthenticationFailure | WebauthnError::SignatureInvalid => Self::Signature,
            WebauthnError::CredentialBackupEligibilityInconsistent | WebauthnError::CredentialMayNotBeHardwareBound => {
                Self::Backup
            }
            WebauthnError::CredentialAlteredAlgFromRequest => Self::NotAccepted,
            _ => Self::Malformed,
        }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::Invalid(refused.to_string())
    }
}
