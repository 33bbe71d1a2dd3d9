//! Mails: queued with what they report, sent once by any node, to a real mail server (aiosmtpd).

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::{ALEX, KIM};
use crate::support::{
    App, Client, Engine, PASSWORD, TestDb, add_user, eventually, lasting_port, on_both_engines_and_citus, sessile,
};

on_both_engines_and_citus! {
    two_nodes_send_every_mail_once,
    mails_wait_while_the_server_is_away,
    a_mail_is_given_up_after_a_day,
    a_forgotten_password_is_mailed_at_most_three_times_an_hour,
    a_new_device_is_reported_and_can_be_disowned,
    changes_of_the_password_are_reported,
    an_invitation_is_mailed_again_only_while_it_works,
    new_devices_are_reported_ten_times_a_day_at_most,
}

/// A mail server that keeps what it receives.
pub(super) struct Smtp {
    child: Option<Child>,
    port: u16,
    folder: PathBuf,
}

impl Smtp {
    /// Chooses a port, without serving.
    fn new(db: &TestDb) -> Self {
        Self { child: None, port: lasting_port(), folder: db.folder.join("mails") }
    }

    pub(super) fn serving(db: &TestDb) -> Self {
        let mut smtp = Self::new(db);
        smtp.serve();
        smtp
    }

