//! What the examples of the OpenAPI document show. Used by `calls` and `people`.

use serde_json::{Value, json};

use crate::base::error::{EndedBecause, Error};

pub(super) const AT: &str = "2026-11-20T09:14:00.000Z";
pub(super) const SESSION: &str = "aiq_1795460400000_0000000000000000000000";
pub(super) const ACCOUNT: &str = "acc_0000000000000000000000";
pub(super) const DEVICE: &str = "dev_0000000000000000000000";

/// The error of a session that has ended.
pub(super) fn ended() -> Error {
    Error::SessionEnded(EndedBecause::Revoked)
}

pub(super) fn user() -> Value {
    json!({"id": ACCOUNT, "email": "kim@example.com", "name": "Kim Lee", "role": "member"})
}

pub(super) fn client() -> Value {
    json!({"browser": "Firefox", "os": "Linux", "kind": "desktop", "installed": false})
}

pub(super) fn this_session() -> Value {
    json!({
        "id": SESSION,
        "deviceId": DEVICE,
        "deviceName": "Firefox on Linux",
        "createdAt": AT,
        "lastActivity": AT,
        "expiresAt": "2026-11-23T09:14:00.000Z",
        "absoluteExpiresAt": "2026-12-20T09:14:00.000Z",
        "current": true,
        "ip": "192.0.2.7",
        "client": client(),
        "amr": ["pwd", "otp", "mfa"],
        "aal": 2,
    })
}

pub(super) fn signed_in() -> Value {
    json!({"user": user(), "session": this_session()})
}

pub(super) fn device() -> Value {
    json!({
        "id": DEVICE,
        "name": "Firefox on Linux",
        "firstSeen": AT,
        "lastSeen": AT,
        "current": true,
        "client": client(),
        "sessions": 1,
    })
}

pub(super) fn draft() -> Value {
    json!({"id": "tide", "text": "Low tide at noon", "version": 1, "updatedAt": AT, "updatedOn": "Firefox on Linux"})
}

/// A person, as admins see them.
pub(super) fn person() -> Value {
    json!({
        "id": ACCOUNT,
        "email": "kim@example.com",
        "name": "Kim Lee",
        "role": "member",
        "groups": ["Front desk"],
        "status": "active",
        "createdAt": AT,
        "lastActivity": AT,
        "sessions": 1,
        "secondFactor": false,
    })
}
