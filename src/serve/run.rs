//! `sessile serve`: binds, prints its lines, answers until SIGTERM or SIGINT, and writes the last touches.
//!
//! Invariant: a node whose database is away comes up all the same, answers 503, and recovers by itself.

use std::io::{IsTerminal as _, stdout};
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::time::Duration;

use actix_web::{rt, web};
use rustix::process::Signal as Signo;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{anchors::Anchors, listener, risks, tls::Certificate};
use crate::serve::shutdown::{Signals, drain};
use crate::{
    actions::password_proof::Prover,
    base::{
        db::{Conn, Db, Marks, Place, inspect::Inspection},
        error::{Away, Error, Result},
        keys::Keys,
        outage::Outage,
        output,
        settings::{PublicUrl, Settings},
    },
    pages::ops::{LiveSessions, Readiness},
    records::{
        account::hasher::Hasher,
        audit::{repeats, retention},
        device, draft,
        instance::{self, history},
        news::Hub,
        session::{Sessions, sweep, touch},
        throttle,
    },
    serve::app::Parts,
    web::{limits::Limits, site::Site},
};

/// How often a database that was away at the start is asked again.
const RETRY: Duration = Duration::from_millis(500);
/// How long the start waits for the database before it goes on without.
const PATIENCE: Duration = Duration::from_secs(5);
const CLOCK_INTERVAL: Duration = Duration::from_secs(60);
/// The database's clock was put back if it moved by at least so many microseconds at once.
const WENT_BACK: i64 = -1_000_000;

/// What a server has of whoever runs it.
pub struct Host {
    /// Says when to stop.
    pub signals: Signals,
    /// Takes the lines for standard output.
    pub announce: Box<dyn Fn(&str)>,
}

/// Serves as a process of its own.
///
/// # Errors
/// When the address cannot be bound, or what the database says forbids the start.
pub async fn run(settings: Settings) -> Result<()> {
    let signals = Signals::listen()?;
    // A log file at the limit of file sizes (`ulimit -f`) ends a process that does not handle this. Handled, the write fails.
    let _file_too_large = hear(SignalKind::from_raw(Signo::XFSZ.as_raw()))?;
    // The service does not depend on anybody's reading these lines.
    let announce = Box::new(|line: &str| output::stdout().send(format!("{line}\n").into_bytes()));
    run_on(settings, Limits::default(), Host { signals, announce }).await
}

/// Serves until the host says to stop, within limits that tests shorten.
///
/// # Errors
/// As [`run`].
pub async fn run_on(settings: Settings, limits: Limits, host: Host) -> Result<()> {
    let Host { mut signals, announce } = host;
    let mut hangup = hear(SignalKind::hangup())?;
    let certificate = settings.tls.as_ref().map(Certificate::read).transpose()?;
    Inspection::check_servers(&settings).await?;
    let db = Db::open(&settings)?;
    let mut outage = Outage::new("opening the database");
    let answers = or_away(&mut outage, first_try(db.migrate()).await)?.is_some();
    if answers && !settings.key_file.exists() {
        instance::check_no_keys_needed(&db).await?;
    }
    let keys = Keys::read_or_make(&settings.key_file)?;
    db.use_trail_keys(keys.trail());
    let listener = TcpListener::bind(settings.listen).map_err(|error| {
        Error::Invalid(format!("SESSILE_LISTEN: {} cannot be listened on: {error}", settings.listen))
    })?;
    let address = listener.local_addr().map_err(Error::bug)?;
    let bound = Bound { port: address.port(), connections: listener::most_connections() };
    let parts = assemble(&settings, db, keys, limits, bound)?;

    let opened = if answers { or_away(&mut outage, open_doors(&parts, &settings).await)? } else { None };
    let tls = certificate.as_ref().map(Certificate::config).transpose()?;
    let server = listener::serve(&parts, listener, (settings.workers, bound.connections), tls)?;
    let handle = server.handle();
    let serving = rt::spawn(server);
    let at = listening_at(&parts, &settings, address);
    announce(&format!("sessile: listening on {at}"));
    let anchors = Anchors::new(parts.sessions.db.clone(), parts.site.keys.trail().clone());
    let result = {
        let opening = open_at_last(&parts, &settings, (opened, outage), &*announce);
        let mut looking_after = pin!(async {
            opening.await?;
            look_after(&parts, &settings, &anchors).await
        });
        tokio::select! {
            ended = &mut looking_after => ended,
            ended = serving => ended.map_err(Error::bug)?.map_err(|error| Error::Internal(error.into())),
            () = follow_the_certificate(&mut hangup, certificate.as_deref()) => Ok(()),
            // Touches are written all the while.
            asked = signals.next() => tokio::select! {
                ended = &mut looking_after => ended,
                () = drain(&parts, &handle, asked, &mut signals) => Ok(()),
            },
        }
        // The background work ends here: a connection that it held would be missing for the last writes below.
    };
    parts.news.close();
    handle.stop(true).await;
    // What is queued is the activity of requests that have been answered.
    if let Err(error) = parts.sessions.touches.flush(&parts.sessions.db).await {
        tracing::warn!(%error, "the last touches were not written");
    }
    if parts.site.is_ready() {
        anchors.last().await;
        mark_history(&parts.sessions.db, &settings).await;
    }
    result
}

