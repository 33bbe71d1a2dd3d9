//! Protected apps, on both engines: what the gate answers, how an app is opened, what its server hears, and what attackers
//! try.

mod admission;
mod answers;
mod attacks;
mod commands;
mod ends;
mod identity;
mod nodes;
mod opening;
mod origins;
mod second_factor;

use sessile::{
    actions::apps::{checks::Changes, manage, manager::Manager},
    base::{db::Db, keys::Keys, settings::PublicUrl},
};

use crate::support::{Answer, App, Client, TestDb, add_user};

const KIM: &str = "kim@example.com";
const ALEX: &str = "alex@example.com";
/// Sessile's origin.
const HERE: &str = "https://id.example.com";
/// The app's origin.
const SHOP: &str = "https://shop.example.com";
const BLOG: &str = "https://blog.example.com";
/// Headers of a browser that opens a page.
const NAVIGATES: [(&str, &str); 2] = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
/// Headers of a script.
const FETCHES: [(&str, &str); 2] = [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")];

/// A registered app.
#[derive(Debug, Clone)]
struct Registered {
    id: String,
    origin: String,
    token: String,
    secret: String,
}

pub fn db_of_operator(db: &TestDb) -> Db {
    let keys = Keys::read_or_make(std::path::Path::new(&db.key_file())).unwrap();
    Db::open(&db.settings(&[]), Some(keys.trail())).unwrap()
}

/// The settings of a server behind a proxy on this machine.
fn serve(db: &TestDb) -> App {
    App::start(db, &[("SESSILE_PUBLIC_URL", HERE), ("SESSILE_TRUSTED_PROXIES", "127.0.0.1/32")])
}

async fn register(db: &TestDb, origin: &str, changes: Changes) -> Registered {
    let name = changes.name.clone().unwrap_or_else(|| "Shop".to_owned());
    let changes = Changes { name: Some(name), origin: Some(origin.to_owned()), ..changes };
    let public = PublicUrl::parse(HERE).unwrap();
    let added = manage::add(&db_of_operator(db), &Manager::Operator, &public, changes).await.unwrap().unwrap();
    Registered {
        id: added.app.id,
        origin: origin.to_owned(),
        token: added.gate_token.expose().to_owned(),
        secret: added.secret.expose().to_owned(),
    }
}

/// A browser, with its cookies for Sessile and for one app.
#[derive(Clone)]
struct Browser {
    sessile: Client,
    at_app: Client,
    app: Registered,
}

impl Browser {
    fn new(server: &App, app: &Registered) -> Self {
        let (sessile, at_app) = (Client::new(&server.address, HERE), Client::new(&server.address, &app.origin));
        Self { sessile, at_app, app: app.clone() }
    }

    /// The same browser at another server.
    fn at(&self, server: &App) -> Self {
        let mut other = Self::new(server, &self.app);
        other.sessile.cookies.clone_from(&self.sessile.cookies);
        other.at_app.cookies.clone_from(&self.at_app.cookies);
        other
    }

    fn signed_in(server: &App, app: &Registered, email: &str) -> Self {
        let mut browser = Self::new(server, app);
        browser.sessile.log_in(email);
        browser
    }

    /// A signed-in browser that has opened the app.
    fn in_app(server: &App, app: &Registered, email: &str) -> Self {
        let mut browser = Self::signed_in(server, app, email);
        assert_eq!(browser.open("/"), format!("{}/", app.origin));
        browser
    }

    /// Opens the app, and returns the address that the browser ends at.
    fn open(&mut self, to: &str) -> String {
        let begun = self.begin(to);
        let done = self.at_app(&path_of(&begun, &self.app.origin.clone()));
        assert_eq!(done.status, 200, "{done:?}");
        going_on(&done)
    }

    /// Opens the app up to the address with the code.
    fn begin(&mut self, to: &str) -> String {
        let to: String = url::form_urlencoded::byte_serialize(to.as_bytes()).collect();
        let start = self.at_app(&format!("/.sessile/start?to={to}"));
        assert_eq!(start.status, 200, "{start:?}");
        let opened = self.sessile.get(&path_of(&going_on(&start), HERE));
        assert_eq!(opened.status, 200, "{opened:?}");
        going_on(&opened)
    }

    /// A request to Sessile on the app's host, through the app's proxy.
    fn at_app(&mut self, path: &str) -> Answer {
        self.send_at_app("GET", path)
    }

    fn send_at_app(&mut self, method: &str, path: &str) -> Answer {
        let forwarded = forwarded(&self.app.origin);
        let forwarded: Vec<(&str, &str)> = forwarded.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.at_app.send(method, path, &forwarded, b"")
    }

    /// What the gate answers to a GET request for `/a?b=c` with these headers.
    fn ask(&mut self, headers: &[(&str, &str)]) -> Answer {
        self.ask_about("GET", "/a?b=c", headers)
    }

    fn ask_about(&mut self, method: &str, uri: &str, headers: &[(&str, &str)]) -> Answer {
        let forwarded = forwarded(&self.app.origin);
        let mut all: Vec<(&str, &str)> = forwarded.iter().map(|(name, value)| (*name, value.as_str())).collect();
        all.extend([("x-forwarded-method", method), ("x-forwarded-uri", uri)]);
        all.extend(headers);
        let gate = format!("/.sessile/gate/{}", self.app.token);
        self.at_app.send("GET", &gate, &all, b"")
    }

    fn app_cookie(&self) -> Option<&String> {
        self.at_app.cookies.get("__Host-sessile_app")
    }

    fn session_id(&mut self) -> String {
        self.sessile.get("/api/session").json()["session"]["id"].as_str().unwrap().to_owned()
    }
}

/// What a proxy adds to a request for this origin.
pub fn forwarded(origin: &str) -> [(&'static str, String); 2] {
    let (proto, host) = origin.split_once("://").unwrap();
    [("x-forwarded-host", host.to_owned()), ("x-forwarded-proto", proto.to_owned())]
}

/// The address that a page goes on to by itself. Its link leads there too.
pub fn going_on(answer: &Answer) -> String {
    let body = answer.body.replace("&#38;", "&").replace("&amp;", "&");
    let (_, rest) = body.split_once("http-equiv=\"refresh\" content=\"0; url=").unwrap_or_else(|| panic!("{answer:?}"));
    let to = rest.split('"').next().unwrap().to_owned();
    assert!(body.contains(&format!("<a href=\"{to}\"")), "{answer:?}");
    to
}

/// The path and query of an address at this origin.
pub fn path_of(address: &str, origin: &str) -> String {
    address.strip_prefix(origin).unwrap_or_else(|| panic!("{address} is not at {origin}")).to_owned()
}

/// A server with an app that admits everyone, and two accounts.
async fn shop(db: &TestDb) -> (App, Registered) {
    add_user(db, KIM, "owner");
    add_user(db, ALEX, "member");
    let app = register(db, SHOP, Changes::default()).await;
    (serve(db), app)
}

/// The identity headers of an answer, by name.
fn identity_of(answer: &Answer) -> Vec<(&str, &str)> {
    let is_identity = |name: &str| name.starts_with("x-sessile-") || name.starts_with("remote-");
    let all = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    all.filter(|(name, _)| is_identity(name)).collect()
}

/// Checks the answer of a gate: it may not be stored, sets no cookie, and decides nothing else for the app's host.
fn is_sober(answer: &Answer) {
    for name in ["set-cookie", "strict-transport-security"] {
        assert_eq!(answer.header(name), None, "{answer:?}");
    }
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
}
