//! The start of `serve`: opens the database with the keys, puts the application together, and lets requests in once the
//! database is checked. Called by [`run`](super::run).
//!
//! Invariant: no request is answered from the database before its schema, its keys and its history are checked.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::{rt, web};

use super::app::Parts;
use crate::{
    actions::password_proof::Prover,
    base::{
        db::{Conn, Db, Marks, Place},
        error::{Away, Error, Result},
        keys::Keys,
        outage::Outage,
        settings::{PublicUrl, Settings},
    },
    pages::ops::{LiveSessions, Readiness},
    records::{
        account::hasher::Hasher,
        hub::Hub,
        instance::{self, history},
        session::Sessions,
    },
    web::{limits::Limits, site::Site},
};

/// How often a database that was away at the start is asked again.
const RETRY: Duration = Duration::from_millis(500);
/// How long the start waits for the database before it goes on without.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens the database with the keys, and brings its schema up to date; whether it answers.
pub async fn open(settings: &Settings, outage: &mut Outage) -> Result<(Db, Keys, bool)> {
    let mut answers = true;
    if !settings.key_file.exists() {
        // Opened without keys and closed again: a key file may be made only where the database needs no older one.
        let db = Db::open(settings, None)?;
        answers = or_away(outage, first_try(db.migrate()).await)?.is_some();
        if answers {
            instance::check_no_keys_needed(&db).await?;
        }
    }
    let keys = Keys::read_or_make(&settings.key_file)?;
    let db = Db::open(settings, Some(keys.trail()))?;
    answers = answers && or_away(outage, first_try(db.migrate()).await)?.is_some();
    Ok((db, keys, answers))
}

/// What is listened on, and for how many.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    pub address: SocketAddr,
    pub connections: usize,
}

/// What the application is made of. Nothing is asked of the database yet.
pub fn assemble(settings: &Settings, db: Db, keys: Keys, limits: Limits, bound: Bound) -> Result<Parts> {
    let port = bound.address.port();
    let public = settings.public_url.clone().unwrap_or_else(|| PublicUrl::localhost(port, settings.tls.is_some()));
    let sessions = Sessions::new(settings, db, &keys);
    let site = web::Data::new(Site::new(public, keys, settings, limits, (port, bound.connections)));
    let prover = Prover::new(sessions.db.clone(), Hasher::new(settings.workers)?);
    // What a request waits for at most.
    let limit = settings.pool_timeout + settings.statement_timeout;
    let readiness = web::Data::new(Readiness::new(sessions.clone(), site.clone(), limit, crate::pages::pwa::check));
    let live = web::Data::new(LiveSessions::new(sessions.clone()));
    let news = Hub::new(sessions.db.clone(), sessions.clock.clone(), bound.connections);
    let metrics = sessions.db.metrics().clone();
    news.on_known(move |time| metrics.news(time));
    Ok(Parts { site, sessions, prover, readiness, live, news })
}

/// The link that creates the owner, if there is none yet.
pub type SetupLink = Option<String>;

/// Once the database answers and its schema is right: checks the keys, and lets requests in.
async fn open_doors(parts: &Parts, settings: &Settings) -> Result<SetupLink> {
    let Sessions { db, clock, .. } = &parts.sessions;
    let checked = instance::check_keys(db, &parts.site.keys).await;
    if matches!(checked, Err(Error::Conflict(_))) {
        parts.site.keys.take_back(&settings.key_file);
    }
    checked?;
    let database = settings.database.clone();
    let place = db.read(async move |conn: &mut Conn<'_>| Place::read(conn, &database).await).await?;
    history::check(db, place, Marks::of(&settings.database)).await?;
    mark_history(db, settings).await;
    db.measure_clock(clock).await?;
    let secret = instance::issue_setup_link(db).await?;
    if secret.is_none() {
        parts.site.set_has_owner();
    }
    parts.site.set_ready();
    Ok(secret.map(|secret| format!("{}/setup?token={}", parts.site.public.origin(), secret.expose())))
}

/// The same, if the database answers; `None` if it is away.
pub async fn try_to_open_doors(parts: &Parts, settings: &Settings, outage: &mut Outage) -> Result<Option<SetupLink>> {
    or_away(outage, open_doors(parts, settings).await)
}

/// Tries again and again, until the database answers.
pub async fn open_doors_when_it_answers(parts: &Parts, settings: &Settings, outage: &mut Outage) -> Result<SetupLink> {
    loop {
        rt::time::sleep(RETRY).await;
        let attempt = async {
            parts.sessions.db.migrate().await?;
            open_doors(parts, settings).await
        };
        if let Some(link) = or_away(outage, attempt.await)? {
            return Ok(link);
        }
    }
}

/// Notes how far the database has come. A disk without room is no reason not to start: reads go on.
pub async fn mark_history(db: &Db, settings: &Settings) {
    if let Some(marks) = Marks::of(&settings.database)
        && let Err(error) = history::mark(db, &marks).await
    {
        tracing::warn!(%error, "how far the database has come was not noted");
    }
}

/// A database that takes its time at the start, as when another node migrates it, is one that is away for now.
async fn first_try<T>(attempt: impl Future<Output = Result<T>>) -> Result<T> {
    rt::time::timeout(PATIENCE, attempt)
        .await
        .unwrap_or_else(|_| Err(Error::unavailable(Away::Deadline, "it has not answered yet")))
}

/// A database that is away is no reason not to start, `None`; everything else that went wrong is.
fn or_away<T>(outage: &mut Outage, result: Result<T>) -> Result<Option<T>> {
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
