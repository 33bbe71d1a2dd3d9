//! Whom people ask for help: the operator's text, in which mail addresses and telephone numbers are links. Called by
//! [`brand`](super).

use crate::base::email::EmailAddress;

/// Digits of a telephone number, at least and at most (ITU-T E.164).
const DIGITS: std::ops::RangeInclusive<usize> = 6..=15;
/// Characters between the digits of a telephone number, as people write it.
const BETWEEN: &str = " -/.()\u{a0}\u{2011}\u{202f}";

/// The text, in parts that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    pub parts: Vec<Part>,
}

/// A part of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub text: String,
    /// A `mailto:` or `tel:` address.
    pub link: Option<String>,
}

impl Contact {
    /// Finds the links in a text.
    pub fn of(text: &str) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let found = if parts.last().is_none_or(|part| part.ends_a_word()) { next_link(rest) } else { None };
            let (length, link) = found.map_or((first.len_utf8(), None), |(length, link)| (length, Some(link)));
            let (text, after) = rest.split_at(length);
            match parts.last_mut() {
                Some(last) if last.link.is_none() && link.is_none() => last.text.push_str(text),
                _ => parts.push(Part { text: text.to_owned(), link }),
            }
            rest = after;
        }
        Self { parts }
    }

    /// The first link, for programs.
    pub fn link(&self) -> Option<&str> {
        self.parts.iter().find_map(|part| part.link.as_deref())
    }
}

impl Part {
    /// Whether a mail address or number may begin after this part.
    fn ends_a_word(&self) -> bool {
        let last = self.text.chars().next_back();
        last.is_none_or(|last| !last.is_alphanumeric() && !matches!(last, '@' | '+' | '_'))
    }
}

/// The link at the beginning of a text, with the length of its text.
fn next_link(text: &str) -> Option<(usize, String)> {
    mail_address(text).or_else(|| telephone_number(text))
}

fn mail_address(text: &str) -> Option<(usize, String)> {
    let end = text
        .find(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '<' | '>' | '(' | ')' | '"'))
        .unwrap_or(text.len());
    let word = text[..end].trim_end_matches(['.', ':', '!', '?']);
    let (local, domain) = word.split_once('@')?;
    let is_mail = !local.is_empty() && domain.contains('.') && EmailAddress::parse(word).is_ok();
    // Characters that have a meaning in the address of a link.
    let encoded = |text: &str| text.replace('%', "%25").replace('?', "%3F").replace('&', "%26").replace('#', "%23");
    is_mail.then(|| (word.len(), format!("mailto:{}", encoded(word))))
}

fn telephone_number(text: &str) -> Option<(usize, String)> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '(')) {
        return None;
    }
    let is_part = |(at, c): (usize, char)| c.is_ascii_digit() || BETWEEN.contains(c) || (c == '+' && at == 0);
    let end = text.char_indices().find(|found| !is_part(*found)).map_or(text.len(), |(at, _)| at);
    if text[end..].starts_with(char::is_alphanumeric) && !text[..end].ends_with(' ') {
        return None;
    }
    // A closing bracket belongs to the number only with its opening one.
    let is_open = text[..end].contains('(');
    let written = text[..end].trim_end_matches(|c: char| BETWEEN.contains(c) && !(c == ')' && is_open));
    let digits: String = written.chars().filter(char::is_ascii_digit).collect();
    let plus = if written.starts_with('+') { "+" } else { "" };
    DIGITS.contains(&digits.len()).then(|| (written.len(), format!("tel:{plus}{digits}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with each link in angle brackets, and the links.
    fn shown(text: &str) -> (String, Vec<String>) {
        let contact = Contact::of(text);
        let marked = contact.parts.iter().map(|part| match &part.link {
            Some(_) => format!("<{}>", part.text),
            None => part.text.clone(),
        });
        (marked.collect(), contact.parts.iter().filter_map(|part| part.link.clone()).collect())
    }

    #[test]
    fn mail_addresses_and_telephone_numbers_become_links() {
        for (text, links) in [
            ("Anna at the till", &[][..]),
            ("<help@example.com>", &["mailto:help@example.com"]),
            (
                "Write to <help@shop.example>, or call <0171 555 01 99>.",
                &["mailto:help@shop.example", "tel:01715550199"],
            ),
            ("Anna (<+49 171 555-0199>)", &["tel:+491715550199"]),
            ("<(0171) 5550199> or <help@shop.example>!", &["tel:01715550199", "mailto:help@shop.example"]),
            ("Room 12, desk 4", &[]),
            ("Anna, from 9 to 17", &[]),
            ("order 4711-ABCD-123456x", &[]),
            ("@shop or a@b", &[]),
            ("Möwe: <a?b@shop.example>", &["mailto:a%3Fb@shop.example"]),
        ] {
            let plain = text.replace(['<', '>'], "");
            assert_eq!(
                shown(&plain),
                (text.to_owned(), links.iter().map(|link| (*link).to_owned()).collect()),
                "{plain}"
            );
        }
    }

    #[test]
    fn no_text_is_lost() {
        for text in ["", "+", "(", "a@b.c@d.e 1 2 3 4 5 6 7", "٣٤٥ 123456", "0171\u{a0}5550199 é@möwe.example"] {
            assert_eq!(Contact::of(text).parts.iter().map(|part| part.text.as_str()).collect::<String>(), text);
        }
    }
}
