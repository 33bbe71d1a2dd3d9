//! `sessile openapi`: prints the OpenAPI document. Called by [`run`](super::run).
//!
//! Invariant: reads no settings.

use super::output;
use crate::{base::error::Result, pages::openapi};

pub fn run() -> Result<()> {
    output::print(format!("{}\n", openapi::text()?).as_bytes())
}
