//! The inputs of the checks of [`doctor`](super).
//!
//! Invariant: each input is read once, and its error is kept for every check that needs it.

use crate::{
    base::{
        db::{Schema, inspect::Inspection},
        error::{Away, Error, Result},
        keys::Keys,
        settings::Settings,
    },
    cli::output::in_words,
    records::audit::{anchor::Anchor, verify::Verified},
};

/// The inputs of the checks, each with its error.
pub struct Patient {
    pub settings: Settings,
    pub anchor: Option<Anchor>,
    /// Check the audit trail only of accounts whose ids come after this one.
    pub trail_after: Option<String>,
    pub verified: Option<Verified>,
    pub keys: Result<Option<Keys>, String>,
    pub database: Result<Option<Inspection>, String>,
    pub schema: Result<Schema, String>,
}

impl Patient {
    pub async fn new(settings: Settings, anchor: Option<Anchor>) -> Self {
        let keys = Keys::read(&settings.key_file).map_err(|error| error.to_string());
        let mut database = Inspection::open(&settings).await.map_err(|error| away(&error));
        let schema = match &mut database {
            Ok(Some(open)) => open.schema().await.map_err(|error| away(&error)),
            Ok(None) => Ok(Schema::Missing),
            Err(_) => Err(unseen()),
        };
        Self { settings, anchor, trail_after: None, verified: None, keys, database, schema }
    }
}

/// The text of a database error with its remedy.
pub fn away(error: &Error) -> String {
    match error {
        // The text already contains the remedy.
        Error::Unavailable(fault) if fault.what == Away::Refused => in_words(error),
        Error::Conflict(_) => in_words(error),
        _ => format!("{}: start the database, or correct DATABASE_URL", in_words(error)),
    }
}

/// The number of events and their accounts in words.
pub fn events_of_accounts(events: u64, accounts: u64) -> String {
    let of = |many: u64, one: &str| if many == 1 { format!("1 {one}") } else { format!("{many} {one}s") };
    format!("{} of {}", of(events, "event"), of(accounts, "account"))
}

/// The reason why a check was skipped.
pub fn unseen() -> String {
    "not checked: make the database answer first".to_owned()
}
