//! `sessile restored`: the operator runs this command after a restored backup, a move or a failover of the database.
//! Called by [`run`](super::run).
//!
//! Invariant: unless the operator confirms that nothing was lost, all sessions end.

use super::{open::open_with_any_keys, output::say, session::note_rows_left};
use crate::{
    actions::restored,
    base::{
        db::{Conn, Place},
        error::Result,
        settings::Settings,
    },
};

#[derive(clap::Args)]
pub struct Args {
    /// The database was moved or failed over and lost no acknowledged change: keeps all sessions and clients
    #[arg(long)]
    nothing_lost: bool,
}

/// Starts a new history and ends all sessions, or confirms that nothing was lost.
pub async fn run(args: &Args, settings: &Settings) -> Result<()> {
    let db = open_with_any_keys(settings).await?;
    let database = settings.database.clone();
    let place = db.read(async move |conn: &mut Conn<'_>| Place::read(conn, &database).await).await?;
    if args.nothing_lost {
        restored::confirm_nothing_lost(&db, place).await?;
        return say("confirmed: nothing was lost");
    }
    let ended = restored::begin_anew(&db, place).await?;
    say(&format!("ended {ended}; clients begin anew"))?;
    note_rows_left(ended);
    Ok(())
}
