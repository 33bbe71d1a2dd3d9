//! Every statement that the program runs for people finds its rows by account and never scans rows of other accounts.
//! The statements of background jobs and commands use an index. The case does everything that people can do, and checks
//! each recorded statement.

use std::collections::BTreeSet;

use serde_json::json;
use sessile::{
    actions::{
        apps::{
            checks::Changes,
            manage::{self, Added},
            manager::Manager,
        },
        revoke,
    },
    base::{
        db::{Conn, Db, Instant},
        settings::PublicUrl,
    },
    records::{
        draft,
        session::{
            counts, generation,
            grants::{self, feed},
            sweep,
        },
        throttle,
    },
};

use super::{
    ALEX, KIM, device_id, form, leads_to, other_accounts,
    query_plans::{NARROW, WIDE, check, names_the_account, nothing_of_a_device_is_sorted, seed},
    session_id,
};
use crate::{
    factor::Phone,
    gate::{db_of_operator, going_on, path_of},
    live::stream::Stream,
    passkeys::{
        self,
        authenticator::{Authenticator, Twist},
    },
    support::{
        App, Client, Engine, PASSWORD, TestDb, add_user, eventually, on_both_engines,
        statements::{ran_alone, seen, unseen},
    },
};

on_both_engines! {
    no_statement_goes_through_other_accounts_rows,
}

async fn no_statement_goes_through_other_accounts_rows(db: TestDb) {
    let engine = if db.engine == Engine::Postgres { "postgres" } else { "sqlite" };
    if ran_alone(module_path!(), &format!("{engine}::no_statement_goes_through_other_accounts_rows")) {
        return;
    }
    add_user(&db, KIM, "owner");
    add_user(&db, ALEX, "member");
    let app = added_app(&db).await;
    let more = [("SESSILE_SESSIONS_PER_ACCOUNT", "4"), ("SESSILE_PRUNE_INTERVAL", "0s")];
    let here = App::start(&db, &[&more[..], &[("SESSILE_TRUSTED_PROXIES", "127.0.0.1/32")]].concat());
    seed(&db, 2000, 60_000);
    if db.engine == Engine::Postgres {
        // As autovacuum does on a production PostgreSQL. SQLite has no counterpart that runs by itself.
        db.sql("VACUUM ANALYZE");
    }
    let asked = asked_by_people(&db, here, &app).await;
    check(&db, &asked, 50, &NARROW);
    names_the_account(&asked);
    nothing_of_a_device_is_sorted(&db, &asked);

    look_after(&db, &app.app.id).await;
    let upkeep: Vec<&str> = NARROW.iter().chain(&WIDE).copied().collect();
    if db.engine == Engine::Postgres {
        unseen(&db, "VACUUM ANALYZE");
    }
    check(&db, &seen(), 12, &upkeep);
}

/// Does everything that people can do. Returns the statements of their requests.
pub async fn asked_by_people(db: &TestDb, here: App, app: &Added) -> Vec<String> {
    seen();
    let mut people = People { db, here, asked: BTreeSet::new() };
    people.sign_in().await;
    people.look();
    people.name_and_answer();
    people.write();
    people.open_app(app);
    people.manage_app(app);
    people.help();
    people.prove_twice();
    people.use_passkey();
    people.end();
    let routes: BTreeSet<&str> = other_accounts::ROUTES.iter().map(|(route, _)| *route).collect();
    let left: Vec<&&str> = routes.iter().filter(|route| !people.asked.contains(**route)).collect();
    assert_eq!(left, OF_NO_ACCOUNT.iter().collect::<Vec<_>>(), "routes that were not requested");
    // The background work looks for outdated sessions after some of these requests.
    let is_upkeep = |one: &String| one.contains("< (SELECT number FROM session_generation))) ORDER BY");
    seen().into_iter().filter(|one| !is_upkeep(one)).collect()
}

