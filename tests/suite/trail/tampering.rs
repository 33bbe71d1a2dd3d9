//! Attacks with access to the database but not to the key file.

use sessile::{
    base::db::Conn,
    records::audit::{self, mark::Mark, verify::Wrong},
};

use super::{Trail, add_account, full, ids, one, record};
use crate::support::{Engine, TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_change_of_any_column_is_found,
    a_deleted_event_is_found,
    events_that_changed_places_are_found,
    an_event_put_in_is_found,
    an_event_moved_to_another_account_is_found_with_both,
    a_tail_cut_off_is_found,
    a_cut_tail_with_a_forged_head_is_found,
    a_missing_or_changed_head_is_found,
    a_deleted_chain_is_found,
    events_before_the_chain_are_counted,
    a_consistent_old_state_is_not_found_without_an_anchor,
    a_chain_made_to_look_unsealed_is_found,
    events_from_before_the_mark_are_sealed_unchanged,
}

const COLUMNS: &str = "at, kind, account_id, actor, session_id, device_id, device_name, ip, detail, seq, ip_salt, \
                       ip_commit, key_id, mac";

/// Copies the tables, so that a case can undo its changes.
fn keep(db: &TestDb) {
    db.sql("CREATE TABLE kept_audit AS SELECT * FROM audit");
    db.sql("CREATE TABLE kept_trails AS SELECT * FROM trails");
}

fn put_back(db: &TestDb) {
    db.sql("DELETE FROM audit");
    db.sql("DELETE FROM trails");
    db.sql(&format!("INSERT INTO audit (id, {COLUMNS}) SELECT id, {COLUMNS} FROM kept_audit"));
    db.sql("INSERT INTO trails SELECT * FROM kept_trails");
}

/// Changes the id of one of Kim's events.
fn renumber(trail: &Trail, db: &TestDb, from: i64, to: i64) {
    db.sql(&format!("UPDATE audit SET id = {to} WHERE {}", one(&trail.kim, from)));
}

fn bytes(db: &TestDb, hex: &str) -> String {
    if db.engine == Engine::Postgres { format!("'\\x{hex}'::bytea") } else { format!("x'{hex}'") }
}

fn hex(db: &TestDb, column: &str) -> String {
    if db.engine == Engine::Postgres { format!("encode({column}, 'hex')") } else { format!("lower(hex({column}))") }
}

async fn a_change_of_any_column_is_found(db: TestDb) {
    let trail = Trail::new(&db).await;
    keep(&db);
    let id = ids(&db, &trail.kim)[2];
    let other = bytes(&db, &"ab".repeat(32));
    let changes = [
        "at = INSTANT(-3600)".to_owned(),
        "kind = 'login.succeeded'".into(),
        "actor = 'operator'".into(),
        "session_id = 'aiq_9'".into(),
        "session_id = NULL".into(),
        "session_id = ''".into(),
        "device_id = 'dev_2'".into(),
        "device_id = NULL".into(),
        "device_name = 'Kueche, Chrome'".into(),
        "device_name = device_id, device_id = device_name".into(),
        "ip = '192.0.2.8'".into(),
        "ip = NULL".into(),
        format!("ip_salt = {other}"),
        "ip_salt = NULL".into(),
        format!("ip_commit = {other}"),
        "ip = NULL, ip_salt = NULL, ip_commit = NULL".into(),
        "detail = 'Detail'".into(),
        "detail = NULL".into(),
        "key_id = NULL".into(),
        format!("mac = {other}"),
        "mac = NULL".into(),
    ];
    for change in changes {
        db.sql(&format!("UPDATE audit SET {change} WHERE {}", one(&trail.kim, id)));
        let found = trail.found().await;
        assert_eq!(
            (found.account_id, found.audit_id, found.wrong),
            (trail.kim.clone(), Some(id), Wrong::Changed),
            "{change}"
        );
        put_back(&db);
    }
    db.sql(&format!("UPDATE audit SET seq = 77 WHERE {}", one(&trail.kim, id)));
    trail.assert_finds(Some(id), Wrong::Missing).await;
    put_back(&db);
    db.sql(&format!("UPDATE audit SET seq = NULL WHERE {}", one(&trail.kim, id)));
    trail.assert_finds(Some(id), Wrong::Inserted).await;
    put_back(&db);
    // Links with an unknown key cannot be checked, but later links still confirm their content.
    for id in [id, ids(&db, &trail.kim)[5]] {
        db.sql(&format!("UPDATE audit SET key_id = 'made-up' WHERE {}", one(&trail.kim, id)));
        trail.assert_finds(Some(id), Wrong::Changed).await;
        put_back(&db);
    }
    assert!(trail.verified().await.is_whole(), "the restored tables verify again");
}

