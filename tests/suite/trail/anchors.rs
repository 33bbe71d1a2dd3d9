//! Anchors: log lines with a digest of all audit events. With such a line, events that are missing later are found.

use sessile::{
    base::db::Conn,
    records::audit::{
        anchor::{self, Anchor, Compared},
        verify::{Verified, verify_since},
    },
};

use super::{Trail, add_account, full, ids, record};
use crate::{
    centre::{KIM, serve_process, signed_in},
    support::{Engine, Server, TestDb, add_user, on_both_engines_and_citus, sessile},
};

on_both_engines_and_citus! {
    a_grown_chain_still_matches_an_anchor,
    a_chain_rolled_back_to_an_old_head_is_found,
    a_consistent_old_state_is_found_by_an_anchor,
    an_account_deleted_with_all_its_rows_is_found,
    the_record_of_counted_links_cannot_be_changed,
    one_node_at_a_time_makes_an_anchor,
    a_forged_anchor_line_is_refused,
    the_server_writes_a_line_at_shutdown_and_doctor_takes_it,
    two_nodes_each_write_lines_that_hold,
}

async fn make(trail: &Trail) -> Anchor {
    anchor::make(&trail.db, trail.keys.trail()).await.unwrap().expect("no other node makes an anchor")
}

/// The result of `doctor` for an anchor: the comparison of the rows, and the number of accounts whose chain has
/// changed.
async fn since(trail: &Trail, anchor: &Anchor) -> (Compared, u64) {
    let (keys, anchor) = (trail.keys.trail().clone(), anchor.clone());
    let look = async move |conn: &mut Conn<'_>| {
        let verified: Verified = verify_since(conn, &keys, Some(anchor.number)).await?;
        Ok((anchor::compare(conn, &keys, &anchor).await?, verified.astray.0))
    };
    trail.db.read(look).await.unwrap()
}

const AS_THEN: (Compared, u64) = (Compared::AsThen, 0);

async fn a_grown_chain_still_matches_an_anchor(db: TestDb) {
    let trail = Trail::new(&db).await;
    let first = make(&trail).await;
    assert_eq!((first.accounts, first.links), (2, 12));
    assert_eq!(since(&trail, &first).await, AS_THEN);
    record(&trail.db, vec![full(&trail.kim, 7), full(&trail.kim, 8)]).await;
    let second = make(&trail).await;
    let third = make(&trail).await;
    assert_eq!((second.links, third.links, third.number), (14, 14, first.number + 2));
    add_account(&trail.db, "alex@example.com").await;
    record(&trail.db, vec![full(&trail.sam, 7)]).await;
    for anchor in [&first, &second, &third] {
        assert_eq!(since(&trail, anchor).await, AS_THEN);
        assert_eq!(Anchor::find(&format!("x anchor={anchor} y")).as_ref(), Some(anchor));
    }
    assert_eq!(make(&trail).await.accounts, 3);
    // One row per account and time of a change, and no more.
    assert_eq!(db.sql("SELECT count(*) FROM trail_anchors"), "5");
}

async fn a_chain_rolled_back_to_an_old_head_is_found(db: TestDb) {
    let trail = Trail::new(&db).await;
    db.sql("CREATE TABLE kept_trails AS SELECT * FROM trails");
    let last = ids(&db, &trail.kim)[5];
    record(&trail.db, vec![full(&trail.kim, 7), full(&trail.kim, 8)]).await;
    let anchor = make(&trail).await;
    db.sql(&format!("DELETE FROM audit WHERE account_id = '{}' AND id > {last}", trail.kim));
    db.sql(&format!("DELETE FROM trails WHERE account_id = '{}'", trail.kim));
    db.sql(&format!("INSERT INTO trails SELECT * FROM kept_trails WHERE account_id = '{}'", trail.kim));
    assert!(trail.verified().await.is_whole(), "the database alone cannot show it");
    assert_eq!(since(&trail, &anchor).await, (Compared::AsThen, 1));
    record(&trail.db, vec![full(&trail.kim, 9), full(&trail.kim, 10), full(&trail.kim, 11)]).await;
    assert!(trail.verified().await.is_whole());
    assert_eq!(since(&trail, &anchor).await, (Compared::AsThen, 1));
}

async fn a_consistent_old_state_is_found_by_an_anchor(db: TestDb) {
    let trail = Trail::new(&db).await;
    let first = make(&trail).await;
    let tables = ["trails", "trail_anchors"];
    for table in tables {
        db.sql(&format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}"));
    }
    let last = ids(&db, &trail.kim)[5];
    record(&trail.db, vec![full(&trail.kim, 7)]).await;
    let anchor = make(&trail).await;
    db.sql(&format!("DELETE FROM audit WHERE account_id = '{}' AND id > {last}", trail.kim));
    for table in tables {
        db.sql(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}"));
    }
    assert!(trail.verified().await.is_whole());
    assert_eq!(since(&trail, &first).await, AS_THEN);
    assert_eq!(since(&trail, &anchor).await.0, Compared::Changed);
    db.sql("UPDATE instance SET history = 'another'");
    assert_eq!(since(&trail, &anchor).await.0, Compared::Restored);
}

