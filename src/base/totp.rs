//! Codes of authenticator apps (TOTP, RFC 6238: SHA-1, six digits, 30 seconds). Called when an app is set up and when
//! one of its codes is checked.
//!
//! Invariant: a code is accepted once. The caller stores the step of an accepted code in the transaction that accepts it,
//! and passes it to the next check. The time of a check does not depend on the right codes.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use subtle::ConstantTimeEq as _;

use crate::base::{
    base32,
    error::{Error, Result},
    instant::Instant,
    recovery_code,
    secret::Secret,
};

/// Bytes of a new secret: the length of SHA-1, which RFC 4226 (section 4, R6) recommends.
pub const SECRET_BYTES: usize = 20;
/// Digits of a code.
pub const DIGITS: usize = recovery_code::APP_CODE_DIGITS;
/// A code is a number below this one.
const MODULUS: u32 = 10_u32.pow(6);
/// Seconds for which a code is shown.
pub const PERIOD: i64 = 30;
/// Steps before and after the present one whose codes are accepted (RFC 6238, 5.2 and 6).
const DRIFT: i64 = 1;
/// Steps before and after the present one whose codes show that a clock is wrong: ten minutes.
const HINTED: i64 = 20;
/// What [`key_uri`] leaves as it is: the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The result of [`verify`]. Everything but [`Verified::Right`] is refused, and counts as a wrong code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// The code is right. Store this step as the last accepted one.
    Right(i64),
    /// This code, or a later one, was accepted before.
    Used,
    /// The code is right for a time up to ten minutes ago or ahead, so the phone's clock seems to be wrong.
    ///
    /// The code of a later step becomes right within ten minutes. Whoever tells a client that its clock is ahead must
    /// not accept `step` afterwards, or the hint would help to guess codes.
    ClockOff {
        step: i64,
        /// How far the phone's clock is ahead; negative if it is behind. Never zero.
        minutes: i64,
    },
    Wrong,
}

/// A secret for a new app, from one that the key file derives. The same `derived` gives the same secret.
///
/// # Errors
/// When `derived` is not a secret of 43 base64url characters.
pub fn secret_of(derived: &Secret) -> Result<[u8; SECRET_BYTES]> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(derived.expose()).unwrap_or_default();
    let secret = bytes.first_chunk().filter(|_| bytes.len() == 32);
    secret.copied().ok_or_else(|| Error::bug("the derived secret of an authenticator app has a wrong length"))
}

/// The number of the period of 30 seconds that `now` is in, counted from 1970.
pub const fn step_at(now: Instant) -> i64 {
    now.millis().div_euclid(PERIOD * 1000)
}

/// The six digits that an app shows during a step.
pub fn code(secret: &[u8], step: i64) -> String {
    digits(&key(secret), step)
}

/// Checks a code as it was typed. `last_step` is the step of the account's last accepted code.
///
/// All steps are compared, whatever the result, so the time tells nothing about the right codes.
pub fn verify(secret: &[u8], typed: &str, now: Instant, last_step: Option<i64>) -> Verified {
    let typed = recovery_code::normalize(typed);
    if !recovery_code::is_app_code(&typed) {
        return Verified::Wrong;
    }
    let (key, present) = (key(secret), step_at(now));
    let mut matches = 0_u64;
    for offset in -HINTED..=HINTED {
        let is_right = digits(&key, present + offset).as_bytes().ct_eq(typed.as_bytes()).unwrap_u8();
        matches |= u64::from(is_right) << (offset + HINTED);
    }
    judge(matches, present, last_step)
}

