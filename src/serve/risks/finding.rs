//! The result of a check. Created by each check; printed by `doctor` and logged by `serve`.

/// What the check saw, or the problem with its remedy.
pub type Finding = Result<String, String>;
