//! `sessile serve`: binds, prints its lines, answers until SIGTERM or SIGINT, and writes the last touches.
//!
//! Invariant: a node whose database is away comes up all the same, answers 503, and recovers by itself.

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
        db::inspect::Inspection,
        error::{Error, Result},
        outage::Outage,
        output,
        settings::Settings,
    },
    web::limits::Limits,
};

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
    // A log file at the limit of file sizes (`ulimit -f`) ends a process that does not handle this. Handled, the write
    // fails.
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
        let mut looking_after = pin!(async {
            open_at_last(&parts, &settings, (opened, outage), &*announce).await?;
            jobs::run(&parts, &settings, &anchors).await;
            Ok(())
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
    write_the_last(&parts, &settings, &anchors).await;
    result
}

fn bind(settings: &Settings) -> Result<(TcpListener, Bound)> {
    let listener = TcpListener::bind(settings.listen).map_err(|error| {
        Error::Invalid(format!("SESSILE_LISTEN: {} cannot be listened on: {error}", settings.listen))
    })?;
    let address = listener.local_addr().map_err(Error::bug)?;
    Ok((listener, Bound { address, connections: listener::most_connections() }))
}

/// Opens the doors if the start could not.
async fn open_at_last(
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
        // The last of the first lines, also where the log goes to the same terminal.
        output::stderr().flush();
        announce(&welcome(&link));
    }
    Ok(())
}

/// The last writes, once no request is under way any more.
async fn write_the_last(parts: &Parts, settings: &Settings, anchors: &Anchors) {
    // What is queued is the activity of requests that have been answered.
    if let Err(error) = parts.sessions.touches.flush(&parts.sessions.db).await {
        tracing::warn!(%error, "the last touches were not written");
    }
    if parts.site.is_ready() {
        anchors.last().await;
        start::mark_history(&parts.sessions.db, settings).await;
    }
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

/// The line with the link; at a terminal in a box, so that nobody overlooks it.
fn welcome(link: &str) -> String {
    let line = format!("sessile: create the owner at {link}");
    if !stdout().is_terminal() {
        return line;
    }
    let bar = "─".repeat(line.chars().count() + 2);
    format!("╭{bar}╮\n│ {line} │\n╰{bar}╯")
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
