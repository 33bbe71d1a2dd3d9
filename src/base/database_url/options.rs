//! The settings that every session starts with: those of the URL (`options`, `search_path`), then ours. They are
//! applied after connecting, because PgBouncer rejects `options` in the startup packet. Called by the settings and the
//! connect plan.
//!
//! Invariant: our settings come last, so they override those of the URL.

use std::time::Duration;

/// The server ends an idle transaction after twice the statement timeout, but not before this time.
const SHORTEST_IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);

/// Settings on which Sessile's guarantees depend. Defaults of the role, the database or the URL must not change them.
const FIXED: [(&str, &str); 10] = [
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    // An acknowledged commit is on disk, and on the synchronous standby if there is one.
    ("synchronous_commit", "on"),
    // Only a warning reports that the wait for the synchronous standby was cancelled.
    ("client_min_messages", "warning"),
    // The syntax of constants in statements, and the text format of values.
    ("client_encoding", "UTF8"),
    ("standard_conforming_strings", "on"),
    ("bytea_output", "hex"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
];

/// An expression that keeps foreign keys and their cascades enforced. Only a superuser may set this parameter, so it is
/// set only if necessary. A role without that right is refused.
pub(crate) const ENFORCE_FOREIGN_KEYS: &str = "CASE WHEN current_setting('session_replication_role') = 'replica' \
     THEN set_config('session_replication_role', 'origin', false) END";

/// Names and values, in the order in which they are set.
pub(crate) type Settings = Vec<(String, String)>;

/// The URL's settings, followed by ours.
///
/// # Errors
/// One line, when `options` holds anything but settings.
pub(crate) fn session(
    options: Option<&str>,
    search_path: Option<&str>,
    statement_timeout: Duration,
) -> Result<Settings, String> {
    let mut settings = options.map_or_else(|| Ok(Vec::new()), parse)?;
    settings.extend(search_path.map(|path| ("search_path".to_owned(), path.to_owned())));
    let idle = statement_timeout.saturating_mul(2).max(SHORTEST_IDLE_IN_TRANSACTION);
    let timeouts = [
        ("statement_timeout", milliseconds(statement_timeout)),
        ("idle_in_transaction_session_timeout", milliseconds(idle)),
    ];
    settings.extend(timeouts.map(|(name, value)| (name.to_owned(), value)));
    settings.extend(FIXED.map(|(name, value)| (name.to_owned(), value.to_owned())));
    Ok(settings)
}

/// The search path of the URL. The last one counts.
pub(crate) fn search_path(settings: &Settings) -> Option<&str> {
    settings.iter().rev().find(|(name, _)| name == "search_path").map(|(_, path)| path.as_str())
}

/// Parses `-c name=value`, `-cname=value` and `--name=value`, separated by blanks. A backslash escapes the next
/// character (PostgreSQL 15, section 55.2.1 and `pg_split_opts`).
fn parse(options: &str) -> Result<Settings, String> {
    let wrong = || {
        "has options that are not settings: write options=-c%20NAME%3DVALUE, with %20 before each further setting"
            .to_owned()
    };
    let mut settings = Vec::new();
    let mut words = words(options).into_iter();
    while let Some(word) = words.next() {
        let setting = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (Some(setting), _) => setting.to_owned(),
            (None, Some("")) => words.next().ok_or_else(wrong)?,
            (None, Some(setting)) => setting.to_owned(),
            (None, None) => return Err(wrong()),
        };
        let (name, value) = setting.split_once('=').ok_or_else(wrong)?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(wrong());
        }
        settings.push((name.replace('-', "_").to_ascii_lowercase(), value.to_owned()));
    }
    Ok(settings)
}

fn words(options: &str) -> Vec<String> {
    let (mut words, mut word, mut escaped) = (Vec::new(), String::new(), false);
    for character in options.chars() {
        if !escaped && character.is_ascii_whitespace() {
            words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
        } else if !escaped && character == '\\' {
            escaped = true;
        } else {
            word.push(character);
            escaped = false;
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// A timeout in PostgreSQL's format. At least 1, because 0 would disable the timeout.
fn milliseconds(time: Duration) -> String {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX).max(1).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn set(options: &str) -> Vec<String> {
        parse(options).unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn every_form_of_a_setting_in_options_is_understood() {
        assert_eq!(
            set("-c search_path=app -cwork_mem=4MB  --lock-timeout=5 "),
            ["search_path=app", "work_mem=4MB", "lock_timeout=5"]
        );
        assert_eq!(set(r"-c search_path=a\ b\\c,public"), [r"search_path=a b\c,public"]);
        for wrong in ["-e", "-c", "-c x", "search_path=app", "--", "-c =1", "-c a;b=1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn our_settings_come_last_and_stay_in_range() {
        let settings = session(Some("-c statement_timeout=0"), Some("app"), 3 * SECOND).unwrap();
        let last = settings.iter().rev().find(|(name, _)| name == "statement_timeout").unwrap();
        assert_eq!(last.1, "3000");
        assert_eq!(search_path(&settings), Some("app"));
        let weaker =
            "-c client_min_messages=error -c synchronous_commit=off -c default_transaction_isolation=serializable";
        let settings = session(Some(weaker), None, SECOND).unwrap();
        let value = |name| settings.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let names = ["client_min_messages", "synchronous_commit", "default_transaction_isolation"];
        assert_eq!(names.map(value), [Some("warning"), Some("on"), Some("read committed")]);
        assert_eq!((milliseconds(Duration::MAX), milliseconds(Duration::ZERO)), ("2147483647".into(), "1".into()));
    }
}
