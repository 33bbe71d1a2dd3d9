//! What a check found. Made by each check, told by `doctor` and by the start of `serve`.

/// What was seen, or what is wrong and what to do.
pub type Finding = Result<String, String>;
