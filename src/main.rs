//! The binary. It reports a failure as one line on stderr and an exit code. Everything else is in the library.

use std::alloc::System;
use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

/// Wipes memory when it is freed. Passwords, keys and secrets pass through HTTP, TLS, JSON and form buffers that our
/// own types cannot wipe. A wiping allocator covers all of them.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    sessile::cli::run()
}