    fn serve(&mut self) {
        let child = Command::new("/usr/bin/aiosmtpd")
            .args(["-n", "-l", &format!("127.0.0.1:{}", self.port), "-c", "aiosmtpd.handlers.Mailbox"])
            .arg(&self.folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("aiosmtpd: run ./scripts/tools");
        self.child = Some(child);
    }

    /// The settings of a server that sends mail here.
    pub(super) fn settings(&self) -> [(&'static str, String); 2] {
        [
            ("SESSILE_SMTP_URL", format!("smtp://127.0.0.1:{}", self.port)),
            ("SESSILE_MAIL_FROM", "Surfside <id@example.com>".to_owned()),
        ]
    }

    /// All mails, without soft line breaks.
    fn received(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder.join("new")) else { return Vec::new() };
        let read = entries.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
        read.map(|mail| mail.replace("=\r\n", "").replace("=\n", "").replace("=3D", "=")).collect()
    }

    /// The mails to this address.
    pub(super) fn to(&self, address: &str) -> Vec<String> {
        self.received().into_iter().filter(|mail| mail.contains(&format!("To: {address}"))).collect()
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start(db: &TestDb, smtp: &Smtp) -> App {
    let settings = smtp.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    App::start(db, &settings)
}

pub(super) fn serve(db: &TestDb, smtp: &Smtp) -> App {
    add_user(db, KIM, "owner");
    add_user(db, ALEX, "member");
    start(db, smtp)
}

pub(super) fn signed_in(server: &App, email: &str) -> Client {
    let mut client = server.client();
    client.log_in(email);
    client
}

fn invite(admin: &mut Client, email: &str) -> String {
    let made = admin.json("POST", "/api/people/invitations", &json!({"email": email, "name": "Marta"}));
    assert_eq!(made.status, 201, "{made:?}");
    made.json()["link"].as_str().unwrap().to_owned()
}

/// The path of the link in a mail.
pub(super) fn link_in(mail: &str) -> String {
    let (_, rest) = mail.split_once("/link/").unwrap_or_else(|| panic!("no link: {mail}"));
    format!("/link/{}", &rest[..43])
}

fn choose(client: &mut Client, path: &str, password: &str) {
    let csrf = client.form_token(path);
    let answer = client.form(path, &[("csrf", &csrf), ("name", "Marta"), ("password", password)]);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/dashboard")), "{answer:?}");
}

fn forget(server: &App, email: &str) {
    let mut visitor = server.client();
    let csrf = visitor.form_token("/forgot");
    let answer = visitor.form("/forgot", &[("csrf", &csrf), ("email", email)]);
    assert_eq!(answer.header("location"), Some("/forgot?done=asked"), "{answer:?}");
}

async fn two_nodes_send_every_mail_once(db: TestDb) {
    let smtp = Smtp::serving(&db);
    let (here, there) = (serve(&db, &smtp), start(&db, &smtp));
    let (mut one, mut other) = (signed_in(&here, KIM), signed_in(&there, KIM));
    let mut links = Vec::new();
    for n in 0..8 {
        links.push(invite(if n % 2 == 0 { &mut one } else { &mut other }, &format!("new{n}@example.com")));
    }
    let superseded = invite(&mut one, "new7@example.com");
    eventually("all mails", async || db.sql("SELECT count(*) FROM mails") == "0").await;
    links[7] = superseded;
    for (n, link) in links.iter().enumerate() {
        let mails = smtp.to(&format!("new{n}@example.com"));
        assert!(mails.len() == 1 || (n == 7 && mails.len() == 2), "{n}: {mails:?}");
        assert!(mails.iter().any(|mail| link.ends_with(&link_in(mail))), "{link}: {mails:?}");
    }
    let mail = smtp.to("new0@example.com").remove(0);
    for part in [
        "Auto-Submitted: auto-generated",
        "text/plain",
        "text/html",
        "From: Surfside <id@example.com>",
        "Message-ID: <mail_",
    ] {
        assert!(mail.contains(part), "{part}: {mail}");
    }
    choose(&mut here.client(), &link_in(&mail), PASSWORD);
    let metrics = here.client().get("/metrics").body + &there.client().get("/metrics").body;
    let sent = metrics.lines().filter_map(|line| line.strip_prefix("sessile_mails_total{outcome=\"sent\"} "));
    let sent: u64 = sent.map(|count| count.parse::<u64>().unwrap()).sum();
    assert_eq!(sent, smtp.received().len() as u64);
}

async fn mails_wait_while_the_server_is_away(db: TestDb) {
    let mut smtp = Smtp::new(&db);
    let server = serve(&db, &smtp);
    let mut kim = signed_in(&server, KIM);
    let link = invite(&mut kim, "new@example.com");
    eventually("an attempt", async || db.sql("SELECT count(*) FROM mails WHERE failure IS NOT NULL") == "1").await;
    let soon = "SELECT count(*) FROM mails WHERE due_at BETWEEN INSTANT(20) AND INSTANT(31) AND attempts = 1";
    assert_eq!(db.sql(soon), "1");
    for (n, pause) in [60, 120, 240, 480, 900, 900].iter().enumerate() {
        db.sql("UPDATE mails SET due_at = INSTANT(-1), failure = NULL");
        eventually("an attempt", async || db.sql("SELECT count(*) FROM mails WHERE failure IS NOT NULL") == "1").await;
        let due = format!(
            "SELECT count(*) FROM mails WHERE due_at BETWEEN INSTANT({}) AND INSTANT({}) AND attempts = {}",
            pause - 15,
            pause + 1,
            n + 2
        );
        assert_eq!(db.sql(&due), "1", "{pause}");
    }
    let token = link.rsplit('/').next().unwrap();
    assert!(!db.sql("SELECT detail FROM mails").contains(token), "the row does not hold the link");
    smtp.serve();
    let is_up = async || std::net::TcpStream::connect(("127.0.0.1", smtp.port)).is_ok();
    eventually("the mail server", is_up).await;
    db.sql("UPDATE mails SET due_at = INSTANT(-1), created_at = INSTANT(-3600)");
    eventually("the mail", async || smtp.received().len() == 1).await;
    eventually("no mail", async || db.sql("SELECT count(*) FROM mails") == "0").await;
    assert!(link.ends_with(&link_in(&smtp.received()[0])));
}

async fn a_mail_is_given_up_after_a_day(db: TestDb) {
    let smtp = Smtp::new(&db);
    let server = serve(&db, &smtp);
    invite(&mut signed_in(&server, KIM), "new@example.com");
    eventually("an attempt", async || db.sql("SELECT count(*) FROM mails WHERE failure IS NOT NULL") == "1").await;
    db.sql("UPDATE mails SET due_at = INSTANT(-1), created_at = INSTANT(-86401)");
    eventually("no more attempts", async || db.sql("SELECT count(*) FROM mails WHERE failed_at IS NOT NULL") == "1")
        .await;
    assert_eq!(db.sql("SELECT detail FROM mails"), "{}");
    let sessions = db.sessions().await;
    let id = db.sql("SELECT id FROM accounts WHERE email = 'new@example.com'");
    let read = async move |conn: &mut sessile::base::db::Conn<'_>| sessile::records::mail::refused(conn, &id).await;
    let refused = sessions.db.read(read).await.unwrap();
    assert_eq!((refused.len(), refused[0].recipient.as_str()), (1, "new@example.com"));
    db.sql("UPDATE mails SET failed_at = INSTANT(-2700000)");
    sessile::records::mail::sweep(&sessions.db).await.unwrap();
    assert_eq!(db.sql("SELECT count(*) FROM mails"), "0");
}

async fn a_forgotten_password_is_mailed_at_most_three_times_an_hour(db: TestDb) {
    let smtp = Smtp::serving(&db);
    let server = serve(&db, &smtp);
    assert!(server.client().get("/forgot").body.contains("You get a mail with a link"));
    for _ in 0..5 {
        forget(&server, ALEX);
    }
    forget(&server, "nobody@example.com");
    eventually("three mails", async || smtp.to(ALEX).len() == 3).await;
    eventually("no mail", async || db.sql("SELECT count(*) FROM mails") == "0").await;
    assert_eq!(db.sql("SELECT count(*) FROM links WHERE purpose = 'password'"), "3");
    assert_eq!((smtp.received().len(), db.sql("SELECT count(*) FROM help_requests").as_str()), (3, "0"));
    let mut alex = server.client();
    choose(&mut alex, &link_in(&smtp.to(ALEX)[0]), "purple limpets hum at noon");
    for mail in &smtp.to(ALEX)[1..3] {
        assert_eq!(server.client().get(&link_in(mail)).status, 410, "the others are dead");
    }
    db.sql("UPDATE links SET made_at = INSTANT(-3601)");
    forget(&server, ALEX);
    eventually("one more", async || db.sql("SELECT count(*) FROM links WHERE purpose = 'password'") == "4").await;
}

async fn a_new_device_is_reported_and_can_be_disowned(db: TestDb) {
    let smtp = Smtp::serving(&db);
    let server = serve(&db, &smtp);
    let mut own = signed_in(&server, ALEX);
    let mut intruder = signed_in(&server, ALEX);
    eventually("a mail", async || smtp.to(ALEX).len() == 1).await;
    let mail = smtp.to(ALEX).remove(0);
    assert!(mail.contains("Was this you?") && mail.contains("127.0.0.1"), "{mail}");
    let path = link_in(&mail);
    let mut reader = server.client();
    for _ in 0..2 {
        assert!(reader.get(&path).body.contains("Was this you?"));
        assert_eq!(intruder.get("/api/session").status, 200, "opening the link changes nothing");
    }
    let csrf = reader.form_token(&path);
    let answer = reader.form(&path, &[("csrf", &csrf)]);
    let on = answer.header("location").unwrap().to_owned();
    assert!(answer.status == 303 && on.starts_with("/link/"), "{answer:?}");
    assert_eq!((intruder.get("/api/session").status, own.get("/api/session").status), (401, 200));
    assert_eq!(reader.get(&path).status, 410, "it works once");
    choose(&mut reader, &on, "purple limpets hum at noon");
    assert_eq!(own.get("/api/session").status, 401);
    assert_eq!(server.client().try_log_in(ALEX, PASSWORD).status, 401);
}

async fn changes_of_the_password_are_reported(db: TestDb) {
    let smtp = Smtp::serving(&db);
    let server = serve(&db, &smtp);
    let mut alex = signed_in(&server, ALEX);
    let csrf = alex.form_token("/account");
    let fields = [("csrf", csrf.as_str()), ("current_password", PASSWORD), ("password", "purple limpets hum at noon")];
    assert_eq!(alex.form("/account", &fields).status, 303);
    eventually("a mail", async || smtp.to(ALEX).len() == 1).await;
    assert!(smtp.to(ALEX)[0].contains("Your password was changed"), "{:?}", smtp.to(ALEX));
}

async fn an_invitation_is_mailed_again_only_while_it_works(db: TestDb) {
    let smtp = Smtp::serving(&db);
    let server = serve(&db, &smtp);
    let mut kim = signed_in(&server, KIM);
    invite(&mut kim, "new@example.com");
    forget(&server, "new@example.com");
    eventually("the invitation twice", async || smtp.to("new@example.com").len() == 2).await;
    let id = db.sql("SELECT id FROM accounts WHERE email = 'new@example.com'");
    let csrf = kim.form_token("/account");
    let cancelled = kim.form(&format!("/people/{id}/link"), &[("csrf", &csrf), ("act", "cancel")]);
    assert_eq!(cancelled.status, 303, "{cancelled:?}");
    for mail in smtp.to("new@example.com") {
        assert_eq!(server.client().get(&link_in(&mail)).status, 410, "cancelled");
    }
    forget(&server, "new@example.com");
    // Requests are noted one after the other, so the first one has been noted when the second one is.
    forget(&server, ALEX);
    eventually("the mail of another person", async || smtp.to(ALEX).len() == 1).await;
    assert_eq!(db.sql(&format!("SELECT count(*) FROM links WHERE account_id = '{id}'")), "2");
}

async fn new_devices_are_reported_ten_times_a_day_at_most(db: TestDb) {
    let smtp = Smtp::new(&db);
    let server = serve(&db, &smtp);
    for _ in 0..13 {
        signed_in(&server, ALEX);
    }
    assert_eq!(db.sql("SELECT count(*) FROM links WHERE purpose = 'not-me'"), "10");
    assert_eq!(db.sql("SELECT count(*) FROM mails"), "10");
}

#[test]
fn doctor_sends_a_test_mail() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let smtp = Smtp::new(&db);
    let doctor = |more: &[(&'static str, String)]| {
        let more: Vec<(&str, &str)> = more.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let out = crate::support::command(&db, &more).args(["doctor", "--mail", ALEX]).output().unwrap();
        String::from_utf8_lossy(&out.stdout).lines().find(|line| line.contains(" mail: ")).unwrap().to_owned()
    };
    assert!(doctor(&[]).starts_with("FAIL mail: no mail server is set"), "{}", doctor(&[]));
    assert!(doctor(&smtp.settings()).starts_with("FAIL mail: 127.0.0.1:"), "{}", doctor(&smtp.settings()));
    let half = crate::support::command(&db, &[("SESSILE_MAIL_FROM", "id@example.com")]).arg("serve").output().unwrap();
    assert!(String::from_utf8_lossy(&half.stderr).contains("SESSILE_SMTP_URL is missing"), "{half:?}");
    assert!(sessile(&db, &["user", "list"], "").status.success());
}
