//! `sessile serve`: binds the address, prints the start-up lines, serves until SIGTERM or SIGINT, and writes the last
//! touches. Called by the commands and by tests.
//!
//! Invariant: if the database is unavailable at the start, the node starts anyway, answers 503, and recovers by itself.

use std::io::{IsTerminal as _, stdout};
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;

use actix_web::rt;
use rustix::process::Signal as Signo;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    anchors::Anchors,
    app::Parts,
    jobs, listener, risks,
    shutdown::{Signals, drain},
    start::{self, Bound, SetupLink},
    tls::Certificate,
};
use crate::{
    base::{
        brand::Brand,
        db::inspect::Inspection,
        error::{Error, Result},
        outage::Outage,
        output,
        settings::Settings,
    },
    web::limits::Limits,
};

/// The stop signals and the output of a server.
pub struct Host {
    /// Tells the server when to stop.
    pub signals: Signals,
    /// Prints a line on stdout.
    pub announce: Box<dyn Fn(&str)>,
}

/// Serves until SIGTERM or SIGINT, and prints on stdout.
///
/// # Errors
/// When the address cannot be bound, or a check of the database forbids the start.
pub async fn run(settings: Settings) -> Result<()> {
    let signals = Signals::listen()?;
    // Handle SIGXFSZ, so that a log file at its size limit (`ulimit -f`) fails the write instead of ending the process.
    let _file_too_large = listen_for(SignalKind::from_raw(Signo::XFSZ.as_raw()))?;
    // Queue the lines, so that a stalled reader of stdout does not block the server.
    let announce = Box::new(|line: &str| output::stdout().send(format!("{line}\n").into_bytes()));
    run_on(settings, Limits::default(), Host { signals, announce }).await
}

/// Serves until `host` signals the end. Tests pass shorter limits.
///
/// # Errors
/// Like [`run`].
pub async fn run_on(settings: Settings, limits: Limits, host: Host) -> Result<()> {
    let Host { mut signals, announce } = host;
    let mut hangup = listen_for(SignalKind::hangup())?;
    // Report a bad logo before anything is created.
    Brand::read(&settings.brand)?;
    let certificate = settings.tls.as_ref().map(Certificate::read).transpose()?;
    Inspection::check_servers(&settings).await?;
    let mut outage = Outage::new("opening the database");
    let (db, keys, answers) = start::open(&settings, &mut outage).await?;
    let (listener, bound) = bind(&settings)?;
    let parts = start::assemble(&settings, db, keys, limits, bound)?;
    let opened = if answers { start::try_to_open_doors(&parts, &settings, &mut outage).await? } else { None };
    let tls = certificate.as_ref().map(Certificate::config).transpose()?;
    let server = listener::serve(&parts, listener, (settings.workers, bound.connections), tls)?;
    let handle = server.handle();
    let serving = rt::spawn(server);
    announce(&format!("sessile: listening on {}", listening_at(&parts, &settings, bound.address)));
    let anchors = Anchors::new(parts.sessions.db.clone(), parts.site.keys.trail().clone());
    let result = {
        let mut background = pin!(async {
            finish_opening(&parts, &settings, (opened, outage), &*announce).await?;
            jobs::run(&parts, &settings, &anchors).await;
            Ok(())
        });
        tokio::select! {
            ended = &mut background => ended,
            ended = serving => ended.map_err(Error::bug)?.map_err(|error| Error::Internal(error.into())),
            () = reload_certificate_on_hangup(&mut hangup, certificate.as_deref()) => Ok(()),
            // The background jobs continue while requests are drained, so touches are still written.
            asked = signals.next() => tokio::select! {
                ended = &mut background => ended,
                () = drain(&parts, &handle, asked, &mut signals) => Ok(()),
            },
        }
        // The background jobs are dropped here, because the final writes below need their database connections.
    };
    parts.hub.close();
    handle.stop(true).await;
    write_last(&parts, &settings, &anchors).await;
    result
}

fn bind(settings: &Settings) -> Result<(TcpListener, Bound)> {
    let listener = TcpListener::bind(settings.listen)
        .map_err(|error| Error::Invalid(format!("SESSILE_LISTEN: cannot listen on {}: {error}", settings.listen)))?;
    let address = listener.local_addr().map_err(Error::bug)?;
    Ok((listener, Bound { address, connections: listener::most_connections() }))
}

/// Waits for the database if the start could not open it, then prints the setup link if there is one.
async fn finish_opening(
    parts: &Parts,
    settings: &Settings,
    (opened, mut outage): (Option<SetupLink>, Outage),
    announce: &dyn Fn(&str),
) -> Result<()> {
    let link = match opened {
        Some(link) => link,
        None => start::open_doors_when_it_answers(parts, settings, &mut outage).await?,
    };
    risks::warn(settings);
    tracing::info!("serving");
    if let Some(link) = link {
        // Flush the log first, so that the link comes last on a terminal that shows both.
        output::stderr().flush();
        announce(&setup_line(&link));
    }
    Ok(())
}

/// Writes the remaining touches, the last digest and the history mark, after the last request.
async fn write_last(parts: &Parts, settings: &Settings, anchors: &Anchors) {
    parts.sessions.db.leave().await;
    // The queued touches belong to requests that have been answered.
    if let Err(error) = parts.sessions.touches.flush(&parts.sessions.db).await {
        tracing::warn!(%error, "writing the last touches failed");
    }
    if parts.site.is_ready() {
        anchors.last().await;
        start::mark_history(&parts.sessions.db, settings).await;
    }
}

/// The address for the first line of output. A terminal without `SESSILE_PUBLIC_URL` gets the default origin, which the
/// setup link uses too. Other readers get the bound address.
fn listening_at(parts: &Parts, settings: &Settings, address: SocketAddr) -> String {
    if stdout().is_terminal() && settings.public_url.is_none() && address.ip().is_loopback() {
        return parts.site.public.origin().to_owned();
    }
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// The line with the setup link. On a terminal a box surrounds the line, so that people notice it.
fn setup_line(link: &str) -> String {
    let line = format!("sessile: create the owner at {link}");
    if !stdout().is_terminal() {
        return line;
    }
    let bar = "─".repeat(line.chars().count() + 2);
    format!("╭{bar}╮\n│ {line} │\n╰{bar}╯")
}

/// Reads the certificate files again at each SIGHUP. Never returns.
async fn reload_certificate_on_hangup(hangup: &mut Signal, certificate: Option<&Certificate>) {
    while hangup.recv().await.is_some() {
        match certificate.map(Certificate::read_again) {
            Some(Ok(())) => tracing::info!("the certificate was read again"),
            Some(Err(error)) => tracing::error!(%error, "reloading the certificate failed"),
            None => tracing::info!("SIGHUP ignored: no certificate is configured"),
        }
    }
    std::future::pending().await
}

fn listen_for(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| Error::Internal(error.into()))
}