/// The result for the steps whose codes match: bit 0 of `matches` is the earliest step. If several match, the latest
/// acceptable one counts, so that a code cannot be accepted again for a later step.
fn judge(matches: u64, present: i64, last_step: Option<i64>) -> Verified {
    let matching = || (-HINTED..=HINTED).filter(|offset| matches >> (offset + HINTED) & 1 == 1);
    let is_used = |offset: &i64| last_step.is_some_and(|last| present + offset <= last);
    if let Some(offset) = matching().filter(|offset| offset.abs() <= DRIFT && !is_used(offset)).max() {
        return Verified::Right(present + offset);
    }
    if matching().any(|offset| is_used(&offset)) {
        return Verified::Used;
    }
    match matching().min_by_key(|offset| offset.abs()) {
        Some(offset) => Verified::ClockOff { step: present + offset, minutes: minutes(offset) },
        None => Verified::Wrong,
    }
}

/// The steps in whole minutes, rounded away from zero.
fn minutes(steps: i64) -> i64 {
    (steps.abs() * PERIOD + 59) / 60 * steps.signum()
}

/// The secret as people type it into an app: base32 in groups of four.
pub fn key_in_groups(secret: &[u8]) -> String {
    base32::in_groups_of_four(&base32::encode(secret), ' ')
}

/// The address in the QR code that an app scans (the "Key Uri Format" of Google Authenticator). An app shows the issuer
/// and the account, and divides them at the first colon, so the issuer loses its colons.
pub fn key_uri(secret: &[u8], issuer: &str, account: &str) -> String {
    let issuer = issuer.replace(':', " ");
    let issuer = utf8_percent_encode(issuer.trim(), ENCODED);
    let account = utf8_percent_encode(account, ENCODED);
    let secret = base32::encode(secret);
    format!(
        "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={PERIOD}"
    )
}

fn key(secret: &[u8]) -> Key {
    Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret)
}

fn digits(key: &Key, step: i64) -> String {
    format!("{:0DIGITS$}", truncated(key, step) % MODULUS)
}