async fn an_account_deleted_with_all_its_rows_is_found(db: TestDb) {
    let trail = Trail::new(&db).await;
    let anchor = make(&trail).await;
    db.sql(&format!("DELETE FROM accounts WHERE id = '{}'", trail.kim));
    assert!(trail.verified().await.is_whole());
    assert_eq!(since(&trail, &anchor).await.0, Compared::Gone(trail.kim.clone()));
    db.sql(&format!("DELETE FROM trail_anchors WHERE account_id = '{}'", trail.kim));
    assert_eq!(since(&trail, &anchor).await.0, Compared::Changed);
}

async fn the_record_of_counted_links_cannot_be_changed(db: TestDb) {
    let trail = Trail::new(&db).await;
    let kim = format!("WHERE account_id = '{}'", trail.kim);
    // Sam's row may be on another worker, so it is read first.
    let sam =
        format!("WITH sams AS MATERIALIZED (SELECT digest FROM trail_anchors WHERE account_id = '{}')", trail.sam);
    for change in [
        format!("UPDATE trail_anchors SET links = links - 1 {kim}"),
        format!("{sam} UPDATE trail_anchors SET digest = (SELECT digest FROM sams) {kim}"),
        format!("UPDATE trail_anchors SET anchor = anchor + 1 {kim}"),
        format!("DELETE FROM trail_anchors {kim}"),
        "UPDATE trail_anchors SET links = 5 + length(digest) / 16".to_owned(),
    ] {
        db.sql("DELETE FROM trail_anchors");
        let anchor = make(&trail).await;
        assert_eq!(since(&trail, &anchor).await, AS_THEN);
        db.sql(&change);
        assert_eq!(since(&trail, &anchor).await.0, Compared::Changed, "{change}");
    }
}

async fn one_node_at_a_time_makes_an_anchor(db: TestDb) {
    let trail = Trail::new(&db).await;
    db.sql("UPDATE instance SET anchoring_until = INSTANT(60)");
    assert_eq!(anchor::make(&trail.db, trail.keys.trail()).await.unwrap(), None);
    // A lease that was never released, or whose time is wrong, does not block others.
    for until in [-1, 86_400] {
        db.sql(&format!("UPDATE instance SET anchoring_until = INSTANT({until})"));
        make(&trail).await;
    }
}

async fn a_forged_anchor_line_is_refused(db: TestDb) {
    let trail = Trail::new(&db).await;
    let anchor = make(&trail).await;
    let forged = anchor.to_string().replacen(&format!(".{}.", anchor.links), ".11.", 1);
    let forged = Anchor::find(&forged).unwrap();
    assert_eq!(forged.links, 11);
    assert_eq!(since(&trail, &forged).await.0, Compared::Forged);
    let other = TestDb::new(Engine::Sqlite);
    let (keys, id) = (other.keys(), trail.keys.trail().signing().id().to_owned());
    let look = async move |conn: &mut Conn<'_>| anchor::compare(conn, keys.trail(), &anchor).await;
    assert_eq!(trail.db.read(look).await.unwrap(), Compared::KeyMissing(id));
}

fn anchors(log: &str) -> Vec<String> {
    log.lines().filter(|line| line.contains("digest of the audit trail")).map(str::to_owned).collect()
}

async fn the_server_writes_a_line_at_shutdown_and_doctor_takes_it(db: TestDb) {
    for format in ["text", "json"] {
        let server =
            if format == "text" { serve_process(&db) } else { Server::start(&db, &[("SESSILE_LOG_FORMAT", format)]) };
        signed_in(&server, KIM, "Phone");
        let (code, log) = server.stopped();
        let lines = anchors(&log);
        assert_eq!((code, lines.len()), (Some(0), 1), "{log}");
        let told = sessile(&db, &["doctor", "--since", &lines[0]], "");
        let said = String::from_utf8_lossy(&told.stdout);
        assert!(told.status.success() && said.contains("ok  audit trail since: "), "{told:?}");
        let token = Anchor::find(&lines[0]).unwrap().to_string();
        assert!(sessile(&db, &["doctor", "--since", &token], "").status.success());
        if format == "json" {
            db.sql("DELETE FROM trail_anchors");
            let told = sessile(&db, &["doctor", "--since", &lines[0]], "");
            let said = String::from_utf8_lossy(&told.stdout);
            assert!(told.status.code() == Some(1) && said.contains("FAIL audit trail since: "), "{told:?}");
        }
    }
    let told = sessile(&db, &["doctor", "--since", "nothing of that kind"], "");
    assert_eq!(told.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&told.stderr).contains("--since"), "{told:?}");
}

async fn two_nodes_each_write_lines_that_hold(db: TestDb) {
    add_user(&db, KIM, "owner");
    let nodes = [Server::start(&db, &[]), Server::start(&db, &[])];
    for node in &nodes {
        signed_in(node, KIM, "Phone");
    }
    for node in nodes {
        let lines = anchors(&node.stopped().1);
        assert_eq!(lines.len(), 1);
        assert!(sessile(&db, &["doctor", "--since", &lines[0]], "").status.success());
    }
}