async fn a_deleted_event_is_found(db: TestDb) {
    let trail = Trail::new(&db).await;
    keep(&db);
    let all = ids(&db, &trail.kim);
    for (n, id) in all[..5].iter().enumerate() {
        db.sql(&format!("DELETE FROM audit WHERE {}", one(&trail.kim, id)));
        trail.assert_finds(Some(all[n + 1]), Wrong::Missing).await;
        put_back(&db);
    }
    // Renumbering the events to close the gap does not help.
    db.sql(&format!("DELETE FROM audit WHERE {}", one(&trail.kim, all[2])));
    db.sql(&format!("UPDATE audit SET seq = seq - 1 WHERE account_id = '{}' AND id > {}", trail.kim, all[2]));
    trail.assert_finds(Some(all[3]), Wrong::Changed).await;
}

async fn events_that_changed_places_are_found(db: TestDb) {
    let trail = Trail::new(&db).await;
    let all = ids(&db, &trail.kim);
    renumber(&trail, &db, all[2], 9999);
    renumber(&trail, &db, all[3], all[2]);
    renumber(&trail, &db, 9999, all[3]);
    trail.assert_finds(Some(all[2]), Wrong::Reordered).await;
    // Swapping their numbers as well does not help.
    db.sql(&format!(
        "UPDATE audit SET seq = CASE seq WHEN 3 THEN 4 ELSE 3 END WHERE account_id = '{}' AND id IN ({}, {})",
        trail.kim, all[2], all[3]
    ));
    trail.assert_finds(Some(all[2]), Wrong::Changed).await;
}

async fn an_event_put_in_is_found(db: TestDb) {
    let trail = Trail::new(&db).await;
    keep(&db);
    let all = ids(&db, &trail.kim);
    let kim = &trail.kim;
    db.sql(&format!(
        "INSERT INTO audit (id, at, kind, account_id, actor) VALUES (7, INSTANT(0), 'logout', '{kim}', '{kim}')"
    ));
    trail.assert_finds(ids(&db, kim).last().copied(), Wrong::Inserted).await;
    put_back(&db);
    db.sql(&format!(
        "INSERT INTO audit (id, {COLUMNS}) SELECT id + 1, {COLUMNS} FROM audit WHERE {}",
        one(&trail.kim, all[5])
    ));
    trail.assert_finds(ids(&db, kim).last().copied(), Wrong::Inserted).await;
    db.sql(&format!("UPDATE audit SET seq = 7 WHERE {}", one(&trail.kim, ids(&db, kim)[6])));
    trail.assert_finds(ids(&db, kim).last().copied(), Wrong::Changed).await;
    // With an unknown key the link cannot be checked, but the head does not count it.
    db.sql(&format!("UPDATE audit SET key_id = 'made-up' WHERE {}", one(&trail.kim, ids(&db, kim)[6])));
    trail.assert_finds(None, Wrong::Head).await;
}

async fn an_event_moved_to_another_account_is_found_with_both(db: TestDb) {
    let trail = Trail::new(&db).await;
    let all = ids(&db, &trail.kim);
    // Make room among Sam's events first.
    db.sql(&format!("UPDATE audit SET id = id + 10 WHERE account_id = '{}' AND id >= {}", trail.sam, all[3]));
    // A copy, because Citus moves no row to another worker.
    let (moved, of_sam) = (one(&trail.kim, all[3]), COLUMNS.replace("account_id", &format!("'{}'", trail.sam)));
    db.sql(&format!("INSERT INTO audit (id, {COLUMNS}) SELECT id, {of_sam} FROM audit WHERE {moved}"));
    db.sql(&format!("DELETE FROM audit WHERE {moved}"));
    let verified = trail.verified().await;
    let mut found: Vec<_> =
        verified.findings.iter().map(|f| (f.account_id.clone(), f.audit_id, f.wrong.clone())).collect();
    found.sort_by_key(|(account, ..)| *account != trail.kim);
    let kims = (trail.kim.clone(), Some(all[4]), Wrong::Missing);
    // The moved event comes before Sam's own fourth event.
    let sams = (trail.sam.clone(), Some(all[3]), Wrong::Changed);
    assert_eq!(found, [kims, sams]);
}

async fn a_tail_cut_off_is_found(db: TestDb) {
    let trail = Trail::new(&db).await;
    let all = ids(&db, &trail.kim);
    for (cut, id) in (1_i64..).zip(all.iter().rev()) {
        db.sql(&format!("DELETE FROM audit WHERE {}", one(&trail.kim, id)));
        trail.assert_finds(None, Wrong::TailCut(cut)).await;
    }
}

