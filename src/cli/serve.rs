//! `sessile serve`: binds, prints its lines, answers until SIGTERM or SIGINT, and writes the last touches.
//!
//! Invariant: a node whose database is away comes up all the same, answers 503, and recovers by itself.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::{HttpServer, dev::Server, rt, web};
use tokio::signal::unix::{SignalKind, signal};

use super::{say, sessions, tls};
use crate::{
    account::password::Hasher,
    app::{self, Parts},
    db::Db,
    error::{Away, Error, Result},
    instance,
    key_file::Keys,
    login::LoginRule,
    security::Site,
    session::{Sessions, news::Hub, sweep, touch},
    settings::{PublicUrl, Settings},
};

/// How long requests may take to end when the program is asked to.
const LAST_REQUESTS: u64 = 10;
/// How often a database that was away at the start is asked again.
const RETRY: Duration = Duration::from_millis(500);
/// How long the start waits for the database before it goes on without.
const PATIENCE: Duration = Duration::from_secs(5);
const CLOCK_INTERVAL: Duration = Duration::from_secs(60);
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Serves.
///
/// # Errors
/// When the address cannot be bound, or what the database says forbids the start.
pub async fn run(settings: Settings) -> Result<()> {
    let stop = asked_to_stop()?;
    let db = Db::open(&settings)?;
    let answers = or_away(first_try(db.migrate()).await)?.is_some();
    if answers && !settings.key_file.exists() {
        instance::check_no_keys_needed(&db).await?;
    }
    let keys = Keys::read_or_make(&settings.key_file)?;
    let listener = TcpListener::bind(settings.listen).map_err(|error| {
        Error::Invalid(format!("SESSILE_LISTEN: {} cannot be listened on: {error}", settings.listen))
    })?;
    let address = listener.local_addr().map_err(Error::bug)?;
    let public =
        settings.public_url.clone().unwrap_or_else(|| PublicUrl::localhost(address.port(), settings.tls.is_some()));
    let site = Site::new(public, keys, settings.trusted_proxies.clone(), settings.idle_ttl);
    let sessions = sessions(&settings, db);
    let rule = LoginRule { sessions: sessions.clone(), hasher: Hasher::new(settings.workers)? };
    let news = Hub::new(sessions.db.clone(), sessions.clock.clone());
    let parts = Parts { site: web::Data::new(site), sessions, rule, news };

    let opened = if answers { or_away(open_doors(&parts, &settings).await)? } else { None };
    let server = listen(&parts, listener, &settings)?;
    let handle = server.handle();
    let serving = rt::spawn(server);
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    say(&format!("sessile: listening on {scheme}://{address}"))?;
    let result = tokio::select! {
        ended = look_after(&parts, opened, &settings) => ended,
        ended = serving => ended.map_err(Error::bug)?.map_err(|error| Error::Internal(error.into())),
        () = stop => Ok(()),
    };
    tracing::info!("stopping");
    parts.news.close();
    handle.stop(true).await;
    // What is queued is the activity of requests that have been answered.
    if let Err(error) = parts.sessions.touches.flush(&parts.sessions.db).await {
        tracing::warn!(%error, "the last touches were not written");
    }
    result
}

/// A database that takes its time at the start, as when another node migrates it, is one that is away for now.
async fn first_try<T>(attempt: impl Future<Output = Result<T>>) -> Result<T> {
    rt::time::timeout(PATIENCE, attempt)
        .await
        .unwrap_or_else(|_| Err(Error::unavailable(Away::Deadline, "it has not answered yet")))
}

/// A database that is away is no reason not to start, `None`; everything else that went wrong is.
fn or_away<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Unavailable(fault)) => {
            tracing::warn!(cause = %fault, "the database is away");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The link that creates the owner, if there is none yet.
type SetupLink = Option<String>;

/// Once the database answers and its schema is right: checks the keys, and lets requests in.
async fn open_doors(parts: &Parts, settings: &Settings) -> Result<SetupLink> {
    let Sessions { db, clock, .. } = &parts.sessions;
    let checked = instance::check_keys(db, &parts.site.keys).await;
    if matches!(checked, Err(Error::Conflict(_))) {
        parts.site.keys.take_back(&settings.key_file);
    }
    checked?;
    db.measure_clock(clock).await?;
    let secret = instance::issue_setup_link(db).await?;
    parts.site.set_ready();
    Ok(secret.map(|secret| format!("{}/setup?token={}", parts.site.public.origin(), secret.expose())))
}

/// Opens the doors if that has not been done, and then does what has to be done again and again.
async fn look_after(parts: &Parts, opened: Option<SetupLink>, settings: &Settings) -> Result<()> {
    let mut opened = opened;
    let link = loop {
        match opened {
            Some(link) => break link,
            None => rt::time::sleep(RETRY).await,
        }
        let attempt = async {
            parts.sessions.db.migrate().await?;
            open_doors(parts, settings).await
        };
        opened = or_away(attempt.await)?;
    };
    if let Some(link) = link {
        say(&format!("sessile: create the owner at {link}"))?;
    }
    tracing::info!("serving");
    tokio::join!(
        parts.news.run(),
        flush_touches(&parts.sessions),
        follow_the_clock(&parts.sessions),
        sweep_now_and_then(&parts.sessions.db, settings.prune_interval)
    );
    Ok(())
}

async fn flush_touches(sessions: &Sessions) {
    loop {
        rt::time::sleep(touch::FLUSH_INTERVAL).await;
        if let Err(error) = sessions.touches.flush(&sessions.db).await {
            tracing::warn!(%error, waiting = sessions.touches.len(), "touches were not written yet");
        }
    }
}

async fn follow_the_clock(sessions: &Sessions) {
    loop {
        rt::time::sleep(CLOCK_INTERVAL).await;
        if let Err(error) = sessions.db.measure_clock(&sessions.clock).await {
            tracing::debug!(%error, "the clock was not measured");
        }
    }
}

async fn sweep_now_and_then(db: &Db, every: Option<Duration>) {
    let Some(every) = every else { return };
    loop {
        match sweep::sweep(db).await {
            Ok(swept) if swept == sweep::Swept::default() => {}
            Ok(swept) => tracing::info!(ended = swept.ended, deleted = swept.deleted, "swept"),
            Err(error) => tracing::warn!(%error, "the sweep was cut short"),
        }
        rt::time::sleep(every).await;
    }
}

fn listen(parts: &Parts, listener: TcpListener, settings: &Settings) -> Result<Server> {
    let parts = parts.clone();
    let server = HttpServer::new(move || app::build(&parts))
        .workers(settings.workers)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(LAST_REQUESTS)
        .disable_signals();
    let server = match &settings.tls {
        Some(files) => server.listen_rustls_0_23(listener, tls::config(files)?),
        None => server.listen(listener),
    };
    Ok(server.map_err(|error| Error::Internal(error.into()))?.run())
}

/// SIGTERM and SIGINT, heard from now on.
fn asked_to_stop() -> Result<impl Future<Output = ()>> {
    let hear = |kind| signal(kind).map_err(|error| Error::Internal(error.into()));
    let (mut terminate, mut interrupt) = (hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
