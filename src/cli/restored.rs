//! `sessile restored`: what the operator says after a restored backup, a move or a failover.

use super::{open::open_with_any_keys, output::say, session};
use crate::{
    base::{
        db::{Conn, Place},
        error::Result,
        settings::Settings,
    },
    records::instance::{self, history},
};

/// What happened to the database.
#[derive(clap::Args)]
pub struct Args {
    /// The database was moved or failed over and has everything that was acknowledged: sessions stay, and clients go on
    #[arg(long)]
    nothing_lost: bool,
}

/// Begins a new history and ends all sessions, or confirms that nothing was lost.
pub async fn run(args: &Args, settings: &Settings) -> Result<()> {
    let db = open_with_any_keys(settings).await?;
    let database = settings.database.clone();
    let place = db.read(async move |conn: &mut Conn<'_>| Place::read(conn, &database).await).await?;
    if args.nothing_lost {
        history::confirm(&db, place, true).await?;
        return say("confirmed: nothing was lost");
    }
    // Sessions that ended after the backup live again in it, and nobody can tell which.
    let ended = session::end_all(&db).await?;
    db.write(async |conn: &mut Conn<'_>| instance::close_setup(conn).await).await?;
    // Last, so that `doctor` goes on asking when this was interrupted.
    history::confirm(&db, place, false).await?;
    say(&format!("ended {ended}; clients begin anew"))
}
