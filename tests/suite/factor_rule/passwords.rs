//! How long a new password must be, with a second factor and without.

use super::{KIM, SAM, give_app, leads_to, new_code};
use crate::support::{Answer, App, Client, PASSWORD, TestDb, add_user, command, on_both_engines_and_citus};

on_both_engines_and_citus! {
    every_form_and_command_follows_the_setting,
    eight_characters_suffice_beside_a_second_factor,
    a_link_follows_the_person_of_the_link,
    a_short_password_is_noted,
}

const MIN: (&str, &str) = ("SESSILE_PASSWORD_MIN", "15");
/// 14 characters that are hard to guess.
const OF_14: &str = "wombat93 ferry";
/// 15 characters that are hard to guess.
const OF_15: &str = "wombat93 ferry!";
/// 8 characters that are hard to guess.
const OF_8: &str = "vK7#qz2W";
/// 7 characters.
const OF_7: &str = "vK7#qz2";

/// Sends the form for a new password.
fn change(client: &mut Client, current: &str, new: &str) -> Answer {
    let csrf = client.form_token("/account");
    client.form("/account", &[("csrf", &csrf), ("current_password", current), ("password", new), ("end_others", "0")])
}

fn is_too_short(answer: &Answer, least: usize) {
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.body.contains(&format!("Use at least {least} characters.")), "{answer:?}");
}

/// Exit code and what the command said.
fn set_password(db: &TestDb, email: &str, password: &str) -> (Option<i32>, String) {
    let mut program = command(db, &[MIN]);
    program.args(["user", "set-password", email, "--password-stdin"]).stdin(std::process::Stdio::piped());
    let mut child = program.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), password.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

async fn every_form_and_command_follows_the_setting(db: TestDb) {
    add_user(&db, KIM, "owner");
    let server = App::start(&db, &[MIN, ("SESSILE_SIGNUP", "open")]);
    let mut stranger = server.client();
    let page = stranger.get("/signup");
    assert!(page.body.contains("At least 15 characters."), "{page:?}");
    let fields = |password| [("email", SAM), ("name", "Sam"), ("password", password)];
    let csrf = page.form_token();
    let sent = [&[("csrf", csrf.as_str())][..], &fields(OF_14)].concat();
    is_too_short(&stranger.form("/signup", &sent), 15);
    let sent = [&[("csrf", csrf.as_str())][..], &fields(OF_15)].concat();
    leads_to(&stranger.form("/signup", &sent), "/dashboard");

    let mut client = server.client();
    client.log_in(KIM);
    assert!(client.get("/account").body.contains("At least 15 characters."));
    is_too_short(&change(&mut client, PASSWORD, OF_14), 15);
    leads_to(&change(&mut client, PASSWORD, OF_15), "/account?done=password");

    let (code, said) = set_password(&db, KIM, OF_14);
    assert!(code == Some(1) && said.contains("Use at least 15 characters"), "{said}");
    assert_eq!(set_password(&db, KIM, PASSWORD).0, Some(0));
    assert_eq!(server.client().try_log_in(KIM, PASSWORD).status, 200);
}

async fn eight_characters_suffice_beside_a_second_factor(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let server = App::start(&db, &[MIN]);
    let mut client = server.client();
    client.log_in(KIM);
    give_app(&db, &kim).await;
    super::confirm_at(&mut client, "/confirm?level=2&next=%2Faccount", &new_code(&db));
    assert!(client.get("/account").body.contains("At least 8 characters."));
    is_too_short(&change(&mut client, PASSWORD, OF_7), 8);
    leads_to(&change(&mut client, PASSWORD, OF_8), "/account?done=password");
    assert_eq!(set_password(&db, KIM, OF_7).0, Some(1));
    assert_eq!(set_password(&db, KIM, OF_8).0, Some(0));
}

async fn a_link_follows_the_person_of_the_link(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let server = App::start(&db, &[MIN]);
    let link = || {
        let made = command(&db, &[MIN]).args(["user", "password-link", KIM]).output().unwrap();
        let said = String::from_utf8(made.stdout).unwrap();
        let (_, token) = said.split_once("/link/").unwrap_or_else(|| panic!("{said}"));
        format!("/link/{}", token.split_whitespace().next().unwrap())
    };
    let choose = |address: &str, password: &str| {
        let mut client = server.client();
        let page = client.get(address);
        let answer = client.form(address, &[("csrf", &page.form_token()), ("password", password)]);
        (page, answer)
    };
    let address = link();
    let (page, answer) = choose(&address, OF_14);
    assert!(page.body.contains("At least 15 characters."), "{page:?}");
    is_too_short(&answer, 15);
    give_app(&db, &kim).await;
    let (page, answer) = choose(&address, OF_8);
    assert!(page.body.contains("At least 8 characters."), "{page:?}");
    leads_to(&answer, "/login/second");
}

async fn a_short_password_is_noted(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    give_app(&db, &kim).await;
    let is_short = || db.sql("SELECT count(*) FROM accounts WHERE short_password") == "1";
    assert!(!is_short());
    assert_eq!(set_password(&db, KIM, OF_14).0, Some(0));
    assert!(is_short());
    assert_eq!(set_password(&db, KIM, OF_15).0, Some(0));
    assert!(!is_short());
}