/// Routes that query no account, that only count rows, that the suite `people` covers, or with which an app's server asks about sessions of many
/// accounts ([`look_after`] has those).
const OF_NO_ACCOUNT: [&str; 30] = [
    "/.sessile/echo",
    "/.sessile/sign-out",
    "/.well-known/change-password",
    "/.well-known/jwks.json",
    "/.well-known/security.txt",
    "/account/delete",
    "/account/export",
    "/api/account",
    "/api/account/export",
    "/api/apps/{id}/ends",
    "/api/apps/{id}/living",
    "/api/openapi.json",
    "/api/people",
    "/api/people/{id}",
    "/api/people/{id}/export",
    "/api/people/{id}/revoke-sessions",
    "/favicon.ico",
    "/healthz",
    "/manifest.webmanifest",
    "/metrics",
    "/offline",
    "/people",
    "/people/{id}",
    "/people/{id}/confirm",
    "/readyz",
    "/robots.txt",
    "/setup",
    "/signup",
    "/static/{name:.*}",
    "/sw.js",
];

const APP: &str = "http://localhost:3999";

pub async fn added_app(db: &TestDb) -> Added {
    let changes = Changes { name: Some("Shop".into()), origin: Some(APP.into()), ..Changes::default() };
    let public = PublicUrl::parse("http://localhost:8080").unwrap();
    manage::add(&db_of_operator(db), &Manager::Operator, &public, changes).await.unwrap().unwrap()
}

/// Acts as the people who use the program.
struct People<'a> {
    db: &'a TestDb,
    here: App,
    asked: BTreeSet<&'static str>,
}