/// Without the key nobody can make a head for the shortened chain, not even with the earlier digest, which needs no
/// key. The next event does not hide the cut.
async fn a_cut_tail_with_a_forged_head_is_found(db: TestDb) {
    let trail = Trail::new(&db).await;
    let kim = &trail.kim;
    let then = db.sql(&format!("SELECT {} FROM trails WHERE account_id = '{kim}'", hex(&db, "digest")));
    record(&trail.db, vec![full(kim, 6), full(kim, 7)]).await;
    keep(&db);
    let last = ids(&db, kim)[5];
    let (other, then) = (bytes(&db, &"ab".repeat(32)), bytes(&db, &then));
    let heads = [
        "links = 6".to_owned(),
        format!("links = 6, digest = {then}"),
        format!("links = 6, digest = {then}, mac = {other}"),
        format!("links = 6, digest = {then}, mac = NULL"),
        format!("links = 6, digest = {then}, mac = (SELECT mac FROM audit WHERE {})", one(kim, last)),
    ];
    for head in heads {
        db.sql(&format!("DELETE FROM audit WHERE id > {last} AND account_id = '{kim}'"));
        db.sql(&format!("UPDATE trails SET {head} WHERE account_id = '{kim}'"));
        trail.assert_finds(None, Wrong::Head).await;
        record(&trail.db, vec![full(kim, 9)]).await;
        record(&trail.db, vec![full(kim, 10)]).await;
        trail.assert_finds(Some(ids(&db, kim)[6]), Wrong::Changed).await;
        put_back(&db);
    }
}

async fn a_missing_or_changed_head_is_found(db: TestDb) {
    let trail = Trail::new(&db).await;
    keep(&db);
    let kim = format!("WHERE account_id = '{}'", trail.kim);
    let other = bytes(&db, &"ab".repeat(32));
    let changes = [
        format!("DELETE FROM trails {kim}"),
        format!("UPDATE trails SET links = 0 {kim}"),
        format!("UPDATE trails SET links = 0, digest = NULL, key_id = NULL, mac = NULL {kim}"),
        format!("UPDATE trails SET unchained = 1 {kim}"),
        format!("UPDATE trails SET digest = {other} {kim}"),
        format!("UPDATE trails SET mac = {other} {kim}"),
        format!("UPDATE trails SET mac = NULL {kim}"),
        format!("UPDATE trails SET digest = (SELECT digest FROM kept_trails WHERE account_id = '{}') {kim}", trail.sam),
    ];
    for change in changes {
        db.sql(&change);
        assert_eq!(trail.found().await.wrong, Wrong::Head, "{change}");
        put_back(&db);
    }
    db.sql(&format!("UPDATE trails SET key_id = 'made-up' {kim}"));
    trail.assert_finds(None, Wrong::KeyMissing("made-up".into())).await;
}

async fn a_deleted_chain_is_found(db: TestDb) {
    let trail = Trail::new(&db).await;
    keep(&db);
    let kim = format!("WHERE account_id = '{}'", trail.kim);
    db.sql(&format!("DELETE FROM audit {kim}"));
    trail.assert_finds(None, Wrong::TailCut(6)).await;
    db.sql(&format!("DELETE FROM trails {kim}"));
    trail.assert_finds(None, Wrong::Head).await;
    // The next event does not hide the deletion.
    record(&trail.db, vec![full(&trail.kim, 9)]).await;
    trail.assert_finds(None, Wrong::Beginning).await;
    put_back(&db);
    db.sql(&format!("DELETE FROM trails {kim}"));
    record(&trail.db, vec![full(&trail.kim, 9)]).await;
    trail.assert_finds(ids(&db, &trail.kim).last().copied(), Wrong::Inserted).await;
}

async fn events_before_the_chain_are_counted(db: TestDb) {
    let trail = Trail::new(&db).await;
    let kim = &trail.kim;
    // The state that the migration finds: rows without links, and a head without a link.
    db.sql(&format!("DELETE FROM audit WHERE account_id = '{kim}'"));
    db.sql(&format!(
        "UPDATE trails SET links = 0, digest = NULL, key_id = NULL, mac = NULL WHERE account_id = '{kim}'"
    ));
    for (n, kind) in (1..).zip(["account.created", "login.succeeded", "session.created"]) {
        db.sql(&format!(
            "INSERT INTO audit (id, at, kind, account_id, actor) VALUES ({n}, INSTANT(0), '{kind}', '{kim}', '{kim}')"
        ));
    }
    let verified = trail.verified().await;
    assert!(verified.is_whole(), "{verified:?}");
    assert_eq!((verified.links, verified.unchained), (6, 3));
    record(&trail.db, vec![full(kim, 1), full(kim, 2)]).await;
    let verified = trail.verified().await;
    assert!(verified.is_whole(), "{verified:?}");
    assert_eq!((verified.links, verified.unchained), (8, 3));
    db.sql(&format!("DELETE FROM audit WHERE {}", one(&trail.kim, ids(&db, kim)[1])));
    trail.assert_finds(None, Wrong::History).await;
}

