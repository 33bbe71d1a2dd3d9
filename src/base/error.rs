//! The error type of the program. Every fallible function returns it, and every error response is made from it.
//! `web::errors` renders it as a problem document (RFC 9457) or as a page, and logs it once.
//!
//! Invariant: a lookup that finds nothing returns an `Option`, and a wrong password is `None` or a variant of the
//! action's result. Neither is an `Error`.

use std::fmt;
use std::time::Duration;

use actix_web::{HttpResponse, ResponseError, http::StatusCode};

use crate::base::text;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The methods that an address supports, in the format of the `Allow` header (RFC 9110, 10.2.1).
pub type Methods = std::borrow::Cow<'static, str>;

/// The page on which people set up a second factor, for [`Error::SetUpRequired`].
pub const SET_UP: &str = "/account/security";

/// The reason why a request or a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request or the input is invalid. The text says why.
    #[error("{0}")]
    Invalid(String),
    /// The password is wrong, or the account does not exist. The two cases must look the same.
    #[error("e-mail address or password is wrong")]
    InvalidCredentials,
    /// A passkey was refused. The text says why.
    #[error("{0}")]
    PasskeyRefused(String),
    /// No account has this passkey. Its browser may forget it.
    #[error("no account has this passkey")]
    PasskeyUnknown,
    /// The request needs a session, but has no session cookie.
    #[error("sign in first")]
    LoginRequired,
    /// The session that the cookie names has ended.
    #[error("the session has ended: {0}")]
    SessionEnded(EndedBecause),
    /// An unsafe request that another site caused or may have caused.
    #[error("{0}")]
    CrossOrigin(Origins),
    /// The address does not exist, or the account may not see it.
    #[error("not found")]
    NotFound,
    /// The address exists, but does not support the method.
    #[error("this address does not support that method")]
    MethodNotAllowed(Methods),
    /// The request conflicts with stored data.
    #[error("{0}")]
    Conflict(String),
    /// The drafts of an account would exceed this number of bytes.
    #[error("an account has room for {} of drafts: delete or shorten some", text::size(*.0))]
    Quota(u64),
    /// The body is larger than the address allows.
    #[error("the request is too large")]
    TooLarge,
    /// The body has a type that the address does not accept.
    #[error("the body must be {0}")]
    UnsupportedMediaType(&'static str),
    /// The head of the request exceeds the limit of the server.
    #[error("the head of the request is too large")]
    HeadTooLarge,
    #[error("the request took too long to arrive")]
    Timeout,
    /// The account may not do this, or the client's network may not see it.
    #[error("you are not allowed to do or see this")]
    Forbidden,
    /// The request needs a recent confirmation of the password.
    #[error("confirm your password first")]
    ConfirmationRequired,
    /// The password was right, and a second factor is needed too. Names what the account has, and says why the code that
    /// was sent is refused.
    #[error("{}", .1.as_deref().unwrap_or("a second factor is needed too"))]
    SecondFactorRequired(Vec<&'static str>, Option<String>),
    /// The account must have a second factor before it can do anything else. The address is where one is set up.
    #[error("set up a second factor first: this service requires one")]
    SetUpRequired(&'static str),
    /// Too many wrong passwords. The next attempt is allowed after this time.
    #[error("too many attempts: try again later")]
    TooManyAttempts(Duration),
    /// Too many changes in a short time. The next change is allowed after this time.
    #[error("too many changes in a short time: try again later")]
    TooFast(Duration),
    /// A dependency is temporarily unavailable. The response must not remove a cookie.
    #[error("unavailable: {0}")]
    Unavailable(Unavailable),
    /// A bug, or a failure of the operating system.
    #[error("internal: {0}")]
    Internal(anyhow::Error),
}

/// The origin of a cross-origin request, and the expected origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// The origin of the page that sent the request, if the browser sent it.
    pub from: Option<String>,
    /// The public origin.
    pub public: String,
    /// Whether the request came from our own page, opened under another address.
    pub is_ours: bool,
    /// Whether the request was for an app. `public` is the app's origin then.
    pub is_for_app: bool,
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            Some(from) if *from != self.public => {
                write!(f, "the request came from {from}, but this service is at {}", self.public)
            }
            Some(from) => write!(f, "the request came from another site, although its origin is {from}"),
            None => write!(f, "the request does not show that it came from {}", self.public),
        }
    }
}

/// The reason why a session ended, as its own browser sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBecause {
    /// The idle time or the absolute time ran out.
    Expired,
    /// It was ended from another device, by a new password, or by the operator.
    Revoked,
    /// The user signed out.
    LoggedOut,
    /// Another account signed in with the same browser.
    Replaced,
    /// The cookie is not ours, or the session is no longer stored.
    Unknown,
}

