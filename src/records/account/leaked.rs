//! The 10,000 most used passwords from breaches that are long enough to be chosen here (OWASP ASVS 5.0.0, 6.2.4 and
//! 6.2.12; NIST SP 800-63B-4, 3.1.1.2). Called by [`strength`](super::strength), because zxcvbn alone would accept
//! nearly half of them.
//!
//! Invariant: only whole passwords are compared, never parts.

/// One password per line, the most used first. `leaked.LICENSE` names the source.
const MOST_USED: &str = include_str!("leaked.txt");

/// Whether the password is in the list. Ignores ASCII case.
pub fn is_leaked(password: &str) -> bool {
    MOST_USED.lines().any(|leaked| leaked.eq_ignore_ascii_case(password))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::account::strength::Lengths;

    #[test]
    fn there_are_ten_thousand_and_each_could_be_chosen() {
        let all: Vec<&str> = MOST_USED.lines().collect();
        assert_eq!(all.len(), 10_000);
        assert!(all.iter().all(|password| Lengths::new(12).check(password, false).is_ok() && is_leaked(password)));
    }

    #[test]
    fn only_a_whole_leaked_password_is_refused() {
        assert!(is_leaked("leavemealone") && is_leaked("LeaveMeAlone"));
        for other in ["leavemealon", "leave me alone", "leavemealone 7 limpets", ""] {
            assert!(!is_leaked(other), "{other}");
        }
    }
}
