//! Signing in and out by JSON, and the session's own data.

use actix_session::Session;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    page::{clear_cache, end_this},
    rule::{LoginRule, Outcome, Visit},
};
use crate::{
    account::{Account, EmailAddress},
    device,
    error::{Error, Result},
    security::Site,
    session::{
        CurrentUser, SessionView, Sessions,
        current::{self, Facts},
        request::Presented,
    },
};

/// Largest data a session may keep, in bytes of JSON.
const LARGEST_DATA: usize = 16 * 1024;

/// What `POST /api/establish-session` takes.
#[derive(Debug, Deserialize)]
pub struct Credentials {
    email: String,
    password: String,
    #[serde(default)]
    device: DeviceFacts,
}

/// What a client says of its device.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DeviceFacts {
    name: Option<String>,
    installed: bool,
}

/// Who is signed in, and how.
#[derive(Debug, Serialize)]
struct SignedIn<'a> {
    user: &'a Account,
    session: SessionView,
}

/// `POST /api/establish-session`
///
/// # Errors
/// [`Error::InvalidCredentials`]; or when the database is away or too many passwords wait to be checked.
pub async fn establish(
    req: HttpRequest,
    sent: web::Json<Credentials>,
    facts: Facts,
    session: Session,
    site: web::Data<Site>,
    rule: web::Data<LoginRule>,
) -> Result<HttpResponse> {
    let Credentials { email, password, device } = sent.into_inner();
    let email = EmailAddress::parse(&email).map_err(|_| Error::Invalid("email is not an e-mail address".into()))?;
    let name = device.name.as_deref().map(device::check_name).transpose()?;
    let visit = Visit::new(&req, &facts, &site).on_device(name, device.installed);
    let Outcome::Welcome(welcome) = rule.log_in(&email, password, visit).await? else {
        return Err(Error::InvalidCredentials);
    };
    let view = SessionView::new(&welcome.record, Some(&welcome.device_name), true);
    let mut answer = HttpResponse::Ok().json(SignedIn { user: &welcome.account, session: view });
    welcome.finish(&session, &site, &mut answer)?;
    Ok(answer)
}

/// `GET /api/session`
///
/// # Errors
/// Without a login.
pub async fn show(user: CurrentUser) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(SignedIn { user: &user.account, session: user.view() }))
}

/// `DELETE /api/session`
///
/// # Errors
/// Without a login, or when the database is away: nothing is claimed that did not happen.
pub async fn log_out(
    user: CurrentUser,
    facts: Facts,
    session: Session,
    sessions: web::Data<Sessions>,
) -> Result<HttpResponse> {
    if !end_this(&facts, &sessions).await? {
        return Err(ended_meanwhile(&facts, &sessions).await?);
    }
    tracing::debug!(session = %user.record.id, "logged out");
    current::finish_logout(&session);
    let mut answer = HttpResponse::NoContent().finish();
    clear_cache(&mut answer);
    Ok(answer)
}

/// `GET /api/session/data`
///
/// # Errors
/// Without a login, or when the database is away.
pub async fn show_data(user: CurrentUser, facts: Facts, sessions: web::Data<Sessions>) -> Result<HttpResponse> {
    match sessions.data(&user.record.id).await? {
        Some(data) => Ok(json_text(data)),
        None => Err(ended_meanwhile(&facts, &sessions).await?),
    }
}

/// `PATCH /api/session/data`: a merge patch (RFC 7396), under the row's lock, so that writers of different keys never
/// undo one another.
///
/// # Errors
/// When the patch is no object, holds U+0000, or the whole grows over 16 KiB; without a login; when the database is away.
pub async fn patch_data(
    user: CurrentUser,
    sent: web::Json<Value>,
    facts: Facts,
    sessions: web::Data<Sessions>,
) -> Result<HttpResponse> {
    let Value::Object(patch) = sent.into_inner() else {
        return Err(Error::Invalid("the data of a session is a JSON object".into()));
    };
    if holds_nul(&Value::Object(patch.clone())) {
        return Err(Error::Invalid("U+0000 cannot be kept".into()));
    }
    let changed = sessions.change_data(&user.record.id, move |stored| apply(stored, patch)).await?;
    match changed {
        Some(data) => Ok(json_text(data)),
        None => Err(ended_meanwhile(&facts, &sessions).await?),
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

/// The session lived when the request began, and does not any more.
async fn ended_meanwhile(facts: &Facts, sessions: &Sessions) -> Result<Error> {
    let Presented::Key(key) = &facts.presented else {
        return Ok(facts.absence());
    };
    Ok(Error::SessionEnded(sessions.why_ended(key).await?))
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
