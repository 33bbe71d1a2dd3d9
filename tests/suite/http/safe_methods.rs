//! GET and HEAD change nothing, and HEAD has no body.

use super::{KIM, raw, serve, session_id};
use crate::support::{Client, PASSWORD, TestDb};

const PATHS: &[&str] = &[
    "/",
    "/setup",
    "/setup?token=x",
    "/login",
    "/login?email=kim%40example.com&password=correct+horse+battery+staple",
    "/login?next=%2Fdashboard",
    "/logout",
    "/dashboard",
    "/forgot",
    "/link/x",
    "/people",
    "/people/invite",
    "/account/delete",
    "/account/export",
    "/account/phone",
    "/api/people",
    "/api/people/invitations",
    "/api/openapi.json",
    "/api/establish-session",
    "/api/session",
    "/api/session/data",
    "/healthz",
    "/static/missing",
    "/nothing",
    "/api/nothing",
];

#[test]
fn get_and_head_change_nothing() {
    let (db, server) = serve(&[]);
    let mut signed_in = server.client();
    signed_in.log_in(KIM);
    let mut ended = server.client();
    ended.log_in(KIM);
    let cookie = ended.cookies.clone();
    ended.send("DELETE", "/api/session", &[], b"");
    ended.cookies = cookie;
    assert_eq!(ended.get("/api/session").status, 401, "used after its end, which is recorded once");

    let before = every_row(&db);
    for client in [&mut server.client(), &mut signed_in, &mut ended] {
        for path in PATHS {
            for method in ["GET", "HEAD"] {
                client.send(method, path, &[], b"");
                client.send(method, path, &[("Sec-Fetch-Site", "cross-site")], b"");
                let body = format!("email={KIM}&password={PASSWORD}");
                client.send("GET", path, &[("Content-Type", "application/x-www-form-urlencoded")], body.as_bytes());
                assert_eq!(every_row(&db), before, "{method} {path}");
            }
        }
    }
    assert!(!session_id(&mut signed_in).is_empty());
}

#[test]
fn head_is_get_without_its_body() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let css =
        client.get("/dashboard").body.split('"').find(|part| part.ends_with(".css")).expect("a stylesheet").to_owned();
    for path in PATHS.iter().copied().chain([css.as_str()]) {
        let got = client.get(path);
        let cookie = cookie_header(&client);
        let head = raw::ask(&server, &[format!("HEAD {path} HTTP/1.1").as_bytes(), b"Host: a", &cookie], b"");
        assert_eq!((head.status, head.body.len()), (got.status, 0), "{path}");
        for name in ["content-type", "location", "cache-control", "content-security-policy", "etag"] {
            assert_eq!(head.all(name), got.all(name).collect::<Vec<_>>(), "{name} of {path}");
        }
    }
}

fn cookie_header(client: &Client) -> Vec<u8> {
    let pairs: Vec<String> = client.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("Cookie: {}", pairs.join("; ")).into_bytes()
}

/// All rows of all tables.
pub fn every_row(db: &TestDb) -> String {
    let tables = db.sql("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'");
    let dump = |table: &str| {
        let columns =
            db.sql(&format!("SELECT group_concat('quote(' || name || ')', '||') FROM pragma_table_info('{table}')"));
        format!("{table}\n{}", db.sql(&format!("SELECT {columns} FROM {table}")))
    };
    let dumped: Vec<String> = tables.lines().map(dump).collect();
    assert!(dumped.len() >= 5, "{dumped:?}");
    dumped.join("\n")
}
