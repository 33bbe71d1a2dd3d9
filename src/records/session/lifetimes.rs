//! How long sessions last.

use std::time::Duration;

use crate::base::settings::Settings;

/// How long an ended session is remembered.
pub const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);

/// What rules the lives of sessions.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// It ends this long after its last activity.
    pub idle: Duration,
    /// And this long after login, whatever its activity.
    pub absolute: Duration,
    /// Activity is written at most this often.
    pub touch_interval: Duration,
    /// Live sessions that an account may have, if there is a limit.
    pub most: Option<u32>,
}

impl From<&Settings> for Lifetimes {
    fn from(settings: &Settings) -> Self {
        Self {
            idle: settings.idle_ttl,
            absolute: settings.absolute_ttl,
            touch_interval: settings.touch_interval,
            most: settings.sessions_per_account,
        }
    }
}
