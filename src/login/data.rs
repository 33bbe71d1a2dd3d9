//! The session's own JSON object, which its client writes. It reaches nothing but itself: it is a column of its own.

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value};

use crate::{
    desk::Desk,
    error::{Error, Result},
    session::CurrentUser,
};

/// Largest data a session may keep, in bytes of JSON.
const LARGEST_DATA: usize = 16 * 1024;

/// `GET /api/session/data`
///
/// # Errors
/// Without a login, or when the database is away.
pub async fn show(user: CurrentUser, desk: Desk) -> Result<HttpResponse> {
    match desk.sessions.data(&user.record.id).await? {
        Some(data) => Ok(json_text(data)),
        None => Err(desk.ended_meanwhile().await?),
    }
}

/// `PATCH /api/session/data`: a merge patch (RFC 7396), under the row's lock, so that writers of different keys never
/// undo one another.
///
/// # Errors
/// When the patch is no object, holds U+0000, or the whole grows over 16 KiB; without a login; when the database is away.
pub async fn patch(user: CurrentUser, sent: web::Json<Value>, desk: Desk) -> Result<HttpResponse> {
    let Value::Object(patch) = sent.into_inner() else {
        return Err(Error::Invalid("the data of a session is a JSON object".into()));
    };
    if holds_nul(&Value::Object(patch.clone())) {
        return Err(Error::Invalid("U+0000 cannot be kept".into()));
    }
    let changed = desk.sessions.change_data(&user.record.id, move |stored| apply(stored, patch)).await?;
    match changed {
        Some(data) => Ok(json_text(data)),
        None => Err(desk.ended_meanwhile().await?),
    }
}

fn apply(stored: &str, patch: Map<String, Value>) -> Result<String> {
    let mut whole: Value = serde_json::from_str(stored).map_err(Error::bug)?;
    merge(&mut whole, Value::Object(patch));
    let text = whole.to_string();
    if text.len() > LARGEST_DATA {
        return Err(Error::TooLarge);
    }
    Ok(text)
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(target) = target {
        for (name, value) in patch {
            if value.is_null() {
                target.remove(&name);
            } else {
                merge(target.entry(name).or_insert(Value::Null), value);
            }
        }
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(entries) => entries.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn json_text(text: String) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The examples of RFC 7396, appendix A, whose patch is an object.
    #[test]
    fn merges_as_the_rfc_does() {
        let cases = [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!({"a":1}), json!({"a":1})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ];
        for (mut target, patch, merged) in cases {
            merge(&mut target, patch.clone());
            assert_eq!(target, merged, "{patch}");
        }
    }

    #[test]
    fn finds_nul_wherever_it_hides() {
        for value in [json!("\0"), json!({"a\0": 1}), json!([{"a": ["\0"]}])] {
            assert!(holds_nul(&value), "{value}");
        }
        assert!(!holds_nul(&json!({"a": ["b", 1, null, true]})));
    }
}
