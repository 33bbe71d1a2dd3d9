//! Checks that proxies preserve the `Host` that browsers send. Asks the metrics of a running server on this machine.
//! Called by [`doctor`](super).
//!
//! Invariant: the check passes if no server answers.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::{base::settings::Settings, serve::risks::Finding};

/// An older request with a wrong host is ignored: the proxy may have been corrected since.
const RECENT_SECONDS: f64 = 3600.0;
const PATIENCE: Duration = Duration::from_secs(2);
/// The most bytes that are read, far more than the metrics need.
const LONGEST_ANSWER: u64 = 4 * 1024 * 1024;

pub(super) fn address(settings: &Settings) -> Finding {
    if settings.tls.is_some() {
        return Ok("TLS ends at this program, so no proxy changes the Host".to_owned());
    }
    let Some(metrics) = metrics(settings.listen) else {
        return Ok("not checked: no server answered".to_owned());
    };
    let read = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    let age = read("sessile_wrong_host_age_seconds ").filter(|age| *age < RECENT_SECONDS);
    let count = read("sessile_wrong_host_requests_total ").unwrap_or_default();
    match age {
        Some(age) => Err(format!(
            "a proxy changes the Host that browsers send ({count} requests since the start, the last {age:.0} s ago; \
             see the log): make it pass Host on (nginx: proxy_set_header Host $http_host;), or correct \
             SESSILE_PUBLIC_URL"
        )),
        None => Ok("no proxy was seen to change the Host".to_owned()),
    }
}

/// The metrics of the server at this address; `None` if no server answers.
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
