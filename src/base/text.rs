//! Checks of names and ids, and short forms of texts for messages. [`is_name`] is called wherever a person chooses a
//! name, [`is_id`] wherever a request carries an id.
//!
//! Invariant: a name that passes [`is_name`] is safe to show, and an id that passes [`is_id`] is safe to send to either
//! database.

/// Whether a text may be a name. At least one character must be visible, and none may hide or reorder the text around
/// it: bidirectional controls (Unicode Technical Report 36, 2.10.2), control characters, line separators and
/// annotations.
pub fn is_name(text: &str) -> bool {
    let reorders = |c: char| matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{2028}'..='\u{2029}' | '\u{FFF9}'..='\u{FFFB}');
    let invisible = |c: char| {
        c.is_whitespace()
            || matches!(c, '\u{00AD}' | '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{180E}' | '\u{200B}'..='\u{200D}' | '\u{2060}'..='\u{2064}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
    };
    !text.chars().any(|c| c.is_control() || reorders(c)) && !text.chars().all(invisible)
}

/// Whether a text may be an id: 1 to 100 ASCII letters, digits and `-._~:`. Our own ids and the draft ids that clients
/// make have this form. Checked before a query, because PostgreSQL rejects U+0000.
pub fn is_id(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    (1..=100).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// The text, cut to at most `most` characters. A cut text ends in an ellipsis, after a whole word if a word ends in the
/// last quarter.
pub fn shortened(text: &str, most: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(most) else {
        return text.to_owned();
    };
    let kept = text.char_indices().nth(most.saturating_sub(1)).map_or(end, |(end, _)| end);
    let line = &text[..kept];
    let near = line.len() - line.len() / 4;
    let word_end = line.rfind(char::is_whitespace).filter(|at| *at >= near).unwrap_or(line.len());
    format!("{}…", line[..word_end].trim_end())
}

/// A number of bytes in the largest unit that gives a whole number, such as `8 MiB`.
pub fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = units.into_iter().find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift));
    whole.map_or_else(|| format!("{bytes} bytes"), |(shift, unit)| format!("{} {unit}", bytes >> shift))
}

/// Untrusted text for messages and the log: quoted, escaped to one line, and cut to 80 characters.
pub fn quoted(value: &str) -> String {
    match value.char_indices().nth(80) {
        None => format!("{value:?}"),
        Some((end, _)) => format!("{:?}…", value.get(..end).unwrap_or_default()),
    }
}

/// The path of a file, from a setting. Does not check that the file exists.
pub(crate) fn file_path(value: &str) -> Result<std::path::PathBuf, String> {
    if value.contains('\0') || value.ends_with('/') {
        return Err(format!("{} is not the path of a file: write one", quoted(value)));
    }
    Ok(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortened_text_ends_in_an_ellipsis_after_a_whole_word() {
        assert_eq!(shortened("Low tide", 8), "Low tide");
        assert_eq!(shortened("Kelp soup is back on Friday", 20), "Kelp soup is back…");
        assert_eq!(shortened("Donaudampfschifffahrt", 8), "Donauda…");
        assert_eq!(shortened("🦀🦀🦀", 2), "🦀…");
        assert_eq!(shortened("", 0), "");
    }

    #[test]
    fn ids_are_short_and_plain() {
        for id in ["a", "dev_AZaz09-_", "aiq_1_a", "~.:", &"a".repeat(100)] {
            assert!(is_id(id), "{id:?}");
        }
        for odd in ["", "\0", "aiq_\0", "a b", "a/b", "é", &"a".repeat(101)] {
            assert!(!is_id(odd), "{odd:?}");
        }
    }

    #[test]
    fn sizes_use_the_largest_whole_unit() {
        assert_eq!([size(8 << 20), size(1 << 30), size(1536), size(0)], ["8 MiB", "1 GiB", "1536 bytes", "0 bytes"]);
        assert_eq!(size(1536 << 10), "1536 KiB");
    }

    #[test]
    fn names_are_visible_and_reorder_no_text() {
        for name in [
            "Kim",
            "Kim Lee",
            "李",
            "שָׁלוֹם",
            "👩‍👩‍👧",
            "🏴\u{E0067}\u{E0062}\u{E0077}\u{E006C}\u{E0073}\u{E007F}",
            "⠓⠊",
            "o'Neil-Smith",
        ] {
            assert!(is_name(name), "{name:?}");
        }
        for odd in [
            "",
            " ",
            "\u{200B}",
            "\u{FEFF}\u{2060}",
            "a\u{0}",
            "a\nb",
            "gnp.\u{202E}exe",
            "\u{2067}a",
            "\u{2800}",
            "\u{180E}",
            "\u{E0041}\u{E007F}",
            "\u{1D173}",
            "a\u{FFF9}b",
            "\u{FFFB}",
            "a\u{2028}b",
            "a\u{2029}b",
        ] {
            assert!(!is_name(odd), "{odd:?}");
        }
    }
}
