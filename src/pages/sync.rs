//! The sync API: merges changes that a client made, online or offline, with changes from other devices. The client's
//! side is `static/js/outbox.js`. Called by the routes.
//!
//! Invariant: a call is applied as a whole or not at all, and repeating it has no second effect.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    actions::{
        sign_out::sign_out_named,
        sync::{
            apply::{self, Applied},
            sender::Sender,
        },
    },
    base::{
        db::Conn,
        error::{EndedBecause, Error, Result},
    },
    records::{
        account::Account,
        device::{self, known},
        draft::{
            Changes, Draft,
            operation::Sent,
            portion::{self, Listed},
            result::OperationResult,
            revision::ClientRevision,
        },
        session::{CurrentUser, SessionView, Sessions},
    },
    web::{context::RequestContext, json::Object, rates::Act, signed_out::clear_cache, site::Site},
};

const MOST: usize = 200;
/// Longest app version that is stored, in characters.
const LONGEST_VERSION: usize = 60;

/// The body of `POST /api/session/sync`.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
pub struct SyncBody {
    device: Option<Box<RawValue>>,
    last_known: Option<Object<LastKnown>>,
    operations: Option<Vec<Box<RawValue>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DeviceFacts {
    name: Option<Box<RawValue>>,
    installed: Option<Box<RawValue>>,
    app_version: Option<Box<RawValue>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LastKnown {
    user_id: Option<String>,
    revision: Option<Box<RawValue>>,
}

/// Invalid optional fields are ignored, so that one bad field cannot block a client's queue.
fn read<T: DeserializeOwned>(raw: Option<Box<RawValue>>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    user: &'a Account,
    session: SessionView,
    revision: String,
    results: &'a [OperationResult],
    changes: &'a Changes,
}

/// `POST /api/session/sync`
///
/// # Errors
/// [`Error::TooFast`]; [`Error::Conflict`] for another account's queue; [`Error::TooLarge`] for more than 200
/// operations.
pub async fn sync(
    sent: web::Json<Object<SyncBody>>,
    user: Result<CurrentUser>,
    context: RequestContext,
) -> Result<HttpResponse> {
    let Object(body) = sent.into_inner();
    match user {
        Ok(user) => carry_out(body, user, &context).await,
        Err(error @ Error::SessionEnded(_)) => Err(end_by_name(body, &context).await?.unwrap_or(error)),
        Err(error) => Err(error),
    }
}

/// Handles a request whose session has ended: ends the sessions that its operations name. A key from before a rotation
/// can still end its session, under any of the session's ids. A request with several keys can end the session of each.
/// No other operation is applied, and the answer is 401, so the client keeps its queue.
async fn end_by_name(body: SyncBody, context: &RequestContext) -> Result<Option<Error>> {
    let operations = body.operations.unwrap_or_default();
    let sent = operations.iter().take(MOST).map(|raw| Sent::read(raw));
    let named: Vec<String> = sent.filter_map(|one| one.ends_session().map(str::to_owned)).collect();
    if named.is_empty() {
        return Ok(None);
    }
    match sign_out_named(&context.sessions, context.facts.keys_to_end()?, &named, context.facts.ip.as_deref()).await? {
        true => Ok(Some(Error::SessionEnded(EndedBecause::LoggedOut))),
        false => context.ended_meanwhile().await.map(Some),
    }
}

/// Counts the operations against the rate limits. Operations that only end sessions are never refused.
fn count(context: &RequestContext, user: &CurrentUser, operations: &[Box<RawValue>]) -> Result<()> {
    let sent: Vec<Sent> = operations.iter().map(|raw| Sent::read(raw)).collect();
    let counted = sent.iter().filter(|one| one.ends_session().is_none()).count();
    if counted == 0 && !sent.is_empty() {
        return Ok(());
    }
    context.count(Act::Data, user, 1)?;
    context.count(Act::Operation, user, counted)?;
    context.count(Act::Change, user, sent.iter().filter(|one| one.is_rename()).count())
}

async fn carry_out(body: SyncBody, mut user: CurrentUser, context: &RequestContext) -> Result<HttpResponse> {
    let SyncBody { device, last_known, operations } = body;
    let Object(known) = last_known.unwrap_or_default();
    let operations = operations.unwrap_or_default();
    if known.user_id.is_some_and(|id| id != user.account.id) {
        return Err(Error::Conflict("these operations belong to another account".into()));
    }
    if operations.len() > MOST {
        return Err(Error::TooLarge);
    }
    count(context, &user, &operations)?;
    let Object(device) = read::<Object<DeviceFacts>>(device).unwrap_or_default();
    let (sender, facts) =
        (Sender::new(&user, context.facts.ip.clone(), context.site.drafts_max), known::Facts::from(device));
    let installed = facts.installed.unwrap_or(user.record.client().installed);
    let keys = &context.site.keys;
    let revision: Option<String> = read(known.revision);
    let known = revision.and_then(|text| ClientRevision::read(&text, &user.account.id, keys));
    let sent = || operations.iter().map(|raw| Sent::read(raw)).collect();
    match apply::apply(&context.sessions.db, &sender, sent, known.as_ref(), &facts).await? {
        None => Err(context.ended_meanwhile().await?),
        Some(applied) => {
            user.note(&applied.device_name, installed);
            answer(context, &user, &applied)
        }
    }
}

fn answer(context: &RequestContext, user: &CurrentUser, applied: &Applied) -> Result<HttpResponse> {
    let Applied { revision, results, changes, ended_itself, .. } = applied;
    let mut answer = HttpResponse::Ok().json(Answer {
        user: &user.account,
        session: if *ended_itself { user.view().of_another() } else { user.view() },
        revision: revision.seal(&user.account.id, &context.site.keys)?,
        results,
        changes,
    });
    if *ended_itself {
        context.goodbye(true);
        clear_cache(&mut answer);
    }
    Ok(answer)
}

impl From<DeviceFacts> for known::Facts {
    fn from(facts: DeviceFacts) -> Self {
        let is_fine = |version: &String| {
            version.chars().count() <= LONGEST_VERSION && !version.chars().any(char::is_control) && !version.is_empty()
        };
        Self {
            installed: read(facts.installed),
            app_version: read(facts.app_version).filter(is_fine),
            name: read(facts.name).and_then(|name: String| device::check_name(&name).ok()),
        }
    }
}

/// The position and size of the listed portion.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    after: Option<String>,
    limit: Option<String>,
}

/// `GET /api/drafts`: as many drafts as fit in one answer, with `next` as the cursor of the rest.
///
/// # Errors
/// [`Error::Invalid`] for an invalid `after` or `limit`.
pub async fn drafts(
    query: web::Query<Query>,
    user: CurrentUser,
    sessions: web::Data<Sessions>,
    site: web::Data<Site>,
) -> Result<HttpResponse> {
    let Query { after, limit } = query.into_inner();
    let after = after.map(|after| after.parse::<i64>()).transpose();
    let after = after.map_err(|_| Error::Invalid("after must be the next of an earlier answer".into()))?;
    let most = portion::MOST_IN_A_PORTION;
    let limit = limit.map_or(Some(most), |limit| limit.parse().ok().filter(|limit| (1..=most).contains(limit)));
    let limit = limit.ok_or_else(|| Error::Invalid(format!("limit must be a whole number from 1 to {most}")))?;
    let account_id = user.account.id.clone();
    let list = async move |conn: &mut Conn<'_>| portion::list(conn, &account_id, after, limit).await;
    let Listed { drafts, revision, next } = sessions.db.read(list).await?;
    let revision = revision.seal(&user.account.id, &site.keys)?;
    Ok(HttpResponse::Ok().json(ListView { drafts: &drafts, revision, next }))
}

#[derive(Debug, Serialize)]
struct ListView<'a> {
    drafts: &'a [Draft],
    revision: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}
