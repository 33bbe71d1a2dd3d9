//! E-mail addresses in canonical form. Used by forms, the API, commands, the throttle and the account lookup.
//!
//! Domains are compared in their IDNA form (UTS 46, non-transitional), so `müller.example` equals
//! `xn--mller-kva.example`, which browsers send. Local parts are compared in NFC, ignoring case. Invisible characters
//! are refused, because an address that contains one looks like another address.
//!
//! Invariant: addresses that compare equal have the same key, and the key itself is an address with this key.

use std::borrow::Cow;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};
use unicode_properties::{GeneralCategoryGroup as Group, UnicodeGeneralCategory as _};

use crate::base::error::{Error, Result};

/// Octets before the `@` (RFC 5321, 4.5.3.1.1).
const LONGEST_LOCAL_PART: usize = 64;
/// Octets of an address. A path has at most 256 octets, including its angle brackets (RFC 5321, 4.5.3.1.3).
const LONGEST: usize = 254;

/// An e-mail address that may belong to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailAddress {
    shown: String,
    key: String,
}

impl EmailAddress {
    /// Parses an address from user input. Ignores surrounding white space.
    ///
    /// # Errors
    /// [`Error::Invalid`] with a message for the form.
    pub fn parse(typed: &str) -> Result<Self> {
        let typed = typed.trim();
        if typed.is_empty() {
            return wrong("Enter your email address.");
        }
        if typed.len() > LONGEST * 4 {
            return wrong(TOO_LONG);
        }
        if typed.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("mailto:")) {
            return wrong("Leave out “mailto:” and enter only the email address.");
        }
        if typed.chars().any(is_hidden) {
            return wrong("That email address contains a character that cannot be seen. Please type it by hand.");
        }
        let Some((local, domain)) = typed.rsplit_once('@') else { return wrong(NOT_WHOLE) };
        let local: String = local.nfc().collect();
        check_local_part(&local)?;
        let (key_domain, shown_domain) = domains(domain)?;
        let address =
            Self { key: format!("{}@{key_domain}", folded(&local)), shown: format!("{local}@{shown_domain}") };
        if address.key.len() > LONGEST || local.len() > LONGEST_LOCAL_PART {
            return wrong(TOO_LONG);
        }
        Ok(address)
    }

    /// Parses an address for a lookup. Older versions accepted addresses that [`parse`](Self::parse) refuses, and their
    /// accounts keep the old key.
    ///
    /// # Errors
    /// The error of [`parse`](Self::parse), if no version accepted the address.
    pub fn known(typed: &str) -> Result<Self> {
        Self::parse(typed).or_else(|error| {
            let typed = typed.trim();
            let whole = typed.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
            let odd = typed.len() > LONGEST || typed.chars().any(|c| c.is_whitespace() || c.is_control());
            if odd || !whole {
                return Err(error);
            }
            Ok(Self { shown: typed.to_owned(), key: typed.to_lowercase() })
        })
    }

    /// The address for display: as typed, but with an internationalised domain in Unicode.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// The canonical form, for comparison.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The part before the `@`.
    pub fn local_part(&self) -> &str {
        self.shown.rsplit_once('@').map_or(self.shown.as_str(), |(local, _)| local)
    }
}

const NOT_WHOLE: &str = "Enter a whole email address, such as kim@example.com.";
const TOO_LONG: &str = "That email address is too long.";

fn wrong<T>(words: &str) -> Result<T> {
    Err(Error::Invalid(words.to_owned()))
}

/// Accepts a dot-atom (RFC 5322, 3.2.3) with letters, digits and symbols of any script (RFC 6531, 3.3). Refuses quoted
/// local parts. Also refuses compatibility characters, because they look like other characters.
fn check_local_part(local: &str) -> Result<()> {
    if local.contains('@') {
        return wrong("An email address has only one @, such as kim@example.com.");
    }
    let is_text = |c: char| match c {
        _ if c.is_ascii() => c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c),
        _ => !matches!(c.general_category_group(), Group::Punctuation | Group::Separator | Group::Other),
    };
    let misplaced_dot = local.split('.').any(str::is_empty);
    let begins_with_a_mark = local.chars().next().is_some_and(is_combining_mark);
    if misplaced_dot || begins_with_a_mark || !local.chars().all(is_text) || !local.nfkc().eq(local.chars()) {
        return wrong(NOT_WHOLE);
    }
    Ok(())
}

