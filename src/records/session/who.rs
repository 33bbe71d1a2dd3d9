//! Who acts, in the name of which session.

/// Whose session acts.
#[derive(Debug, Clone)]
pub struct Who {
    /// The account.
    pub account_id: String,
    /// The session.
    pub session_id: String,
    /// The device in use.
    pub device_id: Option<String>,
}
