//! Ports for programs that are started more than once, or that cannot say which port they got.

use std::sync::atomic::{AtomicU16, Ordering};

/// A free port outside the ephemeral range, so that a restarted server can use it again.
pub fn lasting_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 9_000).unwrap();
    loop {
        let port = 10_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 9_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