impl People<'_> {
    /// Records that a route was requested.
    fn ask(&mut self, route: &'static str) -> &'static str {
        self.asked.insert(route);
        route
    }

    fn signed_in(&self, email: &str, device: &str) -> Client {
        let mut client = self.here.client();
        sign_in(&mut client, email, device);
        client
    }

    async fn sign_in(&mut self) {
        let mut kim = self.signed_in(KIM, "Desk");
        assert_eq!(kim.get(self.ask("/")).status, 303);
        sign_in(&mut kim, KIM, "Desk again");
        let old = kim.clone();
        // Another person signs in over the session. The old cookie then asks why its session ended.
        sign_in(&mut kim, ALEX, "Alex's");
        assert_eq!(old.clone().get("/api/session").status, 401);
        assert_eq!(kim.try_log_in(KIM, "not the password").status, 401);
        assert_eq!(kim.try_log_in("nobody@example.com", "not the password").status, 401);
        let mut browser = self.here.client();
        let csrf = browser.form_token(self.ask("/login"));
        leads_to(&browser.form("/login", &[("csrf", &csrf), ("email", KIM), ("password", PASSWORD)]), "/dashboard");
        leads_to(&form(&mut browser, self.ask("/logout"), &[]), "/login?done=signed-out");
        self.ask("/api/establish-session");
        // Exceed the session limit.
        for device in ["One", "Two", "Three", "Four", "Five"] {
            self.signed_in(KIM, device);
        }
        unseen(
            self.db,
            "UPDATE sessions SET last_activity = INSTANT(-600) WHERE ended_at IS NULL AND id LIKE 'aiq_1_%'",
        );
        unseen(self.db, "UPDATE sessions SET last_activity = INSTANT(-600) WHERE ip IS NOT NULL");
        assert_eq!(kim.get(self.ask("/api/session")).status, 200);
        let mut touched = false;
        eventually("a touch", async || {
            touched =
                unseen(self.db, "SELECT count(*) FROM sessions WHERE ip IS NOT NULL AND last_activity > INSTANT(-300)")
                    != "0";
            touched
        })
        .await;
    }

    fn look(&mut self) {
        let mut kim = self.signed_in(KIM, "Looking");
        for route in [
            "/dashboard",
            "/account",
            "/account/phone",
            "/account/email",
            "/devices",
            "/activity",
            "/drafts",
            "/confirm",
            "/api/drafts",
            "/api/activity",
            "/api/session",
            "/api/session/data",
            "/api/sessions",
            "/api/devices",
        ] {
            assert_eq!(kim.get(self.ask(route)).status, 200, "{route}");
        }
        for page in ["/activity?before=30000&show=wrong-passwords", "/activity?show=changes", "/api/activity?limit=1"] {
            assert_eq!(kim.get(page).status, 200, "{page}");
        }
        let (session, device) = (session_id(&mut kim), device_id(&mut kim));
        assert_eq!(kim.get(&format!("/confirm?then=session:{session}")).status, 200);
        assert_eq!(kim.get(&format!("/confirm?then=device:{device}")).status, 200);
    }

    /// Kim is an owner.
    fn manage_app(&mut self, app: &Added) {
        let mut kim = self.signed_in(KIM, "Managing");
        let id = &app.app.id;
        assert_eq!(kim.get(self.ask("/apps")).status, 200);
        self.ask("/apps/{id}");
        let fields = [("name", "Store"), ("url", APP), ("who", "everyone")];
        leads_to(&form(&mut kim, &format!("/apps/{id}"), &fields), &format!("/apps/{id}?done=saved"));
        assert_eq!(kim.get(&format!("/apps/{id}")).status, 200);
        self.ask("/apps/{id}/confirm");
        for act in ["disable", "enable", "new-secret"] {
            assert_eq!(kim.get(&format!("/apps/{id}/confirm?act={act}")).status, 200);
            assert!(matches!(form(&mut kim, &format!("/apps/{id}/confirm"), &[("act", act)]).status, 200 | 303));
        }
    }

    /// Kim is an owner, and Alex a member.
    fn help(&mut self) {
        let mut kim = self.signed_in(KIM, "Helping");
        let alex = unseen(self.db, &format!("SELECT id FROM accounts WHERE email = '{ALEX}'"));
        assert_eq!(kim.get(self.ask("/people/invite")).status, 200);
        let shown = form(&mut kim, "/people/invite", &[("email", "new@example.com"), ("groups", "Night")]);
        assert_eq!(shown.status, 200, "{shown:?}");
        let body = json!({"email": "new@example.com"});
        let link = kim.json("POST", self.ask("/api/people/invitations"), &body).json()["link"].clone();
        let path = path_of(link.as_str().unwrap(), &format!("http://localhost:{}", self.here.port));
        let mut browser = self.here.client();
        let csrf = browser.form_token(&path);
        self.ask("/link/{token}");
        leads_to(&browser.form(&path, &[("csrf", &csrf), ("name", "New"), ("password", PASSWORD)]), "/dashboard");
        let mut visitor = self.here.client();
        let csrf = visitor.form_token(self.ask("/forgot"));
        leads_to(&visitor.form("/forgot", &[("csrf", &csrf), ("email", ALEX)]), "/forgot?done=asked");
        self.ask("/people/{id}/link");
        let page = format!("/people/{alex}/link");
        assert_eq!(kim.get(&page).status, 200);
        assert_eq!(form(&mut kim, &page, &[("act", "password")]).status, 200);
        self.ask("/api/people/{id}/password-link");
        assert_eq!(
            kim.json("POST", &format!("/api{}", page.replace("/link", "/password-link")), &json!({})).status,
            201
        );
    }

    /// Alex sets an app up, signs in with it and with a recovery code, and removes it.
    fn prove_twice(&mut self) {
        let mut alex = self.signed_in(ALEX, "Proving");
        assert_eq!(alex.get(self.ask("/account/security")).status, 200);
        assert_eq!(alex.get(self.ask("/account/security/app")).status, 200);
        let key = alex.json("POST", self.ask("/api/second-factor/app"), &json!({})).json()["secret"].clone();
        let phone = Phone::with_key(key.as_str().unwrap());
        let added = alex.json("PUT", "/api/second-factor/app", &json!({"code": phone.code()})).json();
        let recovery = added["recoveryCodes"][0].as_str().unwrap().to_owned();
        assert_eq!(alex.get(self.ask("/api/second-factor")).status, 200);
        unseen(self.db, "UPDATE totp_apps SET last_step = 0");
        for code in [phone.wrong_code(), recovery, phone.code()] {
            let mut browser = self.here.client();
            let csrf = browser.form_token("/login");
            leads_to(
                &browser.form("/login", &[("csrf", &csrf), ("email", ALEX), ("password", PASSWORD)]),
                "/login/second",
            );
            let csrf = browser.form_token(self.ask("/login/second"));
            browser.form("/login/second", &[("csrf", &csrf), ("code", &code)]);
            alex = browser;
        }
        assert_eq!(alex.get("/dashboard").status, 200);
        leads_to(&form(&mut alex, "/account/security", &[("act", "seen")]), "/dashboard");
        assert_eq!(alex.get(self.ask("/account/security/recovery")).status, 200);
        assert_eq!(alex.json("POST", self.ask("/api/second-factor/recovery-codes"), &json!({})).status, 200);
        assert_eq!(alex.get(self.ask("/account/security/app/remove")).status, 200);
        assert_eq!(alex.json("DELETE", "/api/second-factor/app", &json!({})).status, 204);
    }

    /// Kim adds a passkey, signs in and confirms with it, renames it and removes it.
    fn use_passkey(&mut self) {
        let (mut key, right) = (Authenticator::new(&passkeys::origin(&self.here)), Twist::default());
        let mut kim = self.signed_in(KIM, "Passkeys");
        for route in
            ["/api/passkeys", "/api/passkeys/options", "/api/passkeys/sign-in", "/api/passkeys/sign-in/options"]
        {
            self.ask(route);
        }
        assert_eq!(passkeys::add(&mut kim, &mut key, &right).status, 201);
        assert_eq!(kim.json("POST", self.ask("/api/passkeys/offer"), &json!({})).status, 200);
        let mut browser = self.here.client();
        assert_eq!(passkeys::sign_in(&mut browser, &mut key, &right).status, 200);
        self.ask("/api/passkeys/confirm");
        self.ask("/api/passkeys/confirm/options");
        assert_eq!(passkeys::confirm(&mut browser, &mut key, &right).status, 200);
        let known = browser.get("/api/second-factor").json()["passkeys"][0]["id"].clone();
        let id = known.as_str().expect("a passkey");
        self.ask("/account/security/passkeys/{id}");
        self.ask("/account/security/passkeys/{id}/remove");
        self.ask("/api/passkeys/{id}");
        assert_eq!(browser.get(&format!("/account/security/passkeys/{id}")).status, 200);
        assert_eq!(browser.get(&format!("/account/security/passkeys/{id}/remove")).status, 200);
        let one = format!("/api/passkeys/{id}");
        assert_eq!(browser.json("PATCH", &one, &json!({"name": "Key ring"})).status, 200);
        assert_eq!(browser.json("DELETE", &one, &json!({})).status, 204);
    }

    fn name_and_answer(&mut self) {
        let mut kim = self.signed_in(KIM, "Naming");
        let device = device_id(&mut kim);
        assert_eq!(kim.json("PATCH", &format!("/api/devices/{device}"), &json!({"name": "Named"})).status, 200);
        leads_to(&form(&mut kim, "/devices", &[("device", &device), ("name", "Again")]), "/devices?done=renamed");
        assert_eq!(form(&mut kim, "/devices", &[("device", &device), ("name", "")]).status, 422);
        leads_to(&form(&mut kim, "/account", &[("name", "Kim")]), "/account?done=name");
        let new = "one more long one 43";
        for (current, next) in [(PASSWORD, new), (new, PASSWORD)] {
            let passwords = [("current_password", current), ("password", next), ("end_others", "1")];
            leads_to(&form(&mut kim, "/account", &passwords), "/account?done=password-everywhere");
        }
        let newcomer = device_id(&mut self.signed_in(KIM, "Newcomer"));
        leads_to(&form(&mut kim, "/devices", &[("known", &newcomer)]), "/devices?done=known");
        let named = kim.json("PATCH", "/api/session/data", &json!({"a": 1}));
        assert_eq!(named.status, 200, "{named:?}");
    }

    fn write(&mut self) {
        let mut kim = self.signed_in(KIM, "Writing");
        let put = |n: u32, id: &str| {
            json!({"id": format!("0b9fd2a4-6a4e-4c39-9f57-0c7d5ad4a{n}"), "kind": "draft.put", "draftId": id, "text": "Text",
                "baseVersion": 0})
        };
        let delete = json!({"id": "0b9fd2a4-6a4e-4c39-9f57-0c7d5ad4a777", "kind": "draft.delete", "draftId": "one", "baseVersion": 1});
        let rename = json!({"id": "0b9fd2a4-6a4e-4c39-9f57-0c7d5ad4a778", "kind": "device.rename", "deviceId": device_id(&mut kim), "name": "New"});
        let device = json!({"name": "Other", "installed": true, "appVersion": "2"});
        let all = json!({"device": device, "operations": [put(111, "one"), put(112, "two"), put(113, "one"), delete, rename]});
        for _ in 0..2 {
            let answer = kim.json("POST", self.ask("/api/session/sync"), &all);
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        let deleted = form(&mut kim, "/drafts", &[("delete", "two"), ("base", "1")]);
        assert_eq!(deleted.status, 303, "{deleted:?}");
    }

    fn open_app(&mut self, app: &Added) {
        let mut kim = self.signed_in(KIM, "Opening");
        assert_eq!(kim.get(self.ask("/api/apps")).status, 200);
        let mut at_app = Client::new(&self.here.address, APP);
        let forwarded = [("x-forwarded-host", "localhost:3999"), ("x-forwarded-proto", "http")];
        let own = format!("http://localhost:{}", self.here.port);
        for _ in 0..6 {
            let start = at_app.send("GET", self.ask("/.sessile/start"), &forwarded, b"");
            self.ask("/apps/{id}/open");
            let opened = kim.get(&path_of(&going_on(&start), &own));
            self.ask("/.sessile/done");
            let done = at_app.send("GET", &path_of(&going_on(&opened), APP), &forwarded, b"");
            assert_eq!(done.status, 200, "{done:?}");
        }
        self.ask("/.sessile/gate/{token}");
        let gate = format!("/.sessile/gate/{}", app.gate_token.expose());
        let asked = [&forwarded[..], &[("x-forwarded-method", "GET"), ("x-forwarded-uri", "/")]].concat();
        unseen(self.db, "UPDATE sessions SET last_activity = INSTANT(-600) WHERE ended_at IS NULL AND ip IS NOT NULL");
        let answer = at_app.send("GET", &gate, &asked, b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        self.ask("/apps/{id}/sign-out");
        assert_eq!(kim.get(&format!("/apps/{}/sign-out", app.app.id)).status, 200);
    }

    fn end(&mut self) {
        let mut kim = self.signed_in(KIM, "Ending");
        let other = session_id(&mut self.signed_in(KIM, "Ended"));
        self.ask("/api/sessions/{id}");
        assert_eq!(kim.json("DELETE", &format!("/api/sessions/{other}"), &json!(null)).status, 204);
        let then = format!("session:{}", session_id(&mut self.signed_in(KIM, "Ended")));
        let confirmed = form(&mut kim, "/confirm", &[("password", PASSWORD), ("then", &then)]);
        leads_to(&confirmed, "/dashboard");
        let device = device_id(&mut self.signed_in(KIM, "Forgotten"));
        self.ask("/api/devices/{id}");
        assert_eq!(kim.json("DELETE", &format!("/api/devices/{device}"), &json!(null)).status, 204);
        let not_me = format!("not-me:{}", session_id(&mut self.signed_in(KIM, "Not me")));
        leads_to(&form(&mut kim, "/devices", &[("ending", &not_me), ("sure", "yes")]), "/account?why=not-me");
        assert_eq!(kim.json("POST", self.ask("/api/sessions/revoke-others"), &json!({})).status, 200);
        let mut stream = self.signed_in(KIM, "Streaming");
        let id = session_id(&mut stream);
        self.ask("/api/events");
        let open = Stream::open(self.here.port, &stream);
        assert_eq!(kim.json("DELETE", &format!("/api/sessions/{id}"), &json!(null)).status, 204);
        open.until("session-ended");
        assert_eq!(kim.json("DELETE", "/api/session", &json!(null)).status, 204);
    }
}

fn sign_in(client: &mut Client, email: &str, device: &str) {
    let sent = json!({"email": email, "password": PASSWORD, "device": {"name": device}});
    let answer = client.json("POST", "/api/establish-session", &sent);
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Runs the background jobs and the operator's commands.
pub async fn look_after(db: &TestDb, app_id: &str) {
    unseen(db, "UPDATE sessions SET expires_at = INSTANT(-1) WHERE id LIKE 'aiq_%7'");
    unseen(db, "UPDATE sessions SET ip = '192.0.2.1', last_activity = INSTANT(-9000000) WHERE id LIKE 'aiq_%8'");
    // On a busy machine, ending 2,000 sessions in one statement takes longer than a request may.
    let settings = db.settings(&[("SESSILE_STATEMENT_TIMEOUT", "60s")]);
    let own = Db::open(&settings, Some(db.keys().trail())).unwrap();
    sweep::sweep(&own).await.unwrap();
    unseen(db, "UPDATE sessions SET ended_at = INSTANT(-9000000) WHERE id LIKE 'aiq_%7'");
    sweep::sweep(&own).await.unwrap();
    sweep::wipe_addresses(&own, settings.address_ttl).await.unwrap();
    throttle::count::sweep(&own, settings.address_ttl).await.unwrap();
    grants::codes::sweep(&own).await.unwrap();
    let id = app_id.to_owned();
    let asked = async move |conn: &mut Conn<'_>| {
        feed::living(conn, &id, &["aiq_1".to_owned()]).await?;
        feed::ended(conn, &id, &(Instant::from_micros(0), String::new(), String::new()), 10).await
    };
    own.read(asked).await.unwrap();
    draft::sweep::sweep(&own).await.unwrap();
    // An operator names a session by its current or by a former id, without the account. An unknown id needs both look-ups.
    assert!(revoke::revoke_one(&own, "aiq_5".into()).await.unwrap());
    assert!(revoke::revoke_one(&own, "former_aiq_6".into()).await.unwrap());
    assert!(!revoke::revoke_one(&own, "unknown".into()).await.unwrap());
    own.write(async |conn: &mut Conn<'_>| generation::begin_next(conn).await).await.unwrap();
    assert!(own.write(async |conn: &mut Conn<'_>| generation::end_first(conn).await).await.unwrap() > 0);
    unseen(db, "UPDATE sessions SET ended_at = NULL, ended_reason = NULL, ended_by = NULL WHERE generation = 0");
    // They read no outdated session.
    assert!(!own.read(async |conn: &mut Conn<'_>| counts::any_live(conn).await).await.unwrap());
    assert_eq!(own.read(async |conn: &mut Conn<'_>| counts::count_live(conn).await).await.unwrap(), 0);
    assert!(generation::end_outdated(&own, async |_| true).await.unwrap() > 0);
}
