//! How to connect to PostgreSQL, without libpq. Called by the pools of `db`.
//!
//! Invariant: no message from here holds a password.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    connection::{self, Connection, Driver, Listener},
    refusal::ConnectError,
    timeline::{LatestTimeline, Timeline},
};
use crate::base::database_url::{self, hosts, options, postgres::Parsed, tls};

/// How often TCP keepalive checks that the other end of an idle connection is still there.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// The default of tokio-postgres: two hours.
const DEFAULT_KEEPALIVE: Duration = Duration::from_secs(2 * 60 * 60);

/// Time limit for detecting a pooler with a second connection.
const LOOK_FOR_POOLER: Duration = Duration::from_secs(1);

/// How to connect: the parsed URL and the certificates, each read once.
#[derive(Clone)]
pub struct ConnectPlan {
    config: Config,
    /// The settings that every session starts with.
    session: options::Settings,
    tls: MakeRustlsConnect,
    /// The hosts that keep a session on one server process, by index.
    keep_sessions: Arc<Mutex<Vec<usize>>>,
    connect_timeout: Duration,
    /// When a later host last replaced a host that hangs.
    replaced: watch::Sender<Option<Instant>>,
    latest: LatestTimeline,
}

impl ConnectPlan {
    /// Parses a `postgres://` URL as libpq does (PostgreSQL 15, section 34.1.1.2), and reads the file of its
    /// `sslrootcert`. The server ends a statement after `statement_timeout`. Connecting ends after `connect_timeout`,
    /// which the hosts of the URL share equally; the URL's own `connect_timeout` applies per host if it is shorter.
    ///
    /// # Errors
    /// One line that describes the problem, without the password.
    pub fn parse(url: &str, statement_timeout: Duration, connect_timeout: Duration) -> Result<Self, String> {
        let Parsed { mut config, trust, search_path } = database_url::postgres::parse(url)?;
        let session = options::session(config.get_options(), search_path.as_deref(), statement_timeout)?;
        if config.get_application_name().is_none() {
            config.application_name("sessile");
        }
        if config.get_tcp_user_timeout().is_none() {
            // Notice a host that vanished as soon as a statement would time out.
            config.tcp_user_timeout(statement_timeout.max(connect_timeout));
        }
        if config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_))) {
            // As in libpq, a Unix socket is not encrypted, whatever sslmode is set.
            config.ssl_mode(SslMode::Disable);
        }
        if config.get_keepalives_idle() == DEFAULT_KEEPALIVE {
            // While a commit waits for its answer, no data is unacknowledged. Only keepalive then notices that the host
            // vanished.
            config.keepalives_idle(KEEPALIVE * 2).keepalives_interval(KEEPALIVE);
        }
        let plan = Self {
            config,
            session,
            tls: tls::connector(trust)?,
            keep_sessions: Arc::default(),
            connect_timeout,
            replaced: watch::Sender::new(None),
            latest: LatestTimeline::default(),
        };
        Ok(plan.within(connect_timeout))
    }

    /// The same plan, for connections that are compared with others that share `latest`.
    #[must_use]
    pub fn comparing(self, latest: &LatestTimeline) -> Self {
        Self { latest: latest.clone(), ..self }
    }

    /// The search path of the URL, in PostgreSQL's syntax.
    pub fn search_path(&self) -> Option<&str> {
        options::search_path(&self.session)
    }

    /// When a later host last replaced a host that hangs, that is, a host that accepts connections but does not answer.
    pub fn replaced(&self) -> watch::Receiver<Option<Instant>> {
        self.replaced.subscribe()
    }

    /// Opens a connection to the first usable host. Its driver runs on the current runtime, and ends with it.
    ///
    /// # Errors
    /// When no host is usable in time. The text holds the cause of each host, on one line.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let (client, driver) = self.open(&Listener::default()).await?;
        Connection::new(client, driver).await
    }

    /// Like [`connect`](Self::connect), but without diesel. `listener` receives the notifications.
    pub(super) async fn open(&self, listener: &Listener) -> Result<(Client, Driver), ConnectError> {
        let hosts = hosts::each(&self.config);
        let share = self.connect_timeout / u32::try_from(hosts.len()).unwrap_or(u32::MAX).max(1);
        let several = hosts.len() > 1;
        let mut errors = Vec::new();
        let mut hangs = false;
        for (n, host) in hosts.iter().enumerate() {
            // The timeout of tokio-postgres covers the TCP connection only, not a handshake with a server that hangs.
            let error = match tokio::time::timeout(share, self.open_host(n, host, listener)).await {
                Ok(Ok(opened)) => {
                    if hangs {
                        self.replaced.send_replace(Some(Instant::now()));
                    }
                    return Ok(opened);
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    hangs = true;
                    ConnectError::away(format!("no connection within {share:?}"))
                }
            };
            errors.push(if several { error.at(&hosts::name(host)) } else { error });
        }
        Err(ConnectError::all(errors))
    }

    async fn open_host(&self, n: usize, host: &Config, listener: &Listener) -> Result<(Client, Driver), ConnectError> {
        let (client, mut driver) = self.open_bare(host, listener).await?;
        self.look_for_pooler(n, host, &client).await?;
        connection::prepare(&client, &self.session).await?;
        if let Some(timeline) = Timeline::of(&client).await {
            if !self.latest.admit(&timeline) {
                return Err(ConnectError::away(
                    "the server is a former primary: another server has been promoted since, so stop this one",
                ));
            }
            driver.set_timeline(timeline, self.latest.clone());
        }
        Ok((client, driver))
    }

    async fn open_bare(&self, host: &Config, listener: &Listener) -> Result<(Client, Driver), ConnectError> {
        let (client, connection) = host.connect(self.tls.clone()).await.map_err(|error| ConnectError::of(&error))?;
        Ok((client, connection::drive(connection, Arc::clone(listener))))
    }

    /// Refuses a pooler that runs each transaction of a session on another server process: settings and prepared
    /// statements would reach other sessions, and a transaction could run on a standby. Checks each host once, before
    /// any setting is applied: each of two connections must stay on its own process.
    async fn look_for_pooler(&self, n: usize, host: &Config, client: &Client) -> Result<(), ConnectError> {
        if self.keep_sessions.lock().unwrap_or_else(PoisonError::into_inner).contains(&n) {
            return Ok(());
        }
        let looking = async {
            let (other, _driver) = self.open_bare(host, &Listener::default()).await.ok()?;
            let mut processes = Vec::new();
            for client in [client, &other, client, &other, client, &other] {
                processes.push(connection::backend(client).await?);
            }
            let keeps = |n: usize| processes.iter().skip(n).step_by(2).all(|process| *process == processes[n]);
            Some(keeps(0) && keeps(1) && processes[0] != processes[1])
        };
        // If no second connection can be opened, nothing is proven, and the next connection checks again.
        match tokio::time::timeout(LOOK_FOR_POOLER, looking).await {
            Ok(Some(false)) => Err(ConnectError::unusable(
                "the database is behind a pooler in transaction or statement mode, which cannot be used: set \
                 pool_mode=session, or connect to PostgreSQL directly (DATABASE_URL, SESSILE_LISTEN_DATABASE_URL)",
            )),
            Ok(Some(true)) => {
                self.keep_sessions.lock().unwrap_or_else(PoisonError::into_inner).push(n);
                Ok(())
            }
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// The same plan, with a `connect_timeout` of at most `limit`.
    pub(super) fn within(mut self, limit: Duration) -> Self {
        self.connect_timeout = self.connect_timeout.min(limit);
        let hosts = u32::try_from(self.config.get_hosts().len()).unwrap_or(u32::MAX).max(1);
        let share = self.connect_timeout / hosts;
        let own = self.config.get_connect_timeout().copied();
        self.config.connect_timeout(own.map_or(share, |own| own.min(share)));
        self
    }
}
