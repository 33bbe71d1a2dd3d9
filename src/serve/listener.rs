//! The HTTP/1.1 listener. Assembles Actix's server the way `HttpServer` does, and adds a time limit for each
//! connection, a bound on the number of connections, and a TLS certificate that can change. Called by
//! [`run`](super::run).
//!
//! Invariant: a graceful stop reaches every connection. Idle connections close at once, the others after their request.

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

/// Most connections at once; each takes about 25 KB. A further connection closes the one that has been idle longest.
const MOST_CONNECTIONS: usize = 2048;

/// Starts the server on `listener`, with TLS if `tls` is given.
pub fn serve(
    parts: &Parts,
    listener: TcpListener,
    (workers, connections): (usize, usize),
    tls: Option<rustls::ServerConfig>,
) -> Result<Server> {
    // `Connections` limits the number of connections. Actix gets a higher limit, which leaves room for connections that
    // are closing.
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
            // Actix's default limit is so low that one address could block all TLS handshakes. `Connections` limits
            // them instead.
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

/// Gives a connection a place, or refuses the connection if no place is free.
fn placed(places: &Connections, io: TcpStream) -> Result<Placed, DispatchError> {
    let peer = io.peer_addr().ok().map(|peer| peer.ip());
    match places.place(peer) {
        Some(place) => Ok(Placed::new(io, place)),
        None => Err(DispatchError::Io(std::io::ErrorKind::ConnectionRefused.into())),
    }
}

/// The HTTP/1.1 service for accepted connections.
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

/// Raises the limit of open files to its maximum, and returns the number of connections that it allows. Half of the
/// files are reserved for other uses.
pub fn most_connections() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "raising the limit of open files failed");
    }
    let files =
        getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    MOST_CONNECTIONS.min(files / 2)
}
