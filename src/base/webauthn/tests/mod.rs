//! The ceremonies with an authenticator in software. Questions and new passkeys are tested in [`adding`], the use of
//! passkeys and the traps of WebAuthn in [`using`].

mod adding;
mod using;

use serde_json::{Value, json};

use super::test_authenticator::{Authenticator, Twist, decode, encode};
use super::*;
use crate::base::error::{Error, Result};
use crate::base::instant::Instant;
use crate::base::settings::PublicUrl;

const ORIGIN: &str = "https://id.example.com:8443";
const NOW: Instant = Instant::from_micros(1_795_000_000_000_000);

fn at(origin: &str) -> Result<Ceremonies, NoPasskeys> {
    Ceremonies::new(&PublicUrl::parse(origin).unwrap(), "Example")
}

fn kim() -> UserHandle {
    UserHandle::of("acc_AAECAwQFBgcICQoLDA0ODw")
}

fn ask(ceremonies: &Ceremonies, existing: &[Vec<u8>]) -> Started {
    let person = Person { email: "kim@example.com", name: "Kim" };
    ceremonies.start_registration(kim(), person, existing, NOW).unwrap()
}

/// Adds a passkey.
fn add(authenticator: &mut Authenticator, twist: &Twist) -> Result<NewPasskey> {
    let ceremonies = at(ORIGIN).unwrap();
    let started = ask(&ceremonies, &[]);
    let answer = authenticator.create(&started.options, twist);
    ceremonies.finish_registration(kim(), &started.state, &answer, NOW)
}

/// Signs in with the latest passkey of an authenticator.
fn sign_in(authenticator: &mut Authenticator, data: &str, twist: &Twist) -> Outcome {
    let ceremonies = at(ORIGIN).unwrap();
    let started = ceremonies.start_sign_in(NOW).unwrap();
    let answer = authenticator.get(&started.options, twist);
    let stored = StoredPasskey { owner: kim(), data };
    ceremonies.finish_sign_in(&started.state, &answer, stored, NOW).unwrap()
}

fn right(outcome: Outcome) -> Used {
    match outcome {
        Outcome::Right(used) => used,
        other => panic!("{other:?}"),
    }
}

fn wrong(outcome: Outcome) -> Refused {
    match outcome {
        Outcome::Wrong(refused) => refused,
        other => panic!("{other:?}"),
    }
}

fn reason<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(Error::Invalid(words)) => words,
        other => panic!("{other:?}"),
    }
}

fn field<'a>(data: &str, name: &str, kept: &'a mut Value) -> &'a Value {
    *kept = serde_json::from_str(data).unwrap();
    &kept["cred"][name]
}
