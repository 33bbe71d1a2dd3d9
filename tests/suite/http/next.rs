//! Where a login leads.

use super::{KIM, log_in_by_form, serve};

#[test]
fn next_leads_to_our_own_origin_or_nowhere() {
    let (_db, server) = serve(&[]);
    let own = format!("http://localhost:{}", server.port);
    let absolute = format!("{own}/dashboard?a=1");
    let user = format!("http://kim@localhost:{}/", server.port);
    let long = format!("/{}", "a".repeat(5000));
    let doubled = format!("{own}//evil.example");
    let cases = [
        ("", "/dashboard"),
        ("/dashboard?a=1&b=2#end", "/dashboard?a=1&b=2#end"),
        (absolute.as_str(), "/dashboard?a=1"),
        ("/a/../dashboard", "/dashboard"),
        ("https://evil.example/", "/dashboard"),
        ("//evil.example", "/dashboard"),
        ("///evil.example", "/dashboard"),
        ("/\\evil.example", "/dashboard"),
        ("\\\\evil.example", "/dashboard"),
        ("/\t/evil.example", "/dashboard"),
        ("\n//evil.example", "/dashboard"),
        (" //evil.example", "/dashboard"),
        ("/.//evil.example", "/dashboard"),
        ("/%2e//evil.example", "/dashboard"),
        ("/a/..//evil.example", "/dashboard"),
        (&doubled, "/dashboard"),
        ("javascript:alert(1)", "/dashboard"),
        ("data:text/html,x", "/dashboard"),
        // Without slashes and in our own scheme it is a relative address, by the URL standard: a page of ours.
        ("http:evil.example", "/evil.example"),
        ("https:/evil.example", "/dashboard"),
        (&user, "/dashboard"),
        (&long, "/dashboard"),
    ];
    let mut client = server.client();
    client.log_in(KIM);
    for (next, leads) in cases {
        let query: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let answer = client.get(&format!("/login?next={query}"));
        let location = answer.header("location");
        assert_eq!((answer.status, location), (303, Some(leads)), "{next}");
    }
}

#[test]
fn the_form_keeps_next_and_its_login_leads_there() {
    let (_db, server) = serve(&[]);
    let page = server.client().get("/login?next=%2Fdashboard%3Fa%3D1%26b%3D2");
    assert!(page.body.contains("name=\"next\" value=\"/dashboard?a=1&#38;b=2\""), "{page:?}");
    let page = server.client().get("/login?next=%2F%2Fevil.example");
    assert!(!page.body.contains("evil.example\"") || !page.body.contains("name=\"next\""), "{page:?}");

    let cases = [
        ("", "/dashboard"),
        ("/dashboard?a=1&b=2", "/dashboard?a=1&b=2"),
        ("//evil.example", "/dashboard"),
        ("https://evil.example/", "/dashboard"),
        ("/\\evil.example", "/dashboard"),
        ("/\r\nSet-Cookie: a=b", "/Set-Cookie:%20a=b"),
    ];
    for (next, leads) in cases {
        let answer = log_in_by_form(&mut server.client(), KIM, next);
        assert_eq!((answer.status, answer.header("location")), (303, Some(leads)), "{next:?}");
        assert_eq!(answer.all("set-cookie").filter(|cookie| cookie.starts_with("a=")).count(), 0);
    }
}

#[test]
fn the_start_page_leads_on() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    assert_eq!(client.get("/").header("location"), Some("/login"));
    client.log_in(KIM);
    assert_eq!(client.get("/").header("location"), Some("/dashboard"));
}
