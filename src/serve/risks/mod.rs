//! What is wrong around the program although it can run: who may read its files, whom it believes, what the database
//! may lose. `doctor` fails on it, and `serve` warns of it at the start; both find it here, so that they always agree.

mod files;
mod finding;
mod proxy_trust;

pub use self::{
    files::{database_files, key_file, tls_key},
    finding::Finding,
    proxy_trust::proxy_trust,
};
use crate::base::settings::Settings;

/// A clock further from the database's than this is wrong.
const CLOCK_TOLERANCE_MS: i64 = 5_000;

/// Logs what can be found without asking the database.
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

/// Logs one of them.
pub fn warn_of(check: &str, wrong: &str) {
    tracing::warn!("{check}: {wrong} (`sessile doctor` fails on this)");
}

/// Whether the database keeps what it acknowledges, by what was found weak.
pub fn durability(weaknesses: &[String]) -> Finding {
    if weaknesses.is_empty() {
        return Ok("what is written lasts".to_owned());
    }
    Err(format!(
        "{}: what is answered with success would be lost or refused: mend it in the database",
        weaknesses.join(", ")
    ))
}

/// Whether this machine's clock agrees with the database's, which it is behind by so much.
pub fn clock(offset_micros: i64) -> Finding {
    let offset = offset_micros / 1000;
    if offset.abs() > CLOCK_TOLERANCE_MS {
        let (by, side) = (offset.unsigned_abs(), if offset > 0 { "behind" } else { "ahead of" });
        return Err(format!("this machine is {} s {side} the database: let NTP set the clocks of both", by / 1000));
    }
    Ok(format!("{} ms between this machine and the database", offset.abs()))
}
