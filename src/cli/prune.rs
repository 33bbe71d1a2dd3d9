//! `sessile prune`

use super::{open, say};
use crate::{error::Result, session::sweep, settings::Settings};

/// Sweeps once and prints what it did.
pub async fn run(settings: &Settings) -> Result<()> {
    let swept = sweep::sweep(&open(settings).await?).await?;
    say(&format!("ended {}, deleted {}", swept.ended, swept.deleted))
}
