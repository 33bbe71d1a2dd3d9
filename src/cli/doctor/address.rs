//! Whether proxies pass on the `Host` that browsers send, as a running server on this machine has seen. Called by
//! [`doctor`](super).

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::{base::settings::Settings, serve::risks::Finding};

/// What was seen longer ago has been mended, or does not happen often enough to be sure.
const RECENT_SECONDS: f64 = 3600.0;
const PATIENCE: Duration = Duration::from_secs(2);
/// Far more than the metrics take.
const LONGEST_ANSWER: u64 = 4 * 1024 * 1024;

pub(super) fn address(settings: &Settings) -> Finding {
    if settings.tls.is_some() {
        return Ok("TLS ends here, so no proxy changes the Host".to_owned());
    }
    let Some(metrics) = metrics(settings.listen) else {
        return Ok("no running server to ask".to_owned());
    };
    let read = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    let age = read("sessile_wrong_host_age_seconds ").filter(|age| *age < RECENT_SECONDS);
    let count = read("sessile_wrong_host_requests_total ").unwrap_or_default();
    match age {
        Some(age) => Err(format!(
            "a proxy passes on another Host than browsers send ({count} requests since the start, the last {age:.0} s ago; \
             the log says which): let it pass Host on (nginx: proxy_set_header Host $http_host;), or mend \
             SESSILE_PUBLIC_URL"
        )),
        None => Ok("no proxy was seen to change the Host".to_owned()),
    }
}

/// What the server that listens there says of itself; `None` if there is none.
fn metrics(listen: SocketAddr) -> Option<String> {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    if listen.port() == 0 {
        return None;
    }
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(ip, listen.port()), PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}
