//! `sessile completions SHELL`: what a shell needs to complete the commands and their options. Reads no settings.

use clap_complete::{Shell, generate};

use super::output;
use crate::base::error::Result;

/// Which shell.
#[derive(clap::Args)]
pub struct Args {
    /// The shell that will read them
    shell: Shell,
}

/// Prints the completions of `program`.
pub fn run(args: &Args, mut program: clap::Command) -> Result<()> {
    let mut script = Vec::new();
    generate(args.shell, &mut program, "sessile", &mut script);
    output::print(&script)
}
