//! The calls with which people add, use and look after passkeys. Called by [`openapi`](super).

use serde_json::{Value, json};
use utoipa::openapi::HttpMethod::{Delete, Patch, Post};

use super::{
    call::{
        Call,
        Caller::{Anybody, Person},
    },
    examples::{AT, ended},
    shapes::{Shape, any_object, boolean, list, object, text, time},
};
use crate::base::error::Error;

pub(super) fn all() -> Vec<Call> {
    [adding(), signing_in(), looking_after()].into_iter().flatten().collect()
}

/// A passkey as the API shows it.
pub(super) fn passkey() -> Shape {
    object(&[("id", text()), ("name", text()), ("createdAt", time()), ("lastUsedAt?", time())])
}

fn example() -> Value {
    json!({"id": "pk_0000000000000000000000", "name": "Laptop", "createdAt": AT})
}

fn adding() -> Vec<Call> {
    let added = object(&[("passkey", passkey()), ("recoveryCodes?", list(text())), ("next", text())]);
    let answer = object(&[("state", text()), ("credential", any_object()), ("name?", text())]);
    vec![
        Call::new(Post, "/api/passkeys/options", Person, "Begin to add a passkey")
            .answers(
                200,
                "The options for `navigator.credentials.create`, and a state to send back.",
                question(),
                asked(),
            )
            .fails([ended(), Error::ConfirmationRequired, too_many()]),
        Call::new(Post, "/api/passkeys", Person, "Add the passkey that the browser made")
            .takes(answer, json!({"state": "…", "credential": {}, "name": "Laptop"}))
            .answers(
                201,
                "Added. With the first second factor come the recovery codes, which are shown only here.",
                added,
                json!({"passkey": example(), "next": "/account/security?done=passkey"}),
            )
            .fails([ended(), Error::ConfirmationRequired, too_many()]),
        Call::new(Post, "/api/passkeys/offer", Person, "Whether to offer to make a passkey, which happens once")
            .answers(
                200,
                "Whether the person was not asked before and has no second factor.",
                object(&[("offer", boolean())]),
                json!({"offer": true}),
            )
            .fails([ended()]),
    ]
}

fn signing_in() -> Vec<Call> {
    let answer = [("state", text()), ("credential", any_object()), ("next?", text())];
    let with = |more| object(&[answer.as_slice(), &[more]].concat());
    let next = || object(&[("next", text())]);
    let goes_on = || json!({"next": "/dashboard"});
    let refused = || Error::PasskeyRefused("the signature of the passkey is wrong".to_owned());
    vec![
        Call::new(Post, "/api/passkeys/sign-in/options", Anybody, "Begin to sign in with a passkey")
            .takes(object(&[("second?", boolean())]), json!({}))
            .answers(200, "The options for `navigator.credentials.get`, and a state to send back.", question(), asked())
            .fails([refused(), none()]),
        Call::new(Post, "/api/passkeys/sign-in", Anybody, "Sign in with a passkey")
            .takes(with(("second?", boolean())), json!({"state": "…", "credential": {}, "next": "/dashboard"}))
            .answers(200, "Signed in. The session cookie is set. `next` is where to go on to.", next(), goes_on())
            .fails([refused(), Error::PasskeyUnknown, none()]),
        Call::new(Post, "/api/passkeys/confirm/options", Person, "Begin to confirm with a passkey")
            .answers(200, "The options for `navigator.credentials.get`, and a state to send back.", question(), asked())
            .fails([ended(), Error::Invalid("this account has no passkey".to_owned()), none()]),
        Call::new(Post, "/api/passkeys/confirm", Person, "Confirm with a passkey, and end sessions")
            .takes(with(("then?", text())), json!({"state": "…", "credential": {}, "next": "/account"}))
            .answers(200, "Confirmed. The session has a new key. `next` is where to go on to.", next(), goes_on())
            .fails([ended(), refused(), none()]),
    ]
}

fn looking_after() -> Vec<Call> {
    vec![
        Call::new(Patch, "/api/passkeys/{id}", Person, "Rename a passkey")
            .takes(object(&[("name", text())]), json!({"name": "Work laptop"}))
            .answers(200, "Renamed.", passkey(), example())
            .fails([ended(), Error::NotFound]),
        Call::new(Delete, "/api/passkeys/{id}", Person, "Remove a passkey")
            .answers_nothing("Removed. With the last second factor the recovery codes are deleted.")
            .fails([ended(), Error::ConfirmationRequired, Error::NotFound, Error::Conflict("it is required".into())]),
    ]
}

fn question() -> Shape {
    object(&[("options", any_object()), ("state", text())])
}

fn asked() -> Value {
    json!({"options": {"challenge": "dGhpcyBpcyBhbiBleGFtcGxl"}, "state": "…"})
}

fn too_many() -> Error {
    Error::Conflict("an account has at most 20 passkeys: remove one first".into())
}

fn none() -> Error {
    Error::Conflict("browsers have no passkeys for this address".into())
}
