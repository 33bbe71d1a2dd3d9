//! JSON bodies: at most 64 KiB unless a route sets another limit, with a JSON content type. Called by the handlers of
//! the API.
//!
//! Invariant: a body is rejected where the API's documented format has an object and the body has another kind of
//! value.

use std::fmt;
use std::marker::PhantomData;

use actix_web::{FromRequest, HttpRequest, dev::Payload, error::JsonPayloadError, http::header, web};
use futures_util::future::LocalBoxFuture;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{limits, route::LARGEST_BODY};
use crate::base::error::Error;

/// The configuration of the JSON extractor, with a limit of 64 KiB.
pub fn config() -> web::JsonConfig {
    config_of(LARGEST_BODY)
}

/// Like [`config`], but with a limit of `largest` bytes.
pub fn config_of(largest: usize) -> web::JsonConfig {
    web::JsonConfig::default()
        .limit(largest)
        .content_type_required(true)
        .error_handler(|error, _| refused(&error).into())
}

fn refused(error: &JsonPayloadError) -> Error {
    match error {
        JsonPayloadError::OverflowKnownLength { .. } | JsonPayloadError::Overflow { .. } => Error::TooLarge,
        JsonPayloadError::Payload(error) => limits::unread(error),
        JsonPayloadError::ContentType => Error::UnsupportedMediaType("JSON (application/json)"),
        JsonPayloadError::Deserialize(error) => Error::Invalid(format!("the JSON cannot be used: {error}")),
        _ => Error::Invalid("the body cannot be read".into()),
    }
}

/// A JSON object. Without this wrapper, serde would also read a struct from an array of its members' values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// The body of a call that takes no input: either empty or any JSON, which is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anything;

impl FromRequest for Anything {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_empty = matches!(payload, Payload::None)
            || req.headers().get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() == b"0");
        if is_empty {
            return Box::pin(std::future::ready(Ok(Self)));
        }
        let body = web::Json::<IgnoredAny>::from_request(req, payload);
        Box::pin(async move { body.await.map(|_| Self) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Inner {
        a: u8,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Outer {
        b: u8,
        #[serde(default)]
        inner: Object<Inner>,
    }

    #[test]
    fn only_objects_are_accepted_at_any_depth() {
        let read = |text: &str| serde_json::from_str::<Object<Outer>>(text).ok().map(|Object(outer)| outer);
        assert_eq!(read(r#"{"b": 1}"#), Some(Outer { b: 1, inner: Object(Inner { a: 0 }) }));
        assert_eq!(
            read(r#"{"inner": {"a": 2}, "b": 1, "c": []}"#),
            Some(Outer { b: 1, inner: Object(Inner { a: 2 }) })
        );
        for odd in [r#"[1]"#, r#"[1, {}]"#, r#"{"b": 1, "inner": [2]}"#, r#"{"b": 1, "b": 1}"#, "null", "1", "{}"] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
