//! Which texts may name something that people read. Called wherever somebody chooses a name.

/// Whether a text can stand as a name: something of it can be seen, and nothing of it hides or turns what stands beside it
/// (Unicode Technical Report 36, 2.10.2: bidirectional controls; and control characters).
pub fn is_name(text: &str) -> bool {
    let turns =
        |c: char| matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let unseen = |c: char| {
        c.is_whitespace()
            || matches!(c, '\u{00AD}' | '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{200B}'..='\u{200D}' | '\u{2060}'..='\u{2064}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}')
    };
    !text.chars().any(|c| c.is_control() || turns(c)) && !text.chars().all(unseen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_seen_and_turn_nothing() {
        for name in ["Kim", "Kim Lee", "李", "שָׁלוֹם", "👩‍👩‍👧", "o'Neil-Smith"] {
            assert!(is_name(name), "{name:?}");
        }
        for odd in ["", " ", "\u{200B}", "\u{FEFF}\u{2060}", "a\u{0}", "a\nb", "gnp.\u{202E}exe", "\u{2067}a"] {
            assert!(!is_name(odd), "{odd:?}");
        }
    }
}
