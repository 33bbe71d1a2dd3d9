//! A TLS client for a port of this machine that trusts a single certificate, and such certificates.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::{System, net::TcpSocket};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::CertificateDer};

/// A self-signed certificate for `localhost`.
pub struct Made {
    pub certificate: String,
    pub key: String,
    pub der: CertificateDer<'static>,
}

impl Made {
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let (certificate, der) = (made.cert.pem(), made.cert.der().clone());
        Self { certificate, key: made.signing_key.serialize_pem(), der }
    }

    pub fn write(&self, certificate: &Path, key: &Path) {
        std::fs::write(certificate, &self.certificate).expect("a file");
        std::fs::write(key, &self.key).expect("a file");
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    }
}

/// A connection after its TLS handshake.
pub struct Https {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
    port: u16,
}

/// A response.
#[derive(Debug)]
pub struct Told {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Https {
    /// Fails if the server presents any other certificate.
    pub fn connect(port: u16, trusted: &Made) -> Result<Self, std::io::Error> {
        Self::connect_from("127.0.0.1", port, trusted)
    }

    /// Connects from the given local address.
    pub fn connect_from(address: &str, port: u16, trusted: &Made) -> Result<Self, std::io::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.der.clone()).expect("a root");
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "localhost".try_into().expect("a name");
        let conn = ClientConnection::new(Arc::new(config), name).expect("a connection");
        let own = SocketAddr::new(address.parse().expect("an address"), 0);
        let tcp = System::new().block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(own)?;
            socket.connect(([127, 0, 0, 1], port).into()).await?.into_std()
        })?;
        tcp.set_nonblocking(false)?;
        tcp.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut stream = StreamOwned::new(conn, tcp);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Self { stream: BufReader::new(stream), port })
    }

    /// Sends a request on this connection, which stays open.
    pub fn ask(&mut self, line: &str, fields: &[&str], body: &str) -> Told {
        let port = self.port;
        let mut request = format!("{line} HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: https://localhost:{port}\r\n");
        for field in fields {
            request += &format!("{field}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let stream = self.stream.get_mut();
        stream.write_all(request.as_bytes()).and_then(|()| stream.flush()).expect("an open connection");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.stream.read_line(&mut head).expect("an answer") > 0, "closed after {head:?}");
        }
        let told = |name: &str| all(&head, name).first().map(|value| (*value).to_owned());
        let length = told("content-length").map_or(0, |length| length.parse().expect("a length"));
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Told { status, head, body: String::from_utf8(body).expect("a text") }
    }
}

impl Told {
    pub fn all(&self, name: &str) -> Vec<&str> {
        all(&self.head, name)
    }

    /// The cookies that the response sets, as a `Cookie` header.
    pub fn cookies(&self) -> String {
        let pairs: Vec<&str> = self.all("set-cookie").iter().filter_map(|cookie| cookie.split(';').next()).collect();
        format!("Cookie: {}", pairs.join("; "))
    }

    /// Checks that each cookie is Secure and has the `__Host-` prefix.
    pub fn assert_cookies_are_of_https(&self) {
        let cookies = self.all("set-cookie");
        assert!(cookies.iter().any(|cookie| cookie.starts_with("__Host-aiq_session")), "{self:?}");
        for cookie in cookies {
            for part in ["__Host-aiq_", "; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/"] {
                assert!(cookie.contains(part), "{part} in {cookie}");
            }
        }
    }
}

fn all<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(one, _)| one.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}
