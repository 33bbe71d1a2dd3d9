//! The OpenAPI document: every call of the API is in it, and each documented answer happens and has the documented
//! shape.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sessile::{
    base::{base32, clock::Clock, totp},
    serve::routes::Routes,
    web::route::Kind,
};

use super::{ALEX, KIM, serve, text};
use crate::{
    passkeys::authenticator::{Authenticator, Twist},
    support::{Answer, App, Client, PASSWORD, TestDb, add_user, sessile},
};

/// Every call can answer with these. Other cases provoke them.
const EVERYWHERE: [&str; 2] = ["429", "503"];
const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn every_api_route_is_documented_and_nothing_else() {
    let (_db, server) = serve(&[]);
    let document = document(&server);
    let documented: BTreeSet<String> =
        operations(&document).map(|(method, path, _)| format!("{method} {path}")).collect();
    let routes = Routes::declare().table;
    let api = routes.addresses().filter(|route| route.kind == Kind::Api);
    let declared: BTreeSet<String> = api
        .flat_map(|route| {
            route.methods.split(", ").map(|method| format!("{method} {}", route.path)).collect::<Vec<_>>()
        })
        .filter(|call| !call.starts_with("HEAD "))
        .collect();
    assert!(declared.len() > 15, "{declared:?}");
    assert_eq!(documented, declared);
}

#[test]
fn the_document_is_printed_and_served_alike() {
    let (db, server) = serve(&[]);
    let printed = sessile(&db, &["openapi"], "");
    assert!(printed.status.success());
    let served = server.client().get("/api/openapi.json");
    assert_eq!(served.header("content-type"), Some("application/json"));
    assert_eq!(String::from_utf8_lossy(&printed.stdout).trim_end(), served.body);
    assert_eq!(served.json()["openapi"], "3.1.0");
}

#[test]
fn every_example_has_its_shape() {
    let (_db, server) = serve(&[]);
    let document = document(&server);
    let mut examples = 0;
    for (method, path, operation) in operations(&document) {
        let body = operation.get("requestBody").into_iter();
        let responses = operation["responses"].as_object().expect("responses").values();
        for content in body.chain(responses).filter_map(|part| part.get("content")?.as_object()) {
            for media in content.values() {
                let found = conforms(&document, &media["schema"], &media["example"]);
                assert_eq!(found, Ok(()), "{method} {path}: {media}");
                examples += 1;
            }
        }
    }
    assert!(examples > 60, "{examples}");
}

#[test]
fn each_documented_answer_happens_with_its_shape() {
    let (db, server) = serve(&[("SESSILE_SESSIONS_PER_ACCOUNT", "0")]);
    let document = document(&server);
    let mut seen: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for (method, path, answer) in Happened::all(&db, &server, &document) {
        let responses = &document["paths"][&path][method.to_lowercase()]["responses"];
        let status = answer.status.to_string();
        let documented = &responses[&status];
        assert!(documented.is_object(), "{method} {path} answers {status}, which is not documented: {answer:?}");
        check(&document, documented, &answer, &format!("{method} {path}"));
        seen.entry((method, path)).or_default().insert(status);
    }
    for (method, path, operation) in operations(&document) {
        let documented = operation["responses"].as_object().expect("responses").keys();
        let documented: BTreeSet<String> =
            documented.filter(|status| !EVERYWHERE.contains(&status.as_str())).cloned().collect();
        let happened = seen.remove(&(method.clone(), path.clone())).unwrap_or_default();
        assert_eq!(happened, documented, "{method} {path}");
    }
}

fn document(server: &App) -> Value {
    server.client().get("/api/openapi.json").json()
}

/// Method, path and description of every operation.
fn operations(document: &Value) -> impl Iterator<Item = (String, String, &Value)> {
    let paths = document["paths"].as_object().expect("paths").iter();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().expect("methods").iter();
        methods.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
    })
}

fn check(document: &Value, documented: &Value, answer: &Answer, call: &str) {
    let Some(content) = documented.get("content").and_then(Value::as_object) else {
        assert!(answer.body.is_empty(), "{call}: {answer:?}");
        return;
    };
    let (media_type, media) = content.iter().next().expect("a media type");
    assert_eq!(answer.header("content-type"), Some(media_type.as_str()), "{call}: {answer:?}");
    if media_type.ends_with("json") {
        let found = conforms(document, &media["schema"], &answer.json());
        assert_eq!(found, Ok(()), "{call}: {answer:?}");
    }
}

