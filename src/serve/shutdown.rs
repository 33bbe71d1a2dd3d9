//! The shutdown of `serve`: its signals and its order. Called by [`run`](crate::serve::run).
//!
//! Invariant: `/readyz` answers 503 before the first connection is refused, and accepted requests have time to finish.

use std::time::Duration;

use actix_web::{dev::ServerHandle, rt};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc::UnboundedReceiver,
};

use crate::{
    base::error::{Error, Result},
    serve::app::Parts,
};

/// How many seconds requests may take to finish during shutdown.
pub const LAST_REQUESTS: u64 = 10;
/// How long a load balancer has to notice that this node is not ready.
const NOTICE: Duration = Duration::from_secs(2);

/// The sender of a request to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM from a supervisor. A load balancer may still send requests.
    BySupervisor,
    /// SIGINT from a terminal. The person wants the program to stop soon.
    AtTerminal,
}

/// The channel that delivers requests to stop.
pub enum Signals {
    /// The signals of the process.
    OfProcess { terminate: Signal, interrupt: Signal },
    /// Messages from another thread, for tests.
    OfThread(UnboundedReceiver<Asked>),
}

impl Signals {
    /// Installs handlers for SIGTERM and SIGINT.
    pub fn listen() -> Result<Self> {
        let listen_for = |kind| signal(kind).map_err(|error| Error::Internal(error.into()));
        Ok(Self::OfProcess {
            terminate: listen_for(SignalKind::terminate())?,
            interrupt: listen_for(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next request to stop.
    pub async fn next(&mut self) -> Asked {
        match self {
            Self::OfProcess { terminate, interrupt } => tokio::select! {
                _ = terminate.recv() => Asked::BySupervisor,
                _ = interrupt.recv() => Asked::AtTerminal,
            },
            Self::OfThread(requests) => match requests.recv().await {
                Some(asked) => asked,
                None => std::future::pending().await,
            },
        }
    }
}

/// Stops serving. Turns readiness off. After SIGTERM, waits `NOTICE` or until the next signal. Then closes the event
/// streams, which would not end by themselves, and stops accepting connections. Returns when the remaining requests
/// have finished, after at most [`LAST_REQUESTS`] seconds.
pub async fn drain(parts: &Parts, server: &ServerHandle, asked: Asked, signals: &mut Signals) {
    parts.readiness.stop();
    tracing::info!("stopping");
    if asked == Asked::BySupervisor {
        tokio::select! {
            () = rt::time::sleep(NOTICE) => {}
            _ = signals.next() => {}
        }
    }
    tracing::info!("no longer accepting connections");
    parts.hub.close();
    server.stop(true).await;
}
