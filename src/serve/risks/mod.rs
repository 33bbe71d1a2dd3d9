//! Problems that do not stop the program: files that others can read, proxies that should not be trusted, a database
//! that may lose data. `doctor` fails because of them, and `serve` warns about them at the start.
//!
//! Invariant: `doctor` and `serve` run the same checks, so they always agree.

mod files;
mod finding;
mod passkeys;
mod proxy_trust;

pub use self::{
    files::{database_files, key_file, tls_key},
    finding::Finding,
    passkeys::{finding as passkeys_of_others, passkeys},
    proxy_trust::proxy_trust,
};
use crate::base::settings::Settings;

/// The largest acceptable difference to the database's clock.
const CLOCK_TOLERANCE_MS: i64 = 5_000;

/// Logs the problems that can be found without the database.
pub fn warn(settings: &Settings) {
    let found = [
        ("key file", key_file(settings)),
        ("database", database_files(settings)),
        ("tls", tls_key(settings)),
        ("proxy trust", proxy_trust(settings)),
    ];
    for (check, finding) in found {
        if let Err(wrong) = finding {
            warn_of(check, &wrong);
        }
    }
}

/// Logs one problem.
pub fn warn_of(check: &str, wrong: &str) {
    tracing::warn!("{check}: {wrong} (`sessile doctor` fails because of this)");
}

/// Whether the database keeps acknowledged changes, given the weak settings that were found.
pub fn durability(weaknesses: &[String]) -> Finding {
    if weaknesses.is_empty() {
        return Ok("committed changes are durable".to_owned());
    }
    Err(format!(
        "{}: acknowledged changes could be lost, or changes are refused: correct this setting of the database",
        weaknesses.join(", ")
    ))
}

/// Whether this machine's clock agrees with the database's clock. The offset is positive if this machine is behind.
pub fn clock(offset_micros: i64) -> Finding {
    let offset = offset_micros / 1000;
    if offset.abs() > CLOCK_TOLERANCE_MS {
        let (by, side) = (offset.unsigned_abs(), if offset > 0 { "behind" } else { "ahead of" });
        return Err(format!("this machine is {} s {side} the database: synchronise both clocks with NTP", by / 1000));
    }
    Ok(format!("{} ms between this machine and the database", offset.abs()))
}
