//! Marks in which words two versions of a draft differ. Called by the page's rendering. `static/js/differences.js` does
//! the same in the browser.
//!
//! Invariant: the parts of a version are its whole text.

/// Most pairs of words that are compared. Beyond it, everything between the common beginning and the common end is marked.
const MOST_PAIRS: usize = 250_000;

/// A piece of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub text: String,
    /// Whether the other version lacks it.
    pub is_only_here: bool,
}

/// Both texts in parts.
pub(super) fn between(one: &str, other: &str) -> [Vec<Part>; 2] {
    let (a, b) = (words(one), words(other));
    let start = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let rest = a.len().min(b.len()) - start;
    let end = a.iter().rev().zip(b.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let (middle_a, middle_b) = (&a[start..a.len() - end], &b[start..b.len() - end]);
    let common = common_words(middle_a, middle_b);
    let is_in_both = |side: usize, at: usize, length: usize| {
        at < start || at >= length - end || common.iter().any(|pair| pair[side] == at - start)
    };
    let parts = |side: usize, words: &[&str]| {
        joined(words.iter().enumerate().map(|(at, word)| (*word, !is_in_both(side, at, words.len()))))
    };
    [parts(0, &a), parts(1, &b)]
}

/// Words and the white space between them.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_space = first.is_whitespace();
        let end = rest.find(|c: char| c.is_whitespace() != is_space).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        words.push(word);
        rest = after;
    }
    words
}

/// The positions of a longest common subsequence, as pairs.
fn common_words(a: &[&str], b: &[&str]) -> Vec<[usize; 2]> {
    if a.len() * b.len() > MOST_PAIRS {
        return Vec::new();
    }
    let width = b.len() + 1;
    let mut longest = vec![0_u32; (a.len() + 1) * width];
    for at in (0..a.len()).rev() {
        for to in (0..b.len()).rev() {
            longest[at * width + to] = if a[at] == b[to] {
                longest[(at + 1) * width + to + 1] + 1
            } else {
                longest[(at + 1) * width + to].max(longest[at * width + to + 1])
            };
        }
    }
    let (mut at, mut to, mut pairs) = (0, 0, Vec::new());
    while at < a.len() && to < b.len() {
        if a[at] == b[to] {
            pairs.push([at, to]);
            (at, to) = (at + 1, to + 1);
        } else if longest[(at + 1) * width + to] >= longest[at * width + to + 1] {
            at += 1;
        } else {
            to += 1;
        }
    }
    pairs
}

fn joined<'a>(words: impl Iterator<Item = (&'a str, bool)>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (word, is_only_here) in words {
        match parts.last_mut() {
            Some(last) if last.is_only_here == is_only_here => last.text.push_str(word),
            _ => parts.push(Part { text: word.to_owned(), is_only_here }),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(parts: &[Part]) -> String {
        parts
            .iter()
            .map(|part| if part.is_only_here { format!("[{}]", part.text) } else { part.text.clone() })
            .collect()
    }

    #[test]
    fn the_words_that_differ_are_marked() {
        for (one, other, marked) in [
            ("Open until six", "Open until ten", ["Open until [six]", "Open until [ten]"]),
            ("Open until six", "Open until six", ["Open until six", "Open until six"]),
            ("", "New", ["", "[New]"]),
            ("a b c d", "a c d e", ["a [b ]c d", "a c d[ e]"]),
            ("fish\nchips", "fish\n\nchips", ["fish[\n]chips", "fish[\n\n]chips"]),
        ] {
            assert_eq!(between(one, other).map(|parts| shown(&parts)), marked.map(str::to_owned));
        }
    }

    #[test]
    fn long_versions_are_marked_without_comparing_every_pair() {
        let [one, other] = ["a", "b"].map(|word| format!("Start {} end", format!("{word} x ").repeat(2_000)));
        let [parts, _] = between(&one, &other);
        assert_eq!(parts.len(), 3);
    }

    proptest! {
        #[test]
        fn the_parts_are_the_whole_text(one in "[ab \n]{0,20}", other in "[ab \n]{0,20}") {
            let whole = |parts: &[Part]| parts.iter().map(|part| part.text.as_str()).collect::<String>();
            let common = |parts: &[Part]| {
                parts.iter().filter(|part| !part.is_only_here).map(|part| part.text.as_str()).collect::<String>()
            };
            let [a, b] = between(&one, &other);
            prop_assert_eq!((whole(&a), whole(&b)), (one, other));
            prop_assert_eq!(common(&a), common(&b));
        }
    }
}
