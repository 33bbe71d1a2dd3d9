//! The rules for new passwords: from the length that `SESSILE_PASSWORD_MIN` sets, or 8 characters beside a second factor, to
//! 128 characters, any characters, no composition rules, not one of the most common
//! [leaked](super::leaked) passwords, and hard to guess (zxcvbn; NIST SP 800-63B-4, 3.1.1.2). Called by the
//! [`hasher`](super::hasher) on its threads, because zxcvbn takes a while.
//!
//! Invariant: the time of a check is bounded for every password.

use zxcvbn::{
    Entropy, Score,
    feedback::{Suggestion, Warning},
};

use super::leaked::is_leaked;
use crate::base::error::{Error, Result};

/// Minimum length in characters beside a second factor.
const SHORTEST_BESIDE_FACTOR: usize = 8;
/// Maximum length in characters.
pub const LONGEST: usize = 128;
/// Maximum characters per call of zxcvbn, whose time grows faster than the square of the length.
const ESTIMATED: usize = 32;
/// Maximum ways of reading symbols as letters. zxcvbn looks up every way in all its word lists. Without this limit, a
/// password of symbols takes a second. With both limits, no password takes ten milliseconds.
const READINGS: usize = 16;
/// Groups of symbols and digits that zxcvbn reads as the same letter.
const ALIKE: [&str; 7] = ["4@", "({[<", "69", "1!|", "1|7", "$5", "+7"];
/// The symbols and digits that zxcvbn reads as either of two letters.
const TWO_LETTERS: [char; 3] = ['1', '|', '7'];
/// Words that an attacker would try first on this service.
const OWN_WORDS: [&str; 2] = ["sessile", "login"];

/// The lengths that new passwords may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// The minimum in characters without a second factor.
    alone: usize,
}

impl Lengths {
    /// `alone` is the minimum without a second factor.
    pub fn new(alone: usize) -> Self {
        Self { alone }
    }

    /// The minimum in characters.
    pub fn shortest(self, has_second_factor: bool) -> usize {
        if has_second_factor { SHORTEST_BESIDE_FACTOR.min(self.alone) } else { self.alone }
    }

    /// Checks the length of a new password.
    ///
    /// # Errors
    /// [`Error::Invalid`] with a message for a form.
    pub fn check(self, password: &str, has_second_factor: bool) -> Result<()> {
        let shortest = self.shortest(has_second_factor);
        match password.chars().count() {
            count if count < shortest => Err(too_short(shortest)),
            count if count > LONGEST => Err(Error::Invalid(format!("Use at most {LONGEST} characters."))),
            _ => Ok(()),
        }
    }

    /// The minimum without a second factor, if the password is shorter.
    pub fn needed_alone(self, password: &str) -> Option<usize> {
        (password.chars().count() < self.alone).then_some(self.alone)
    }

    /// The hint beside the field for a new password.
    pub fn in_words(self, has_second_factor: bool) -> String {
        let shortest = self.shortest(has_second_factor);
        format!("At least {shortest} characters. A few words that do not belong together are best.")
    }
}

/// The error for a password with fewer characters than `shortest`, with a message for a form.
pub fn too_short(shortest: usize) -> Error {
    Error::Invalid(format!("Use at least {shortest} characters."))
}

/// Checks that a password of valid length is hard to guess for an attacker who knows the words in `about`. A `short` one,
/// which only an account with a second factor may have, must withstand fewer guesses. Judges only
/// the beginning and the end of a long password: the whole is at least as hard to guess as either part.
///
/// # Errors
/// [`Error::Invalid`] with a message for a form: the reason and a suggestion.
pub fn check_strength(password: &str, about: &[String], short: bool) -> Result<()> {
    if is_leaked(password) {
        return Err(Error::Invalid(format!("{USED_BY_MANY} {MORE_WORDS}")));
    }
    let mut known: Vec<&str> = OWN_WORDS.to_vec();
    for words in about {
        known.push(words);
        known.extend(words.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 2));
    }
    let (beginning, end) = parts_to_estimate(password);
    let entropy = estimate(beginning, &known);
    // zxcvbn rates no eight characters higher than Two.
    let least = if short { Score::Two } else { Score::Three };
    let is_strong = |entropy: &Entropy| entropy.score() >= least;
    if is_strong(&entropy) || end.is_some_and(|end| is_strong(&estimate(end, &known))) {
        return Ok(());
    }
    let warning = entropy.feedback().and_then(zxcvbn::feedback::Feedback::warning).map_or(GUESSED, why);
    let mut words = warning.to_owned();
    let suggestions = entropy.feedback().map(zxcvbn::feedback::Feedback::suggestions).unwrap_or_default();
    let mut hints: Vec<&str> = suggestions.iter().filter_map(|suggestion| hint(*suggestion)).take(2).collect();
    if hints.is_empty() {
        hints.push(MORE_WORDS);
    }
    for hint in hints {
        words.push(' ');
        words.push_str(hint);
    }
    Err(Error::Invalid(words))
}