/// The domain for comparison, and the domain for display.
fn domains(typed: &str) -> Result<(String, Cow<'_, str>)> {
    let (uts46, deny, hyphens) = (Uts46::new(), AsciiDenyList::STD3, Hyphens::CheckFirstLast);
    let Ok(key) = uts46.to_ascii(typed.as_bytes(), deny, hyphens, DnsLength::Ignore) else { return wrong(NOT_WHOLE) };
    if key.split('.').any(str::is_empty) {
        return wrong(NOT_WHOLE);
    }
    if !idna::uts46::verify_dns_length(&key, false) {
        return wrong(TOO_LONG);
    }
    if typed.is_ascii() && !key.split('.').any(|label| label.starts_with("xn--")) {
        return Ok((key.into_owned(), Cow::Borrowed(typed)));
    }
    let (shown, valid) = uts46.to_unicode(key.as_bytes(), deny, hyphens);
    if valid.is_err() || shown.chars().any(is_hidden) {
        return wrong(NOT_WHOLE);
    }
    let shown = shown.into_owned();
    Ok((key.into_owned(), Cow::Owned(shown)))
}

/// Removes case differences. Maps to lower case first, because ẞ is already upper case and only ß becomes SS. Then maps
/// to upper case, which unites letters with two lower-case forms, such as σ and ς. Keeps the dotless ı, because its
/// upper case would be I.
fn folded(local: &str) -> String {
    let upper = local.chars().flat_map(char::to_lowercase).flat_map(|c| {
        let (dotless, upper) = if c == 'ı' { (Some(c), None) } else { (None, Some(c.to_uppercase())) };
        dotless.into_iter().chain(upper.into_iter().flatten())
    });
    upper.flat_map(char::to_lowercase).nfc().collect()
}

