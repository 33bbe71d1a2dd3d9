//! The calls on people, and on one's own account. Called by [`openapi`](super).

use serde_json::json;
use utoipa::openapi::HttpMethod::{Delete, Get, Patch, Post};

use super::{
    call::{Call, Caller::Person},
    examples::{AT, ended, person},
    shapes::{any_object, boolean, integer, limit, list, object, role, text, time, to},
};
use crate::{base::error::Error, records::account::search::MOST_A_PAGE};

pub(super) fn all() -> Vec<Call> {
    [reading(), changing(), links(), own_account()].into_iter().flatten().collect()
}

fn reading() -> Vec<Call> {
    let page = object(&[("people", list(to("Person"))), ("next?", text())]);
    vec![
        Call::new(Get, "/api/people", Person, "People, newest first (for admins)")
            .query("query", text(), "Part of a name or an address.")
            .query("before", text(), "The `next` of the answer before.")
            .query("limit", limit(MOST_A_PAGE), "At most this many people.")
            .answers(200, "A page of people.", page, json!({"people": [person()]}))
            .fails([ended(), Error::Forbidden, Error::Invalid("limit must be a whole number from 1 to 200".into())]),
        Call::new(Get, "/api/people/{id}", Person, "A person (for admins)")
            .answers(200, "The person.", to("Person"), person())
            .fails([ended(), Error::Forbidden, Error::NotFound]),
        Call::new(Get, "/api/people/{id}/export", Person, "Everything kept about a person (for admins)")
            .answers(200, "As JSON.", any_object(), json!({"account": person()}))
            .fails([ended(), Error::ConfirmationRequired, Error::Forbidden, Error::NotFound]),
    ]
}

fn changing() -> Vec<Call> {
    let changes = object(&[
        ("name?", text()),
        ("email?", text()),
        ("role?", role()),
        ("groups?", list(text())),
        ("disabled?", boolean()),
    ]);
    let revoked = object(&[("revoked", integer())]);
    vec![
        Call::new(Patch, "/api/people/{id}", Person, "Change a person (for admins)")
            .takes(changes, json!({"groups": ["Front desk"]}))
            .answers(200, "The person.", to("Person"), person())
            .fails([ended(), Error::ConfirmationRequired, Error::Forbidden, Error::NotFound, last_owner()]),
        Call::new(Delete, "/api/people/{id}", Person, "Delete a person at once (for admins)")
            .answers_nothing("Deleted.")
            .fails([ended(), Error::ConfirmationRequired, Error::Forbidden, Error::NotFound, last_owner()]),
        Call::new(Post, "/api/people/{id}/revoke-sessions", Person, "End all sessions of a person (for admins)")
            .answers(200, "How many were ended.", revoked, json!({"revoked": 2}))
            .fails([ended(), Error::ConfirmationRequired, Error::Forbidden, Error::NotFound]),
    ]
}

fn links() -> Vec<Call> {
    let invitation = object(&[("email", text()), ("name?", text()), ("role?", role()), ("groups?", list(text()))]);
    let link = || object(&[("link", text()), ("expiresAt", time())]);
    let made = || json!({"link": "https://id.example.com/link/Yk9p", "expiresAt": AT});
    vec![
        Call::new(Post, "/api/people/invitations", Person, "Invite somebody (for admins)")
            .takes(invitation, json!({"email": "lee@example.com", "role": "member"}))
            .answers(201, "The link, which is shown only here. An older one is dead.", link(), made())
            .fails([ended(), Error::ConfirmationRequired, Error::Forbidden, exists()]),
        Call::new(Post, "/api/people/{id}/password-link", Person, "Make a link for a new password (for admins)")
            .answers(201, "The link, which is shown only here.", link(), made())
            .fails([ended(), Error::ConfirmationRequired, Error::Forbidden, Error::NotFound, exists()]),
    ]
}

fn own_account() -> Vec<Call> {
    vec![
        Call::new(Get, "/api/account/export", Person, "Everything kept about oneself")
            .answers(200, "As JSON.", any_object(), json!({"account": person()}))
            .fails([ended(), Error::ConfirmationRequired]),
        Call::new(Delete, "/api/account", Person, "Delete one's own account in 14 days, unless one signs in")
            .answers_nothing("Signed out everywhere.")
            .fails([ended(), Error::ConfirmationRequired, last_owner()]),
    ]
}

fn last_owner() -> Error {
    Error::Conflict("this is the last owner".into())
}

fn exists() -> Error {
    Error::Conflict("there is already an account with this e-mail address".into())
}
