//! JSON bodies: at most 64 KiB, and nothing but JSON.

use actix_web::{error::JsonPayloadError, web};

use super::limits;
use crate::error::Error;

/// Largest JSON body, in bytes.
const LARGEST: usize = 64 * 1024;

/// How JSON bodies are read.
pub fn config() -> web::JsonConfig {
    web::JsonConfig::default()
        .limit(LARGEST)
        .content_type_required(true)
        .error_handler(|error, _| refused(&error).into())
}

fn refused(error: &JsonPayloadError) -> Error {
    match error {
        JsonPayloadError::OverflowKnownLength { .. } | JsonPayloadError::Overflow { .. } => Error::TooLarge,
        JsonPayloadError::Payload(error) => limits::unread(error),
        JsonPayloadError::ContentType => Error::UnsupportedMediaType("JSON (application/json)"),
        JsonPayloadError::Deserialize(error) => Error::Invalid(format!("the JSON cannot be used: {error}")),
        _ => Error::Invalid("the body cannot be read".into()),
    }
}
