//! `sessile distribute`: distributes the tables over the workers of a Citus cluster. Called by [`run`](super::run).
//!
//! Invariant: it may run beside servers, and again: what is distributed already stays as it is.

use std::sync::Arc;

use super::{
    open::{open_to_read, print_place},
    output::say,
    progress::Progress,
};
use crate::base::{db::citus::Outcome, error::Result, settings::Settings};

#[derive(clap::Args)]
pub struct Args {
    /// Only says what it would do
    #[arg(long)]
    dry_run: bool,
}

/// Distributes the tables, and prints a line for each.
pub async fn run(args: &Args, settings: &Settings) -> Result<()> {
    if !args.dry_run {
        print_place(settings);
    }
    let db = open_to_read(settings).await?;
    let progress = Arc::new(Progress::begin());
    progress.about("distributing tables");
    let shown = Arc::clone(&progress);
    let tell = Box::new(move |line: &str| {
        // A line that cannot be printed stops nothing.
        let _ = shown.with_line_hidden(|| say(line));
        shown.after(1_u8)
    });
    let done = db.distribute(args.dry_run, tell).await;
    progress.end();
    match (done?, args.dry_run) {
        (Outcome::Nothing, _) => say("all tables are distributed already"),
        (Outcome::Tables(many), true) => say(&format!("{many} tables would be distributed")),
        (Outcome::Tables(many), false) => say(&format!("{many} tables are distributed")),
    }
}
