//! "Sign in on my phone": a QR code hands a sign-in over to another device.

use serde_json::json;

use super::{ALEX, KIM};
use crate::support::{Answer, App, Client, PASSWORD, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_phone_is_signed_in_after_the_numbers_were_compared,
    a_code_works_for_one_browser_and_two_minutes,
    a_wrong_number_and_an_end_stop_the_hand_over,
    the_phone_proves_no_more_than_the_screen_that_confirmed_it,
    an_older_hand_over_with_the_same_number_does_not_get_in_the_way,
}

fn serve(db: &TestDb) -> App {
    add_user(db, KIM, "owner");
    add_user(db, ALEX, "member");
    App::start(db, &[])
}

fn signed_in(server: &App, email: &str) -> Client {
    let mut client = server.client();
    client.log_in(email);
    client
}

fn post(desk: &mut Client, fields: &[(&str, &str)]) -> Answer {
    let csrf = desk.form_token("/account");
    let fields: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
    desk.form("/account/phone", &fields)
}

/// Shows the code, and returns the path of its link. The page shows the link as a code only, so the link is read from the
/// database's side: the code's modules cannot be read here.
fn start(desk: &mut Client, db: &TestDb, token: &str) -> String {
    let shown = post(desk, &[("act", "start")]);
    assert!(shown.status == 200 && shown.body.contains("<svg class=\"qr\""), "{shown:?}");
    assert!(!shown.body.contains("/link/"), "the link is shown as a code only: {shown:?}");
    // Gives the newest link a token that this case knows.
    let hash = sessile::base::secret::Secret::presented(token).hash();
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let blob = match db.engine {
        crate::support::Engine::Sqlite => format!("X'{hash}'"),
        crate::support::Engine::Postgres => format!("'\\x{hash}'::bytea"),
    };
    let newest = "purpose = 'hand-over' AND used_at IS NULL AND expires_at > INSTANT(0)";
    db.sql(&format!(
        "INSERT INTO links (account_id, token_hash, purpose, made_by, made_at, expires_at) \
         SELECT account_id, {blob}, purpose, made_by, made_at, expires_at FROM links WHERE {newest}; \
         INSERT INTO account_of_link (token_hash, account_id) SELECT token_hash, account_id FROM links WHERE token_hash = {blob}; \
         UPDATE hand_overs SET token_hash = {blob} WHERE token_hash IN (SELECT token_hash FROM links WHERE {newest} AND token_hash <> {blob}); \
         DELETE FROM links WHERE {newest} AND token_hash <> {blob}"
    ));
    format!("/link/{token}")
}

fn token(letter: &str) -> String {
    letter.repeat(43)
}

fn press(phone: &mut Client, path: &str) -> Answer {
    let page = phone.get(path);
    if page.status != 200 {
        return page;
    }
    phone.form(path, &[("csrf", &page.form_token())])
}

/// The number on a page.
fn number(page: &str) -> String {
    let (_, rest) = page.split_once("class=\"big-number\">").unwrap_or_else(|| panic!("no number: {page}"));
    rest.split('<').next().unwrap().to_owned()
}

async fn a_phone_is_signed_in_after_the_numbers_were_compared(db: TestDb) {
    let server = serve(&db);
    let (mut desk, mut phone) = (signed_in(&server, ALEX), server.client());
    assert!(desk.get("/account").body.contains("href=\"/account/phone\""));
    let path = start(&mut desk, &db, &token("a"));
    assert!(phone.get(&path).body.contains("Sign in on this device?"));
    assert!(desk.get("/account/phone").body.contains("a number appears here"), "opening the link claims nothing");
    let claimed = press(&mut phone, &path);
    assert_eq!((claimed.status, claimed.header("location")), (303, Some(path.as_str())), "{claimed:?}");
    let waiting = phone.get(&path).body;
    assert!(waiting.contains("http-equiv=\"refresh\""), "{waiting}");
    let asked = desk.get("/account/phone").body;
    assert_eq!(number(&waiting), number(&asked));
    assert_eq!(phone.get("/api/session").status, 401, "not yet");
    assert_eq!(post(&mut desk, &[("act", "same"), ("number", &number(&asked))]).status, 303);
    let done = press(&mut phone, &path);
    assert_eq!((done.status, done.header("location")), (303, Some("/dashboard")), "{done:?}");
    assert_eq!(phone.get("/api/session").json()["user"]["email"], json!(ALEX));
    assert_eq!(phone.get("/api/devices").json()["devices"].as_array().unwrap().len(), 2, "a device of its own");
    assert_eq!(press(&mut server.client(), &path).status, 410, "once");
    let kinds = db.sql("SELECT kind FROM audit WHERE kind = 'device.new'");
    assert_eq!(kinds.lines().count(), 2, "{kinds}");
}

