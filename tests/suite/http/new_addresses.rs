//! A new e-mail address counts once it is verified by mail. What commands change is mailed too, with the operator's name.

use serde_json::json;

use super::{
    ALEX, KIM,
    mail::{Smtp, link_in, serve, signed_in},
};
use crate::support::{Answer, App, Client, PASSWORD, TestDb, add_user, command, eventually, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_new_address_counts_once_its_link_is_used,
    an_admin_asks_for_a_new_address,
    a_link_for_a_new_address_works_only_for_its_own_account,
    links_are_mailed_to_few_new_addresses_in_an_hour,
    commands_queue_mails_too,
    mails_have_the_operators_name_accent_and_contact,
}

const NEW: &str = "alexandra@example.com";

fn form(client: &mut Client, path: &str, fields: &[(&str, &str)]) -> Answer {
    let csrf = client.form_token(path);
    let fields: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
    client.form(path, &fields)
}

fn leads_to(answer: &Answer, address: &str) {
    assert_eq!((answer.status, answer.header("location")), (303, Some(address)), "{answer:?}");
}

fn id_of(db: &TestDb, email: &str) -> String {
    db.sql(&format!("SELECT id FROM accounts WHERE email = '{email}'"))
}

async fn mail_to(smtp: &Smtp, address: &str, words: &str) -> String {
    eventually(words, async || smtp.to(address).iter().any(|mail| mail.contains(words))).await;
    smtp.to(address).into_iter().find(|mail| mail.contains(words)).expect("a mail")
}

async fn asked(own: &mut Client, smtp: &Smtp) -> String {
    leads_to(&form(own, "/account/email", &[("new_email", NEW)]), "/account?done=email-asked");
    link_in(&mail_to(smtp, NEW, "Your new email address").await)
}

async fn a_new_address_counts_once_its_link_is_used(db: TestDb) {
    let smtp = Smtp::serving(&db);
    let server = serve(&db, &smtp);
    let mut own = signed_in(&server, ALEX);
    let id = id_of(&db, ALEX);
    assert!(own.get("/account/email").body.contains("We mail a link to the new address"));
    let path = asked(&mut own, &smtp).await;
    assert_eq!(own.get("/api/session").json()["user"]["email"], json!(ALEX), "not yet");
    let mut kim = signed_in(&server, KIM);
    assert_eq!(kim.get(&format!("/api/people/{id}")).json()["newEmail"], json!(NEW));
    assert!(kim.get(&format!("/people/{id}")).body.contains(&format!("The address becomes {NEW}")));
    let reset = kim.json("POST", &format!("/api/people/{id}/password-link"), &json!({}));
    let reset = reset.json()["link"].as_str().unwrap().split_once("/link/").unwrap().1.to_owned();
    // Opening it changes nothing, and a stranger cannot use it.
    let mut stranger = server.client();
    let page = stranger.get(&path);
    assert!(page.status == 200 && page.body.contains("Use this email address?"), "{page:?}");
    let refused = form(&mut stranger, &path, &[]);
    assert!(refused.status == 401 && refused.body.contains("Sign in here first"), "{refused:?}");
    leads_to(&form(&mut own, &path, &[]), "/account?done=email");
    assert_eq!(own.get("/api/session").json()["user"]["email"], json!(NEW));
    assert_eq!(server.client().try_log_in(ALEX, PASSWORD).status, 401);
    for gone in [path, format!("/link/{reset}")] {
        assert_eq!(server.client().get(&gone).status, 410, "{gone}");
    }
    for address in [ALEX, NEW] {
        let told = mail_to(&smtp, address, "was changed").await;
        assert!(told.contains(&format!("It is now {NEW}")), "{told}");
    }
    let kinds = db.sql(&format!("SELECT kind FROM audit WHERE account_id = '{id}' ORDER BY id"));
    for kind in ["account.email-change-asked", "account.email-changed"] {
        assert!(kinds.contains(kind), "{kind}: {kinds}");
    }
    assert!(kim.get(&format!("/api/people/{id}")).json().get("newEmail").is_none());
}