/// Where the program listens, for the first line. Somebody at a terminal who has not chosen an origin is shown the one
/// that pages are under, which is also that of the link; programs that read the line get the address.
fn listening_at(parts: &Parts, settings: &Settings, address: SocketAddr) -> String {
    if stdout().is_terminal() && settings.public_url.is_none() && address.ip().is_loopback() {
        return parts.site.public.origin().to_owned();
    }
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// What is listened on, and for how many.
#[derive(Debug, Clone, Copy)]
struct Bound {
    port: u16,
    connections: usize,
}

/// What the application is made of. Nothing is asked of the database yet.
fn assemble(settings: &Settings, db: Db, keys: Keys, limits: Limits, bound: Bound) -> Result<Parts> {
    let public =
        settings.public_url.clone().unwrap_or_else(|| PublicUrl::localhost(bound.port, settings.tls.is_some()));
    let sessions = Sessions::new(settings, db, &keys);
    let site = web::Data::new(Site::new(public, keys, settings, limits, (bound.port, bound.connections)));
    let prover = Prover::new(sessions.db.clone(), Hasher::new(settings.workers)?);
    // What a request waits for at most.
    let limit = settings.pool_timeout + settings.statement_timeout;
    let readiness = web::Data::new(Readiness::new(sessions.clone(), site.clone(), limit));
    let live = web::Data::new(LiveSessions::new(sessions.clone()));
    let news = Hub::new(sessions.db.clone(), sessions.clock.clone(), bound.connections);
    let metrics = sessions.db.metrics().clone();
    news.on_known(move |time| metrics.news(time));
    Ok(Parts { site, sessions, prover, readiness, live, news })
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

/// The line with the link; at a terminal in a box, so that nobody overlooks it.
fn welcome(link: &str) -> String {
    let line = format!("sessile: create the owner at {link}");
    if !stdout().is_terminal() {
        return line;
    }
    let bar = "─".repeat(line.chars().count() + 2);
    format!("╭{bar}╮\n│ {line} │\n╰{bar}╯")
}

/// Logs what `doctor` would find wrong with the database's server and the clocks.
async fn warn_of_database(sessions: &Sessions, settings: &Settings) {
    if let Err(wrong) = risks::clock(sessions.clock.offset_micros()) {
        risks::warn_of("clock", &wrong);
    }
    match Inspection::weaknesses_of_server(settings).await {
        Ok(found) => {
            if let Err(wrong) = risks::durability(&found) {
                risks::warn_of("durability", &wrong);
            }
        }
        Err(error) => tracing::debug!(%error, "the database's settings were not looked at"),
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

/// Notes how far the database has come. A disk without room is no reason not to start: reads go on.
async fn mark_history(db: &Db, settings: &Settings) {
    if let Some(marks) = Marks::of(&settings.database)
        && let Err(error) = history::mark(db, &marks).await
    {
        tracing::warn!(%error, "how far the database has come was not noted");
    }
}

/// Opens the doors if that has not been done, as often as it takes.
async fn open_at_last(
    parts: &Parts,
    settings: &Settings,
    (mut opened, mut outage): (Option<SetupLink>, Outage),
    announce: &dyn Fn(&str),
) -> Result<()> {
    let link = loop {
        match opened {
            Some(link) => break link,
            None => rt::time::sleep(RETRY).await,
        }
        let attempt = async {
            parts.sessions.db.migrate().await?;
            open_doors(parts, settings).await
        };
        opened = or_away(&mut outage, attempt.await)?;
    };
    risks::warn(settings);
    tracing::info!("serving");
    if let Some(link) = link {
        // The last of the first lines, also where the log goes to the same terminal.
        output::stderr().flush();
        announce(&welcome(&link));
    }
    Ok(())
}

/// Does what has to be done again and again.
async fn look_after(parts: &Parts, settings: &Settings, anchors: &Anchors) -> Result<()> {
    tokio::join!(
        warn_of_database(&parts.sessions, settings),
        parts.news.run(),
        flush_touches(&parts.sessions),
        follow_the_clock(&parts.sessions),
        anchors.now_and_then(),
        sweep_now_and_then(&parts.sessions.db, settings)
    );
    Ok(())
}

async fn flush_touches(sessions: &Sessions) {
    let mut outage = Outage::new("writing the activity of sessions");
    loop {
        rt::time::sleep(touch::FLUSH_INTERVAL).await;
        // Nothing to write proves nothing.
        if !sessions.touches.is_empty() {
            outage.see(sessions.touches.flush(&sessions.db).await);
        }
    }
}

/// Follows the database's clock. Times that were stored while it was ahead become now: at the start, since it may have been
/// put right meanwhile, and when it goes back.
async fn follow_the_clock(sessions: &Sessions) {
    let mut measuring = Outage::new("measuring the clock");
    let mut settling = Outage::new("setting stored times in the future to now");
    settling.see(sessions.db.settle_future().await);
    loop {
        let _ = rt::time::timeout(CLOCK_INTERVAL, sessions.clock.doubted()).await;
        let moved = measuring.see(sessions.db.measure_clock(&sessions.clock).await);
        if sessions.clock.has_met_future() || moved.is_some_and(|moved| moved <= WENT_BACK) {
            settling.see(sessions.db.settle_future().await);
        }
        rt::time::sleep(RETRY).await;
    }
}

async fn sweep_now_and_then(db: &Db, settings: &Settings) {
    let Some(every) = settings.prune_interval else { return };
    let address_ttl = settings.address_ttl;
    let mut sessions = Outage::new("sweeping sessions");
    let mut counts = Outage::new("deleting old counts of wrong passwords");
    let mut drafts = Outage::new("deleting old drafts");
    let mut repeated = Outage::new("summing up repeated events");
    let mut devices = Outage::new("deleting old devices");
    let mut addresses = Outage::new("wiping old addresses");
    let mut events = Outage::new("removing old audit events");
    loop {
        match sessions.see(sweep::sweep(db).await) {
            Some(swept) if swept != sweep::Swept::default() => {
                tracing::info!(ended = swept.ended, deleted = swept.deleted, "swept");
            }
            _ => {}
        }
        counts.see(throttle::count::sweep(db, address_ttl).await);
        drafts.see(draft::sweep::sweep(db).await);
        repeated.see(repeats::sweep(db).await);
        devices.see(device::sweep::sweep(db).await);
        if let Some(wiped @ 1..) = addresses.see(sweep::wipe_addresses(db, address_ttl).await) {
            tracing::info!(wiped, "old addresses were wiped");
        }
        if let Some(removed @ 1..) = events.see(retention::sweep(db, settings.audit_ttl).await) {
            tracing::info!(removed, "old audit events were removed");
        }
        rt::time::sleep(every).await;
    }
}

/// SIGHUP: the files of the certificate are read again. Without any there is nothing to do.
async fn follow_the_certificate(hangup: &mut Signal, certificate: Option<&Certificate>) {
    while hangup.recv().await.is_some() {
        match certificate.map(Certificate::read_again) {
            Some(Ok(())) => tracing::info!("the certificate was read again"),
            Some(Err(error)) => tracing::error!(%error, "the certificate was not changed"),
            None => tracing::info!("SIGHUP: there is no certificate to read again"),
        }
    }
    std::future::pending().await
}

fn hear(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| Error::Internal(error.into()))
}
