//! Answers that the browser saves as a file. Called by the pages that export data.
//!
//! Invariant: the answer is stored nowhere but in that file.

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, HeaderValue},
};
use serde_json::Value;

use crate::base::error::{Error, Result};

/// A JSON file with this name, which needs no quoting.
pub fn json(name: &str, content: &Value) -> Result<HttpResponse> {
    let text = serde_json::to_string_pretty(content).map_err(Error::bug)?;
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")).map_err(Error::bug)?;
    let mut answer = HttpResponse::Ok();
    answer.insert_header((CONTENT_DISPOSITION, disposition));
    answer.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    Ok(answer.content_type("application/json").body(text))
}