/// Whether a character is invisible: control, format and private-use characters, spaces, unassigned code points, other
/// Default_Ignorable_Code_Point characters, and blank letters and the blank braille pattern.
fn is_hidden(c: char) -> bool {
    matches!(c.general_category_group(), Group::Separator | Group::Other)
        || matches!(c, '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{2800}'
            | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}' | '\u{E0100}'..='\u{E01EF}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(typed: &str) -> String {
        EmailAddress::parse(typed).unwrap_or_else(|error| panic!("{typed:?}: {error}")).key().to_owned()
    }

    #[test]
    fn addresses_compare_without_case_and_keep_how_they_were_typed() {
        let typed = EmailAddress::parse("  Kim@Example.COM ").unwrap();
        assert_eq!((typed.as_str(), typed.key(), typed.local_part()), ("Kim@Example.COM", "kim@example.com", "Kim"));
    }

    #[test]
    fn all_spellings_of_an_address_have_the_same_key() {
        let same = [
            ["anna@müller.example", "anna@xn--mller-kva.example"],
            ["anna@MÜLLER.example", "Anna@XN--MLLER-KVA.example"],
            ["anna@mu\u{308}ller.example", "anna@müller.example"],
            ["anna@straße.example", "anna@xn--strae-oqa.example"],
            ["anna@例え.テスト", "anna@xn--r8jz45g.xn--zckzah"],
            ["anna@例え。テスト", "anna@例え.テスト"],
            ["anna@ｅｘａｍｐｌｅ.com", "anna@example.com"],
            ["jürgen@example.com", "ju\u{308}rgen@example.com"],
            ["JÜRGEN@example.com", "jU\u{308}rgen@example.com"],
            ["οδός@example.com", "ΟΔΌΣ@example.com"],
            ["straße@example.com", "STRASSE@example.com"],
            ["straße@example.com", "STRAẞE@example.com"],
            ["ivan@пример.рф", "IVAN@ПРИМЕР.РФ"],
        ];
        for [one, other] in same {
            assert_eq!(key(one), key(other), "{one} and {other}");
        }
        for [one, other] in [["ılker@example.com", "ilker@example.com"], ["a@straße.example", "a@strasse.example"]] {
            assert_ne!(key(one), key(other), "{one} and {other}");
        }
        let shown = EmailAddress::parse("Anna@xn--mller-kva.example").unwrap();
        assert_eq!(shown.as_str(), "Anna@müller.example");
    }

    #[test]
    fn unusual_addresses_are_accepted() {
        for typed in [
            "o'neil+news@example.com",
            "a.b-c_d/e=f{g}h|i~j`k!l#m$n%o&p*q^r?s@example.com",
            "kim@localhost",
            "kim@sub.domain.example.com",
            "kim@r3---sn.example",
            "用户@例え.テスト",
            "दीपक@example.com",
            "☕@example.com",
        ] {
            assert!(EmailAddress::parse(typed).is_ok(), "{typed:?}: {:?}", EmailAddress::parse(typed));
        }
    }

    #[test]
    fn invalid_addresses_are_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        let long_label = format!("kim@{}.com", "a".repeat(64));
        let long_whole = format!("kim@{}com", "abcdefgh.".repeat(28));
        for typed in [
            "",
            "   ",
            "kim",
            "@example.com",
            "kim@",
            "kim @example.com",
            "kim\0@example.com",
            "mailto:kim@example.com",
            "MAILTO:kim@example.com",
            "a@b@example.com",
            "\"a b\"@example.com",
            "\"kim\"@example.com",
            "Kim <kim@example.com>",
            "kim@example.com>",
            "kim,alex@example.com",
            ".kim@example.com",
            "kim.@example.com",
            "k..im@example.com",
            "kim@.example.com",
            "kim@example.com.",
            "kim@example..com",
            "kim@-example.com",
            "kim@exa_mple.com",
            "kim@[192.0.2.1]",
            "kim@xn--a.example",
            "kim＠example.com",
            "ｋｉｍ@example.com",
            "\u{308}kim@example.com",
            &long,
            &long_label,
            &long_whole,
        ] {
            assert!(EmailAddress::parse(typed).is_err(), "{typed:?}");
        }
    }

    #[test]
    fn invisible_characters_are_refused_anywhere() {
        let hidden = [
            '\u{200B}',
            '\u{200C}',
            '\u{200D}',
            '\u{2060}',
            '\u{FEFF}',
            '\u{AD}',
            '\u{34F}',
            '\u{61C}',
            '\u{200E}',
            '\u{202A}',
            '\u{202E}',
            '\u{2066}',
            '\u{2069}',
            '\u{115F}',
            '\u{180E}',
            '\u{3164}',
            '\u{FFA0}',
            '\u{2800}',
            '\u{FE0F}',
            '\u{E0020}',
            '\u{E0101}',
            '\u{E000}',
            '\u{F0000}',
            '\u{7F}',
            '\u{85}',
            '\u{A0}',
            '\u{2028}',
            '\u{FFFE}',
            '\u{378}',
        ];
        for c in hidden {
            for typed in [format!("k{c}im@example.com"), format!("kim@exa{c}mple.com"), format!("k{c}@example.com")] {
                assert!(EmailAddress::parse(&typed).is_err(), "{typed:?}");
            }
        }
    }

    #[test]
    fn accounts_of_older_versions_are_found_under_their_old_key() {
        for typed in ["mailto:Kim@example.com", "A@b@example.com", "kim\u{200B}@example.com"] {
            assert_eq!(EmailAddress::known(typed).unwrap().key(), typed.to_lowercase());
        }
        assert_eq!(EmailAddress::known("ANNA@müller.example").unwrap().key(), "anna@xn--mller-kva.example");
        assert!(EmailAddress::known("kim").is_err() && EmailAddress::known("k im@example.com").is_err());
    }

    proptest! {
        #[test]
        fn the_displayed_address_and_the_key_have_the_same_key(typed in "\\PC{1,20}@\\PC{1,20}") {
            if let Ok(address) = EmailAddress::parse(&typed) {
                prop_assert_eq!(EmailAddress::parse(address.as_str()).unwrap().key, address.key.clone());
                prop_assert_eq!(EmailAddress::parse(&address.key).unwrap().key, address.key);
            }
        }
    }
}
