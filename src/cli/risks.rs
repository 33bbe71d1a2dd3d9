//! What is wrong around the program although it can run: who may read its files, whom it believes, what the database may
//! lose. `doctor` fails on it, and `serve` warns of it at the start; both find it here, so that they always agree.

mod proxy_trust;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

pub use self::proxy_trust::proxy_trust;
use crate::{db::inspect::Inspection, settings::Settings};

/// What was seen, or what is wrong and what to do.
pub type Finding = Result<String, String>;

/// A clock further from the database's than this is wrong.
const CLOCK_TOLERANCE_MS: i64 = 5_000;

/// Logs what can be found without asking the database.
pub fn warn(settings: &Settings) {
    let found = [
        ("key file", key_file_mode(&settings.key_file)),
        ("database", database_files(settings)),
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

/// Whether nobody else may read the key file, or write it. A secret that is mounted for a group we belong to, as
/// Kubernetes does with `fsGroup`, is read by the group.
pub fn key_file_mode(path: &Path) -> Finding {
    let shown = path.display();
    let found = std::fs::metadata(path).map_err(|error| format!("{shown}: {error}"))?;
    let mode = found.permissions().mode() & 0o777;
    let is_ours = found.uid() == rustix::process::geteuid().as_raw();
    let forbidden = if is_ours { 0o077 } else { 0o027 };
    // Of a mounted secret root is the owner, also for a program that runs as root.
    let is_mounted = is_ours && is_read_only(path) && mode & 0o037 == 0;
    if mode & forbidden == 0 || is_mounted {
        return Ok(format!("mode {mode:o}"));
    }
    Err(format!(
        "{shown} is open to others (mode {mode:o}): run `chmod 600 {shown}`; for a secret of Kubernetes set defaultMode \
         0440 and fsGroup"
    ))
}

fn is_read_only(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|found| found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// Whether the database's files, if it is files, are out of others' reach.
pub fn database_files(settings: &Settings) -> Finding {
    if let Some(folder) = Inspection::open_folder(settings) {
        let folder = folder.display();
        return Err(format!(
            "its folder {folder} is open to everybody, who could take the database away: run `chmod o-w {folder}`"
        ));
    }
    let open = Inspection::open_files(settings);
    if open.is_empty() {
        return Ok("nobody else may read it".to_owned());
    }
    let files: Vec<String> = open.iter().map(|(path, _)| path.display().to_string()).collect();
    let modes: Vec<String> = open.iter().map(|(_, mode)| format!("{mode:o}")).collect();
    let (files, modes) = (files.join(" "), modes.join(", "));
    Err(format!("{files} can be read by others (mode {modes}): run `chmod 600 {files}`"))
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
