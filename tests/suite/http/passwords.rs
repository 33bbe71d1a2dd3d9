//! The rules for new passwords, and that a password is used exactly as typed.

use super::{ALEX, KIM, count, serve};
use crate::support::{Answer, App, Client, Engine, PASSWORD, TestDb, sessile};

fn choose(client: &mut Client, current: &str, new: &str) -> Answer {
    let csrf = client.form_token("/account");
    client.form("/account", &[("csrf", &csrf), ("current_password", current), ("password", new)])
}

#[test]
fn a_password_is_compared_exactly_as_typed() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let longest = format!("{}!", "Limpet rock é ".repeat(10).chars().take(127).collect::<String>());
    let cases = [
        (" Tidé pool LIMPET 77 ", ["Tidé pool LIMPET 77", " tidé pool limpet 77 ", " Tide\u{301} pool LIMPET 77 "]),
        (&longest, [&longest[..longest.len() - 1], &longest[..72], &longest.to_uppercase()]),
    ];
    let mut current = PASSWORD.to_owned();
    for (password, others) in cases {
        let answer = choose(&mut client, &current, password);
        assert_eq!((answer.status, answer.header("location")), (303, Some("/account?done=password")), "{answer:?}");
        for other in others {
            assert_eq!(server.client().try_log_in(KIM, other).status, 401, "{other:?}");
        }
        assert_eq!(server.client().try_log_in(KIM, password).status, 200, "{password:?}");
        password.clone_into(&mut current);
    }
    assert_eq!(longest.chars().count(), 128);
}

#[test]
fn passwords_do_not_expire() {
    let (db, server) = serve(&[]);
    db.sql("UPDATE accounts SET created_at = INSTANT(-630720000), password_changed_at = INSTANT(-630720000)");
    let mut client = server.client();
    client.log_in(KIM);
    assert_eq!(client.get("/dashboard").status, 200);
}

#[test]
fn common_passwords_are_refused_everywhere() {
    // zxcvbn alone accepts these.
    const LEAKED: [&str; 2] = ["gthtrfnbgjkt", "PerAsperaAdAstra"];
    let (db, server) = serve(&[("SESSILE_SIGNUP", "open")]);
    let unowned = TestDb::new(Engine::Sqlite);
    let new = App::start(&unowned, &[]);
    let link = new.setup_token();
    let mut client = server.client();
    client.log_in(KIM);
    for password in LEAKED {
        let mut refused = vec![choose(&mut client, PASSWORD, password)];
        for (server, path, token) in [(&server, "/signup", ""), (&new, "/setup", link.as_str())] {
            let mut visitor = server.client();
            let csrf = visitor.form_token(&format!("{path}?token={token}"));
            let fields = [("csrf", csrf.as_str()), ("token", token), ("email", ALEX), ("password", password)];
            refused.push(visitor.form(path, &fields));
        }
        for answer in refused {
            assert_eq!(answer.status, 422, "{answer:?}");
            assert!(answer.body.contains("This is one of the passwords that many people use."), "{}", answer.body);
        }
        for args in [
            &["user", "add", "--email", ALEX, "--password-stdin"][..],
            &["user", "set-password", KIM, "--password-stdin"],
        ] {
            assert_eq!(sessile(&db, args, password).status.code(), Some(1), "{args:?}");
        }
    }
    assert_eq!((count(&db, "accounts"), count(&unowned, "accounts")), (1, 0));
}

#[test]
fn password_fields_are_hidden_and_allow_managers() {
    let (_db, server) = serve(&[("SESSILE_SIGNUP", "open")]);
    let (mut visitor, mut client) = (server.client(), server.client());
    client.log_in(KIM);
    let pages = [("/login", 1), ("/signup", 1), ("/account", 2), ("/confirm", 1)];
    for (path, number) in pages {
        let page = if matches!(path, "/login" | "/signup") { visitor.get(path) } else { client.get(path) };
        let inputs = page.body.split("<input").skip(1).map(|rest| rest.split('>').next().unwrap());
        let fields: Vec<&str> = inputs.filter(|input| input.contains("password\"")).collect();
        assert_eq!(fields.len(), number, "{path}: {fields:?}");
        for field in fields {
            assert!(field.contains("type=\"password\""), "{path}: {field}");
            let names = ["autocomplete=\"current-password\"", "autocomplete=\"new-password\""];
            assert!(names.iter().any(|name| field.contains(name)), "{path}: {field}");
            assert!(
                !["onpaste", "readonly", "maxlength", "pattern"].iter().any(|word| field.contains(word)),
                "{field}"
            );
        }
    }
    let scripts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("static/js");
    for script in std::fs::read_dir(scripts).unwrap() {
        let script = std::fs::read_to_string(script.unwrap().path()).unwrap();
        assert!(!script.contains("paste"), "a script must not block pasting: {script}");
    }
}

#[test]
fn there_are_no_default_passwords() {
    let db = TestDb::new(Engine::Sqlite);
    let server = App::start(&db, &[]);
    for email in ["admin@localhost", "root@localhost", "owner@example.com", "admin@example.com"] {
        for password in ["admin", "password", "changeme", "sessile"] {
            let answer = server.client().try_log_in(email, password);
            assert!(matches!(answer.status, 401 | 429), "{answer:?}");
        }
    }
    assert_eq!((count(&db, "accounts"), count(&db, "sessions")), (0, 0));
}
