//! The actor of a write.

/// The account, session and device that act.
#[derive(Debug, Clone)]
pub struct Who {
    pub account_id: String,
    pub session_id: String,
    pub device_id: Option<String>,
}
