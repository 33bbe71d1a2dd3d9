//! The configurations for https, which differ in their listeners.

use std::path::{Path, PathBuf};

use sessile::web::snippet::Proxy;

use super::{
    NAVIGATION, Seen, Stand, Visitor, app,
    gate::Gate,
    printed,
    proxy::{Running, program},
};
use crate::process::https::{Https, Made};
use crate::support::lasting_port;

const FOLDER: &str = "/etc/ssl/localhost";

macro_rules! with_tls {
    ($($case:ident $proxy:ident),+ $(,)?) => {
        $(
            #[test]
            #[ignore = "needs a proxy: run ./scripts/test"]
            fn $case() {
                match program(Proxy::$proxy) {
                    Some(program) => serve(Proxy::$proxy, &program),
                    None => println!("NOT CHECKED: {} is not installed", Proxy::$proxy),
                }
            }
        )+
    };
}

with_tls!(
    nginx_serves_https Nginx,
    caddy_serves_https Caddy,
    traefik_serves_https Traefik,
    haproxy_serves_https Haproxy,
    envoy_serves_https Envoy,
);

fn serve(proxy: Proxy, program: &Path) {
    let (made, files) = (Made::new(), Certificate::write());
    let (app, port) = (app::start(), lasting_port());
    let origin = format!("https://localhost:{port}");
    let gate = Gate::start(&origin);
    made.write(&files.0.join("fullchain.pem"), &files.0.join("privkey.pem"));
    std::fs::write(files.0.join("haproxy.pem"), format!("{}{}", made.certificate, made.key)).expect("a file");
    let text = printed(proxy, &origin, app.port, &gate).replace(FOLDER, &files.0.display().to_string());
    let text = match proxy {
        // Without a certificate Caddy would make its own, and install it on this machine.
        Proxy::Caddy => text.replace(
            "bind 127.0.0.1\n",
            &format!("bind 127.0.0.1\n\ttls {0}/fullchain.pem {0}/privkey.pem\n", files.0.display()),
        ),
        _ => text,
    };
    assert!(text.contains("fullchain.pem") || text.contains("haproxy.pem"), "{text}");
    let _running = Running::start(proxy, program, &text, port);
    let stand = Stand::wait_for(|| {
        ask(port, &made, "GET /health", gate.cookie(Visitor::Nobody)).is_some_and(|(status, _)| status == 200)
    });
    assert!(stand, "the app cannot be reached");
    let (status, body) = ask(port, &made, "GET /a?b=1", gate.cookie(Visitor::Kim)).expect("a handshake");
    let seen = Seen::parse(status, &body);
    assert_eq!((seen.text("target"), seen.all("x-forwarded-proto")), ("/a?b=1", vec!["https".to_owned()]));
    assert_eq!(seen.all("x-sessile-user"), ["acc_kim"]);
    let (status, _) = ask(port, &made, "GET /", gate.cookie(Visitor::Nobody)).expect("a handshake");
    assert_eq!(status, 303);
}

/// `None` if the proxy presents another certificate, as Traefik does before it has read its own.
fn ask(port: u16, made: &Made, line: &str, cookie: &str) -> Option<(u16, String)> {
    let mut browser = Https::connect(port, made).ok()?;
    let fields: Vec<&str> = NAVIGATION.into_iter().chain([cookie]).collect();
    let told = browser.ask(line, &fields, "");
    Some((told.status, told.body))
}

/// A folder for a certificate, removed at the end.
struct Certificate(PathBuf);

impl Certificate {
    fn write() -> Self {
        Self(super::proxy::new_folder())
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
