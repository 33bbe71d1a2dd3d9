//! `sessile openapi`: prints the OpenAPI document. Called by [`run`](super::run).
//!
//! Invariant: reads no settings, so the title is the name of the program.

use super::output;
use crate::{
    base::{error::Result, settings::BrandSettings},
    pages::openapi,
};

pub fn run() -> Result<()> {
    output::print(format!("{}\n", openapi::text(&BrandSettings::default().name)?).as_bytes())
}
