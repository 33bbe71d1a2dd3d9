//! The calls of the API on one's own sessions, devices, drafts, activity and apps, with their shapes, errors and examples.
//! Called by [`openapi`](super), as is `people`.
//!
//! Invariant: each address and method of the API in the routes is here or in `people`. A test compares them.

use serde_json::json;
use utoipa::openapi::HttpMethod::{Delete, Get, Patch, Post};

use super::{
    call::{
        Call,
        Caller::{Anybody, AppServer, Person},
    },
    examples::{ACCOUNT, AT, SESSION, device, draft, ended, signed_in, this_session, user},
    shapes::{any_object, boolean, integer, limit, list, object, one_of, text, to},
};
use crate::{
    base::error::Error,
    records::{
        audit::{MOST_A_PAGE, Topic},
        draft::portion::MOST_IN_A_PORTION,
    },
};

pub(super) fn all() -> Vec<Call> {
    [session(), sync(), sessions_and_devices(), reading(), apps()].into_iter().flatten().collect()
}

fn session() -> Vec<Call> {
    let device = object(&[("name?", text()), ("installed?", boolean())]);
    let credentials = object(&[("email", text()), ("password", text()), ("code?", text()), ("device?", device)]);
    vec![
        Call::new(Post, "/api/establish-session", Anybody, "Sign in, and confirm the password and the second factor")
            .takes(credentials, json!({"email": "kim@example.com", "password": "four words of your own"}))
            .answers(200, "Signed in. The session cookie is set, with a new session id.", to("SignedIn"), signed_in())
            .fails([Error::InvalidCredentials, Error::SecondFactorRequired(vec!["totp", "recovery"])]),
        Call::new(Get, "/api/session", Person, "The signed-in person and this session")
            .answers(200, "Signed in.", to("SignedIn"), signed_in())
            .fails([ended()]),
        Call::new(Delete, "/api/session", Person, "Sign out").answers_nothing("Signed out.").fails([ended()]),
        Call::new(Get, "/api/session/data", Person, "The session's own JSON object")
            .answers(200, "The object.", any_object(), json!({"basket": ["kelp"]}))
            .fails([ended()]),
        Call::new(
            Patch,
            "/api/session/data",
            Person,
            "Change the session's own JSON object with a merge patch (RFC 7396)",
        )
        .takes(any_object(), json!({"basket": ["kelp"], "coupon": null}))
        .answers(200, "The whole object, at most 16 KiB.", any_object(), json!({"basket": ["kelp"]}))
        .fails([ended()]),
    ]
}

fn sync() -> Vec<Call> {
    let device = object(&[("name?", text()), ("installed?", boolean()), ("appVersion?", text())]);
    let known = object(&[("userId?", text()), ("revision?", text())]);
    let body = object(&[("device?", device), ("lastKnown?", known), ("operations?", list(to("Operation")))]);
    let changes =
        object(&[("drafts", list(to("Draft"))), ("reset?", boolean()), ("restored?", boolean()), ("more?", boolean())]);
    let answer = object(&[
        ("user", to("User")),
        ("session", to("Session")),
        ("revision", text()),
        ("results", list(to("OperationResult"))),
        ("changes", changes),
    ]);
    let operation = json!({
        "id": "0b6e63c2-185b-4d1d-8e8a-5f0c1d2e3f40",
        "kind": "draft.put",
        "draftId": "tide",
        "text": "Low tide at noon",
        "baseVersion": 0,
    });
    let id = operation["id"].clone();
    let drafts = object(&[("drafts", list(to("Draft"))), ("revision", text()), ("next?", text())]);
    vec![
        Call::new(Post, "/api/session/sync", Person, "Apply operations that were made offline, and get what changed")
            .takes(body, json!({"lastKnown": {}, "operations": [operation]}))
            .answers(
                200,
                "All operations have a result. At most 200 operations and 256 KiB.",
                answer,
                json!({
                    "user": user(),
                    "session": this_session(),
                    "revision": "v1.AAAA",
                    "results": [{"id": id, "status": "applied", "draft": draft()}],
                    "changes": {"drafts": [draft()], "reset": true},
                }),
            )
            .fails([ended(), Error::Conflict("these operations belong to another account".into())]),
        Call::new(Get, "/api/drafts", Person, "The drafts, in portions")
            .query("after", text(), "The `next` of the answer before.")
            .query("limit", limit(MOST_IN_A_PORTION), "At most this many drafts.")
            .answers(200, "A portion.", drafts, json!({"drafts": [draft()], "revision": "v1.AAAA"}))
            .fails([ended(), Error::Invalid("limit must be a whole number".into())]),
    ]
}

