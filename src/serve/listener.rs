//! The listener: Actix's server and HTTP/1.1, assembled as its own `HttpServer` does, with each connection watched, a
//! bound on how many there are, and TLS whose certificate can change. Called by `serve`.
//!
//! Invariant: a graceful stop reaches every connection: those that are idle close, the others end their request first.

use std::future::ready;
use std::net::{SocketAddr, TcpListener};

use actix_http::{HttpService, Protocol, error::DispatchError};
use actix_server::{GracefulShutdownSignal, Server, ServerBuilder};
use actix_service::{IntoServiceFactory as _, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_tls::accept::{
    TlsError,
    rustls_0_23::{Acceptor, TlsStream},
};
use actix_web::{dev::AppConfig, rt::net::TcpStream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::connection::{FAREWELL, Placed, Stream, Watched};
use crate::serve::shutdown::LAST_REQUESTS;
use crate::{
    base::error::{Error, Result},
    serve::app::{self, Parts},
    web::connections::Connections,
};

/// Most connections at once; each takes about 25 KB. For a further one the one that has been idle longest is closed.
const MOST_CONNECTIONS: usize = 2048;

/// Serves on `listener` with so many workers so many connections, with TLS if there is a configuration of it, until it
/// is stopped.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(
    parts: &Parts,
    listener: TcpListener,
    (workers, connections): (usize, usize),
    tls: Option<rustls::ServerConfig>,
) -> Result<Server> {
    // The places are what bounds them; this one more is for those that are about to close.
    let most = connections + connections / 4;
    let builder = builder(workers, most);
    let (parts, limits, stopping) = (parts.clone(), parts.site.limits, builder.graceful_shutdown_signal());
    let places = parts.site.connections.clone();
    let builder = match tls {
        None => builder.listen("http", listener, move || {
            let places = places.clone();
            fn_service(move |io: TcpStream| ready(placed(&places, io)))
                .and_then(move |io: Placed| {
                    let (connection, peer) = (io.connection().clone(), io.peer());
                    ready(Ok((Watched::new(io, connection, limits), Protocol::Http1, peer)))
                })
                .and_then(http(&parts, stopping.clone()))
        }),
        Some(mut config) => {
            // Actix would let so few shake hands at once that one address could keep everybody out; the places bound
            // it.
            actix_tls::accept::max_concurrent_tls_connect(most);
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            builder.listen("https", listener, move || {
                let places = places.clone();
                fn_service(move |io: TcpStream| ready(placed(&places, io).map_err(TlsError::Service)))
                    .and_then(Acceptor::new(config.clone()).map_err(TlsError::into_service_error))
                    .and_then(move |io: TlsStream<Placed>| {
                        let below = &io.get_ref().0;
                        let (connection, peer) = (below.connection().clone(), below.peer());
                        ready(Ok((Watched::new(io, connection, limits), Protocol::Http1, peer)))
                    })
                    .and_then(http(&parts, stopping.clone()).map_err(TlsError::Service))
            })
        }
    };
    Ok(builder.map_err(|error| Error::Internal(error.into()))?.run())
}

fn builder(workers: usize, connections: usize) -> ServerBuilder {
    ServerBuilder::new()
        .workers(workers)
        .max_concurrent_connections(connections.div_ceil(workers))
        .shutdown_timeout(LAST_REQUESTS)
        .disable_signals()
}

type Accepted<Io> = (Watched<Io>, Protocol, Option<SocketAddr>);

/// A connection in its place; refused if there is none for it.
fn placed(places: &Connections, io: TcpStream) -> Result<Placed, DispatchError> {
    let peer = io.peer_addr().ok().map(|peer| peer.ip());
    match places.place(peer) {
        Some(place) => Ok(Placed::new(io, place)),
        None => Err(DispatchError::Io(std::io::ErrorKind::ConnectionRefused.into())),
    }
}

/// HTTP/1.1 over connections that have been accepted.
fn http<Io>(
    parts: &Parts,
    stopping: GracefulShutdownSignal,
) -> impl ServiceFactory<Accepted<Io>, Config = (), Response = (), Error = DispatchError, InitError = ()> + use<Io>
where
    Io: Stream,
{
    let limits = parts.site.limits;
    let app = app::build(parts).into_factory().map_err(|error| error.error_response());
    HttpService::build()
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .keep_alive(limits.keep_alive)
        .client_request_timeout(limits.head)
        .client_disconnect_timeout(FAREWELL)
        .on_connect_ext(|io: &Watched<Io>, data| {
            data.insert(io.connection().clone());
        })
        .finish(map_config(app, |()| AppConfig::default()))
}

/// As many as the limit of open files lets us have, which is raised as far as it goes; half of them are for other
/// things.
pub fn most_connections() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files was not raised");
    }
    let files =
        getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    MOST_CONNECTIONS.min(files / 2)
}
