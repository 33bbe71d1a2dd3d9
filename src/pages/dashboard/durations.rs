//! Durations in words, for the dashboard.

use std::time::Duration;

/// Formats a duration in words: "72 hours", "30 days", "45 minutes".
pub fn in_words(duration: Duration) -> String {
    let (unit, plural) = unit_of(duration);
    let count = (duration.as_secs() + unit / 2) / unit;
    if count == 1 { format!("1 {}", plural.trim_end_matches('s')) } else { format!("{count} {plural}") }
}

/// The unit in which people usually state such a duration: its length in seconds and its plural name.
fn unit_of(duration: Duration) -> (u64, &'static str) {
    match duration.as_secs() {
        0..120 => (1, "seconds"),
        120..7_200 => (60, "minutes"),
        7_200..518_400 => (3_600, "hours"),
        _ => (86_400, "days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_their_usual_unit() {
        let hours = |hours: u64| in_words(Duration::from_secs(hours * 3600));
        assert_eq!([hours(72), hours(720), hours(1)], ["72 hours", "30 days", "60 minutes"]);
        assert_eq!(in_words(Duration::from_secs(1)), "1 second");
    }
}
