//! Connecting to PostgreSQL, without libpq: the URL, the settings every connection starts with, and the pool. Called by
//! the pools of `db`, and by the settings to check a URL. No message from here holds a password.

mod hosts;
pub(super) mod listen;
#[cfg(test)]
mod tests;
mod tls;
mod url;

use std::error::Error as _;
use std::time::{Duration, Instant};

use deadpool::Runtime;
use diesel::{ConnectionError, ConnectionResult};
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::deadpool::{BuildError, Pool};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A transaction in which nothing happens is ended after two deadlines of a statement, but not before this.
const SHORTEST_IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);

/// How often a silent connection is asked whether its other end is still there.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// What tokio-postgres has unless the URL says otherwise: two hours.
const LIBRARYS_KEEPALIVE: Duration = Duration::from_secs(2 * 60 * 60);

/// How to connect: a URL that has been parsed once, certificates that have been read once.
#[derive(Clone)]
pub struct ConnectPlan {
    config: Config,
    tls: MakeRustlsConnect,
    connect_timeout: Duration,
    /// When a later host last took the place of one that hangs.
    replaced: watch::Sender<Option<Instant>>,
}

impl ConnectPlan {
    /// Parses a `postgres://` URL as libpq does (PostgreSQL 15, section 34.1.1.2), and reads the file of its
    /// `sslrootcert`. The server ends a statement after `statement_timeout`; a connection is given up after
    /// `connect_timeout`, of which every host of the URL gets its share, or the URL's own `connect_timeout` if that is
    /// less.
    ///
    /// # Errors
    /// One line that says what is wrong with the URL, without its password.
    pub fn parse(url: &str, statement_timeout: Duration, connect_timeout: Duration) -> Result<Self, String> {
        let url::Parsed { mut config, trust } = url::parse(url)?;
        let options = startup_options(config.get_options(), statement_timeout);
        config.options(options);
        if config.get_application_name().is_none() {
            config.application_name("sessile");
        }
        if config.get_tcp_user_timeout().is_none() {
            // A host that vanished without a word is noticed as soon as a statement would have been given up.
            config.tcp_user_timeout(statement_timeout.max(connect_timeout));
        }
        if config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_))) {
            // As in libpq: a socket of this machine is not encrypted, whatever sslmode says.
            config.ssl_mode(SslMode::Disable);
        }
        if config.get_keepalives_idle() == LIBRARYS_KEEPALIVE {
            // One that vanished while a commit waits owes nothing that this would notice.
            config.keepalives_idle(KEEPALIVE * 2).keepalives_interval(KEEPALIVE);
        }
        let plan = Self { config, tls: tls::connector(trust)?, connect_timeout, replaced: watch::Sender::new(None) };
        Ok(plan.within(connect_timeout))
    }

    /// When a later host last took the place of one that hangs: that takes connections and says nothing.
    pub(super) fn replaced(&self) -> watch::Receiver<Option<Instant>> {
        self.replaced.subscribe()
    }

    /// Opens one connection, to the first host that is as it should be. Its driver runs on the runtime that polls this,
    /// and ends with it.
    ///
    /// # Errors
    /// When no host answers in time as it should. The text holds every cause, on one line.
    pub async fn connect(&self) -> ConnectionResult<AsyncPgConnection> {
        let hosts = hosts::each(&self.config);
        let share = self.connect_timeout / u32::try_from(hosts.len()).unwrap_or(u32::MAX).max(1);
        let mut causes = Vec::new();
        let mut hangs = false;
        for host in hosts {
            // The timeout inside covers the TCP connection only, not what a hung server owes afterwards.
            match tokio::time::timeout(share, self.connect_to(&host)).await {
                Ok(Ok(connection)) => {
                    if hangs {
                        self.replaced.send_replace(Some(Instant::now()));
                    }
                    return Ok(connection);
                }
                Ok(Err(error)) => causes.push(error.to_string()),
                Err(_) => {
                    hangs = true;
                    causes.push(format!("no connection within {share:?}"));
                }
            }
        }
        Err(ConnectionError::BadConnection(causes.join("; ")))
    }

    async fn connect_to(&self, host: &Config) -> ConnectionResult<AsyncPgConnection> {
        let (client, connection) =
            host.connect(self.tls.clone()).await.map_err(|error| ConnectionError::BadConnection(causes(&error)))?;
        AsyncPgConnection::try_from_client_and_connection(client, connection).await
    }

    /// The same plan, given up no later than after `limit`.
    fn within(mut self, limit: Duration) -> Self {
        self.connect_timeout = self.connect_timeout.min(limit);
        let hosts = u32::try_from(self.config.get_hosts().len()).unwrap_or(u32::MAX).max(1);
        let share = self.connect_timeout / hosts;
        let own = self.config.get_connect_timeout().copied();
        self.config.connect_timeout(own.map_or(share, |own| own.min(share)));
        self
    }
}

/// A pool of at most `size` connections that live on `runtime`, opened when they are needed. A request waits at most
/// `wait` for a free one, and at most `wait` more if it has to be opened. A connection that is closed, or was left in a
/// transaction, is not handed out again; one that dies unnoticed fails the first statement.
///
/// # Errors
/// None in practice: the builder insists on a runtime, which is given.
pub fn pool(
    plan: ConnectPlan,
    size: usize,
    wait: Duration,
    runtime: Handle,
) -> Result<Pool<AsyncPgConnection>, BuildError> {
    let plan = plan.within(wait);
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |_| {
        let plan = plan.clone();
        let connecting = runtime.spawn(async move { plan.connect().await });
        connecting
            .map(|joined| joined.unwrap_or_else(|error| Err(ConnectionError::BadConnection(error.to_string()))))
            .boxed()
    });
    // The manager's own URL is not used, so it is not given one to show.
    let manager = AsyncDieselConnectionManager::new_with_config("", config);
    Pool::builder(manager)
        .max_size(size)
        .wait_timeout(Some(wait))
        .create_timeout(Some(wait))
        .recycle_timeout(Some(wait))
        .runtime(Runtime::Tokio1)
        .build()
}

/// What every session starts with, after the options of the URL, which it overrides.
fn startup_options(own: Option<&str>, statement_timeout: Duration) -> String {
    let idle = statement_timeout.saturating_mul(2).max(SHORTEST_IDLE_IN_TRANSACTION);
    format!(
        "{}{}-c statement_timeout={} -c idle_in_transaction_session_timeout={} -c default_transaction_isolation=read\\ committed",
        own.unwrap_or_default(),
        if own.is_some() { " " } else { "" },
        milliseconds(statement_timeout),
        milliseconds(idle),
    )
}

/// As PostgreSQL takes it; 0 would mean never.
fn milliseconds(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX).max(1)
}

/// An error with everything that caused it, which its Display alone leaves out.
fn causes(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.replace('\n', " ")
}
