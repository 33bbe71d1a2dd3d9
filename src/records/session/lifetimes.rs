//! The time limits of sessions, from the settings.

use std::time::Duration;

use crate::base::settings::Settings;

/// How long the row of an ended session is kept.
pub const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);

/// The limits on sessions.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Maximum time since the last activity.
    pub idle: Duration,
    /// Maximum time since login, whatever the activity.
    pub absolute: Duration,
    /// Minimum time between two writes of activity.
    pub touch_interval: Duration,
    /// Maximum number of live sessions per account; `None` for no limit.
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