fn sessions_and_devices() -> Vec<Call> {
    let naming = object(&[("name", text())]);
    vec![
        Call::new(Get, "/api/sessions", Person, "Where the person is signed in")
            .answers(
                200,
                "Live sessions, newest activity first.",
                object(&[("sessions", list(to("Session")))]),
                json!({"sessions": [this_session()]}),
            )
            .fails([ended()]),
        Call::new(Delete, "/api/sessions/{id}", Person, "End a session").answers_nothing("Ended, everywhere.").fails([
            ended(),
            Error::ConfirmationRequired,
            Error::NotFound,
        ]),
        Call::new(Post, "/api/sessions/revoke-others", Person, "End every other session")
            .answers(200, "How many were ended.", object(&[("revoked", integer())]), json!({"revoked": 2}))
            .fails([ended(), Error::ConfirmationRequired]),
        Call::new(Get, "/api/devices", Person, "The person's devices")
            .answers(200, "Newest first.", object(&[("devices", list(to("Device")))]), json!({"devices": [device()]}))
            .fails([ended()]),
        Call::new(Patch, "/api/devices/{id}", Person, "Rename a device")
            .takes(naming, json!({"name": "Shop counter"}))
            .answers(200, "The device.", to("Device"), device())
            .fails([ended(), Error::NotFound]),
        Call::new(Delete, "/api/devices/{id}", Person, "Remove a device, and end its sessions")
            .answers_nothing("Removed.")
            .fails([ended(), Error::ConfirmationRequired, Error::NotFound]),
    ]
}

fn reading() -> Vec<Call> {
    let topics: Vec<&str> = Topic::ALL.iter().map(|topic| topic.as_str()).collect();
    let activity = object(&[("events", list(to("Event"))), ("next?", text())]);
    let event = json!({
        "id": 12,
        "at": AT,
        "kind": "login.succeeded",
        "sessionId": SESSION,
        "deviceName": "Firefox on Linux",
        "ip": "192.0.2.7",
        "actor": ACCOUNT,
    });
    vec![
        Call::new(Get, "/api/activity", Person, "What happened to the account, newest first")
            .query("before", text(), "The `next` of the answer before.")
            .query("limit", limit(MOST_A_PAGE), "At most this many events.")
            .query("topic", one_of(&topics), "Only events of this topic.")
            .answers(200, "A page of events.", activity, json!({"events": [event]}))
            .fails([ended(), Error::Invalid("limit must be a whole number from 1 to 200".into())]),
        Call::new(Get, "/api/events", Person, "Hear of changes as server-sent events")
            .streams(
                "`session-ended`, `sessions-changed` and `drafts-changed`, until the session ends.",
                "event: sessions-changed\ndata: {}\n\n",
            )
            .fails([ended()]),
        Call::new(Get, "/api/openapi.json", Anybody, "This document").answers(
            200,
            "OpenAPI 3.1.",
            any_object(),
            json!({"openapi": "3.1.0"}),
        ),
    ]
}

fn apps() -> Vec<Call> {
    let sids = || list(text());
    vec![
        Call::new(Get, "/api/apps", Person, "The apps that the person may open")
            .answers(
                200,
                "In the order of their names.",
                object(&[("apps", list(to("App")))]),
                json!({"apps": [{"id": "shop", "name": "Shop", "url": "https://shop.example.com"}]}),
            )
            .fails([ended()]),
        Call::new(
            Get,
            "/api/apps/{id}/ends",
            AppServer,
            "Hear which sessions of an app have ended, as server-sent events",
        )
        .streams(
            "`ended` and `reset`, resumable by `Last-Event-ID`.",
            "event: ended\nid: 1795460400000000\ndata: {\"sid\": \"aiq_1795460400000_0000000000000000000000\"}\n\n",
        ),
        Call::new(Post, "/api/apps/{id}/living", AppServer, "Which of these sessions live")
            .takes(object(&[("sids", sids())]), json!({"sids": [SESSION]}))
            .answers(200, "Those that live.", object(&[("living", sids())]), json!({"living": [SESSION]})),
    ]
}