async fn a_code_works_for_one_browser_and_two_minutes(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, ALEX);
    let path = start(&mut desk, &db, &token("b"));
    assert_eq!(press(&mut server.client(), &path).status, 303);
    assert_eq!(press(&mut server.client(), &path).status, 410, "another browser was first");
    let second = start(&mut desk, &db, &token("c"));
    assert_eq!(server.client().get(&path).status, 410, "a new code replaces the old one");
    db.sql("UPDATE links SET expires_at = INSTANT(-1)");
    assert_eq!(press(&mut server.client(), &second).status, 410);
    db.sql("UPDATE sessions SET authenticated_at = INSTANT(-660)");
    assert_eq!(post(&mut desk, &[("act", "start")]).status, 422, "a recent password is needed");
    assert_eq!(post(&mut desk, &[("act", "start"), ("current_password", "wrong one 123")]).status, 401);
    assert_eq!(post(&mut desk, &[("act", "start"), ("current_password", PASSWORD)]).status, 200);
}

async fn a_wrong_number_and_an_end_stop_the_hand_over(db: TestDb) {
    let server = serve(&db);
    let (mut desk, mut phone) = (signed_in(&server, ALEX), server.client());
    let path = start(&mut desk, &db, &token("d"));
    assert_eq!(press(&mut phone, &path).status, 303);
    let refused = post(&mut desk, &[("act", "other")]);
    assert!(refused.body.contains("The code no longer works"), "{refused:?}");
    assert_eq!(press(&mut phone, &path).status, 410);
    let path = start(&mut desk, &db, &token("e"));
    assert_eq!(press(&mut phone, &path).status, 303);
    assert!(post(&mut desk, &[("act", "same"), ("number", "7")]).body.contains("The code no longer works"));
    let path = start(&mut desk, &db, &token("f"));
    assert_eq!(press(&mut phone, &path).status, 303);
    let shown = number(&desk.get("/account/phone").body);
    let mut other = signed_in(&server, ALEX);
    assert!(!other.get("/account/phone").body.contains("big-number"), "only the session that asked sees the number");
    assert_eq!(post(&mut desk, &[("act", "same"), ("number", &shown)]).status, 303);
    assert_eq!(other.json("POST", "/api/sessions/revoke-others", &json!({})).status, 200);
    assert_eq!(press(&mut phone, &path).status, 410, "the session that confirmed has ended");
    assert_eq!(phone.get("/api/session").status, 401);
}

async fn the_phone_proves_no_more_than_the_screen_that_confirmed_it(db: TestDb) {
    let server = serve(&db);
    let (mut desk, mut phone) = (signed_in(&server, ALEX), server.client());
    let path = start(&mut desk, &db, &token("e"));
    db.sql(
        "UPDATE sessions SET authenticated_at = INSTANT(-500), absolute_expires_at = INSTANT(7200), \
         expires_at = INSTANT(7200)",
    );
    assert_eq!(press(&mut phone, &path).status, 303);
    let asked = desk.get("/account/phone").body;
    assert_eq!(post(&mut desk, &[("act", "same"), ("number", &number(&asked))]).status, 303);
    assert_eq!(press(&mut phone, &path).status, 303);
    assert_eq!(phone.get("/api/session").json()["user"]["email"], json!(ALEX));
    let both = "SELECT count(*) FROM sessions WHERE ended_at IS NULL AND authenticated_at < INSTANT(-490) AND \
                absolute_expires_at < INSTANT(7300) AND expires_at < INSTANT(7300)";
    assert_eq!(db.sql(both), "2");
    db.sql("UPDATE sessions SET authenticated_at = INSTANT(-660)");
    assert_eq!(phone.get("/api/account/export").problem(), "confirmation-required");
}

async fn an_older_hand_over_with_the_same_number_does_not_get_in_the_way(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, ALEX);
    for letter in ["f", "g"] {
        let path = start(&mut desk, &db, &token(letter));
        assert_eq!(press(&mut server.client(), &path).status, 303);
        db.sql("UPDATE hand_overs SET number = 42");
    }
    assert_eq!(post(&mut desk, &[("act", "same"), ("number", "42")]).status, 303);
    assert_eq!(db.sql("SELECT count(*) FROM hand_overs WHERE confirmed_at IS NOT NULL"), "1");
}
