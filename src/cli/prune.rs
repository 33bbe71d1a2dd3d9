//! `sessile prune`: runs every sweep once. Called by [`run`](super::run).
//!
//! Invariant: it does the same work as the sweeps of a running server, and may run at the same time.

use super::{open::open_to_record, output::say};
use crate::{
    actions::person::leave,
    base::{error::Result, settings::Settings},
    records::{
        account::search,
        audit::{self, retention},
        draft, help, link, mail,
        second_factor::spent,
        session::{device_sweep, grants, sweep},
        throttle,
    },
};

/// Runs every sweep once, and prints how many sessions were ended and deleted.
pub async fn run(settings: &Settings) -> Result<()> {
    let db = open_to_record(settings).await?;
    let swept = sweep::sweep(&db).await?;
    throttle::count::sweep(&db, settings.address_ttl).await?;
    draft::sweep::sweep(&db).await?;
    audit::sweep::sweep(&db).await?;
    device_sweep::sweep(&db).await?;
    grants::codes::sweep(&db).await?;
    search::fill(&db).await?;
    leave::sweep(&db).await?;
    link::sweep(&db).await?;
    help::sweep(&db).await?;
    mail::sweep(&db).await?;
    spent::sweep(&db).await?;
    sweep::wipe_addresses(&db, settings.address_ttl).await?;
    retention::sweep(&db, settings.audit_ttl).await?;
    say(&format!("ended {}, deleted {}", swept.ended, swept.deleted))
}
