//! The named shapes in the OpenAPI document, and the parts that shapes are made of. Used by all of `openapi`.
//!
//! Invariant: a shape lists every field that an answer can have. A test compares them with real answers.

use utoipa::openapi::{
    KnownFormat, Ref, RefOr, Schema, SchemaFormat,
    schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type},
};

use crate::records::audit::Kind;

/// A schema, or a reference to one.
pub(super) type Shape = RefOr<Schema>;

/// Every named shape.
pub(super) fn named() -> Vec<(&'static str, Shape)> {
    vec![
        ("Problem", problem()),
        ("User", user()),
        ("Client", client()),
        ("Session", session()),
        ("SignedIn", object(&[("user", to("User")), ("session", to("Session"))])),
        ("Device", device()),
        ("Event", event()),
        ("Person", person()),
        ("Draft", draft()),
        ("Operation", operation()),
        ("OperationResult", operation_result()),
        ("App", object(&[("id", text()), ("name", text()), ("url", text())])),
    ]
}

fn problem() -> Shape {
    object(&[
        ("type", text()),
        ("title", text()),
        ("status", integer()),
        ("detail", text()),
        ("requestId", text()),
        ("methods?", list(one_of(&["passkey", "totp", "recovery"]))),
        ("setUp?", text()),
        ("reason?", one_of(&["expired", "revoked", "logged-out", "replaced", "unknown"])),
    ])
}

fn user() -> Shape {
    object(&[("id", text()), ("email", text()), ("name", text()), ("role", role())])
}

fn client() -> Shape {
    let kind = one_of(&["desktop", "phone", "tablet", "other"]);
    object(&[("browser", text()), ("os", text()), ("kind", kind), ("installed", boolean())])
}

fn session() -> Shape {
    object(&[
        ("id", text()),
        ("deviceId", or_null(Type::String)),
        ("deviceName", or_null(Type::String)),
        ("createdAt", time()),
        ("lastActivity", time()),
        ("expiresAt", time()),
        ("absoluteExpiresAt", time()),
        ("current", boolean()),
        ("ip", or_null(Type::String)),
        ("client", to("Client")),
        ("amr", list(text())),
        ("aal", integer()),
    ])
}

fn device() -> Shape {
    object(&[
        ("id", text()),
        ("name", text()),
        ("firstSeen", time()),
        ("lastSeen", time()),
        ("current", boolean()),
        ("client", to("Client")),
        ("sessions", integer()),
    ])
}

fn event() -> Shape {
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    object(&[
        ("id", integer()),
        ("at", time()),
        ("kind", one_of(&kinds)),
        ("sessionId?", text()),
        ("deviceName?", text()),
        ("ip?", text()),
        ("actor", text()),
        ("detail?", text()),
    ])
}

fn person() -> Shape {
    object(&[
        ("id", text()),
        ("email", text()),
        ("name", text()),
        ("role", role()),
        ("groups", list(text())),
        ("status", one_of(&["active", "invited", "disabled"])),
        ("createdAt", time()),
        ("lastActivity?", time()),
        ("sessions", integer()),
        ("secondFactor", boolean()),
        ("deletesAt?", time()),
        ("invitationExpired?", boolean()),
        ("newEmail?", text()),
    ])
}

fn draft() -> Shape {
    object(&[
        ("id", text()),
        ("text", text()),
        ("version", integer()),
        ("updatedAt", time()),
        ("updatedOn", text()),
        ("conflictOf?", text()),
        ("deleted?", boolean()),
    ])
}

fn operation() -> Shape {
    let kinds = ["draft.put", "draft.keep", "draft.delete", "device.rename", "session.logout"];
    object(&[
        ("id", text()),
        ("kind", one_of(&kinds)),
        ("at?", time()),
        ("draftId?", text()),
        ("text?", text()),
        ("baseVersion?", integer()),
        ("deviceId?", text()),
        ("name?", text()),
        ("sessionId?", text()),
    ])
}

fn operation_result() -> Shape {
    let statuses = one_of(&["applied", "duplicate", "conflict", "rejected"]);
    let problem = object(&[("type", text()), ("title", text()), ("status", integer()), ("detail", text())]);
    object(&[
        ("id", or_null(Type::String)),
        ("status", statuses.clone()),
        ("first?", statuses),
        ("draft?", to("Draft")),
        ("problem?", problem),
    ])
}

/// An object. A name that ends in `?` is a field that may be missing.
pub(super) fn object(fields: &[(&str, Shape)]) -> Shape {
    let object = fields.iter().fold(ObjectBuilder::new(), |object, (name, shape)| match name.strip_suffix('?') {
        Some(name) => object.property(name, shape.clone()),
        None => object.property(*name, shape.clone()).required(*name),
    });
    object.into()
}

/// The named shape.
pub(super) fn to(name: &str) -> Shape {
    Ref::from_schema_name(name).into()
}

pub(super) fn list(of: Shape) -> Shape {
    ArrayBuilder::new().items(of).into()
}

pub(super) fn text() -> Shape {
    of_type(Type::String)
}

pub(super) fn integer() -> Shape {
    of_type(Type::Integer)
}

/// A number of rows that a client asks for.
pub(super) fn limit(most: i64) -> Shape {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(most)).into()
}

pub(super) fn boolean() -> Shape {
    of_type(Type::Boolean)
}

/// RFC 3339, in UTC with milliseconds.
pub(super) fn time() -> Shape {
    let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
}

/// Any JSON object.
pub(super) fn any_object() -> Shape {
    ObjectBuilder::new().into()
}

pub(super) fn role() -> Shape {
    one_of(&["owner", "admin", "member"])
}

fn or_null(kind: Type) -> Shape {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([kind, Type::Null])).into()
}

fn of_type(kind: Type) -> Shape {
    ObjectBuilder::new().schema_type(kind).into()
}

pub(super) fn one_of(words: &[&str]) -> Shape {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied())).into()
}
