//! `sessile man`: prints or writes the manual pages, generated from the help texts. Called by [`run`](super::run).
//!
//! Invariant: reads no settings.

use std::path::PathBuf;

use clap_mangen::{Man, generate_to};

use super::output;
use crate::base::error::{Error, Result};

#[derive(clap::Args)]
pub struct Args {
    /// Writes one page per command into this folder, instead of printing the main page
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Prints the main page of `program`, or writes the pages of all commands.
pub fn run(args: &Args, program: clap::Command) -> Result<()> {
    let Some(folder) = &args.out else {
        let mut page = Vec::new();
        Man::new(program).render(&mut page).map_err(Error::bug)?;
        return output::print(&page);
    };
    generate_to(program, folder)
        .map_err(|error| Error::Invalid(format!("--out: writing to {} failed: {error}", folder.display())))
}
