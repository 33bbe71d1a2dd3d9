//! The end of `serve`: who asked for it, and in which order things stop. Called by [`serve`](crate::serve::run).
//!
//! Invariant: readiness is off before a connection is refused, and whatever was accepted has time to be answered.

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

/// How long requests may take to end when the program is asked to, in seconds.
pub const LAST_REQUESTS: u64 = 10;
/// How long a balancer has to notice that this node is not ready any more.
const NOTICE: Duration = Duration::from_secs(2);

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A supervisor, by SIGTERM: a balancer may still send requests.
    BySupervisor,
    /// Somebody at a terminal, by SIGINT, who wants it to be over.
    AtTerminal,
}

/// Where it is heard that the program is to stop.
pub enum Signals {
    /// SIGTERM and SIGINT.
    OfProcess {
        /// SIGTERM.
        terminate: Signal,
        /// SIGINT.
        interrupt: Signal,
    },
    /// What another thread of the process says.
    OfThread(UnboundedReceiver<Asked>),
}

impl Signals {
    /// Those of the process, heard from now on.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn listen() -> Result<Self> {
        let hear = |kind| signal(kind).map_err(|error| Error::Internal(error.into()));
        Ok(Self::OfProcess { terminate: hear(SignalKind::terminate())?, interrupt: hear(SignalKind::interrupt())? })
    }

    /// The next of them.
    pub async fn next(&mut self) -> Asked {
        match self {
            Self::OfProcess { terminate, interrupt } => tokio::select! {
                _ = terminate.recv() => Asked::BySupervisor,
                _ = interrupt.recv() => Asked::AtTerminal,
            },
            Self::OfThread(said) => match said.recv().await {
                Some(asked) => asked,
                None => std::future::pending().await,
            },
        }
    }
}

/// Turns readiness off; for a supervisor waits until that has been noticed, or until the next signal; then ends the
/// open streams, which would not end by themselves, stops accepting, and returns when what is under way has ended, at
/// most [`LAST_REQUESTS`] later.
pub async fn drain(parts: &Parts, server: &ServerHandle, asked: Asked, signals: &mut Signals) {
    parts.readiness.stop();
    tracing::info!("stopping");
    if asked == Asked::BySupervisor {
        tokio::select! {
            () = rt::time::sleep(NOTICE) => {}
            _ = signals.next() => {}
        }
    }
    tracing::info!("accepting no more");
    parts.news.close();
    server.stop(true).await;
}