impl EndedBecause {
    /// The `reason` in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::LoggedOut => "logged-out",
            Self::Replaced => "replaced",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for EndedBecause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The unavailable dependency, and the cause.
#[derive(Debug)]
pub struct Unavailable {
    pub what: Away,
    /// For the log only.
    pub cause: String,
}

/// The kinds of temporary unavailability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// The database did not answer, or failed to do the work.
    Database,
    /// The database refuses this program until an administrator changes something. The cause says what to change.
    Refused,
    /// The connection was lost before the answer arrived. A read may be retried.
    Connection,
    /// The deadline passed. The work may or may not have been done.
    Deadline,
    /// Too many units of work are waiting already.
    Busy,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.what, self.cause)
    }
}

impl Error {
    pub fn unavailable(what: Away, cause: impl fmt::Display) -> Self {
        Self::Unavailable(Unavailable { what, cause: cause.to_string() })
    }

    /// An [`Error::Internal`], for a state that only a bug can cause.
    pub fn bug(what: impl fmt::Display) -> Self {
        Self::Internal(anyhow::anyhow!("{what}"))
    }

    /// The `type` of the problem document.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid-request",
            Self::InvalidCredentials => "invalid-credentials",
            Self::PasskeyRefused(_) => "passkey-refused",
            Self::PasskeyUnknown => "passkey-unknown",
            Self::LoginRequired => "login-required",
            Self::SessionEnded(_) => "session-ended",
            Self::CrossOrigin(_) => "cross-origin",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed(_) => "method-not-allowed",
            Self::Conflict(_) => "conflict",
            Self::Quota(_) => "quota",
            Self::TooLarge => "too-large",
            Self::UnsupportedMediaType(_) => "unsupported-media-type",
            Self::HeadTooLarge => "head-too-large",
            Self::Timeout => "request-timeout",
            Self::Forbidden => "forbidden",
            Self::ConfirmationRequired => "confirmation-required",
            Self::SecondFactorRequired(..) | Self::SetUpRequired(_) => "second-factor-required",
            Self::TooManyAttempts(_) | Self::TooFast(_) => "too-many-attempts",
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// The text for people. It never contains a cause, which is for the log only.
    pub fn detail(&self) -> String {
        match self {
            Self::Unavailable(_) => "The service is temporarily unavailable. Try again shortly.".into(),
            Self::Internal(_) => "Something went wrong on our side.".into(),
            other => other.to_string(),
        }
    }

    /// The `Retry-After` of the response in seconds, if the request may be retried.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Unavailable(_) => Some(2),
            // Round up, so a client that waits exactly this long is admitted.
            Self::TooManyAttempts(wait) | Self::TooFast(wait) => {
                Some(u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1))
            }
            _ => None,
        }
    }

    /// The error for a status that Actix itself created.
    pub fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed("GET, HEAD".into()),
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::REQUEST_TIMEOUT => Self::Timeout,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::HeadTooLarge,
            StatusCode::UNAUTHORIZED => Self::LoginRequired,
            status if status.is_client_error() => Self::Invalid("the request could not be read".into()),
            status => Self::bug(format!("a response of status {status} without an error")),
        }
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::InvalidCredentials
            | Self::PasskeyRefused(_)
            | Self::LoginRequired
            | Self::SessionEnded(_)
            | Self::SecondFactorRequired(..) => StatusCode::UNAUTHORIZED,
            Self::CrossOrigin(_) => StatusCode::FORBIDDEN,
            Self::NotFound | Self::PasskeyUnknown => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Quota(_) | Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Forbidden | Self::ConfirmationRequired | Self::SetUpRequired(_) => StatusCode::FORBIDDEN,
            Self::TooManyAttempts(_) | Self::TooFast(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Sets only the status. The outermost layer decides between a page and a problem document.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

impl From<diesel::result::Error> for Error {
    /// Errors that the database reports become a 503, except constraint violations, which are bugs.
    fn from(error: diesel::result::Error) -> Self {
        use diesel::result::{DatabaseErrorKind as Kind, Error as Diesel};
        match error {
            Diesel::DatabaseError(Kind::ClosedConnection | Kind::UnableToSendCommand, info) => {
                Self::unavailable(Away::Connection, info.message())
            }
            Diesel::DatabaseError(
                kind @ (Kind::UniqueViolation
                | Kind::ForeignKeyViolation
                | Kind::NotNullViolation
                | Kind::CheckViolation),
                info,
            ) => Self::bug(format!("{kind:?}: {}", info.message())),
            Diesel::DatabaseError(kind, info) => {
                Self::unavailable(Away::Database, format!("{kind:?}: {}", info.message()))
            }
            Diesel::BrokenTransactionManager | Diesel::AlreadyInTransaction | Diesel::NotInTransaction => {
                Self::unavailable(Away::Connection, error)
            }
            other => Self::Internal(other.into()),
        }
    }
}