/// The parts of a password whose entropy is estimated: its first [`ESTIMATED`] characters and, if it is longer, its last
/// [`ESTIMATED`].
fn parts_to_estimate(password: &str) -> (&str, Option<&str>) {
    let at = |n: usize| password.char_indices().nth(n).map(|(at, _)| at);
    let Some(end_of_first) = at(ESTIMATED) else { return (password, None) };
    let count = password.chars().count();
    (&password[..end_of_first], at(count - ESTIMATED).map(|start| &password[start..]))
}

/// Estimates the entropy of a part of a password in bounded time. If the part has too many kinds of symbols, each symbol is replaced by a
/// similar one that zxcvbn reads as the same letter. Words are still found, and the part can only seem easier to guess
/// than it is.
fn estimate(part: &str, known: &[&str]) -> Entropy {
    if readings(part) <= READINGS {
        return zxcvbn::zxcvbn(part, known);
    }
    zxcvbn::zxcvbn(&with_fewer_symbols(part), known)
}

/// An upper bound for the ways in which zxcvbn reads the symbols of a text as letters.
fn readings(text: &str) -> usize {
    let alike = ALIKE.map(|alike| alike.chars().filter(|c| text.contains(*c)).count().max(1));
    let two_letters = TWO_LETTERS.map(|c| if text.contains(c) { 2 } else { 1 });
    alike.iter().product::<usize>() * two_letters.iter().product::<usize>()
}

fn with_fewer_symbols(text: &str) -> String {
    let as_digit = |c| match c {
        '@' => '4',
        '{' | '[' | '<' => '(',
        '!' | '|' => '1',
        '$' => '5',
        '+' => '7',
        other => other,
    };
    text.chars().map(as_digit).collect()
}

const GUESSED: &str = "This password is easy to guess.";
const USED_BY_MANY: &str = "This is one of the passwords that many people use.";
const MORE_WORDS: &str = "Add another word or two that nobody would expect.";

fn why(warning: Warning) -> &'static str {
    match warning {
        Warning::StraightRowsOfKeysAreEasyToGuess | Warning::ShortKeyboardPatternsAreEasyToGuess => {
            "Keys that lie side by side are easy to guess."
        }
        Warning::RepeatsLikeAaaAreEasyToGuess | Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess => {
            "Repeating the same characters is easy to guess."
        }
        Warning::ThisIsATop10Password | Warning::ThisIsATop100Password | Warning::ThisIsACommonPassword => USED_BY_MANY,
        Warning::ThisIsSimilarToACommonlyUsedPassword => "This is very like a password that many people use.",
        Warning::SequencesLikeAbcAreEasyToGuess => "Sequences like abc or 6543 are easy to guess.",
        Warning::RecentYearsAreEasyToGuess => "Years are easy to guess.",
        Warning::AWordByItselfIsEasyToGuess => "A single word is easy to guess.",
        Warning::DatesAreOftenEasyToGuess => "Dates are easy to guess.",
        Warning::NamesAndSurnamesByThemselvesAreEasyToGuess | Warning::CommonNamesAndSurnamesAreEasyToGuess => {
            "Names are easy to guess."
        }
    }
}

