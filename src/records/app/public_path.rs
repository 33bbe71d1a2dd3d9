//! What can be a public path of an app. Called where one is set, and where a configuration is printed.
//!
//! Invariant: a public path can stand in the configuration of any proxy, and no proxy or app reads it as another path.

const LONGEST: usize = 200;

/// Whether this can be a public path: `/health`, which is this path alone, or `/hooks/`, which is also every path below it.
pub fn is_public_path(path: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._~-/".contains(c);
    let has_dots = path.split('/').any(|segment| segment == "." || segment == "..");
    let is_one = path.starts_with('/') && (2..=LONGEST).contains(&path.len()) && !path.contains("//");
    let is_ours = path.split('/').nth(1) == Some(".sessile");
    is_one && !has_dots && path.chars().all(is_plain) && !is_ours
}
