//! `sessile prune`: runs every sweep once. Called by [`run`](super::run).
//!
//! Invariant: it does the same work as the sweeps of a running server, and may run at the same time.

use super::{open::open_to_record, output::say, progress::Progress};
use crate::{
    actions::person::leave,
    base::{db::Db, error::Result, settings::Settings},
    records::{
        account::search,
        audit::{self, retention},
        draft, help, link, mail,
        second_factor::spent,
        session::{device_sweep, generation, grants, sweep},
        throttle,
    },
};

/// Runs every sweep once, and prints how many sessions were ended and deleted.
pub async fn run(settings: &Settings) -> Result<()> {
    let db = open_to_record(settings).await?;
    let progress = Progress::begin();
    let swept = sweep_all(&db, settings, &progress).await;
    let finished = progress.finish("everything so far is done and kept; run `sessile prune` again to go on");
    let swept = swept?;
    say(&format!("ended {}, deleted {}", swept.ended, swept.deleted))?;
    finished
}

/// Runs the sweeps until all are done, or until Ctrl-C is pressed.
async fn sweep_all(db: &Db, settings: &Settings, progress: &Progress) -> Result<sweep::Swept> {
    let after = |rows| progress.after(rows);
    progress.about("sessions that were ended all at once");
    let outdated = generation::end_outdated(db, async |rows| after(rows)).await?;
    if progress.is_stopped() {
        return Ok(sweep::Swept { ended: outdated, ..sweep::Swept::default() });
    }
    progress.about("expired and old sessions");
    let mut swept = sweep::sweep_in_batches(db, async |rows| after(rows)).await?;
    swept.ended += outdated;
    if progress.is_stopped() {
        return Ok(swept);
    }
    progress.about("other old rows");
    throttle::count::sweep(db, settings.address_ttl).await?;
    draft::sweep::sweep(db).await?;
    audit::sweep::sweep(db).await?;
    device_sweep::sweep(db).await?;
    grants::codes::sweep(db).await?;
    search::fill(db).await?;
    leave::sweep(db).await?;
    link::sweep(db).await?;
    help::sweep(db).await?;
    mail::sweep(db).await?;
    spent::sweep(db).await?;
    if progress.is_stopped() {
        return Ok(swept);
    }
    progress.about("old addresses");
    sweep::wipe_addresses_in_batches(db, settings.address_ttl, async |rows| after(rows)).await?;
    if progress.is_stopped() {
        return Ok(swept);
    }
    progress.about("old audit events");
    retention::sweep_in_batches(db, settings.audit_ttl, async |rows| after(rows)).await?;
    Ok(swept)
}
