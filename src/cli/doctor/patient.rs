//! What the checks of [`doctor`](super) look at: each part is read once, and kept with its error.

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

/// What the checks look at.
pub struct Patient {
    pub settings: Settings,
    pub anchor: Option<Anchor>,
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
        Self { settings, anchor, verified: None, keys, database, schema }
    }
}

/// An error in words, with what to do about it.
pub fn away(error: &Error) -> String {
    match error {
        // It says what to do.
        Error::Unavailable(fault) if fault.what == Away::Refused => in_words(error),
        Error::Conflict(_) => in_words(error),
        _ => format!("{}: start the database, or mend DATABASE_URL", in_words(error)),
    }
}

/// Why a check was not made.
pub fn unseen() -> String {
    "could not be looked at: make the database answer first".to_owned()
}
