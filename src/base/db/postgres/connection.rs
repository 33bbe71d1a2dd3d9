//! One PostgreSQL connection: its session settings, its checks, and the task that drives it. Called by the connect
//! plan.
//!
//! Invariant: only connections to a primary are used, even for reads and whatever the URL allows. A server in recovery
//! lags behind, so an ended session could look live there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use diesel_async::{AsyncPgConnection, pooled_connection::PoolableConnection as _};
use futures_util::{StreamExt as _, stream};
use tokio::sync::oneshot;
use tokio_postgres::{
    AsyncMessage, Client, SimpleQueryMessage,
    error::{DbError, SqlState},
    tls::TlsStream,
};

use super::{
    refusal::ConnectError,
    timeline::{LatestTimeline, Timeline},
};
use crate::base::database_url::{options::ENFORCE_FOREIGN_KEYS, postgres::causes};

/// A connection, with a count of its server's warnings.
pub struct Connection {
    inner: AsyncPgConnection,
    driver: Driver,
}

/// Handle of the task that drives a connection. The task ends when the handle is dropped, whatever the server is doing.
pub struct Driver {
    /// See [`Connection::warnings`].
    warnings: Arc<AtomicU64>,
    ended: oneshot::Receiver<String>,
    _stop: oneshot::Sender<()>,
    /// The timeline of its server, if that is known, and the latest of all connections.
    timeline: Option<(Timeline, LatestTimeline)>,
}

/// The callback for a connection's notifications, if any.
pub(super) type Listener = Arc<Option<Box<dyn Fn(&str) + Send + Sync>>>;

impl Driver {
    /// Waits until the connection ends or its server has been replaced, and returns the cause.
    pub(super) async fn ended(&mut self) -> String {
        let replaced = async {
            match &self.timeline {
                Some((timeline, latest)) => latest.passes(timeline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            cause = &mut self.ended => cause.unwrap_or_else(|_| "the task of the connection has ended".to_owned()),
            () = replaced => "another server has been promoted".to_owned(),
        }
    }

    /// Sets the timeline of the connection's server.
    pub(super) fn set_timeline(&mut self, timeline: Timeline, latest: LatestTimeline) {
        self.timeline = Some((timeline, latest));
    }
}

impl Connection {
    /// Wraps a client that has been prepared.
    pub(super) async fn new(client: Client, driver: Driver) -> Result<Self, ConnectError> {
        let inner = AsyncPgConnection::try_from(client).await.map_err(|error| ConnectError::away(error.to_string()))?;
        Ok(Self { inner, driver })
    }

    /// How many commits so far may not have reached the synchronous standby, or the worker of a Citus cluster. If a
    /// commit's wait for the standby is cancelled, or a worker goes away before it has committed, the server still reports
    /// success and only sends a warning.
    pub fn warnings(&self) -> u64 {
        self.driver.warnings.load(Ordering::Acquire)
    }

    /// Splits the connection. It works as long as the driver is kept.
    pub fn into_parts(self) -> (AsyncPgConnection, Driver) {
        (self.inner, self.driver)
    }

    /// Whether the connection is closed or has an open transaction.
    pub fn is_broken(&mut self) -> bool {
        self.inner.is_broken()
    }

    /// Whether another server has been promoted since the connection was opened.
    pub fn is_replaced(&self) -> bool {
        self.driver.timeline.as_ref().is_some_and(|(timeline, latest)| latest.is_past(timeline))
    }
}

impl std::ops::Deref for Connection {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        &self.inner
    }
}

impl std::ops::DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        &mut self.inner
    }
}

/// Spawns a task that drives the connection on the current runtime.
pub(super) fn drive<S>(
    mut connection: tokio_postgres::Connection<tokio_postgres::Socket, S>,
    listener: Listener,
) -> Driver
where
    S: TlsStream + Unpin + Send + 'static,
{
    let (stop, mut stopped) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let warnings = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&warnings);
    tokio::spawn(async move {
        let mut messages = stream::poll_fn(|context| connection.poll_message(context));
        let cause = loop {
            let message = tokio::select! {
                _ = &mut stopped => return,
                message = messages.next() => message,
            };
            match message {
                // Count the warning before the answer of its commit is passed on.
                Some(Ok(AsyncMessage::Notice(notice))) if doubts_commit(&notice) => {
                    counter.fetch_add(1, Ordering::Release);
                }
                Some(Ok(AsyncMessage::Notification(notification))) => {
                    if let Some(hear) = &*listener {
                        hear(notification.payload());
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => break causes(&error),
                None => break "the connection was closed".to_owned(),
            }
        };
        // Ignore the result: the receiver may be gone.
        let _ = end.send(cause);
    });
    Driver { warnings, ended, _stop: stop, timeline: None }
}

/// The functions of PostgreSQL and Citus that warn when a commit may not have reached the standby, or a worker.
const DOUBT_COMMIT: [&str; 2] = ["SyncRepWaitForLSN", "FinishRemoteTransactionCommit"];

/// Recognises the warning by the name of the server's source function: the text is in the server's language, and the
/// code is shared by all warnings. A warning without that name counts as well.
fn doubts_commit(notice: &DbError) -> bool {
    let is_warning = notice.code().code().starts_with("01") || *notice.code() == SqlState::ADMIN_SHUTDOWN;
    is_warning && notice.routine().is_none_or(|routine| DOUBT_COMMIT.contains(&routine))
}

/// Applies the session settings and checks that the server is a primary, in one round trip. PgBouncer rejects `options`
/// in the startup packet, so the settings are applied here.
pub(super) async fn prepare(client: &Client, settings: &[(String, String)]) -> Result<(), ConnectError> {
    let set: String = settings
        .iter()
        .map(|(name, value)| format!("set_config({}, {}, false), ", literal(name), literal(value)))
        .collect();
    let answer = client.simple_query(&format!("SELECT {set}{ENFORCE_FOREIGN_KEYS}, pg_is_in_recovery()")).await;
    let answer = answer.map_err(|error| ConnectError::of(&error))?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(settings.len() + 1),
        _ => None,
    });
    match row {
        Some("f") => Ok(()),
        Some("t") => Err(ConnectError::away(
            "the server is a standby in recovery, which cannot be used, not even for reads: name the primary, or promote it",
        )),
        _ => Err(ConnectError::away("the server did not report whether it is a primary")),
    }
}

/// The id of the server process that currently serves the connection.
pub(super) async fn backend(client: &Client) -> Option<String> {
    let answer = client.simple_query("SELECT pg_backend_pid()").await.ok()?;
    answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}

/// Quotes a string constant (PostgreSQL 15, section 4.1.2.2).
pub(super) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
