//! The bar chart of a week of sign-ins, and the same in words. Called by the dashboard.
//!
//! Invariant: no bar is taller than the chart.

use crate::{
    base::db::Instant,
    records::audit::Kind,
    web::layout::{self, zoned},
};

/// The y coordinate of the line that the bars stand on. The other constants are in the same units.
const BASELINE: i32 = 94;
const TALLEST: f64 = 74.0;
const GAP: i32 = 3;
const STEP: i32 = 40;
const FIRST_BAR: i32 = 6;

/// The chart of a week.
pub struct Week {
    /// Seven bars, today last.
    pub days: Vec<Bar>,
    /// The week in words.
    pub text: String,
    failures: usize,
}

/// The bar of a day.
pub struct Bar {
    /// "Tue".
    pub label: String,
    /// The left edge.
    pub x: i32,
    /// The top of the bar of sign-ins.
    pub good_y: i32,
    /// Its height; 0 for none.
    pub good_h: i32,
    /// The top of the bar of wrong passwords, which stands on the other bar.
    pub bad_y: i32,
    /// Its height; 0 for none.
    pub bad_h: i32,
}

#[derive(Clone, Default)]
struct Count {
    good: usize,
    bad: usize,
    short: String,
    long: String,
}

impl Week {
    /// Draws the seven days up to `now`.
    pub fn draw(sign_ins: &[(Kind, Instant)], now: Instant) -> Self {
        let today = zoned(now).date();
        let mut counts = vec![Count::default(); 7];
        for (ago, count) in (0i64..7).rev().zip(&mut counts) {
            let day = today.saturating_sub(jiff::Span::new().days(ago));
            count.short = day.strftime("%a").to_string();
            count.long = if ago == 0 { "today".to_owned() } else { day.strftime("on %A").to_string() };
        }
        for (kind, at) in sign_ins {
            let ago = today.duration_since(zoned((*at).min(now)).date()).as_hours() / 24;
            let Some(count) = usize::try_from(6 - ago).ok().and_then(|day| counts.get_mut(day)) else {
                continue;
            };
            match kind {
                Kind::LoginFailed => count.bad += 1,
                _ => count.good += 1,
            }
        }
        let most = counts.iter().map(|count| count.good + count.bad).max().unwrap_or(0);
        let days = (0..).zip(&counts).map(|(n, count)| Bar::draw(n, count, most)).collect();
        let failures = counts.iter().map(|count| count.bad).sum();
        let mut text = week_in_words(&counts);
        if !layout::is_zone_known() {
            text.push_str(&format!(" Days as in {}.", zoned(now).strftime("%Z")));
        }
        Self { days, text, failures }
    }

    /// Wrong passwords in the week.
    pub fn failures(&self) -> usize {
        self.failures
    }
}

impl Bar {
    fn draw(n: i32, count: &Count, most: usize) -> Self {
        let height = |times: usize| -> i32 {
            if times == 0 {
                return 0;
            }
            // A scale of at least four: a week with one sign-in gets a small bar.
            let whole = u32::try_from(most.max(4)).map_or(1.0, f64::from);
            let part = u32::try_from(times).map_or(1.0, f64::from);
            #[expect(clippy::cast_possible_truncation, reason = "at most TALLEST")]
            let height = (part / whole * TALLEST).round() as i32;
            height.max(6)
        };
        let (good_h, bad_h) = (height(count.good), height(count.bad));
        let good_y = BASELINE - good_h;
        let gap = if good_h > 0 { GAP } else { 0 };
        Self { label: count.short.clone(), x: FIRST_BAR + n * STEP, good_y, good_h, bad_y: good_y - gap - bad_h, bad_h }
    }
}

fn week_in_words(counts: &[Count]) -> String {
    let good: usize = counts.iter().map(|count| count.good).sum();
    let sign_ins = match good {
        0 => "No sign-ins.".to_owned(),
        1 => "One sign-in.".to_owned(),
        more => format!("{more} sign-ins."),
    };
    let bad: Vec<&Count> = counts.iter().filter(|count| count.bad > 0).collect();
    let total: usize = bad.iter().map(|count| count.bad).sum();
    match (total, bad.as_slice()) {
        (0, _) => sign_ins,
        (1, [day, ..]) => format!("{sign_ins} One wrong password {}.", day.long),
        (more, [day]) => format!("{sign_ins} {more} wrong passwords {}.", day.long),
        (more, _) => format!("{sign_ins} {more} wrong passwords."),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_week_ends_today_and_has_a_text() {
        let now = Instant::from_micros(1_795_460_400_000_000);
        let day = HOUR * 24;
        let sign_ins = [
            (Kind::LoginSucceeded, now),
            (Kind::LoginSucceeded, now.minus(day)),
            (Kind::LoginFailed, now.minus(day * 2)),
            (Kind::LoginSucceeded, now.minus(day * 30)),
        ];
        let week = Week::draw(&sign_ins, now);
        assert_eq!(week.days.len(), 7);
        assert_eq!(week.days[6].label, zoned(now).strftime("%a").to_string());
        assert!(
            week.days[6].good_h > 0 && week.days[5].good_h > 0 && week.days[4].bad_h > 0 && week.days[0].good_h == 0
        );
        let then = zoned(now.minus(day * 2)).strftime("%A").to_string();
        let zone = zoned(now).strftime("%Z");
        assert_eq!(week.text, format!("2 sign-ins. One wrong password on {then}. Days as in {zone}."));
        assert!(week.days.iter().all(|bar| bar.good_y >= 0 && bar.bad_y >= 0));
    }

    #[test]
    fn no_bar_is_taller_than_the_picture() {
        let now = Instant::from_micros(1_795_460_400_000_000);
        let many: Vec<_> =
            (0..500).map(|n| (if n % 2 == 0 { Kind::LoginFailed } else { Kind::LoginSucceeded }, now)).collect();
        let week = Week::draw(&many, now);
        assert!(week.days[6].bad_y >= 0, "{}", week.days[6].bad_y);
    }
}
