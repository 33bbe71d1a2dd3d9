//! A small HTTP client that asks an app at its public address. Called by the [checks of an app](super::app).
//!
//! Invariant: it follows no redirect, and reads a bounded part of the answer for a bounded time.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use url::Url;

/// The longest time to wait for a connection, and then for the whole answer.
const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_ANSWER: u64 = 256 * 1024;
/// Where systems keep the certificates of public authorities.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fetched {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Fetched {
    /// The value of a header; empty without it.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
        let mut fetched = Self { status, headers, body: String::new() };
        let body = &bytes[end + 4..];
        fetched.body = match fetched.header("transfer-encoding").eq_ignore_ascii_case("chunked") {
            true => String::from_utf8_lossy(&without_chunks(body)).into_owned(),
            false => String::from_utf8_lossy(body).into_owned(),
        };
        Some(fetched)
    }
}

/// GETs `path` at `origin` with these headers.
///
/// # Errors
/// Says what failed, and what to do.
pub(super) fn get(origin: &Url, path: &str, headers: &[(&str, &str)]) -> Result<Fetched, String> {
    let (Some(host), Some(port)) = (origin.host_str(), origin.port_or_known_default()) else {
        return Err(format!("{origin} is not an http or https origin"));
    };
    let authority = origin.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += "\r\n";
    let stream = connect(host, port)?;
    let answer = match origin.scheme() {
        "https" => exchange(secured(host, stream)?, &request),
        _ => exchange(stream, &request),
    };
    let answer = answer.map_err(|error| format!("{authority} does not answer: {error}"))?;
    Fetched::parse(&answer).ok_or_else(|| format!("{authority} does not answer in HTTP/1.1"))
}

/// A connection that can be used until a deadline. A limit for each read alone would let a server send a byte now and
/// then for ever.
struct Limited {
    stream: TcpStream,
    deadline: Instant,
}

impl Limited {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Limited {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(into)
    }
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        Write::write(&mut self.stream, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn connect(host: &str, port: u16) -> Result<Limited, String> {
    // Browsers know that these names mean this machine; resolvers may not.
    let name = if host.ends_with(".localhost") { "127.0.0.1" } else { host.trim_matches(['[', ']']) };
    let found = (name, port).to_socket_addrs();
    let addresses: Vec<SocketAddr> =
        found.map_err(|error| format!("the name {host} cannot be resolved: {error}"))?.collect();
    let mut reason = "it has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(Limited { stream, deadline: Instant::now() + PATIENCE }),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(format!("{host}:{port} cannot be reached ({reason}): start the proxy, or correct the app's origin"))
}

fn secured(host: &str, stream: Limited) -> Result<StreamOwned<ClientConnection, Limited>, String> {
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|error| format!("{host} cannot have a certificate: {error}"))?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(authorities()?)
        .with_no_client_auth();
    let conn = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    let mut secured = StreamOwned::new(conn, stream);
    while secured.conn.is_handshaking() {
        secured
            .conn
            .complete_io(&mut secured.sock)
            .map_err(|error| format!("the TLS handshake with {host} failed: {error}"))?;
    }
    Ok(secured)
}

fn authorities() -> Result<RootCertStore, String> {
    let path = AUTHORITIES.iter().map(Path::new).find(|path| path.exists());
    let path = path.ok_or("this machine has no list of certificate authorities: install ca-certificates")?;
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map(|all| all.filter_map(Result::ok).collect())
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    Ok(roots)
}

fn exchange(mut stream: impl Read + Write, request: &str) -> io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.take(LONGEST_ANSWER).read_to_end(&mut answer) {
        // Some servers close a TLS connection without saying so.
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

fn without_chunks(mut chunked: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = chunked.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&chunked[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(chunk) = size.filter(|size| *size > 0).and_then(|size| chunked.get(end + 2..end + 2 + size)) else {
            break;
        };
        whole.extend_from_slice(chunk);
        chunked = chunked.get(end + 4 + chunk.len()..).unwrap_or_default();
    }
    whole
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    use super::{Fetched, Limited};

    #[test]
    fn a_server_that_sends_a_byte_now_and_then_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            while client.write_all(b"a").is_ok() {
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let stream = std::net::TcpStream::connect(address).unwrap();
        let mut limited = Limited { stream, deadline: Instant::now() + Duration::from_millis(200) };
        assert!(limited.read_to_end(&mut Vec::new()).is_err());
        drop(limited);
        server.join().unwrap();
    }

    #[test]
    fn answers_are_read_whole_and_in_chunks() {
        let whole = Fetched::parse(b"HTTP/1.1 303 See Other\r\nLocation: /a\r\n\r\n").unwrap();
        assert_eq!((whole.status, whole.header("location"), whole.body.as_str()), (303, "/a", ""));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(Fetched::parse(chunked).unwrap().body, "abcde");
        assert_eq!(Fetched::parse(b"SSH-2.0-x\r\n"), None);
    }
}