/// Whether a value has a shape. Fields that are not documented count as a difference.
fn conforms(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return conforms(document, &document.pointer(&reference[1..]).cloned().unwrap_or_default(), value);
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array)
        && !words.contains(value)
    {
        return Err(format!("{value} is none of {words:?}"));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return Err(format!("no type: {schema}")),
    };
    let is_type = |name: &&str| match *name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    };
    if !types.iter().any(is_type) {
        return Err(format!("{value} is not {types:?}"));
    }
    for item in value.as_array().into_iter().flatten() {
        conforms(document, &schema["items"], item)?;
    }
    match (schema.get("properties").and_then(Value::as_object), value.as_object()) {
        (Some(properties), Some(fields)) => {
            for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
                fields.get(name.as_str().unwrap_or_default()).ok_or_else(|| format!("{name} is missing in {value}"))?;
            }
            for (name, field) in fields {
                let shape = properties.get(name).ok_or_else(|| format!("{name} is not documented"))?;
                conforms(document, shape, field).map_err(|difference| format!("{name}: {difference}"))?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Calls, with the path as it is documented.
struct Happened<'a> {
    server: &'a App,
    kim: Client,
    app: (String, String),
    all: Vec<(String, String, Answer)>,
}

impl<'a> Happened<'a> {
    fn all(db: &TestDb, server: &'a App, document: &Value) -> Vec<(String, String, Answer)> {
        let added = sessile(db, &["app", "add", "--name", "Shop", "--url", "https://shop.example.com"], "");
        let added = String::from_utf8_lossy(&added.stdout).into_owned();
        let line = |name: &str| {
            added
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_else(|| panic!("{added}"))
                .trim()
                .to_owned()
        };
        let mut kim = server.client();
        kim.log_in(KIM);
        let app = (line("id:"), line("secret:"));
        let mut happened = Self { server, kim, app, all: Vec::new() };
        for (method, path, operation) in operations(document) {
            happened.refusals(&method, &path, operation);
        }
        happened.successes();
        happened.missing();
        happened.second_factor(db);
        happened.passkeys(db);
        happened.people(db);
        happened.all
    }

    fn note(&mut self, method: &str, path: &str, answer: Answer) {
        self.all.push((method.to_owned(), path.to_owned(), answer));
    }

    /// The path with the id of the app, or of nothing.
    fn filled(&self, path: &str) -> String {
        path.replace("{id}", if path.contains("/apps/") { &self.app.0 } else { "none" })
    }

    /// Without a sign-in, from elsewhere, and with bodies that cannot be used.
    fn refusals(&mut self, method: &str, path: &str, operation: &Value) {
        let address = self.filled(path);
        let bearer = format!("Bearer {}", self.app.1);
        let is_open = operation["security"] == json!([{}]);
        if !is_open {
            let body: &[u8] = if method == "GET" { b"" } else { b"{}" };
            let answer = self.server.client().send(method, &address, &[JSON], body);
            self.note(method, path, answer);
        }
        if method != "GET" {
            let elsewhere = [("Origin", "https://elsewhere.example"), JSON, ("Authorization", bearer.as_str())];
            let answer = self.kim.clone().send(method, &address, &elsewhere, b"{}");
            self.note(method, path, answer);
        }
        if operation.get("requestBody").is_some() {
            let large = format!("{{\"a\": \"{}\"}}", "x".repeat(300 * 1024)).into_bytes();
            let bodies: [(&str, &[u8]); 3] =
                [("application/json", b"[]"), ("application/json", &large), ("text/plain", b"{}")];
            for (kind, body) in bodies {
                let headers = [("Content-Type", kind), ("Authorization", bearer.as_str())];
                let answer = self.kim.clone().send(method, &address, &headers, body);
                self.note(method, path, answer);
            }
        }
    }

    fn successes(&mut self) {
        let credentials = json!({"email": KIM, "password": PASSWORD, "device": {"name": "Counter", "installed": true}});
        let mut other = self.server.client();
        let answer = other.json("POST", "/api/establish-session", &credentials);
        self.note("POST", "/api/establish-session", answer);
        let answer = self.server.client().try_log_in(KIM, "not the password 1");
        self.note("POST", "/api/establish-session", answer);
        let session = text(&other.get("/api/session").json()["session"]["id"]);
        let device = text(&other.get("/api/session").json()["session"]["deviceId"]);
        for path in
            ["/api/session", "/api/session/data", "/api/drafts", "/api/sessions", "/api/devices", "/api/activity"]
        {
            let answer = self.kim.get(path);
            self.note("GET", path, answer);
        }
        for path in ["/api/apps", "/api/openapi.json"] {
            let answer = self.kim.get(path);
            self.note("GET", path, answer);
        }
        for path in ["/api/drafts", "/api/activity"] {
            let answer = self.kim.get(&format!("{path}?limit=0"));
            self.note("GET", path, answer);
        }
        let answer = self.kim.json("PATCH", "/api/session/data", &json!({"basket": ["kelp"]}));
        self.note("PATCH", "/api/session/data", answer);
        self.sync();
        let answer = self.kim.json("PATCH", &format!("/api/devices/{device}"), &json!({"name": "Till"}));
        self.note("PATCH", "/api/devices/{id}", answer);
        let answer = self.kim.json("DELETE", &format!("/api/sessions/{session}"), &Value::Null);
        self.note("DELETE", "/api/sessions/{id}", answer);
        let answer = self.kim.json("DELETE", &format!("/api/devices/{device}"), &Value::Null);
        self.note("DELETE", "/api/devices/{id}", answer);
        let answer = self.kim.json("POST", "/api/sessions/revoke-others", &json!({}));
        self.note("POST", "/api/sessions/revoke-others", answer);
        self.streams_and_apps();
        let mut leaving = self.kim.clone();
        leaving.log_in(KIM);
        let answer = leaving.json("DELETE", "/api/session", &Value::Null);
        self.note("DELETE", "/api/session", answer);
        self.kim.log_in(KIM);
    }

    fn sync(&mut self) {
        let operation = |id: &str, more: Value| {
            let mut operation =
                json!({"id": id, "kind": "draft.put", "draftId": "tide", "text": "Low", "baseVersion": 0});
            operation.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            operation
        };
        let ids = ["0b6e63c2-185b-4d1d-8e8a-5f0c1d2e3f40", "0b6e63c2-185b-4d1d-8e8a-5f0c1d2e3f41"];
        let operations = [
            operation(ids[0], json!({})),
            operation(ids[0], json!({})),
            operation(ids[1], json!({"text": "High", "baseVersion": 0})),
            operation("none", json!({})),
        ];
        let answer = self.kim.json("POST", "/api/session/sync", &json!({"operations": operations}));
        let statuses: Vec<String> =
            answer.json()["results"].as_array().expect("results").iter().map(|one| text(&one["status"])).collect();
        assert_eq!(statuses, ["applied", "duplicate", "conflict", "rejected"]);
        self.note("POST", "/api/session/sync", answer);
        let answer = self.kim.json("POST", "/api/session/sync", &json!({"lastKnown": {"userId": "acc_somebody"}}));
        self.note("POST", "/api/session/sync", answer);
        let answer = self.kim.get("/api/drafts");
        self.note("GET", "/api/drafts", answer);
    }

    fn streams_and_apps(&mut self) {
        let answer = self.kim.send("HEAD", "/api/events", &[], b"");
        self.note("GET", "/api/events", answer);
        let (id, bearer) = (self.app.0.clone(), format!("Bearer {}", self.app.1));
        let as_app = [("Authorization", bearer.as_str()), JSON];
        let answer = self.server.client().send("HEAD", &format!("/api/apps/{id}/ends"), &as_app, b"");
        self.note("GET", "/api/apps/{id}/ends", answer);
        let asked = json!({"sids": ["aiq_1_none"]}).to_string();
        let answer = self.server.client().send("POST", &format!("/api/apps/{id}/living"), &as_app, asked.as_bytes());
        self.note("POST", "/api/apps/{id}/living", answer);
    }

    fn missing(&mut self) {
        let answer = self.kim.json("PATCH", "/api/devices/none", &json!({"name": "Till"}));
        self.note("PATCH", "/api/devices/{id}", answer);
        for path in ["/api/sessions/{id}", "/api/devices/{id}"] {
            let answer = self.kim.json("DELETE", &path.replace("{id}", "none"), &Value::Null);
            self.note("DELETE", path, answer);
        }
    }

    /// The calls on the second factor, of a person of their own.
    fn second_factor(&mut self, db: &TestDb) {
        let (app, codes) = ("/api/second-factor/app", "/api/second-factor/recovery-codes");
        add_user(db, "sam@example.com", "member");
        let mut sam = self.server.client();
        sam.log_in("sam@example.com");
        let mut call = |sam: &mut Client, method: &str, path: &str, body: Value| {
            let answer = if method == "GET" { sam.get(path) } else { sam.json(method, path, &body) };
            self.note(method, path, answer.clone());
            answer
        };
        call(&mut sam, "GET", "/api/second-factor", json!({}));
        call(&mut sam, "DELETE", app, json!({}));
        call(&mut sam, "POST", codes, json!({}));
        let secret = text(&call(&mut sam, "POST", app, json!({})).json()["secret"]);
        let secret = base32::decode(&secret).expect("base32");
        let code = totp::code(&secret, totp::step_at(Clock::default().now()));
        call(&mut sam, "PUT", app, json!({ "code": code }));
        for (method, path) in [("POST", app), ("PUT", app), ("DELETE", app), ("POST", codes)] {
            call(&mut sam, method, path, json!({ "code": code }));
        }
        let credentials = json!({"email": "sam@example.com", "password": PASSWORD});
        call(&mut sam, "POST", "/api/establish-session", credentials);
        db.sql("UPDATE sessions SET second_factor_at = INSTANT(0)");
        for (method, path) in [("POST", app), ("PUT", app), ("POST", codes)] {
            call(&mut sam, method, path, json!({ "code": code }));
        }
        db.sql("UPDATE accounts SET short_password = 1 WHERE second_factors > 0");
        call(&mut sam, "DELETE", app, json!({}));
        db.sql("UPDATE accounts SET short_password = 0");
        call(&mut sam, "DELETE", app, json!({}));
    }

    /// The calls on passkeys, of a person of their own, and at a service that can have none.
    fn passkeys(&mut self, db: &TestDb) {
        add_user(db, "pat@example.com", "member");
        let (mut pat, mut visitor, mut kim) = (self.server.client(), self.server.client(), self.kim.clone());
        let mut key = Authenticator::new(&format!("http://localhost:{}", self.server.port));
        let mut call = |client: &mut Client, method: &str, path: &str, id: &str, body: Value| {
            let answer = client.json(method, &path.replace("{id}", id), &body);
            self.note(method, path, answer.clone());
            answer
        };
        let (all, one, offer) = ("/api/passkeys", "/api/passkeys/{id}", "/api/passkeys/offer");
        let (sign_in, confirm) = ("/api/passkeys/sign-in", "/api/passkeys/confirm");
        let options = |path: &str| format!("{path}/options");
        let (good, forged) = (Twist::default(), Twist { is_forged: true, ..Twist::default() });
        let body =
            |asked: &Answer, credential: Value| json!({"state": asked.json()["state"], "credential": credential});
        pat.log_in("pat@example.com");
        call(&mut pat, "POST", offer, "", json!({}));
        let asked = call(&mut pat, "POST", &options(all), "", json!({}));
        let made = key.create(&asked.json()["options"], &good);
        let added = call(&mut pat, "POST", all, "", body(&asked, made.clone()));
        let id = text(&added.json()["passkey"]["id"]);
        for (path, client) in [(sign_in, &mut visitor), (confirm, &mut pat)] {
            for twist in [&forged, &good] {
                let asked = call(client, "POST", &options(path), "", json!({}));
                let credential = key.get(&asked.json()["options"], twist);
                call(client, "POST", path, "", body(&asked, credential));
            }
        }
        call(&mut pat, "POST", &options(sign_in), "", json!({"second": true}));
        call(&mut kim, "POST", &options(confirm), "", json!({}));
        call(&mut pat, "PATCH", one, &id, json!({"name": "Till"}));
        call(&mut kim, "PATCH", one, &id, json!({"name": "Till"}));
        call(&mut kim, "DELETE", one, &id, json!({}));
        db.sql("UPDATE accounts SET short_password = 1 WHERE second_factors > 0");
        call(&mut pat, "DELETE", one, &id, json!({}));
        db.sql("UPDATE accounts SET short_password = 0");
        let (to_confirm, to_sign_in) =
            [confirm, sign_in].map(|path| pat.json("POST", &options(path), &json!({}))).into();
        call(&mut pat, "DELETE", one, &id, json!({}));
        for (path, asked) in [(confirm, to_confirm), (sign_in, to_sign_in)] {
            let credential = key.get(&asked.json()["options"], &good);
            call(&mut pat, "POST", path, "", body(&asked, credential));
        }
        let at_an_address = "http://127.0.0.1:8096";
        let elsewhere = App::start(db, &[("SESSILE_PUBLIC_URL", at_an_address)]);
        let mut visitor = Client::new(&elsewhere.address, at_an_address);
        visitor.log_in(KIM);
        for path in [all, sign_in, confirm] {
            call(&mut visitor, "POST", &options(path), "", json!({}));
            call(&mut visitor, "POST", path, "", json!({"state": "none", "credential": {}}));
        }
    }

    /// The calls on people and on one's own account.
    fn people(&mut self, db: &TestDb) {
        let (mut alex, mut bo) = (self.server.client(), self.server.client());
        for (client, email) in [(&mut alex, ALEX), (&mut bo, "bo@example.com")] {
            add_user(db, email, "member");
            client.log_in(email);
        }
        let id = text(&alex.get("/api/session").json()["user"]["id"]);
        let own = text(&self.kim.get("/api/session").json()["user"]["id"]);
        for path in ["/api/people", "/api/people/{id}", "/api/people/{id}/export"] {
            let answer = alex.get(&path.replace("{id}", &id));
            self.note("GET", path, answer);
        }
        let answer = self.kim.get("/api/people?limit=0");
        self.note("GET", "/api/people", answer);
        let nothing = || json!({});
        let invited = |email: &str| json!({"email": email});
        let calls = [
            ("GET", "/api/people", "", nothing()),
            ("GET", "/api/people/{id}", id.as_str(), nothing()),
            ("GET", "/api/people/{id}", "none", nothing()),
            ("GET", "/api/people/{id}/export", id.as_str(), nothing()),
            ("GET", "/api/people/{id}/export", "none", nothing()),
            ("PATCH", "/api/people/{id}", id.as_str(), json!({"name": "Alex"})),
            ("PATCH", "/api/people/{id}", "none", json!({"name": "Alex"})),
            ("PATCH", "/api/people/{id}", own.as_str(), json!({"role": "member"})),
            ("POST", "/api/people/{id}/password-link", id.as_str(), nothing()),
            ("POST", "/api/people/{id}/password-link", "none", nothing()),
            ("POST", "/api/people/{id}/revoke-sessions", id.as_str(), nothing()),
            ("POST", "/api/people/{id}/revoke-sessions", "none", nothing()),
            ("PATCH", "/api/people/{id}", id.as_str(), json!({"disabled": true})),
            ("POST", "/api/people/{id}/password-link", id.as_str(), nothing()),
            ("POST", "/api/people/invitations", "", invited("lee@example.com")),
            ("POST", "/api/people/invitations", "", invited(KIM)),
            ("DELETE", "/api/people/{id}", own.as_str(), nothing()),
            ("DELETE", "/api/people/{id}", "none", nothing()),
            ("DELETE", "/api/people/{id}", id.as_str(), nothing()),
            ("GET", "/api/account/export", "", nothing()),
            ("DELETE", "/api/account", "", nothing()),
        ];
        for (method, path, id, body) in calls {
            let address = path.replace("{id}", id);
            let answer = if method == "GET" { self.kim.get(&address) } else { self.kim.json(method, &address, &body) };
            self.note(method, path, answer);
        }
        let answer = bo.json("DELETE", "/api/account", &nothing());
        self.note("DELETE", "/api/account", answer);
        db.sql("UPDATE sessions SET authenticated_at = INSTANT(-660)");
        for path in ["/api/account/export", "/api/people/{id}/export"] {
            let answer = self.kim.get(&path.replace("{id}", &own));
            self.note("GET", path, answer);
        }
    }
}