/// The 31 bits of RFC 4226, 5.3, whose last decimal digits are the code.
fn truncated(key: &Key, step: i64) -> u32 {
    let tag = sign(key, &step.to_be_bytes());
    let digest = tag.as_ref();
    let start = usize::from(digest.last().copied().unwrap_or_default() & 0xf);
    let bytes = digest.get(start..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
    u32::from_be_bytes(bytes) & 0x7fff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of both RFCs.
    const SECRET: &[u8] = b"12345678901234567890";

    fn at(seconds: i64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_vectors_of_rfc_4226_are_met() {
        let truncations = [
            1_284_755_224,
            1_094_287_082,
            137_359_152,
            1_726_969_429,
            1_640_338_314,
            868_254_676,
            1_918_287_922,
            82_162_583,
            673_399_871,
            645_520_489,
        ];
        let codes =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (count, (truncation, right)) in (0..).zip(truncations.into_iter().zip(codes)) {
            assert_eq!(truncated(&key(SECRET), count), truncation);
            assert_eq!(code(SECRET, count), right);
        }
    }

    #[test]
    fn the_vectors_of_rfc_6238_are_met() {
        let vectors = [
            (59, 0x1, 94_287_082),
            (1_111_111_109, 0x0235_23ec, 7_081_804),
            (1_111_111_111, 0x0235_23ed, 14_050_471),
            (1_234_567_890, 0x0273_ef07, 89_005_924),
            (2_000_000_000, 0x03f9_40aa, 69_279_037),
            (20_000_000_000, 0x27bc_86aa, 65_353_130),
        ];
        for (seconds, step, eight_digits) in vectors {
            assert_eq!(step_at(at(seconds)), step);
            assert_eq!(truncated(&key(SECRET), step) % 100_000_000, eight_digits, "{seconds}");
            assert_eq!(code(SECRET, step), format!("{:06}", eight_digits % 1_000_000));
        }
    }

    #[test]
    fn one_step_of_drift_is_accepted_and_no_more() {
        let now = at(2_000_000_000);
        let present = step_at(now);
        for offset in -25..=25 {
            let verified = verify(SECRET, &code(SECRET, present + offset), now, None);
            let expected = match offset {
                -1..=1 => Verified::Right(present + offset),
                -20..=20 => Verified::ClockOff { step: present + offset, minutes: minutes(offset) },
                _ => Verified::Wrong,
            };
            assert_eq!(verified, expected, "{offset}");
        }
        assert_eq!([-20, -3, -2, 2, 3, 20].map(minutes), [-10, -2, -1, 1, 2, 10]);
    }

    #[test]
    fn each_code_is_accepted_once_and_none_before_it() {
        let now = at(2_000_000_000);
        let present = step_at(now);
        let verified =
            |offset: i64, last: i64| verify(SECRET, &code(SECRET, present + offset), now, Some(present + last));
        assert_eq!(verified(0, 0), Verified::Used);
        assert_eq!(verified(-1, 0), Verified::Used, "a newer code was accepted");
        assert_eq!(verified(1, 0), Verified::Right(present + 1));
        assert_eq!(verified(0, 1), Verified::Used);
        assert_eq!(verified(-1, -1), Verified::Used);
        assert_eq!(verified(0, -1), Verified::Right(present));
        assert_eq!(verified(-10, -10), Verified::Used, "an accepted code that is replayed is not a wrong clock");
        assert_eq!(verified(-10, -11), Verified::ClockOff { step: present - 10, minutes: -5 });
    }

    #[test]
    fn of_equal_codes_the_latest_acceptable_step_counts() {
        let bits = |offsets: &[i64]| offsets.iter().fold(0, |bits, offset| bits | 1 << (offset + HINTED));
        assert_eq!(judge(bits(&[-1, 1]), 100, None), Verified::Right(101));
        assert_eq!(judge(bits(&[-1, 1]), 100, Some(99)), Verified::Right(101));
        assert_eq!(judge(bits(&[-1, 1]), 100, Some(101)), Verified::Used);
        assert_eq!(judge(bits(&[-20, 0, 20]), 100, Some(99)), Verified::Right(100));
        assert_eq!(judge(bits(&[-4, 6]), 100, None), Verified::ClockOff { step: 96, minutes: -2 });
        assert_eq!(judge(bits(&[20]), 100, Some(99)), Verified::ClockOff { step: 120, minutes: 10 });
        assert_eq!(judge(0, 100, None), Verified::Wrong);
    }

    #[test]
    fn a_code_may_be_typed_with_spaces_and_dashes() {
        let now = at(59);
        for typed in ["287082", " 287 082 ", "287-082", "287\u{2009}082"] {
            assert_eq!(verify(SECRET, typed, now, None), Verified::Right(1), "{typed}");
        }
        for typed in ["", "28708", "2870820", "28708a", "94287082", "287082\0", "２８７０８２"] {
            assert_eq!(verify(SECRET, typed, now, None), Verified::Wrong, "{typed}");
        }
    }

    #[test]
    fn the_uri_names_issuer_and_account_and_every_parameter() {
        assert_eq!(
            key_uri(SECRET, "Anna & Bert: Surf", "kim+1@example.com"),
            "otpauth://totp/Anna%20%26%20Bert%20%20Surf:kim%2B1%40example.com\
             ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Anna%20%26%20Bert%20%20Surf\
             &algorithm=SHA1&digits=6&period=30"
        );
        let uri = key_uri(SECRET, "Café Möwe", "é@example.com");
        assert!(uri.is_ascii() && uri.starts_with("otpauth://totp/Caf%C3%A9%20M%C3%B6we:%C3%A9%40"), "{uri}");
        assert_eq!(key_in_groups(SECRET), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
    }

    #[test]
    fn the_secret_of_a_set_up_is_the_beginning_of_the_derived_one() {
        let derived = Secret::random().unwrap();
        assert_eq!(secret_of(&derived).unwrap(), secret_of(&derived).unwrap());
        assert_ne!(secret_of(&derived).unwrap(), secret_of(&Secret::random().unwrap()).unwrap());
        assert!(secret_of(&Secret::random_short().unwrap()).is_err());
    }
}
