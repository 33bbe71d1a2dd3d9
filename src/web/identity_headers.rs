//! The headers that tell an app who sent a request. The gate sends them, and proxy configurations pass them on from the
//! gate's answer only.
//!
//! Invariant: the names are written once, here, in lower case.

/// Sent to every app.
pub const OWN: [&str; 7] = [
    "x-sessile-user",
    "x-sessile-email",
    "x-sessile-name",
    "x-sessile-role",
    "x-sessile-groups",
    "x-sessile-session",
    "x-sessile-assertion",
];
/// Sent to apps with `--identity remote` too.
pub const REMOTE: [&str; 4] = ["remote-user", "remote-email", "remote-name", "remote-groups"];

/// Every name as people write it, such as `X-Sessile-User`.
pub fn as_written() -> Vec<String> {
    OWN.into_iter().chain(REMOTE).map(capitalized).collect()
}

fn capitalized(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    });
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_with_capitals() {
        let names = as_written();
        assert_eq!([names[0].as_str(), names[7].as_str()], ["X-Sessile-User", "Remote-User"]);
        assert_eq!(names.len(), 11);
    }
}
