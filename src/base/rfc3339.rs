//! Writes times as RFC 3339 in UTC, for the API and for log lines that are written for each request.
//!
//! Invariant: the text is the one that jiff writes, with less work.

/// The last second that jiff knows. Later times and times before 1970 are rare, and are left to jiff.
const LAST_SECOND: i64 = 253_402_207_200;
const DAY: i64 = 86_400;

/// Digits of a second's fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fraction {
    Millis,
    Micros,
}

/// Appends the time, given in microseconds since 1970.
pub fn write(micros: i64, fraction: Fraction, out: &mut Vec<u8>) {
    let seconds = micros.div_euclid(1_000_000);
    let rest = micros.rem_euclid(1_000_000);
    if !(0..=LAST_SECOND).contains(&seconds) {
        out.extend_from_slice(by_jiff(micros, fraction).as_bytes());
        return;
    }
    let (year, month, day) = date(seconds / DAY);
    let second = seconds % DAY;
    digits(year, 4, out);
    for (before, part) in
        [(b'-', month), (b'-', day), (b'T', second / 3600), (b':', second / 60 % 60), (b':', second % 60)]
    {
        out.push(before);
        digits(part, 2, out);
    }
    out.push(b'.');
    match fraction {
        Fraction::Millis => digits(rest / 1000, 3, out),
        Fraction::Micros => digits(rest, 6, out),
    }
    out.push(b'Z');
}

/// The time as a text.
pub fn text(micros: i64, fraction: Fraction) -> String {
    let mut out = Vec::with_capacity(27);
    write(micros, fraction, &mut out);
    // Cannot fail: the text is ASCII.
    String::from_utf8(out).unwrap_or_default()
}

/// A time out of range becomes the nearest valid one.
fn by_jiff(micros: i64, fraction: Fraction) -> String {
    let nearest = if micros < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let timestamp = jiff::Timestamp::from_microsecond(micros).unwrap_or(nearest);
    match fraction {
        Fraction::Millis => format!("{timestamp:.3}"),
        Fraction::Micros => format!("{timestamp:.6}"),
    }
}

/// Year, month and day of a day since 1970-01-01 (Howard Hinnant, chrono-compatible low-level date algorithms).
fn date(days: i64) -> (i64, i64, i64) {
    // Count from 0000-03-01, so that a leap day is the last day of its year.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era + next_year, month, day)
}

/// Appends a number with leading zeros.
fn digits(number: i64, width: u32, out: &mut Vec<u8>) {
    for place in (0..width).rev() {
        let digit = number / 10_i64.pow(place) % 10;
        out.push(b'0' + u8::try_from(digit).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(micros: i64, fraction: Fraction) -> String {
        let mut out = Vec::new();
        write(micros, fraction, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_first_and_last_times_are_as_jiff_writes_them() {
        let last = LAST_SECOND * 1_000_000 + 999_999;
        for micros in [0, 1, -1, last, last + 1, 951_782_400_000_000, 4_107_542_400_000_000, i64::MAX, i64::MIN] {
            for fraction in [Fraction::Millis, Fraction::Micros] {
                assert_eq!(written(micros, fraction), by_jiff(micros, fraction));
            }
        }
    }

    proptest! {
        #[test]
        fn any_time_is_as_jiff_writes_it(micros in 0..LAST_SECOND * 1_000_000) {
            for fraction in [Fraction::Millis, Fraction::Micros] {
                prop_assert_eq!(written(micros, fraction), by_jiff(micros, fraction));
            }
        }
    }
}
