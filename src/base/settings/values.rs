//! The checks of single values. Called by the check of the settings; each takes the text as it was set and says, when
//! it refuses, what to write instead, in one line without the setting's name.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

pub(super) use crate::base::text::{file_path as file, quoted};

/// Actix takes no more workers than this.
pub(super) const MOST_WORKERS: u32 = 512;

/// A hundred years: sums of times stay far inside what both databases can hold.
const LONGEST: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);

/// Sums of a few such sizes stay far inside an i64.
const LARGEST_SIZE: u64 = 1 << 40;

/// PostgreSQL keeps its deadlines in milliseconds in an i32, just over 24 days.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 24 * 60 * 60);

/// What holds for every value: it is not empty, was UTF-8, and is one line that can be seen.
pub(super) fn text(value: &str) -> Result<&str, String> {
    if value.is_empty() {
        Err("is empty: write a value, or leave it unset".to_owned())
    } else if value.contains('\u{fffd}') {
        Err("is not UTF-8: write it in UTF-8".to_owned())
    } else if value.contains(char::is_control) {
        Err(format!(
            "{} has a control character in it: write it without (a line from Windows ends in one)",
            quoted(value)
        ))
    } else {
        Ok(value)
    }
}

/// A time that is not zero, at most a hundred years.
pub(super) fn duration(value: &str) -> Result<Duration, String> {
    duration_or_zero(value)?
        .ok_or_else(|| format!("{} is no time at all: write more than 0, such as 60s", quoted(value)))
}

/// A time that is not zero and fits the timeouts of the databases.
pub(super) fn timeout(value: &str) -> Result<Duration, String> {
    let timeout = duration(value)?;
    if timeout > LONGEST_TIMEOUT {
        return Err(format!("{} is too long: write 24d or less", quoted(value)));
    }
    Ok(timeout)
}

/// A time of at most a hundred years; zero is None.
pub(super) fn duration_or_zero(value: &str) -> Result<Option<Duration>, String> {
    let unit_at = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(unit_at);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    if number.is_empty() || milliseconds == 0 {
        return Err(format!(
            "{} is not a duration: write a whole number with ms, s, m, h or d, such as 72h",
            quoted(value)
        ));
    }
    // Digits only, so a number that does not parse is one that is too large.
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(milliseconds))
        .map(Duration::from_millis)
        .filter(|duration| *duration <= LONGEST)
        .map(|duration| Some(duration).filter(|duration| !duration.is_zero()))
        .ok_or_else(|| format!("{} is too long: write 36500d or less", quoted(value)))
}

/// A number of bytes that is not zero, at most 1024 GiB.
pub(super) fn size(value: &str) -> Result<u64, String> {
    let units = [("KiB", 10_u32), ("MiB", 20), ("GiB", 30)];
    let parsed = units.iter().find_map(|(unit, shift)| Some((value.strip_suffix(unit)?, shift)));
    let Some((number, shift)) =
        parsed.filter(|(number, _)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    else {
        return Err(format!(
            "{} is not a size: write a whole number with KiB, MiB or GiB, such as 8MiB",
            quoted(value)
        ));
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .filter(|bytes| (1..=LARGEST_SIZE).contains(bytes))
        .ok_or_else(|| format!("{} is out of range: write a size from 1KiB to 1024GiB", quoted(value)))
}

/// A whole number from `least` to `most`.
pub(super) fn count(value: &str, least: u32, most: u32) -> Result<u32, String> {
    Some(value)
        .filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|value| value.parse().ok())
        .filter(|count| (least..=most).contains(count))
        .ok_or_else(|| format!("{} is not a whole number from {least} to {most}: write one", quoted(value)))
}

/// One of a few words.
pub(super) fn word<T: Copy>(value: &str, words: &[(&str, T)]) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("{} is not known: write {}", quoted(value), words.join(" or "))
    })
}

/// An address to listen on; of the names only `localhost`, which is 127.0.0.1.
pub(super) fn listen(value: &str) -> Result<SocketAddr, String> {
    let local = value.strip_prefix("localhost:").and_then(|port| count(port, 0, u16::MAX.into()).ok());
    match local.and_then(|port| u16::try_from(port).ok()) {
        Some(port) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => value.parse().map_err(|_| {
            format!(
                "{} is not an address: write an IP address and a port, such as 127.0.0.1:8080 or [::]:8080",
                quoted(value)
            )
        }),
    }
}

/// Networks with commas between. A single address is the network of that address alone.
pub(super) fn networks(value: &str) -> Result<Vec<IpNet>, String> {
    value
        .split(',')
        .map(str::trim)
        .map(|one| {
            let network = one.parse::<IpNet>().or_else(|_| one.parse::<IpAddr>().map(IpNet::from));
            network.map(|network| network.trunc()).map_err(|_| {
                format!(
                    "{} is not a network: write CIDRs with commas between, such as 10.0.0.0/8,fd00::/8",
                    quoted(one)
                )
            })
        })
        .collect()
}

/// A tracing filter. A lone word that is no level is refused too: it would mean a log of some target of that name and
/// nothing else, and is a slip of the pen.
pub(super) fn log_filter(value: &str) -> Result<String, String> {
    let is_word = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let is_level = value.parse::<tracing::level_filters::LevelFilter>().is_ok();
    // Only the fields of a span may hold spaces.
    let is_prose = !value.contains('[') && value.split(',').any(|part| part.trim().contains(char::is_whitespace));
    if is_prose || (is_word && !is_level && value != "sessile") || EnvFilter::builder().parse(value).is_err() {
        return Err(format!(
            "{} is not a log filter: write a level or directives, such as info,sessile=debug",
            quoted(value)
        ));
    }
    Ok(value.to_owned())
}

/// As many workers as the machine has cores for us.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

    proptest! {
        #[test]
        fn a_number_with_a_unit_is_that_long(number in any::<u64>(), scale in 0..64_u32, unit in 0..UNITS.len()) {
            let (number, (unit, factor)) = (number >> scale, UNITS[unit]);
            let milliseconds = u128::from(number) * u128::from(factor);
            let read = duration_or_zero(&format!("{number}{unit}"));
            if milliseconds > LONGEST.as_millis() {
                prop_assert!(read.is_err_and(|problem| problem.contains("too long")));
            } else {
                prop_assert_eq!(read.map(|read| read.map_or(0, |read| read.as_millis())), Ok(milliseconds));
            }
        }

        #[test]
        fn what_is_no_whole_number_with_a_unit_is_no_duration(text in "[ -~é]{0,12}|[0-9]{0,3}[a-zµ. +-]{0,3}[0-9]{0,2}[a-z]{0,2}") {
            let is_one = UNITS.iter().any(|(unit, _)| {
                text.strip_suffix(unit).is_some_and(|number| {
                    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                })
            });
            let read = duration_or_zero(&text);
            let is_too_long = read.as_ref().is_err_and(|problem| problem.contains("too long"));
            prop_assert_eq!(read.is_ok() || is_too_long, is_one, "{:?}", read);
        }

        #[test]
        fn what_is_refused_is_told_in_one_line(text in any::<String>()) {
            for read in [duration(&text), timeout(&text)] {
                if let Err(problem) = read {
                    prop_assert!(!problem.contains('\n') && problem.chars().count() < 1000, "{}", problem);
                }
            }
        }
    }
}
