//! The list and the page of one person show invitations, requests for help, and mails that were not delivered.

use serde_json::json;

use super::{ALEX, KIM, SAM, count, form, leads_to, let_confirmations_lapse, serve, signed_in};
use crate::support::{Client, PASSWORD, TestDb, add_user, eventually, on_both_engines_and_citus};

on_both_engines_and_citus! {
    invited_people_are_shown_with_the_state_of_their_link,
    an_owner_manages_somebody_invited_as_an_owner,
    a_request_for_help_stands_above_the_list,
    a_mail_that_was_not_delivered_is_shown,
    an_own_address_is_changed_at_once_without_mail,
    a_corrected_address_makes_the_invitation_stop_working,
}

const NEW: &str = "new@example.com";

fn invite(client: &mut Client, role: &str) -> String {
    let made = client.json("POST", "/api/people/invitations", &json!({"email": NEW, "name": "Marta", "role": role}));
    assert_eq!(made.status, 201, "{made:?}");
    let link = made.json()["link"].as_str().unwrap().to_owned();
    link[link.find("/link/").unwrap()..].to_owned()
}

fn id_of(db: &TestDb, email: &str) -> String {
    db.sql(&format!("SELECT id FROM accounts WHERE email = '{email}'"))
}

async fn invited_people_are_shown_with_the_state_of_their_link(db: TestDb) {
    let (server, [_, _, sam]) = serve(&db);
    let mut kim = signed_in(&server, KIM);
    assert!(kim.get("/people").body.contains("href=\"/people/invite\""));
    invite(&mut kim, "member");
    let id = id_of(&db, NEW);
    let person = kim.get(&format!("/api/people/{id}")).json();
    assert_eq!((&person["status"], &person["invitationExpired"]), (&json!("invited"), &json!(false)), "{person}");
    assert!(kim.get(&format!("/api/people/{sam}")).json().get("invitationExpired").is_none());
    assert!(kim.get("/people").body.contains(">Invited<"));
    let page = kim.get(&format!("/people/{id}")).body;
    for words in ["The link works until", "act=invite", "act=cancel", "has not chosen a password yet"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("Link for a new password"), "{page}");
    assert!(kim.get(&format!("/people/{sam}")).body.contains("Link for a new password"));
    // Too old, and cancelled: both no longer work.
    db.sql("UPDATE links SET expires_at = INSTANT(-5)");
    assert!(kim.get("/people").body.contains("Invitation expired"));
    let again = form(&mut kim, &format!("/people/{id}/link"), &[("act", "invite")]);
    assert!(again.status == 200 && again.body.contains("Marta is invited"), "{again:?}");
    assert!(!kim.get("/people").body.contains("Invitation expired"));
    let cancelled = format!("/people/{id}?done=cancelled");
    leads_to(&form(&mut kim, &format!("/people/{id}/link"), &[("act", "cancel")]), &cancelled);
    let page = kim.get(&cancelled).body;
    assert!(page.contains("The link no longer works") && !page.contains("act=cancel"), "{page}");
    assert_eq!(kim.get(&format!("/api/people/{id}")).json()["invitationExpired"], json!(true));
    let page = kim.get("/activity").body;
    for words in ["You invited somebody", "You cancelled an invitation", "Marta"] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

async fn an_owner_manages_somebody_invited_as_an_owner(db: TestDb) {
    let (server, _) = serve(&db);
    let (mut kim, mut alex) = (signed_in(&server, KIM), signed_in(&server, ALEX));
    let path = invite(&mut kim, "owner");
    let id = id_of(&db, NEW);
    for page in [format!("/people/{id}"), format!("/people/{id}/link")] {
        assert_eq!((kim.get(&page).status, alex.get(&page).status), (200, 403), "{page}");
    }
    let mut marta = server.client();
    let csrf = marta.form_token(&path);
    leads_to(&marta.form(&path, &[("csrf", &csrf), ("name", "Marta"), ("password", PASSWORD)]), "/dashboard");
    assert_eq!(kim.get(&format!("/people/{id}")).status, 403, "now they are equals");
}

async fn a_request_for_help_stands_above_the_list(db: TestDb) {
    let (server, [_, _, sam]) = serve(&db);
    add_user(&db, "ada@example.com", "admin");
    let (mut kim, mut alex) = (signed_in(&server, KIM), signed_in(&server, ALEX));
    for email in [SAM, "ada@example.com"] {
        let mut visitor = server.client();
        let csrf = visitor.form_token("/forgot");
        leads_to(&visitor.form("/forgot", &[("csrf", &csrf), ("email", email)]), "/forgot?done=asked");
    }
    eventually("two requests", async || count(&db, "help_requests") == 2).await;
    let page = kim.get("/people").body;
    let (help, list) = (page.find("Somebody needs help").unwrap(), page.find("id=\"people-list\"").unwrap());
    assert!(help < list && page.contains(&format!("/people/{sam}/link")), "{page}");
    let page = alex.get("/people").body;
    assert!(page.contains(&format!("/people/{sam}/link")), "{page}");
    assert_eq!(page.matches("Forgot their password").count(), 1, "not of those beside the reader: {page}");
}

async fn a_mail_that_was_not_delivered_is_shown(db: TestDb) {
    let (server, [_, _, sam]) = serve(&db);
    db.sql(&format!(
        "INSERT INTO mails (account_id, id, kind, recipient, detail, created_at, due_at, attempts, failed_at, failure) \
         VALUES ('{sam}', 'mail_1', 'new-device', '{SAM}', '{{}}', INSTANT(-9), INSTANT(-9), 1, INSTANT(-5), \
         '550 <b>nobody</b> here')"
    ));
    let page = signed_in(&server, ALEX).get(&format!("/people/{sam}")).body;
    assert!(page.contains("was not delivered") && page.contains("550 &#60;b&#62;nobody"), "{page}");
}

async fn an_own_address_is_changed_at_once_without_mail(db: TestDb) {
    let (server, [_, _, sam]) = serve(&db);
    let mut own = signed_in(&server, SAM);
    assert!(own.get("/account").body.contains("href=\"/account/email\""));
    for (email, words) in
        [("nobody", "whole email address"), (ALEX, "already an account"), (SAM, "your address already")]
    {
        let refused = form(&mut own, "/account/email", &[("new_email", email)]);
        assert!(refused.status == 422 && refused.body.contains(words), "{email}: {refused:?}");
        assert!(refused.body.contains(&format!("value=\"{email}\"")), "{refused:?}");
    }
    let_confirmations_lapse(&db);
    let typed = ("new_email", "samantha@example.com");
    assert_eq!(form(&mut own, "/account/email", &[typed]).status, 422);
    assert_eq!(form(&mut own, "/account/email", &[typed, ("current_password", "not the password 1")]).status, 401);
    assert_eq!(id_of(&db, SAM), sam);
    leads_to(&form(&mut own, "/account/email", &[typed, ("current_password", PASSWORD)]), "/account?done=email");
    assert_eq!(server.client().try_log_in(SAM, PASSWORD).status, 401);
    assert_eq!(server.client().try_log_in("samantha@example.com", PASSWORD).status, 200);
    assert_eq!(count(&db, &format!("audit WHERE kind = 'account.email-changed' AND actor = '{sam}'")), 1);
    assert_eq!(own.get("/api/session").json()["user"]["email"], json!("samantha@example.com"));
}

async fn a_corrected_address_makes_the_invitation_stop_working(db: TestDb) {
    let (server, _) = serve(&db);
    let mut kim = signed_in(&server, KIM);
    let path = invite(&mut kim, "member");
    let person = format!("/api/people/{}", id_of(&db, NEW));
    let changed = kim.json("PATCH", &person, &json!({"email": "marta@example.com"}));
    assert_eq!((changed.status, &changed.json()["email"]), (200, &json!("marta@example.com")), "{changed:?}");
    assert_eq!(changed.json()["invitationExpired"], json!(true));
    assert_eq!(server.client().get(&path).status, 410, "a stranger may have it");
}
