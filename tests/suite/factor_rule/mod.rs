//! Who must have a second factor, how long passwords must be beside one, and what an administrator can remove. On both
//! engines.

mod passwords;
mod reach;
mod reset;

use serde_json::json;
use sessile::{
    base::{clock::Clock, db::Conn, recovery_code::RecoveryCode, totp},
    records::second_factor::{app, recovery},
};

use crate::support::{Answer, Client, PASSWORD, TestDb};

/// An owner.
const KIM: &str = "kim@example.com";
/// An admin.
const ALEX: &str = "alex@example.com";
/// A member.
const SAM: &str = "sam@example.com";

/// The key of every authenticator app.
const KEY: &[u8] = b"a key of twenty byte";

/// Gives the account an authenticator app, as if its first code had been right. Returns its recovery codes.
pub async fn give_app(db: &TestDb, account_id: &str) -> Vec<String> {
    let sessions = db.sessions().await;
    let sealing = sessions.sealing.clone();
    let codes = RecoveryCode::random_set().unwrap();
    let hashes: Vec<_> = codes.iter().map(|code| sealing.seal(account_id, &code.hash()).unwrap()).collect();
    let (id, secret) = (account_id.to_owned(), sealing.seal(account_id, KEY).unwrap());
    let add = async move |conn: &mut Conn<'_>| {
        assert!(app::add(conn, &id, &secret, 0).await?);
        recovery::replace(conn, &id, &hashes).await
    };
    sessions.db.write(add).await.unwrap();
    codes.iter().map(RecoveryCode::in_groups).collect()
}

/// The app's code of now. It counts as new, even if it was used before.
pub fn new_code(db: &TestDb) -> String {
    db.sql("UPDATE totp_apps SET last_step = 0");
    totp::code(KEY, totp::step_at(Clock::default().now()))
}

/// Signs in with the API.
pub fn log_in_with(client: &mut Client, email: &str, code: &str) -> Answer {
    client.json("POST", "/api/establish-session", &json!({"email": email, "password": PASSWORD, "code": code}))
}

/// Confirms with the password and a code, on the page that a person is led to.
pub fn confirm_at(client: &mut Client, page: &str, code: &str) -> Answer {
    let shown = client.get(page);
    assert_eq!(shown.status, 200, "{shown:?}");
    let fields = [
        ("csrf", shown.form_token()),
        ("password", PASSWORD.to_owned()),
        ("code", code.to_owned()),
        ("next", shown.value_of("next").replace("&amp;", "&")),
        ("level", shown.value_of("level")),
    ];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    client.form("/confirm", &fields)
}

fn leads_to(answer: &Answer, address: &str) {
    assert_eq!((answer.status, answer.header("location")), (303, Some(address)), "{answer:?}");
}

fn count(db: &TestDb, what: &str) -> usize {
    db.sql(&format!("SELECT count(*) FROM {what}")).parse().expect("a number")
}
