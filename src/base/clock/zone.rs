//! The time zones that people read times in. Called by whatever renders a time for somebody, and by the sign-in, which
//! keeps a person's zone.

use jiff::tz::TimeZone;

/// Longest name that is looked up; the longest of the IANA database has 32 characters.
const LONGEST_NAME: usize = 48;

/// The zone of an IANA name such as `Australia/Sydney`; `None` if there is none of that name. The machine's own database
/// comes first, then the one that is compiled in.
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
