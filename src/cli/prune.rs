//! `sessile prune`

use super::{open, say};
use crate::{error::Result, session::sweep, settings::Settings, throttle};

/// Sweeps once and prints what it did.
pub async fn run(settings: &Settings) -> Result<()> {
    let db = open(settings).await?;
    let swept = sweep::sweep(&db).await?;
    throttle::count::sweep(&db).await?;
    say(&format!("ended {}, deleted {}", swept.ended, swept.deleted))
}
