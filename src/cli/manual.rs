//! `sessile man`: the manual, from the same words as the help. Reads no settings.

use std::path::PathBuf;

use clap_mangen::{Man, generate_to};

use super::output;
use crate::base::error::{Error, Result};

/// Which pages, and where to.
#[derive(clap::Args)]
pub struct Args {
    /// Writes a page for each command into this folder, instead of printing the first
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Prints the page of `program`, or writes the pages of all commands.
pub fn run(args: &Args, program: clap::Command) -> Result<()> {
    let Some(folder) = &args.out else {
        let mut page = Vec::new();
        Man::new(program).render(&mut page).map_err(Error::bug)?;
        return output::print(&page);
    };
    generate_to(program, folder)
        .map_err(|error| Error::Invalid(format!("--out: {} cannot be written: {error}", folder.display())))
}
