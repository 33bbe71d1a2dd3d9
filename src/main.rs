//! The binary: one line on stderr and an exit code for whatever goes wrong. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    sessile::cli::run()
}
