//! Parsers of single values. Called by the settings check.
//!
//! Invariant: an error is one line that says what to write instead. It does not name the setting; the caller adds the
//! name.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

pub(super) use crate::base::text::{file_path as file, quoted};

/// The most workers that Actix accepts.
pub(super) const MOST_WORKERS: u32 = 512;

/// A hundred years. Sums of such times stay within the range of both databases.
const LONGEST: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);

/// 1 TiB. Sums of a few such sizes stay within an i64.
const LARGEST_SIZE: u64 = 1 << 40;

/// PostgreSQL stores timeouts as milliseconds in an i32, which is just over 24 days.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 24 * 60 * 60);

/// Checks that apply to every value: not empty, valid UTF-8, and no control characters.
pub(super) fn text(value: &str) -> Result<&str, String> {
    if value.is_empty() {
        Err("is empty: write a value, or leave it unset".to_owned())
    } else if value.contains('\u{fffd}') {
        Err("is not UTF-8: write it in UTF-8".to_owned())
    } else if value.contains(char::is_control) {
        Err(format!(
            "{} contains a control character: write it without (a line from Windows ends in one)",
            quoted(value)
        ))
    } else {
        Ok(value)
    }
}

/// A duration above zero, at most a hundred years.
pub(super) fn duration(value: &str) -> Result<Duration, String> {
    duration_or_zero(value)?.ok_or_else(|| format!("{} is zero: write more than 0, such as 60s", quoted(value)))
}

/// A duration above zero that both databases accept as a timeout.
pub(super) fn timeout(value: &str) -> Result<Duration, String> {
    let timeout = duration(value)?;
    if timeout > LONGEST_TIMEOUT {
        return Err(format!("{} is too long: write 24d or less", quoted(value)));
    }
    Ok(timeout)
}

/// A duration of at most a hundred years. Zero is `None`.
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
    // The text is digits only, so parsing fails only when the number is too large.
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(milliseconds))
        .map(Duration::from_millis)
        .filter(|duration| *duration <= LONGEST)
        .map(|duration| Some(duration).filter(|duration| !duration.is_zero()))
        .ok_or_else(|| format!("{} is too long: write 36500d or less", quoted(value)))
}

/// A number of bytes above zero, at most 1024 GiB.
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

/// The meaning of one of the given words.
pub(super) fn word<T: Copy>(value: &str, words: &[(&str, T)]) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("{} is not a valid value: write {}", quoted(value), words.join(" or "))
    })
}

/// An address to listen on. `localhost` is accepted as 127.0.0.1; other host names are not.
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

/// Networks, separated by commas. A single address is a network of one address.
pub(super) fn networks(value: &str) -> Result<Vec<IpNet>, String> {
    value
        .split(',')
        .map(str::trim)
        .map(|entry| {
            let network = entry.parse::<IpNet>().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from));
            network.map(|network| network.trunc()).map_err(|_| {
                format!(
                    "{} is not a network: write CIDRs separated by commas, such as 10.0.0.0/8,fd00::/8",
                    quoted(entry)
                )
            })
        })
        .collect()
}

/// A tracing filter. A single word that is not a level is refused: it would log only the target with that name, and is
/// almost certainly a typing error.
pub(super) fn log_filter(value: &str) -> Result<String, String> {
    let is_word = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let is_level = value.parse::<tracing::level_filters::LevelFilter>().is_ok();
    // Spaces are allowed only in span fields.
    let is_prose = !value.contains('[') && value.split(',').any(|part| part.trim().contains(char::is_whitespace));
    if is_prose || (is_word && !is_level && value != "sessile") || EnvFilter::builder().parse(value).is_err() {
        return Err(format!(
            "{} is not a log filter: write a level or directives, such as info,sessile=debug",
            quoted(value)
        ));
    }
    Ok(value.to_owned())
}

/// The number of cores that this process may use, at most [`MOST_WORKERS`].
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
        fn a_number_with_a_unit_is_read_as_its_duration(number in any::<u64>(), scale in 0..64_u32, unit in 0..UNITS.len()) {
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
        fn a_text_without_a_whole_number_and_a_unit_is_refused(text in "[ -~é]{0,12}|[0-9]{0,3}[a-zµ. +-]{0,3}[0-9]{0,2}[a-z]{0,2}") {
            let is_duration = UNITS.iter().any(|(unit, _)| {
                text.strip_suffix(unit).is_some_and(|number| {
                    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                })
            });
            let read = duration_or_zero(&text);
            let is_too_long = read.as_ref().is_err_and(|problem| problem.contains("too long"));
            prop_assert_eq!(read.is_ok() || is_too_long, is_duration, "{:?}", read);
        }

        #[test]
        fn an_error_is_one_line(text in any::<String>()) {
            for read in [duration(&text), timeout(&text)] {
                if let Err(problem) = read {
                    prop_assert!(!problem.contains('\n') && problem.chars().count() < 1000, "{}", problem);
                }
            }
        }
    }
}
