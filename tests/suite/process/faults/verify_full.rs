//! `sslmode=verify-full`: the program rejects a server with the wrong certificate, the wrong name or no TLS, and never
//! sends it anything unencrypted.

use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::{fs, io::Write as _, os::unix::fs::MetadataExt as _, path::Path};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::{MORE, Storm, proxy::Proxy, serves_again};
use crate::{
    process::{ask, assert_unavailable, cluster::Cluster},
    support::{Server, TestDb},
};

/// The beginning of an unencrypted PostgreSQL connection.
const IN_THE_CLEAR: &[u8] = b"user\0postgres";

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn only_the_right_server_is_spoken_to_and_never_in_the_clear() {
    let (cluster, db) = Cluster::start();
    let authority = Authority::new("Ours");
    authority.certify(&cluster, "localhost");
    let proxy = Proxy::to(cluster.port());
    let right = db.folder.join("right.pem");
    fs::write(&right, &authority.certificate).unwrap();
    let wrong = db.folder.join("wrong.pem");
    fs::write(&wrong, Authority::new("Somebody's").certificate).unwrap();

    let url = |host: &str, root: &Path| {
        let port = proxy.port;
        format!("postgres://postgres@{host}:{port}/postgres?sslmode=verify-full&sslrootcert={}", root.display())
    };
    let ours = TestDb::in_own_postgres(url("localhost", &right));
    let storm = Storm::new(&ours, 8);
    for (host, root, words) in [("localhost", &wrong, "UnknownIssuer"), ("127.0.0.1", &right, "not valid for name")] {
        is_refused(&TestDb::in_own_postgres(url(host, root)), words);
    }
    let server = Server::start(&ours, &MORE);
    storm.during(&server.client(), |log| {
        log.wait_for_changes(10);
        // Another server without TLS answers in its place.
        cluster.configure("ssl = off");
        cluster.stop();
        cluster.start_again();
        log.wait_for_away(30);
        cluster.configure("ssl = on");
        cluster.stop();
        cluster.start_again();
        serves_again("the right server again", log, log.now());
        log.wait_for_changes(10);
    });
    storm.check("verify-full", &ours, &server);
    cluster.configure("ssl = off");
    cluster.stop();
    cluster.start_again();
    is_refused(&ours, "TLS");
    let heard = proxy.heard();
    assert!(heard.len() > 1000, "the connection went through the proxy");
    assert!(!heard.windows(IN_THE_CLEAR.len()).any(|said| said == IN_THE_CLEAR), "unencrypted data was sent");
}

/// Checks that the program logs why and answers 503, and that its commands fail.
fn is_refused(db: &TestDb, words: &str) {
    let server = Server::start(db, &[("SESSILE_LOG", "warn")]);
    assert_eq!(server.client().get("/healthz").status, 200);
    assert_unavailable(&server.client().get("/login"));
    assert!(server.log().contains(words), "{words} is not in the log: {}", server.log());
    ask(db, &["user", "list"], "").refused(&["DATABASE_URL", words]);
}

/// A certificate authority.
struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// Installs a certificate with this name on a server and restarts it.
    fn certify(&self, cluster: &Cluster, name: &str) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let owner = fs::metadata(cluster.data()).unwrap();
        for (file, text) in [("server.key", key.serialize_pem()), ("server.crt", certificate.pem())] {
            let file = cluster.data().join(file);
            let mut open = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&file).unwrap();
            open.write_all(text.as_bytes()).unwrap();
            chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        cluster.configure("ssl = on");
        cluster.stop();
        cluster.start_again();
    }
}
