//! Malformed forms, sent to every address that reads a form.

use super::{FORM, Target, addresses};

#[test]
fn malformed_forms_are_refused_everywhere() {
    let target = Target::new(&[("SESSILE_SIGNUP", "open")]);
    let (csrf, visitor) = token_and_cookie(&target);
    let token = format!("csrf={csrf}&");
    let session = target.cookie();
    let own = [("", &session), (token.as_str(), &visitor), ("", &visitor)];
    for body in odd_bodies() {
        for path in addresses::with_forms() {
            for (token, cookie) in own {
                let body = [token.as_bytes(), &body].concat();
                let answer = target.ask("POST", &path, &[FORM, cookie], &body);
                let shown = format!("{path} {:.80}: {answer:?}", String::from_utf8_lossy(&body));
                // Without a session these addresses redirect: the client is signed out already, or must log in.
                let for_somebody =
                    matches!(path.as_str(), "/logout" | "/account" | "/confirm" | "/devices" | "/drafts" | "/apps")
                        || ["/apps/", "/people/", "/account/"].iter().any(|area| path.starts_with(area));
                let signed_out = for_somebody && cookie == &visitor && answer.status == 303;
                // Without a first step this address leads to the sign-in, or on if there is a session.
                let leads_on = signed_out || path == "/login/second" && answer.status == 303;
                // The link is checked before anything else in the form.
                let no_link =
                    (path == "/setup" && answer.status == 403) || (path.starts_with("/link/") && answer.status == 410);
                // There is no such app, person or passkey.
                let areas = ["/apps/", "/people/", "/account/security/passkeys/"];
                let no_app = areas.iter().any(|area| path.starts_with(area)) && answer.status == 404;
                assert!(leads_on || no_link || no_app || matches!(answer.status, 400 | 413 | 422), "{shown}");
                let expected = (!leads_on).then_some("text/html; charset=utf-8");
                assert_eq!(answer.header("content-type"), expected, "{shown}");
                assert!(!answer.body.contains("<script>alert"), "{shown}");
            }
        }
    }
    target.must_be_unharmed();
}

#[test]
fn forms_of_other_types_are_refused_everywhere() {
    let target = Target::new(&[("SESSILE_SIGNUP", "open")]);
    let (csrf, visitor) = token_and_cookie(&target);
    let types: [&[u8]; 13] = [
        b"",
        b"application/json",
        b"application/json; charset=utf-8",
        b"application/x-www-form-urlencoded-not",
        b"application/",
        b"text/plain",
        b"text/html",
        b"text/plain; application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=x",
        b"multipart/form-data",
        b"*/*",
        b"form",
        b"\xff",
    ];
    for content_type in types {
        let header = [b"Content-Type: ", content_type].concat();
        for path in addresses::with_forms() {
            let answer = target.ask("POST", &path, &[&header, &visitor], format!("csrf={csrf}").as_bytes());
            assert_eq!(answer.status, 415, "{path} {:?}: {answer:?}", String::from_utf8_lossy(content_type));
        }
    }
    for charset in ["utf-16", "iso-8859-1", "nonsense", "\"", "utf-8; charset=utf-16", "utf-7"] {
        let header = format!("Content-Type: application/x-www-form-urlencoded; charset={charset}");
        for path in addresses::with_forms() {
            let answer = target.ask("POST", &path, &[header.as_bytes(), &visitor], b"email=%");
            let no_link = path.starts_with("/link/") && answer.status == 410;
            let refused = no_link || matches!(answer.status, 303 | 400 | 403 | 415 | 422);
            assert!(refused, "{path} {charset}: {answer:?}");
        }
    }
    target.must_be_unharmed();
}

/// The login form's token, and the cookie that it is bound to.
fn token_and_cookie(target: &Target) -> (String, Vec<u8>) {
    let page = target.ask("GET", "/login", &[], b"");
    let cookie = page.sets("aiq_visitor").expect("a visitor's cookie").split(';').next().expect("a pair");
    (page.form_token(), format!("Cookie: {cookie}").into_bytes())
}

fn odd_bodies() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 21] = [
        b"",
        b"&&&===",
        b"=",
        b"%",
        b"%2",
        b"%zz=%zz",
        b"%ff%fe=%ff",
        b"\xff\xfe=\xff",
        b"\0",
        b"\0=\0",
        b"email=%00&password=x",
        b"email=kim%00%40example.com&password=x",
        b"email=kim%40example.com%0d%0aBcc%3ax&password=x",
        b"email=<script>alert(1)</script>&name=<script>alert(1)</script>&password=x&next=<script>alert(1)</script>",
        b"email=%22%3e%3cscript%3ealert(1)%3c/script%3e&password=x",
        b"email=a&email=b&password=x",
        b"csrf=a&csrf=b",
        b"email[]=kim&email[$ne]=x&password[]=x",
        b"email;password",
        b"{\"email\": \"kim@example.com\", \"password\": \"x\"}",
        b"--x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\nkim@example.com\r\n--x--",
    ];
    let mut bodies: Vec<Vec<u8>> = texts.map(<[u8]>::to_vec).into();
    bodies.push("a=b&".repeat(4000).into_bytes());
    bodies.push("&".repeat(16_000).into_bytes());
    bodies.push("%".repeat(16_000).into_bytes());
    bodies.push(format!("email={}&password={}", "a".repeat(4000), "b".repeat(4000)).into_bytes());
    bodies.push(format!("next={}", "%00".repeat(5000)).into_bytes());
    bodies.push("a=b&".repeat(50_000).into_bytes());
    bodies
}
