//! The JSON API of devices and sessions. Called by the routes.
//!
//! Invariant: ending a session or a device needs a recent confirmation.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::act;
use crate::{
    actions::end_sessions::{EndedSessions, Ending},
    base::{
        db::{Conn, Instant},
        error::{Error, Result},
    },
    records::{
        device::{self, Client},
        session::{
            CurrentUser, Record, SessionView, Sessions,
            devices::{self, InUse, UsedDevice},
            listing,
        },
    },
    web::{
        context::RequestContext,
        json::{Anything, Object},
        signed_out::clear_cache,
    },
};

/// The JSON of a device.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeviceView {
    id: String,
    name: String,
    first_seen: Instant,
    last_seen: Instant,
    current: bool,
    client: Client,
    sessions: usize,
}

/// The body of `PATCH /api/devices/{id}`.
#[derive(Debug, Deserialize)]
pub struct Naming {
    name: String,
}

/// `GET /api/sessions`
pub async fn sessions(user: CurrentUser, sessions: web::Data<Sessions>) -> Result<HttpResponse> {
    let rows = living(&sessions, &user).await?;
    let views: Vec<SessionView> = rows
        .iter()
        .map(|(record, device)| SessionView::new(record, device.as_deref(), record.id == user.record.id))
        .collect();
    Ok(HttpResponse::Ok().json(json!({ "sessions": views })))
}

/// `DELETE /api/sessions/{id}`
///
/// # Errors
/// [`Error::ConfirmationRequired`]; [`Error::NotFound`] when the account has no such live session.
pub async fn end_session(id: web::Path<String>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    confirmed(&user)?;
    let ending = Ending::parse(&format!("session:{id}")).ok_or(Error::NotFound)?;
    let ended = act::end(&context, &user, ending).await?;
    if ended.count == 0 { Err(Error::NotFound) } else { Ok(no_content(&ended)) }
}

/// `POST /api/sessions/revoke-others`
///
/// # Errors
/// [`Error::ConfirmationRequired`]. A body that is not JSON is refused.
pub async fn end_others(_: Anything, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    confirmed(&user)?;
    let ended = act::end(&context, &user, Ending::Others).await?;
    Ok(HttpResponse::Ok().json(json!({ "revoked": ended.count })))
}

/// `GET /api/devices`
pub async fn devices(user: CurrentUser, sessions: web::Data<Sessions>) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(json!({ "devices": views(&sessions, &user).await? })))
}

/// `PATCH /api/devices/{id}`
///
/// # Errors
/// [`Error::Invalid`] for an unusable name; [`Error::NotFound`] when the account has no such device.
pub async fn rename(
    id: web::Path<String>,
    web::Json(Object(sent)): web::Json<Object<Naming>>,
    user: CurrentUser,
    context: RequestContext,
) -> Result<HttpResponse> {
    let name = device::check_name(&sent.name)?;
    act::rename(&context, &user, &id, &name).await?;
    let (account_id, ids) = (user.account.id.clone(), [id.into_inner()]);
    let one = async move |conn: &mut Conn<'_>| devices::those(conn, &account_id, &ids).await;
    let renamed = context.sessions.db.read(one).await?.pop().ok_or(Error::NotFound)?;
    let living = living(&context.sessions, &user).await?;
    Ok(HttpResponse::Ok().json(DeviceView::new(renamed, &living, &user)))
}

/// `DELETE /api/devices/{id}`
///
/// # Errors
/// [`Error::ConfirmationRequired`]; [`Error::NotFound`] when the account has no such device.
pub async fn forget(id: web::Path<String>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    confirmed(&user)?;
    let ending = Ending::parse(&format!("device:{id}")).ok_or(Error::NotFound)?;
    Ok(no_content(&act::end(&context, &user, ending).await?))
}

fn no_content(ended: &EndedSessions) -> HttpResponse {
    let mut answer = HttpResponse::NoContent().finish();
    if ended.own {
        clear_cache(&mut answer);
    }
    answer
}

fn confirmed(user: &CurrentUser) -> Result<()> {
    if user.is_confirmed() { Ok(()) } else { Err(Error::ConfirmationRequired) }
}

/// The account's live sessions with their pending touches applied, newest activity first.
async fn living(sessions: &Sessions, user: &CurrentUser) -> Result<Vec<(Record, Option<String>)>> {
    let account_id = user.account.id.clone();
    let list = async move |conn: &mut Conn<'_>| listing::list(conn, &account_id).await;
    Ok(sessions.overlaid(sessions.db.read(list).await?))
}

async fn views(sessions: &Sessions, user: &CurrentUser) -> Result<Vec<DeviceView>> {
    let account_id = user.account.id.clone();
    let read = async move |conn: &mut Conn<'_>| devices::in_use(conn, &account_id).await;
    let InUse { devices, living, .. } = sessions.db.read(read).await?;
    let living = sessions.overlaid(living);
    let mut views: Vec<DeviceView> = devices.into_iter().map(|known| DeviceView::new(known, &living, user)).collect();
    views.sort_by(|one, other| other.last_seen.cmp(&one.last_seen).then_with(|| one.id.cmp(&other.id)));
    Ok(views)
}

impl DeviceView {
    fn new(known: UsedDevice, living: &[(Record, Option<String>)], user: &CurrentUser) -> Self {
        let device = known.device;
        let here = living.iter().filter(|(record, _)| record.device_id.as_deref() == Some(&device.id));
        let (count, last_seen) =
            here.fold((0, device.last_seen), |(count, last), (record, _)| (count + 1, last.max(record.last_activity)));
        Self {
            client: device.client(),
            current: user.record.device_id.as_deref() == Some(&device.id),
            id: device.id,
            name: device.name,
            first_seen: device.first_seen,
            last_seen,
            sessions: count,
        }
    }
}
