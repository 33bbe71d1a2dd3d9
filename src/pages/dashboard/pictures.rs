//! The geometry and labels of the dashboard's ring, which shows the session's remaining idle time. Called by the
//! dashboard.
//!
//! Invariant: the numbers in the texts and the length of the arc come from the same durations.

use std::time::Duration;

/// The ring's circumference, for a radius of 50.
const AROUND: f64 = 314.159;

/// A ring that shows how much of the idle time is left.
pub struct Ring {
    /// The large text, such as "61 h".
    pub big: String,
    /// The small text, such as "left of 72".
    pub small: String,
    /// The accessible label, such as "61 of 72 hours left".
    pub label: String,
    /// The value of `stroke-dasharray`.
    pub dash: String,
}

impl Ring {
    /// Draws a ring with `left` of `whole` filled.
    pub fn draw(left: Duration, whole: Duration) -> Self {
        let (unit, short, long) = unit_of(whole);
        let (left_in, whole_in) = (rounded(left, unit), rounded(whole, unit));
        let share = (left.as_secs_f64() / whole.as_secs_f64().max(1e-9)).clamp(0.0, 1.0);
        Self {
            big: format!("{left_in} {short}"),
            small: format!("left of {whole_in}"),
            label: format!("{left_in} of {whole_in} {long} left"),
            dash: format!("{:.1} {AROUND:.1}", share * AROUND),
        }
    }
}

/// Formats a duration in words: "72 hours", "30 days", "45 minutes".
pub fn in_words(duration: Duration) -> String {
    let (unit, _, long) = unit_of(duration);
    let count = rounded(duration, unit);
    if count == 1 { format!("1 {}", long.trim_end_matches('s')) } else { format!("{count} {long}") }
}

/// The unit in which people usually state such a duration: its length in seconds, its abbreviation and its plural name.
fn unit_of(duration: Duration) -> (u64, &'static str, &'static str) {
    match duration.as_secs() {
        0..120 => (1, "s", "seconds"),
        120..7_200 => (60, "min", "minutes"),
        7_200..518_400 => (3_600, "h", "hours"),
        _ => (86_400, "d", "days"),
    }
}

/// Rounds to the nearest whole unit, so that a ring filled a second ago still shows as full.
fn rounded(duration: Duration, unit: u64) -> u64 {
    (duration.as_secs() + unit / 2) / unit
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_ring_and_its_labels_match_the_time_left() {
        let ring = Ring::draw(HOUR * 61, HOUR * 72);
        assert_eq!(
            (ring.big.as_str(), ring.small.as_str(), ring.label.as_str()),
            ("61 h", "left of 72", "61 of 72 hours left")
        );
        assert_eq!(ring.dash, "266.2 314.2");
        assert_eq!(Ring::draw(HOUR * 72 - Duration::from_secs(1), HOUR * 72).big, "72 h");
        assert_eq!(Ring::draw(HOUR * 100, HOUR * 72).dash, "314.2 314.2");
        assert_eq!(in_words(HOUR * 720), "30 days");
        assert_eq!(in_words(HOUR), "60 minutes");
    }
}
