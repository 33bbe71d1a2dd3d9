//! The destination of a login.

use sessile::{
    base::settings::PublicUrl,
    web::return_to::{HOME, own_address},
};

use super::{KIM, assert_unharmed, log_in_by_form, serve, serve_process};
use crate::support::is_long;

/// Values of `next` with their destinations according to the URL standard, which browsers follow.
fn cases(port: u16) -> Vec<(String, String)> {
    let own = format!("http://localhost:{port}");
    let mut cases: Vec<(String, String)> = [
        ("", "/dashboard"),
        ("/", "/"),
        ("/dashboard?a=1&b=2#end", "/dashboard?a=1&b=2#end"),
        ("dashboard?a=1", "/dashboard?a=1"),
        ("?a=1", "/?a=1"),
        ("#end", "/#end"),
        ("/a/../dashboard", "/dashboard"),
        ("/a/%2e%2e/dashboard", "/dashboard"),
        ("/../../dashboard", "/dashboard"),
        ("/\r\nSet-Cookie: a=b", "/Set-Cookie:%20a=b"),
        ("/%0d%0aSet-Cookie:%20a=b", "/%0d%0aSet-Cookie:%20a=b"),
        ("/?next=//evil.example", "/?next=//evil.example"),
        ("/a//evil.example", "/a//evil.example"),
        ("/@evil.example", "/@evil.example"),
        ("/%2f%2fevil.example", "/%2f%2fevil.example"),
        ("/%5cevil.example", "/%5cevil.example"),
        ("/\0/evil.example", "/%00/evil.example"),
        ("/\u{ff0f}evil.example", "/%EF%BC%8Fevil.example"),
        ("\u{ff0f}\u{ff0f}evil.example", "/%EF%BC%8F%EF%BC%8Fevil.example"),
        ("/\u{202e}elpmaxe", "/%E2%80%AEelpmaxe"),
        ("/<script>", "/%3Cscript%3E"),
        // Without slashes and with our own scheme this is a relative address.
        ("http:evil.example", "/evil.example"),
    ]
    .map(|(next, leads)| (next.to_owned(), leads.to_owned()))
    .into();
    cases.push((format!("{own}/dashboard?a=1"), "/dashboard?a=1".to_owned()));
    cases.push((format!("HTTP://LOCALHOST:{port}/a"), "/a".to_owned()));
    cases.push((format!("http:\\\\localhost:{port}\\a"), "/a".to_owned()));
    let elsewhere = [
        "https://evil.example/",
        "HTTPS://evil.example/",
        "http://evil.example",
        "http://localhost.evil.example/",
        "http://localhost/",
        "https:/evil.example",
        "https:evil.example",
        "https:///evil.example",
        "http:\\\\evil.example",
        "http:/\\evil.example",
        "//evil.example",
        "///evil.example",
        "////evil.example",
        "//evil.example:80/",
        "//evil.example\\@localhost/",
        "//\u{ff45}vil.example",
        "//0x7f000001",
        "//[::1]/",
        "//%65vil.example",
        "//",
        "/\\evil.example",
        "\\/evil.example",
        "\\\\evil.example",
        "/\\/evil.example",
        "/\t/evil.example",
        "\n//evil.example",
        "\t/\n/\revil.example",
        " //evil.example",
        "\u{1}//evil.example",
        "/.//evil.example",
        "/./\\evil.example",
        "/%2e//evil.example",
        "/a/..//evil.example",
        "/a/../\\/evil.example",
        ".//evil.example/../..//evil.example",
        "/..//evil.example",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\nscript:alert(1)",
        "javascript://localhost/%0aalert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:http://localhost/x",
        "view-source:http://localhost/",
        "about:blank",
        "mailto:kim@example.com",
        "ws://localhost/",
        "http://",
        "http://[::1",
        "http://a b/",
    ];
    let by_port = [
        format!("{own}//evil.example"),
        format!("{own}/\\evil.example"),
        format!("{own}/..//evil.example"),
        format!("{own}@evil.example/"),
        format!("{own}.evil.example/"),
        format!("http://kim@localhost:{port}/"),
        format!("http://kim:x@localhost:{port}/"),
        format!("http://evil.example#@localhost:{port}/"),
        format!("http://evil.example\\@localhost:{port}/"),
        format!("https://localhost:{port}/"),
        format!("//127.0.0.1:{port}/"),
        format!("//localhost.:{port}/"),
        format!("/{}", "a".repeat(5000)),
    ];
    cases.extend(elsewhere.map(str::to_owned).into_iter().chain(by_port).map(|next| (next, "/dashboard".to_owned())));
    cases
}

/// Tests the rule itself, without a server.
#[test]
fn next_leads_to_our_own_origin_or_nowhere() {
    let public = PublicUrl::localhost(8080, false);
    for (next, leads) in cases(8080) {
        let address = own_address(&public, &next);
        assert_eq!(address.as_deref().unwrap_or(HOME), leads, "{next:?}");
    }
}

/// The form keeps `next` as it was sent; only the login checks it.
#[test]
fn next_is_kept_by_the_form_and_followed_by_its_login() {
    let (_db, server) = serve_process(&[]);
    let page = server.client().get("/login?next=%2Fdashboard%3Fa%3D1%26b%3D2");
    assert!(page.body.contains("name=\"next\" value=\"/dashboard?a=1&#38;b=2\""), "{page:?}");
    let mut signed_in = server.client();
    signed_in.log_in(KIM);
    for (next, leads) in cases(server.port).iter().step_by(if is_long() { 1 } else { 12 }) {
        let page = server.client().get(&format!("/login?next={}", encoded(next)));
        let kept = page.body.split_once("name=\"next\" value=\"").and_then(|(_, rest)| rest.split('"').next());
        let is_kept = kept.is_some_and(|kept| kept.replace("&#38;", "&") == *leads);
        assert!(is_kept || leads == HOME && kept.is_none(), "{next:?} is kept as {kept:?}");
        let answer = signed_in.get(&format!("/login?next={}", encoded(next)));
        assert_eq!((answer.status, answer.header("location")), (303, Some(leads.as_str())), "{next:?}");
        let answer = log_in_by_form(&mut server.client(), KIM, next);
        assert_eq!((answer.status, answer.header("location")), (303, Some(leads.as_str())), "{next:?}");
        assert_eq!(answer.all("set-cookie").filter(|cookie| cookie.starts_with("a=")).count(), 0);
    }
    for twice in ["/login?next=/a&next=//evil.example", "/login?next=%ff", "/login?next[]=//evil.example"] {
        let answer = signed_in.get(twice);
        let leads = answer.header("location").unwrap_or("/");
        assert!(leads.starts_with('/') && !leads.starts_with("//") && answer.status < 500, "{twice}: {answer:?}");
    }
    assert_unharmed(&server);
}

fn encoded(next: &str) -> String {
    url::form_urlencoded::byte_serialize(next.as_bytes()).collect()
}

#[test]
fn the_start_page_leads_on() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    assert_eq!(client.get("/").header("location"), Some("/login"));
    client.log_in(KIM);
    assert_eq!(client.get("/").header("location"), Some("/dashboard"));
}
