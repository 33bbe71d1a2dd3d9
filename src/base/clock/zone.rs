//! Looks up the time zones in which pages show times. Called by pages that render times, and by sign-in, which stores
//! the account's zone.
//!
//! Invariant: only plain IANA names reach the zone database, so a name cannot lead to another file.

use jiff::tz::TimeZone;

/// Longest name that is looked up. The longest name in the IANA database has 32 characters.
const LONGEST_NAME: usize = 48;

/// The zone with an IANA name such as `Australia/Sydney`; `None` if the name is unknown. The system's zone database is
/// searched first, then the one compiled into the program.
pub fn named(name: &str) -> Option<TimeZone> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'+');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_plain) {
        return None;
    }
    TimeZone::get(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_zones_are_zones() {
        for name in ["Australia/Sydney", "Europe/Berlin", "America/Argentina/Buenos_Aires", "UTC", "Etc/GMT+5"] {
            assert!(named(name).is_some(), "{name}");
        }
        for name in ["", "Nowhere/Else", "../../etc/passwd", "/etc/localtime", "Australia/Sydney ", &"A/".repeat(40)] {
            assert!(named(name).is_none(), "{name}");
        }
    }
}
