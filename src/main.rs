//! The binary: one line on stderr and an exit code for whatever goes wrong. Everything else is in the library.

use std::alloc::System;
use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

/// Wipes memory when it is freed. Passwords, keys and secrets pass through buffers of HTTP, TLS, JSON and forms that no
/// type of ours can wipe; this reaches them all.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    sessile::cli::run()
}
