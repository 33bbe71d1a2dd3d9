//! PgBouncer, from its Debian package, between the program and PostgreSQL.

mod pgbouncer;
mod under_load;

use serde_json::json;

pub use self::{
    pgbouncer::{Pooler, through},
    under_load::{Trouble, name_of},
};
use super::{KIM, ask};
use crate::support::{Engine, Server, TestDb, add_user, eventually};

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn pgbouncer_in_session_mode_works() {
    actix_web::rt::System::new().block_on(async {
        let db = TestDb::new(Engine::Postgres);
        add_user(&db, KIM, "owner");
        let pooler = Pooler::start(&db, "session");
        let pooled = through(&db, &pooler);
        eventually("PgBouncer", async || ask(&pooled, &["user", "list"], "").code == Some(0)).await;
        let mut pooled = pooled;
        pooled.lead_to(format!("{}?options=-c%20work_mem%3D5MB", pooled.url()));
        assert_eq!(ask(&pooled, &["migrate"], "").said(), "");
        let server = Server::start(&pooled, &[]);
        let mut client = server.client();
        client.log_in(KIM);
        assert_eq!(client.json("PATCH", "/api/session/data", &json!({"n": 1})).status, 200);
        let listens = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sessile listener' \
            AND datname = current_database()";
        eventually("the listener", async || db.sql(listens) == "1").await;
        assert_eq!(client.get("/readyz").status, 200);
        assert_eq!(ask(&pooled, &["doctor"], "").code, Some(0));
        let set = "SELECT current_setting('statement_timeout'), current_setting('work_mem')";
        assert_eq!(ask(&pooled, &["session", "revoke", "--all"], "").said(), "ended 1\n");
        assert_eq!(client.get("/api/session").status, 401);
        drop(server);
        assert_eq!(through(&db, &pooler).sql(set), db.sql(set));
    });
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_transaction_pooler_is_refused_by_name() {
    actix_web::rt::System::new().block_on(async {
        let db = TestDb::new(Engine::Postgres);
        add_user(&db, KIM, "owner");
        for mode in ["transaction", "statement"] {
            let pooler = Pooler::start(&db, mode);
            let pooled = through(&db, &pooler);
            let refused = async || ask(&pooled, &["user", "list"], "").stderr.contains("pool_mode=session");
            eventually("PgBouncer", refused).await;
            for args in [&["serve"][..], &["migrate"], &["user", "list"], &["session", "revoke", "--all"]] {
                ask(&pooled, args, "").refused(&["pool_mode=session", "DATABASE_URL"]);
            }
            let doctor = ask(&pooled, &["doctor"], "");
            assert!(doctor.stdout.contains("FAIL database: "), "{doctor:?}");
            assert!(doctor.stdout.contains("pool_mode=session"), "{doctor:?}");
            assert_eq!(pooled.sql("SELECT current_setting('statement_timeout')"), "0");
        }
    });
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn the_listener_may_go_past_the_pooler() {
    actix_web::rt::System::new().block_on(async {
        let db = TestDb::new(Engine::Postgres);
        add_user(&db, KIM, "owner");
        let pooler = Pooler::start(&db, "session");
        let pooled = through(&db, &pooler);
        eventually("PgBouncer", async || ask(&pooled, &["user", "list"], "").code == Some(0)).await;
        let direct = format!("{}?application_name=past", db.url());
        let server = Server::start(&pooled, &[("SESSILE_LISTEN_DATABASE_URL", &direct)]);
        server.client().log_in(KIM);
        let listener = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sessile listener' \
            AND datname = current_database()";
        eventually("the listener", async || db.sql(listener) == "1").await;
        let gone = super::lasting_port();
        let nowhere = format!("postgres://kim:geheim@127.0.0.1:{gone}/x");
        let doctor = super::ask_with(&pooled, &[("SESSILE_LISTEN_DATABASE_URL", &nowhere)], &["doctor"], "");
        assert!(doctor.stdout.contains("FAIL database: SESSILE_LISTEN_DATABASE_URL"), "{doctor:?}");
        assert!(!format!("{doctor:?}").contains("geheim"));
    });
}