/// The database alone cannot show this, as `audit::chain` explains.
async fn a_consistent_old_state_is_not_found_without_an_anchor(db: TestDb) {
    let trail = Trail::new(&db).await;
    keep(&db);
    record(&trail.db, vec![full(&trail.kim, 9)]).await;
    put_back(&db);
    assert!(trail.verified().await.is_whole());
    // The same change without the head is found.
    record(&trail.db, vec![full(&trail.kim, 9)]).await;
    db.sql(&format!("DELETE FROM audit WHERE {}", one(&trail.kim, ids(&db, &trail.kim)[6])));
    trail.assert_finds(None, Wrong::TailCut(1)).await;
}

async fn mark(trail: &Trail) {
    let keys = trail.keys.clone();
    trail.db.write(async move |conn: &mut Conn<'_>| audit::begin(conn, keys.trail()).await).await.unwrap();
}

async fn a_chain_made_to_look_unsealed_is_found(db: TestDb) {
    let trail = Trail::new(&db).await;
    mark(&trail).await;
    let verified = trail.verified().await;
    assert!(verified.is_whole() && verified.mark == Mark::Sealed, "{verified:?}");
    keep(&db);
    let kim = format!("WHERE account_id = '{}'", trail.kim);
    let unsealed = "seq = NULL, ip_salt = NULL, ip_commit = NULL, key_id = NULL, mac = NULL";
    let forge = || {
        db.sql(&format!("UPDATE audit SET detail = 'another', {unsealed} {kim}"));
        db.sql(&format!("UPDATE trails SET links = 0, unchained = 0, digest = NULL, key_id = NULL, mac = NULL {kim}"));
    };
    for gone in [false, true] {
        forge();
        if gone {
            db.sql(&format!("DELETE FROM trails {kim}"));
        }
        trail.assert_finds(None, Wrong::Head).await;
        // The next event and the next start do not hide the change.
        mark(&trail).await;
        record(&trail.db, vec![full(&trail.kim, 9)]).await;
        trail.assert_finds(ids(&db, &trail.kim).last().copied(), Wrong::Changed).await;
        put_back(&db);
    }
    // An account that is created from now on has a sealed head at once.
    add_account(&trail.db, "lee@example.com").await;
    assert!(trail.verified().await.is_whole());
    // Without the mark the database would look older than the chain, but the missing mark is found.
    db.sql("UPDATE instance SET trail_key_id = NULL, trail_mac = NULL");
    assert_eq!(trail.verified().await.mark, Mark::Missing);
    db.sql(&format!("UPDATE instance SET trail_key_id = '{}', trail_mac = {}", "made-up", bytes(&db, "ab")));
    assert_eq!(trail.verified().await.mark, Mark::KeyMissing("made-up".into()));
    let own = trail.keys.trail().signing().id();
    db.sql(&format!("UPDATE instance SET trail_key_id = '{own}', trail_mac = {}", bytes(&db, "ab")));
    let verified = trail.verified().await;
    assert!(!verified.is_whole() && verified.mark == Mark::Broken, "{verified:?}");
}

async fn events_from_before_the_mark_are_sealed_unchanged(db: TestDb) {
    let trail = Trail::new(&db).await;
    let kim = &trail.kim;
    // The state that the migration finds: rows without links, and a head without a link.
    db.sql(&format!("UPDATE audit SET seq = NULL, ip_salt = NULL, ip_commit = NULL, key_id = NULL, mac = NULL WHERE account_id = '{kim}'"));
    db.sql(&format!(
        "UPDATE trails SET links = 0, digest = NULL, key_id = NULL, mac = NULL WHERE account_id = '{kim}'"
    ));
    mark(&trail).await;
    let verified = trail.verified().await;
    assert!(verified.is_whole(), "{verified:?}");
    assert_eq!((verified.links, verified.unchained), (6, 6));
    keep(&db);
    db.sql(&format!("DELETE FROM audit WHERE {}", one(&trail.kim, ids(&db, kim)[1])));
    trail.assert_finds(None, Wrong::History).await;
    record(&trail.db, vec![full(kim, 1)]).await;
    trail.assert_finds(None, Wrong::History).await;
    put_back(&db);
    record(&trail.db, vec![full(kim, 1)]).await;
    let verified = trail.verified().await;
    assert!(verified.is_whole(), "{verified:?}");
    assert_eq!((verified.links, verified.unchained), (7, 6));
}
