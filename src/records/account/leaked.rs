//! The passwords that were most used where passwords have leaked, of those long enough to be chosen here (OWASP ASVS
//! 5.0.0, 6.2.4 and 6.2.12; NIST SP 800-63B-4, 3.1.1.2). Called by [`strength`](super::strength), which guesses nearly
//! half of them only after so many tries that they would pass.
//!
//! Invariant: a whole password is compared, never a part of one.

/// One a line, the most used first; where it comes from stands in `leaked.LICENSE`.
const MOST_USED: &str = include_str!("leaked.txt");

/// Whether so many people used this password that it is tried early. Capital letters make no other password of it.
pub fn is_leaked(password: &str) -> bool {
    MOST_USED.lines().any(|one| one.eq_ignore_ascii_case(password))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::account::strength::check_length;

    #[test]
    fn there_are_ten_thousand_and_each_could_be_chosen() {
        let all: Vec<&str> = MOST_USED.lines().collect();
        assert_eq!(all.len(), 10_000);
        assert!(all.iter().all(|one| check_length(one).is_ok() && is_leaked(one)));
    }

    #[test]
    fn a_part_of_one_or_one_with_more_to_it_is_another_password() {
        assert!(is_leaked("leavemealone") && is_leaked("LeaveMeAlone"));
        for other in ["leavemealon", "leave me alone", "leavemealone 7 limpets", ""] {
            assert!(!is_leaked(other), "{other}");
        }
    }
}
