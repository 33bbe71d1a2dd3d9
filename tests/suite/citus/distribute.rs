//! `sessile distribute` says what is missing, works beside running nodes, and later migrations keep the tables distributed.

use std::collections::BTreeSet;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};

use sessile::base::db::{Db, citus::Outcome};

use super::{KIM, on_cluster, status_in_the_end};
use crate::{
    process::terminal::stopped,
    support::{
        App, Engine, TestDb, add_user,
        citus::{create_database, plan, url_of},
        on_both_engines, sessile,
    },
};

on_both_engines! {
    without_citus_it_says_what_is_missing,
}

async fn without_citus_it_says_what_is_missing(db: TestDb) {
    add_user(&db, KIM, "owner");
    let missing = if db.engine == Engine::Postgres { "CREATE EXTENSION citus" } else { "SQLite file" };
    for args in [&["distribute"][..], &["distribute", "--dry-run"]] {
        let said = refused(&sessile(&db, args, ""));
        assert!(said.contains(missing) && said.contains("docs/scaling.md"), "{said}");
    }
    let doctor = sessile(&db, &["doctor"], "");
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.contains("ok  placement: all tables are on one server"), "{doctor}");
}

/// The one line with which a command has failed.
fn refused(out: &Output) -> String {
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    let said = String::from_utf8(out.stderr.clone()).unwrap();
    assert!(said.lines().count() == 1 && out.stdout.is_empty(), "{out:?}");
    said
}

fn done(db: &TestDb, args: &[&str]) -> String {
    let out = sessile(db, args, "");
    assert!(out.status.success(), "{args:?}: {out:?}");
    String::from_utf8(out.stdout).unwrap()
}

#[test]
#[ignore = "needs Citus: see docs/scaling.md"]
fn without_a_worker_it_says_so() {
    let Some(db) = on_cluster(TestDb::on_citus_before()) else { return };
    add_user(&db, KIM, "owner");
    db.sql("SELECT citus_remove_node(nodename, nodeport) FROM pg_dist_node WHERE groupid <> 0");
    let said = refused(&sessile(&db, &["distribute"], ""));
    assert!(said.contains("citus_add_node"), "{said}");
}

#[test]
#[ignore = "needs Citus: see docs/scaling.md"]
fn stopped_on_a_terminal_it_changes_nothing() {
    let Some(db) = on_cluster(TestDb::on_citus_before()) else { return };
    add_user(&db, KIM, "owner");
    let shown = stopped(&db, &["distribute"], "waiting for running transactions");
    assert!(shown.contains("no table was distributed"), "{shown}");
    assert!(done(&db, &["doctor"]).contains("ok  placement: all tables are on one server"));
    assert!(done(&db, &["distribute"]).contains("tables are distributed"));
}

#[test]
#[ignore = "needs Citus: see docs/scaling.md"]
fn it_runs_beside_nodes_once_and_nobody_is_signed_out() {
    let Some(db) = on_cluster(TestDb::on_citus_before()) else { return };
    add_user(&db, KIM, "owner");
    let nodes = [App::start(&db, &[]), App::start(&db, &[("SESSILE_SESSION_CACHE", "off")])];
    let mut clients = nodes.each_ref().map(|node| node.client());
    clients.iter_mut().for_each(|client| drop(client.log_in(KIM)));
    let would = done(&db, &["distribute", "--dry-run"]);
    assert!(would.contains("sessions: by account") && would.contains("nodes: stays on the coordinator"), "{would}");
    assert_eq!(db.sql("SELECT count(*) FROM pg_dist_partition"), "0");

    let is_done = AtomicBool::new(false);
    let statuses: BTreeSet<u16> = std::thread::scope(|scope| {
        let asking = nodes.each_ref().map(|node| {
            let mut client = node.client();
            client.log_in(KIM);
            let is_done = &is_done;
            scope.spawn(move || {
                let mut statuses = BTreeSet::new();
                while !is_done.load(Ordering::SeqCst) {
                    statuses.insert(client.get("/api/session").status);
                    statuses.insert(client.try_log_in(KIM, crate::support::PASSWORD).status);
                }
                statuses
            })
        });
        let said = done(&db, &["distribute"]);
        is_done.store(true, Ordering::SeqCst);
        assert!(said.contains("account_of_email: by its own key, email_key"), "{said}");
        asking.into_iter().flat_map(|thread| thread.join().expect("statuses")).collect()
    });
    assert!(statuses.is_subset(&BTreeSet::from([200, 503])), "{statuses:?}");
    assert_eq!(done(&db, &["distribute"]), "all tables are distributed already\n");

    for (node, mut client) in nodes.iter().zip(clients) {
        assert_eq!(status_in_the_end(&mut client), 200);
        node.client().log_in(KIM);
    }
    assert_eq!(db.sql("SELECT count(*) FROM accounts"), "1");
    // The coordinator keeps no old rows.
    assert_eq!(db.sql("SELECT pg_relation_size('accounts') + pg_relation_size('sessions')"), "0");
    let doctor = sessile(&db, &["doctor"], "");
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.contains("ok  placement: distributed over ") && doctor.contains("tables by account"), "{doctor}");
    assert!(!doctor.contains("FAIL placement") && !doctor.contains("FAIL audit"), "{doctor}");
}

/// The migrations after the tables were distributed create tables of accounts and a look-up table.
#[test]
#[ignore = "needs Citus: see docs/scaling.md"]
fn later_migrations_keep_the_tables_distributed() {
    let Some(db) = on_cluster(TestDb::on_citus_before()) else { return };
    done(&db, &["migrate"]);
    db.take_back("2026-11-29-000200");
    let (url, settings) = (db.url().to_owned(), db.settings(&[]));
    let outcome = actix_web::rt::System::new().block_on(async move {
        let db = Db::open(&settings, None).unwrap();
        db.distribute(false, Box::new(|_| true)).await.unwrap()
    });
    assert!(matches!(outcome, Outcome::Tables(18..)), "{outcome:?} {url}");
    done(&db, &["migrate"]);
    assert_eq!(done(&db, &["distribute"]), "all tables are distributed already\n");
    let by_column = "SELECT string_agg(table_name || ':' || distribution_column, ' ' ORDER BY table_name::text) \
         FROM citus_tables WHERE table_name::text IN ('passkeys', 'account_of_passkey', 'totp_apps')";
    assert_eq!(db.sql(by_column), "account_of_passkey:credential_hash passkeys:account_id totp_apps:account_id");
    let of_passkeys = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = 'passkeys'::regclass";
    assert_eq!(db.sql(of_passkeys), "1");
    let shown = plan(&db, "SELECT p.id FROM passkeys p JOIN accounts a ON a.id = p.account_id WHERE a.id = $1");
    assert!(shown.contains("Task Count: 1"), "{shown}");
}

/// A database on the coordinator that has no Citus at all.
#[test]
#[ignore = "needs Citus: see docs/scaling.md"]
fn a_database_without_the_extension_is_told_apart() {
    let Some(db) = on_cluster(TestDb::on_citus_before()) else { return };
    let name = format!("{}_plain", db.name());
    create_database(&name, None);
    let plain = TestDb::in_own_postgres(url_of(&name));
    done(&plain, &["migrate"]);
    let said = refused(&sessile(&plain, &["distribute"], ""));
    drop(plain);
    crate::support::citus::drop_database(&name);
    assert!(said.contains("CREATE EXTENSION citus"), "{said}");
}
