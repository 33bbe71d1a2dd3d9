//! The start of `serve`: opens the database, assembles the application, and admits requests after checking the
//! database. Called by [`run`](super::run).
//!
//! Invariant: no request reaches the database before its schema, its keys and its history are checked.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::{rt, web};

use super::{app::Parts, risks};
use crate::{
    actions::password_proof::Prover,
    base::{
        db::{Conn, Db, Marks, Place},
        error::{Away, Error, Result},
        keys::Keys,
        outage::Outage,
        settings::{PublicUrl, Settings},
    },
    pages::{
        apps::Feeds,
        ops::{LiveSessions, Readiness},
        pwa,
    },
    records::{
        account::{hasher::Hasher, strength::Lengths},
        app::{Apps, Usage},
        hub::Hub,
        instance::{
            self,
            first_open::{Steps, open_or_create},
            history,
        },
        second_factor::resealing,
        session::Sessions,
    },
    web::{limits::Limits, site::Site},
};

/// Time between two attempts while the database is unavailable at the start.
const RETRY: Duration = Duration::from_millis(500);
/// How long the start waits for the database before it continues without it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens the database with the keys and migrates its schema. The boolean is whether the database answers.
pub async fn open(settings: &Settings, outage: &mut Outage) -> Result<(Db, Keys, bool)> {
    let migrate = async |db: &Db| Ok(none_if_unavailable(outage, with_timeout(db.migrate()).await)?.is_some());
    open_or_create(settings, Steps { migrate, check_without_keys: instance::check_no_keys_needed }).await
}

/// The bound address, and the maximum number of connections.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    pub address: SocketAddr,
    pub connections: usize,
}

/// Creates the parts of the application. Does not access the database.
pub fn assemble(settings: &Settings, db: Db, keys: Keys, limits: Limits, bound: Bound) -> Result<Parts> {
    let port = bound.address.port();
    let public = settings.public_url.clone().unwrap_or_else(|| PublicUrl::localhost(port, settings.tls.is_some()));
    let sessions = Sessions::new(settings, db, &keys);
    let site = web::Data::new(Site::new(public, keys, settings, limits, (port, bound.connections))?);
    let prover = Prover::new(sessions.db.clone(), Hasher::new(settings.workers, Lengths::new(settings.password_min))?);
    // The longest time that a request waits for the database.
    let limit = settings.pool_timeout + settings.statement_timeout;
    let documents = web::Data::new(pwa::Documents::make(site.brand.clone()).map_err(Error::bug)?);
    let checked = documents.clone();
    let check_app = Box::new(move || checked.check());
    let readiness = web::Data::new(Readiness::new(sessions.clone(), site.clone(), limit, check_app));
    let live = web::Data::new(LiveSessions::new(sessions.clone()));
    let hub = Hub::new(sessions.db.clone(), sessions.clock.clone(), bound.connections);
    let metrics = sessions.db.metrics().clone();
    hub.on_known(move |time| metrics.news(time));
    let apps = Apps::new(&sessions.db);
    let feeds = Feeds::new(settings.statement_timeout, sessions.db.metrics().clone());
    let (usage, feeds) = (Usage::default(), web::Data::new(feeds));
    Ok(Parts { site, sessions, prover, readiness, live, hub, apps, usage, feeds, documents })
}

/// The link that creates the owner; `None` if there is an owner.
pub type SetupLink = Option<String>;

/// Checks the keys and the history, and admits requests. The schema must be current.
async fn open_doors(parts: &Parts, settings: &Settings) -> Result<SetupLink> {
    let Sessions { db, clock, .. } = &parts.sessions;
    let checked = check_keys(db, &parts.site.keys).await;
    if matches!(checked, Err(Error::Conflict(_))) {
        parts.site.keys.take_back(&settings.key_file);
    }
    checked?;
    let database = settings.database.clone();
    let place = db.read(async move |conn: &mut Conn<'_>| Place::read(conn, &database).await).await?;
    history::check(db, place, Marks::of(&settings.database)).await?;
    mark_history(db, settings).await;
    if let changed @ 1.. = resealing::reseal(db, parts.site.keys.sealing()).await? {
        tracing::info!(changed, "encrypted second factors with the first key");
    }
    db.measure_clock(clock).await?;
    let secret = instance::issue_setup_link(db).await?;
    if secret.is_none() {
        parts.site.set_has_owner();
    }
    warn_of_passkeys(parts).await?;
    parts.site.set_ready();
    Ok(secret.map(|secret| format!("{}/setup?token={}", parts.site.public.origin(), secret.expose())))
}

/// Warns if people have passkeys that were made for another host.
async fn warn_of_passkeys(parts: &Parts) -> Result<()> {
    let here = parts.site.passkeys.clone();
    let read = async move |conn: &mut Conn<'_>| risks::passkeys(conn, here.as_ref().map_err(|why| *why)).await;
    if let Err(wrong) = parts.sessions.db.read(read).await? {
        risks::warn_of("passkeys", &wrong);
    }
    Ok(())
}

/// Checks that the key file has every key that the database needs.
async fn check_keys(db: &Db, keys: &Keys) -> Result<()> {
    resealing::check(db, keys.sealing()).await?;
    instance::check_keys(db, keys).await
}

/// Checks the database and admits requests. `None` if the database is unavailable.
pub async fn try_to_open_doors(parts: &Parts, settings: &Settings, outage: &mut Outage) -> Result<Option<SetupLink>> {
    none_if_unavailable(outage, open_doors(parts, settings).await)
}

/// Retries until the database answers, then checks it and admits requests.
pub async fn open_doors_when_it_answers(parts: &Parts, settings: &Settings, outage: &mut Outage) -> Result<SetupLink> {
    loop {
        rt::time::sleep(RETRY).await;
        let attempt = async {
            parts.sessions.db.migrate().await?;
            open_doors(parts, settings).await
        };
        if let Some(link) = none_if_unavailable(outage, attempt.await)? {
            return Ok(link);
        }
    }
}

/// Marks the current position in the database's history. A failure does not stop the start: on a full disk, reads still
/// work.
pub async fn mark_history(db: &Db, settings: &Settings) {
    if let Some(marks) = Marks::of(&settings.database)
        && let Err(error) = history::mark(db, &marks).await
    {
        tracing::warn!(%error, "marking the position in the database history failed");
    }
}

/// Treats a database that does not answer within [`PATIENCE`] as unavailable. Another node may be migrating it.
async fn with_timeout<T>(attempt: impl Future<Output = Result<T>>) -> Result<T> {
    rt::time::timeout(PATIENCE, attempt)
        .await
        .unwrap_or_else(|_| Err(Error::unavailable(Away::Deadline, "the database did not answer in time")))
}

/// Turns an unavailable database into `None`. Every other error stops the start.
fn none_if_unavailable<T>(outage: &mut Outage, result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => {
            outage.over();
            Ok(Some(value))
        }
        Err(Error::Unavailable(fault)) => {
            outage.failed(&fault);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