/// A hint for the form. `None` for a suggestion that does not help.
fn hint(suggestion: Suggestion) -> Option<&'static str> {
    match suggestion {
        Suggestion::UseAFewWordsAvoidCommonPhrases | Suggestion::AddAnotherWordOrTwo => Some(MORE_WORDS),
        Suggestion::UseALongerKeyboardPatternWithMoreTurns => Some("Use a few words instead."),
        Suggestion::CapitalizationDoesntHelpVeryMuch | Suggestion::AllUppercaseIsAlmostAsEasyToGuessAsAllLowercase => {
            Some("Capital letters hardly help.")
        }
        Suggestion::ReversedWordsArentMuchHarderToGuess => Some("Words written backwards hardly help."),
        Suggestion::PredictableSubstitutionsDontHelpVeryMuch => Some("Writing @ for a, or 0 for o, hardly helps."),
        Suggestion::AvoidRepeatedWordsAndCharacters => Some("Leave out what repeats."),
        Suggestion::AvoidSequences => Some("Avoid such sequences."),
        Suggestion::AvoidRecentYears | Suggestion::AvoidYearsThatAreAssociatedWithYou => Some("Leave out years."),
        Suggestion::AvoidDatesAndYearsThatAreAssociatedWithYou => Some("Leave out dates."),
        Suggestion::NoNeedForSymbolsDigitsOrUppercaseLetters => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(password: &str) -> String {
        check_strength(password, &["Kim Lee".to_owned(), "kim.lee@surfboards.example".to_owned()], false)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn length_counts_characters() {
        let lengths = Lengths::new(12);
        let is_fine = |many: usize, has_second_factor| lengths.check(&"é".repeat(many), has_second_factor).is_ok();
        assert!(is_fine(12, false) && !is_fine(11, false) && is_fine(128, false) && !is_fine(129, false));
        assert!(is_fine(8, true) && !is_fine(7, true) && is_fine(128, true) && !is_fine(129, true));
        assert_eq!(lengths.needed_alone(&"é".repeat(11)), Some(12));
        assert_eq!(lengths.needed_alone(&"é".repeat(12)), None);
    }

    #[test]
    fn common_and_guessable_ones_are_refused_with_the_reason() {
        let cases = [
            ("password1234", "many people use"),
            ("aaaaaaaaaaaa", "many people use"),
            ("limplimplimplimp", "Repeating"),
            ("qwertyuiop12", "many people use"),
            ("123456789012", "many people use"),
            ("19851985198519", "Repeating"),
            ("surfboards12", "easy to guess"),
            ("kim.lee@surfboards.example", "easy to guess"),
            ("gthtrfnbgjkt", "many people use"),
            ("PerAsperaAdAstra", "many people use"),
        ];
        for (password, reason) in cases {
            assert!(refusal(password).contains(reason), "{password}: {}", refusal(password));
        }
    }

    #[test]
    fn a_short_password_is_hard_to_guess_too() {
        let is_fine = |password: &str, short| check_strength(password, &["Kim Lee".to_owned()], short).is_ok();
        for good in ["vK7#qz2W", "limpe7 tx"] {
            assert!(is_fine(good, true), "{good}");
        }
        for weak in ["password", "qwertyui", "kim lee1", "12345678", "abcdefgh", "letmein1"] {
            assert!(!is_fine(weak, true), "{weak}");
        }
        assert!(!is_fine("vK7#qz2W", false));
    }

    #[test]
    fn a_long_password_is_as_hard_as_its_beginning_or_its_end() {
        let strong = "wombat tidal ferry 93 lamp";
        for long in [format!("{strong}{}", "a".repeat(100)), format!("{}{strong}", "a".repeat(100))] {
            assert_eq!(check_strength(&long, &[], false).map_err(|error| error.to_string()), Ok(()), "{long}");
        }
        for weak in ["a", "abc", "password", "🦀"] {
            let long: String = weak.chars().cycle().take(LONGEST).collect();
            assert!(refusal(&long).ends_with('.'), "{long}");
        }
        let long = "é".repeat(40);
        let (beginning, end) = parts_to_estimate(&long);
        assert_eq!((beginning.chars().count(), end.unwrap().chars().count()), (ESTIMATED, ESTIMATED));
        assert_eq!(parts_to_estimate(&"é".repeat(ESTIMATED)).1, None);
    }

    #[test]
    fn many_kinds_of_symbols_hide_no_word_and_take_bounded_time() {
        let all = "4@8({[<369&#!1/|0$5+7%2";
        assert!(readings(all) > 1000);
        assert!(readings(&with_fewer_symbols(all)) <= READINGS, "{}", readings(&with_fewer_symbols(all)));
        let disguised = "p4$$w0rdp@55w0rd|17";
        assert!(readings(disguised) > READINGS);
        assert!(refusal(disguised).ends_with('.'), "{}", refusal(disguised));
        let random = "x{4@h<8(t|!1q[$5k+7v69";
        assert!(readings(random) > READINGS);
        assert_eq!(check_strength(random, &[], false).map_err(|error| error.to_string()), Ok(()));
    }

    #[test]
    fn no_composition_is_asked_for_and_any_character_will_do() {
        for good in [
            "correct horse battery staple",
            "tide pool limpet 7",
            "海の生き物は岩につく、永遠に",
            "🦀🐚🌊🪸🐠🦑🐙🦐🦞🐡🐟🐬",
            "a b\tc\u{0}d~e`f'g\"h",
        ] {
            assert!(Lengths::new(12).check(good, false).is_ok(), "{good}");
            assert_eq!(check_strength(good, &[], false).map_err(|error| error.to_string()), Ok(()), "{good}");
        }
    }
}
