//! The one error of the program. Every fallible function ends in it, and every answer that is not a success is made
//! from it: `failure` renders it as a problem document (RFC 9457) for the API or as a page for people, and logs
//! it there, once.
//!
//! A lookup that finds nothing is an `Option`, and a wrong password an `Outcome`: neither is an `Error`.

use std::fmt;
use std::time::Duration;

use actix_web::{HttpResponse, ResponseError, http::StatusCode};

use crate::base::text;

/// What a fallible function returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The methods that an address takes, as the header `Allow` names them (RFC 9110, 10.2.1).
pub type Methods = std::borrow::Cow<'static, str>;

/// Why a request, or a command, could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request makes no sense; the text says what is wrong with it.
    #[error("{0}")]
    Invalid(String),
    /// E-mail address and password do not match. The same for an unknown account.
    #[error("e-mail address or password is wrong")]
    InvalidCredentials,
    /// There is no session cookie, and this needs one.
    #[error("sign in first")]
    LoginRequired,
    /// There is a session cookie, and its session has ended.
    #[error("the session has ended: {0}")]
    SessionEnded(EndedBecause),
    /// An unsafe request that another site caused, or may have caused.
    #[error("{0}")]
    CrossOrigin(Origins),
    /// Nothing is at this address, or nothing that this account may see.
    #[error("nothing is here")]
    NotFound,
    /// The address is there, the method is not.
    #[error("this address does not take that method")]
    MethodNotAllowed(Methods),
    /// The request contradicts what is stored.
    #[error("{0}")]
    Conflict(String),
    /// An account has no room for more; how many bytes it has.
    #[error("an account has room for {} of drafts: delete or shorten some", text::size(*.0))]
    Quota(u64),
    /// The body is larger than this address takes.
    #[error("the request is too large")]
    TooLarge,
    /// The body is of another type than this address takes.
    #[error("the body must be {0}")]
    UnsupportedMediaType(&'static str),
    /// The head of the request is larger than any address takes.
    #[error("the head of the request is too large")]
    HeadTooLarge,
    /// The request took too long to arrive.
    #[error("the request took too long to arrive")]
    Timeout,
    /// The account may not do this, or this place may not see it.
    #[error("you may not do that, or see it")]
    Forbidden,
    /// This needs a password that was given within the last minutes.
    #[error("give your password again first")]
    ConfirmationRequired,
    /// Too many wrong passwords: the next try may come after this time.
    #[error("too many attempts: try again later")]
    TooManyAttempts(Duration),
    /// Too much was done in a short time: the next may come after this time.
    #[error("too many changes in a short time: try again later")]
    TooFast(Duration),
    /// Something this needs is away for now. Never a reason to forget a cookie.
    #[error("unavailable: {0}")]
    Unavailable(Unavailable),
    /// A bug, or a machine that broke.
    #[error("internal: {0}")]
    Internal(anyhow::Error),
}

/// Where a request came from, and where it should have come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// The origin of the page that caused it, if the browser named one.
    pub from: Option<String>,
    /// The public origin.
    pub public: String,
    /// Whether it came from a page of ours that was opened under another address.
    pub is_ours: bool,
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            Some(from) if *from != self.public => {
                write!(f, "the request came from {from}, and this service is at {}", self.public)
            }
            Some(from) => write!(f, "the request came from another site, although it names {from}"),
            None => write!(f, "the request does not say that it came from {}", self.public),
        }
    }
}

/// Why a session does not work any more, as its own browser is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBecause {
    /// Nobody used it for the idle time, or its absolute time ran out.
    Expired,
    /// Somebody ended it: from another device, by a new password, or the operator.
    Revoked,
    /// It was signed out.
    LoggedOut,
    /// Another person signed in over it.
    Replaced,
    /// The cookie is none of ours, or too old to tell.
    Unknown,
}

impl EndedBecause {
    /// The word of the contract.
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

/// Which thing is away, and the cause for the log.
#[derive(Debug)]
pub struct Unavailable {
    /// What is away.
    pub what: Away,
    /// The cause, for the log only.
    pub cause: String,
}

/// What can be away for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// The database did not answer, or answered that it cannot.
    Database,
    /// The database lets nobody in, or not us, until somebody changes something; the cause says what.
    Refused,
    /// The connection broke before the answer came: a read may be tried again.
    Connection,
    /// The deadline passed: what was asked may have happened or not.
    Deadline,
    /// Too many are waiting already.
    Busy,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.what, self.cause)
    }
}

impl Error {
    /// An [`Error::Unavailable`] with its cause for the log.
    pub fn unavailable(what: Away, cause: impl fmt::Display) -> Self {
        Self::Unavailable(Unavailable { what, cause: cause.to_string() })
    }

    /// An [`Error::Internal`]: something that cannot happen did.
    pub fn bug(what: impl fmt::Display) -> Self {
        Self::Internal(anyhow::anyhow!("{what}"))
    }

    /// The slug of the contract, `type` of the problem document.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid-request",
            Self::InvalidCredentials => "invalid-credentials",
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
            Self::TooManyAttempts(_) | Self::TooFast(_) => "too-many-attempts",
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// What the API says in `title` and `detail`. Never a cause: that is for the log.
    pub fn detail(&self) -> String {
        match self {
            Self::Unavailable(_) => "The service cannot answer this just now. Try again shortly.".into(),
            Self::Internal(_) => "Something went wrong on our side.".into(),
            other => other.to_string(),
        }
    }

    /// How long to wait before trying again, in seconds, where that makes sense.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Unavailable(_) => Some(2),
            // Rounded up, so that a client that waits exactly this long is admitted.
            Self::TooManyAttempts(wait) | Self::TooFast(wait) => {
                Some(u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1))
            }
            _ => None,
        }
    }

    /// The error for a status that some part of Actix made by itself.
    pub fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed("GET, HEAD".into()),
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::REQUEST_TIMEOUT => Self::Timeout,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::HeadTooLarge,
            StatusCode::UNAUTHORIZED => Self::LoginRequired,
            status if status.is_client_error() => Self::Invalid("the request could not be read".into()),
            status => Self::bug(format!("an answer of status {status} that no error explains")),
        }
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::InvalidCredentials | Self::LoginRequired | Self::SessionEnded(_) => StatusCode::UNAUTHORIZED,
            Self::CrossOrigin(_) => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Quota(_) | Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Forbidden | Self::ConfirmationRequired => StatusCode::FORBIDDEN,
            Self::TooManyAttempts(_) | Self::TooFast(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Only the status: the outer layer knows whether a page or a document is wanted.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

impl From<diesel::result::Error> for Error {
    /// What a database refuses is the database's fault, a 503, unless the statement itself was wrong.
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
