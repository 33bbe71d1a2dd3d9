//! The groups of a person. Apps are told them, and rules of apps name them. Called by the actions on people and by the
//! rules of apps.
//!
//! Invariant: the stored text is a list of valid names without duplicates, divided by commas.

use crate::base::error::{Error, Result};

/// The most groups of one account.
pub const MOST: usize = 50;

/// Whether a text can be the name of a group.
pub fn is_group(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || b" _.-".contains(&b);
    text.len() <= 63 && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) && text.bytes().all(is_inner)
}

/// Checks the names and joins them as they are stored.
///
/// # Errors
/// [`Error::Invalid`] with a message for a form.
pub fn joined<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<String> {
    let mut groups: Vec<&str> = Vec::new();
    for name in names.into_iter().map(str::trim) {
        if !is_group(name) {
            return Err(Error::Invalid(format!(
                "{name:?} cannot be the name of a group: use up to 63 letters, digits, spaces, dots, dashes and \
                 underscores, and begin with a letter or digit."
            )));
        }
        if !groups.contains(&name) {
            groups.push(name);
        }
    }
    if groups.len() > MOST {
        return Err(Error::Invalid(format!("A person can be in at most {MOST} groups.")));
    }
    Ok(groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_checked_and_named_once() {
        assert_eq!(joined(["Till staff", " Night ", "Night"]).unwrap(), "Till staff,Night");
        assert_eq!(joined([]).unwrap(), "");
        let long = "a".repeat(64);
        for odd in ["", "-a", " ", "a,b", "a\nb", "ä", &long] {
            assert!(joined([odd]).is_err(), "{odd:?}");
        }
        let names: Vec<String> = (0..51).map(|n| format!("g{n}")).collect();
        assert!(joined(names.iter().map(String::as_str)).is_err());
        assert!(joined(names[1..].iter().map(String::as_str)).is_ok());
    }
}