async fn an_admin_asks_for_a_new_address(db: TestDb) {
    let smtp = Smtp::serving(&db);
    let server = serve(&db, &smtp);
    let (mut kim, mut own) = (signed_in(&server, KIM), signed_in(&server, ALEX));
    let person = format!("/api/people/{}", id_of(&db, ALEX));
    let answer = kim.json("PATCH", &person, &json!({"email": NEW, "groups": ["Night"]}));
    let view = answer.json();
    assert_eq!(
        (&view["email"], &view["newEmail"], &view["groups"]),
        (&json!(ALEX), &json!(NEW), &json!(["Night"])),
        "{answer:?}"
    );
    mail_to(&smtp, NEW, "Your new email address").await;
    let taken = kim.json("PATCH", &person, &json!({"email": KIM}));
    assert_eq!((taken.status, taken.problem().as_str()), (409, "conflict"));
    let case = kim.json("PATCH", &person, &json!({"email": ALEX.to_uppercase()})).json();
    assert_eq!(case["email"], json!(ALEX.to_uppercase()), "the same mailbox needs no link");
    let again = kim.json("PATCH", &person, &json!({"email": NEW}));
    assert_eq!(again.json()["newEmail"], json!(NEW));
    eventually("two mails", async || smtp.to(NEW).len() == 2).await;
    let links = smtp.to(NEW).into_iter().map(|mail| link_in(&mail));
    let good: Vec<String> = links.filter(|path| server.client().get(path).status == 200).collect();
    assert_eq!(good.len(), 1, "only the last link works");
    leads_to(&form(&mut own, &good[0], &[]), "/account?done=email");
    assert_eq!(kim.get(&person).json()["email"], json!(NEW));
}

async fn a_link_for_a_new_address_works_only_for_its_own_account(db: TestDb) {
    let smtp = Smtp::serving(&db);
    let server = serve(&db, &smtp);
    let (mut kim, mut own) = (signed_in(&server, KIM), signed_in(&server, ALEX));
    let path = asked(&mut own, &smtp).await;
    let other = form(&mut kim, &path, &[]);
    assert!(other.status == 403 && other.body.contains("belongs to another account"), "{other:?}");
    // Somebody else got the address meanwhile.
    let invited = kim.json("POST", "/api/people/invitations", &json!({"email": NEW}));
    assert_eq!(invited.status, 201, "{invited:?}");
    let taken = form(&mut own, &path, &[]);
    assert!(taken.status == 409 && taken.body.contains("Another account has this address"), "{taken:?}");
    assert_eq!(own.get("/api/session").json()["user"]["email"], json!(ALEX));
}

async fn links_are_mailed_to_few_new_addresses_in_an_hour(db: TestDb) {
    let smtp = Smtp::serving(&db);
    let server = serve(&db, &smtp);
    let mut own = signed_in(&server, ALEX);
    for n in 0..3 {
        let typed = format!("new{n}@example.com");
        leads_to(&form(&mut own, "/account/email", &[("new_email", &typed)]), "/account?done=email-asked");
    }
    let refused = form(&mut own, "/account/email", &[("new_email", NEW)]);
    assert!(refused.status == 429 && refused.body.contains("Too many new addresses"), "{refused:?}");
    assert_eq!(smtp.to(NEW).len(), 0);
}

async fn commands_queue_mails_too(db: TestDb) {
    let smtp = Smtp::serving(&db);
    let server = serve(&db, &smtp);
    let settings = smtp.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let run = |args: &[&str]| {
        let out = command(&db, &settings).args(args).output().unwrap();
        assert!(out.status.success(), "{args:?}: {out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    run(&["user", "set-email", ALEX, NEW]);
    assert_eq!(server.client().try_log_in(NEW, PASSWORD).status, 200, "an operator's change counts at once");
    for address in [ALEX, NEW] {
        mail_to(&smtp, address, "was changed").await;
    }
    let printed = run(&["user", "password-link", NEW]);
    let mail = mail_to(&smtp, NEW, "An administrator made you a link").await;
    assert!(printed.contains(&link_in(&mail)), "{printed}: {mail}");
    let printed = run(&["user", "invite", "--email", "marta@example.com"]);
    let mail = mail_to(&smtp, "marta@example.com", "You are invited").await;
    assert!(printed.contains(&link_in(&mail)), "{printed}: {mail}");
}

async fn mails_have_the_operators_name_accent_and_contact(db: TestDb) {
    let smtp = Smtp::serving(&db);
    add_user(&db, KIM, "owner");
    let settings = smtp.settings();
    let own =
        [("SESSILE_NAME", "Corner Shop"), ("SESSILE_ACCENT", "#c2185b"), ("SESSILE_CONTACT", "Anna, 0171 5550199")];
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(name, value)| (*name, if *name == "SESSILE_MAIL_FROM" { "id@example.com" } else { value.as_str() }))
        .chain(own)
        .collect();
    let server = App::start(&db, &settings);
    let mut kim = signed_in(&server, KIM);
    let made = kim.json("POST", "/api/people/invitations", &json!({"email": "marta@example.com"}));
    assert_eq!(made.status, 201, "{made:?}");
    let mail = mail_to(&smtp, "marta@example.com", "You are invited to Corner Shop").await;
    for part in
        ["From: \"Corner Shop\" <id@example.com>", "#c2185b", "Questions? Ask Anna, 0171 5550199", "tel:01715550199"]
    {
        assert!(mail.contains(part), "{part}: {mail}");
    }
    assert!(!mail.contains("Sessile"), "{mail}");
}
