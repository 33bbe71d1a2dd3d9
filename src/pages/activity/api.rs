//! The account's activity as JSON. Called by the routes.
//!
//! Invariant: an answer reveals another account's id only if it manages this one, or is managed by it.

use std::collections::HashMap;

use actix_web::{HttpResponse, web};
use serde::Serialize;

use crate::{
    base::{
        db::{Conn, Instant},
        error::{Error, Result},
    },
    records::{
        audit::{self, Cursor, Kind, MOST_A_PAGE, Recorded, Topic},
        session::{CurrentUser, Sessions},
    },
};

/// Events per page if the client sets no limit.
const DEFAULT_LIMIT: i64 = 50;

#[derive(Debug, Serialize)]
struct Activity<'a> {
    events: Vec<EventView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EventView<'a> {
    id: i64,
    at: Instant,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<&'a str>,
    actor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// Shown instead of a stranger's account id.
const ANOTHER: &str = "another account";

/// `GET /api/activity?before=CURSOR&limit=N&topic=TOPIC`
///
/// # Errors
/// [`Error::Invalid`] for an invalid query.
pub async fn list(
    user: CurrentUser,
    query: web::Query<HashMap<String, String>>,
    sessions: web::Data<Sessions>,
) -> Result<HttpResponse> {
    let wanted = Wanted::parse(&query)?;
    let account_id = user.account.id.clone();
    let page = sessions
        .db
        .read(async move |conn: &mut Conn<'_>| {
            audit::page(conn, &account_id, wanted.topic, wanted.before, wanted.limit).await
        })
        .await?;
    let next = page.next.map(|cursor| cursor.to_string());
    Ok(HttpResponse::Ok()
        .json(Activity { events: page.events.iter().map(|event| EventView::new(event, &user)).collect(), next }))
}

/// The parsed query.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    topic: Option<Topic>,
    before: Option<Cursor>,
    limit: i64,
}

impl Wanted {
    fn parse(query: &HashMap<String, String>) -> Result<Self> {
        let limit = match query.get("limit") {
            None => DEFAULT_LIMIT,
            Some(typed) => typed
                .parse()
                .ok()
                .filter(|limit| (1..=MOST_A_PAGE).contains(limit))
                .ok_or_else(|| Error::Invalid(format!("limit must be a whole number from 1 to {MOST_A_PAGE}")))?,
        };
        let topic = query.get("topic").map(|word| {
            let words = Topic::ALL.iter().map(|topic| topic.as_str()).collect::<Vec<_>>().join(", ");
            Topic::from_word(word).ok_or_else(|| Error::Invalid(format!("topic must be one of {words}")))
        });
        let before = query.get("before").map(|text| Cursor::parse(text));
        Ok(Self { topic: topic.transpose()?, before: before.transpose()?, limit })
    }
}

impl<'a> EventView<'a> {
    fn new(event: &'a Recorded, user: &CurrentUser) -> Self {
        // Whoever signed in over the session is a stranger. Whoever manages the account is not.
        let is_another = event.kind == Kind::SessionReplaced && event.actor != user.account.id;
        Self {
            id: event.id,
            at: event.at,
            kind: event.kind,
            session_id: event.session_id.as_deref(),
            device_name: event.device_name.as_deref(),
            ip: event.ip.as_deref(),
            actor: if is_another { ANOTHER } else { &event.actor },
            detail: event.detail.as_deref(),
        }
    }
}
