//! `sessile completions SHELL`: prints the completion script for a shell. Called by [`run`](super::run).
//!
//! Invariant: reads no settings.

use clap_complete::{Shell, generate};

use super::output;
use crate::base::error::Result;

#[derive(clap::Args)]
pub struct Args {
    /// The shell that will read the completions
    shell: Shell,
}

/// Prints the completions of `program`.
pub fn run(args: &Args, mut program: clap::Command) -> Result<()> {
    let mut script = Vec::new();
    generate(args.shell, &mut program, "sessile", &mut script);
    output::print(&script)
}
