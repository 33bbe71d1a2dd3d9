//! The calls with which people manage their second factor. Called by [`openapi`](super).

use serde_json::json;
use utoipa::openapi::HttpMethod::{Delete, Get, Post, Put};

use super::{
    call::{Call, Caller::Person},
    examples::{AT, ended},
    shapes::{boolean, integer, list, object, text, time},
};
use crate::base::error::Error;

pub(super) fn all() -> Vec<Call> {
    let passkey = object(&[("id", text()), ("name", text()), ("createdAt", time()), ("lastUsedAt?", time())]);
    let present = object(&[("passkeys", list(passkey)), ("app", boolean()), ("recoveryLeft", integer())]);
    let codes = || json!(["ABCD-EFGH-IJKL-MNOP"]);
    vec![
        Call::new(Get, "/api/second-factor", Person, "Which second factors the person has")
            .answers(
                200,
                "The passkeys, whether there is an authenticator app, and how many recovery codes are left.",
                present,
                json!({
                    "passkeys": [{"id": "pk_0000000000000000000000", "name": "Laptop", "createdAt": AT}],
                    "app": true,
                    "recoveryLeft": 10,
                }),
            )
            .fails([ended()]),
        Call::new(Post, "/api/second-factor/app", Person, "Begin to set up an authenticator app")
            .answers(
                200,
                "The secret in base32, and the address for a QR code. Nothing is stored.",
                object(&[("secret", text()), ("uri", text())]),
                json!({"secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "uri": "otpauth://totp/Example:kim%40example.com"}),
            )
            .fails([ended(), Error::ConfirmationRequired, exists()]),
        Call::new(Put, "/api/second-factor/app", Person, "Add the authenticator app with its first code")
            .takes(object(&[("code", text())]), json!({"code": "287082"}))
            .answers(
                200,
                "Added. With the first second factor come the recovery codes, which are shown only here.",
                object(&[("recoveryCodes?", list(text()))]),
                json!({ "recoveryCodes": codes() }),
            )
            .fails([ended(), Error::ConfirmationRequired, exists()]),
        Call::new(Delete, "/api/second-factor/app", Person, "Remove the authenticator app")
            .answers_nothing("Removed. With the last second factor the recovery codes are deleted.")
            .fails([ended(), Error::ConfirmationRequired, Error::NotFound, Error::Conflict("it is required".into())]),
        Call::new(Post, "/api/second-factor/recovery-codes", Person, "Make new recovery codes")
            .answers(
                200,
                "The codes, which are shown only here. The old ones no longer work.",
                object(&[("codes", list(text()))]),
                json!({ "codes": codes() }),
            )
            .fails([ended(), Error::ConfirmationRequired, Error::Conflict("the account has no second factor".into())]),
    ]
}

fn exists() -> Error {
    Error::Conflict("the account has an authenticator app already".into())
}
