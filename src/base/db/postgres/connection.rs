//! One PostgreSQL connection: what is set and checked before it is used, and the task that drives it.
//!
//! Invariant: a connection is used only if it leads to a primary. A server in recovery lags behind, so that it could bring
//! back a session that has ended; it is refused for reads too, whatever the URL says.

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

use super::refusal::ConnectError;
use crate::base::database_url::{options::ENFORCE_FOREIGN_KEYS, postgres::causes};

/// A connection and what its server has said beside its answers.
pub struct Connection {
    inner: AsyncPgConnection,
    driver: Driver,
}

/// The task that drives a connection. It ends when this is dropped, whatever the server is doing then.
pub struct Driver {
    /// See [`Connection::warnings`].
    warnings: Arc<AtomicU64>,
    ended: oneshot::Receiver<String>,
    _stop: oneshot::Sender<()>,
}

/// Hears the notifications of a connection, if anybody wants to.
pub(super) type Listener = Arc<Option<Box<dyn Fn(&str) + Send + Sync>>>;

impl Driver {
    /// Waits until the connection has ended; why it did.
    pub(super) async fn ended(&mut self) -> String {
        (&mut self.ended).await.unwrap_or_else(|_| "its task is gone".to_owned())
    }
}

impl Connection {
    /// Makes one of a client that has been prepared.
    pub(super) async fn new(client: Client, driver: Driver) -> Result<Self, ConnectError> {
        let inner = AsyncPgConnection::try_from(client).await.map_err(|error| ConnectError::away(error.to_string()))?;
        Ok(Self { inner, driver })
    }

    /// How many commits so far may not have reached the synchronous standby: PostgreSQL says COMMIT to one whose wait for it
    /// was cancelled, and only warns.
    pub fn warnings(&self) -> u64 {
        self.driver.warnings.load(Ordering::Acquire)
    }

    /// The connection alone; it works as long as the second part is kept.
    pub fn into_parts(self) -> (AsyncPgConnection, Driver) {
        (self.inner, self.driver)
    }

    /// Whether it has closed, or was left in the middle of a transaction.
    pub fn is_broken(&mut self) -> bool {
        self.inner.is_broken()
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

/// Drives a connection on the runtime that polls this.
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
    let counted = Arc::clone(&warnings);
    tokio::spawn(async move {
        let mut messages = stream::poll_fn(|context| connection.poll_message(context));
        let cause = loop {
            let message = tokio::select! {
                _ = &mut stopped => return,
                message = messages.next() => message,
            };
            match message {
                // Counted before the answer that follows it is passed on.
                Some(Ok(AsyncMessage::Notice(notice))) if is_about_the_standby(&notice) => {
                    counted.fetch_add(1, Ordering::Release);
                }
                Some(Ok(AsyncMessage::Notification(notification))) => {
                    if let Some(hear) = &*listener {
                        hear(notification.payload());
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => break causes(&error),
                None => break "it was closed".to_owned(),
            }
        };
        // Nobody need wait for it.
        let _ = end.send(cause);
    });
    Driver { warnings, ended, _stop: stop }
}

/// Told by the function in the server's source, since the words are in the server's language and the code is that of every
/// warning; a server that does not name it is believed to mean this.
fn is_about_the_standby(notice: &DbError) -> bool {
    let is_warning = notice.code().code().starts_with("01") || *notice.code() == SqlState::ADMIN_SHUTDOWN;
    is_warning && notice.routine().is_none_or(|routine| routine == "SyncRepWaitForLSN")
}

/// Sets what every session starts with and makes sure that the server is a primary, in one round trip. PgBouncer takes no
/// `options` in the startup packet, so they are set here.
pub(super) async fn prepare(client: &Client, settings: &[(String, String)]) -> Result<(), ConnectError> {
    let set: String = settings
        .iter()
        .map(|(name, value)| format!("set_config({}, {}, false), ", literal(name), literal(value)))
        .collect();
    let asked = client.simple_query(&format!("SELECT {set}{ENFORCE_FOREIGN_KEYS}, pg_is_in_recovery()")).await;
    let answer = asked.map_err(|error| ConnectError::of(&error))?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(settings.len() + 1),
        _ => None,
    });
    match row {
        Some("f") => Ok(()),
        Some("t") => Err(ConnectError::away(
            "the server is a standby in recovery, which is used for nothing, not even for reads: name the primary, or promote it",
        )),
        _ => Err(ConnectError::away("the server did not say whether it is a primary")),
    }
}

/// The process that serves a connection just now.
pub(super) async fn backend(client: &Client) -> Option<String> {
    let answer = client.simple_query("SELECT pg_backend_pid()").await.ok()?;
    answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}

/// A constant of PostgreSQL (15, section 4.1.2.2).
pub(super) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
