//! Old IP addresses are wiped, and the chain stays valid.

use std::time::Duration;

use sessile::records::{
    audit::{Event, Kind},
    session::sweep,
};

use super::{Trail, ids, one, record};
use crate::support::{Engine, TestDb, on_both_engines_and_citus, run};

on_both_engines_and_citus! {
    an_old_address_goes_with_its_salt_and_the_chain_stays_whole,
    addresses_of_unused_sessions_are_wiped,
}

const DAY: Duration = Duration::from_secs(86_400);

fn count(db: &TestDb, what: &str) -> usize {
    db.sql(&format!("SELECT count(*) FROM {what}")).parse().unwrap()
}

async fn an_old_address_goes_with_its_salt_and_the_chain_stays_whole(db: TestDb) {
    let trail = Trail::new(&db).await;
    record(&trail.db, vec![Event::of_nobody(Kind::LoginFailed).ip(Some("192.0.2.9"))]).await;
    assert_eq!(sweep::wipe_addresses(&trail.db, DAY).await.unwrap(), 0);
    assert_eq!(count(&db, "audit WHERE ip IS NOT NULL"), 11);

    db.sql("UPDATE audit SET at = INSTANT(-90000) WHERE account_id = ''");
    assert_eq!(sweep::wipe_addresses(&trail.db, DAY).await.unwrap(), 1, "only the old address");
    // With an age of zero, all addresses are wiped.
    assert_eq!(sweep::wipe_addresses(&trail.db, Duration::ZERO).await.unwrap(), 10);
    assert_eq!(count(&db, "audit WHERE ip IS NOT NULL OR ip_salt IS NOT NULL"), 0);
    assert_eq!(count(&db, "audit WHERE ip_commit IS NOT NULL"), 10);
    let verified = trail.verified().await;
    assert!(verified.is_whole(), "{verified:?}");

    // An address that is put back is rejected unless it is the original.
    let id = ids(&db, &trail.kim)[1];
    db.sql(&format!("UPDATE audit SET ip = '192.0.2.7' WHERE {}", one(&trail.kim, id)));
    assert_eq!(trail.found().await.audit_id, Some(id));
}

async fn addresses_of_unused_sessions_are_wiped(db: TestDb) {
    let node = crate::store::Node::new(&db).await;
    let (old, new) = (node.create().await, node.create().await);
    db.sql(&format!("UPDATE sessions SET last_activity = INSTANT(-90000) WHERE id = '{}'", old.id()));
    assert_eq!(sweep::wipe_addresses(&node.sessions.db, DAY).await.unwrap(), 1);
    let address = |id: &str| db.sql(&format!("SELECT coalesce(ip, 'none') FROM sessions WHERE id = '{id}'"));
    assert_eq!((address(old.id()).as_str(), address(new.id()).as_str()), ("none", "192.0.2.1"));
    assert!(node.is_live(&old).await, "the session still lives");
}

/// Neither in the database files nor in query results.
#[test]
fn a_wiped_address_cannot_be_read_in_the_files_of_the_database() {
    run(Engine::Sqlite, wiped_for_good);
}

async fn wiped_for_good(db: TestDb) {
    let trail = Trail::new(&db).await;
    let found = || {
        let files = std::fs::read_dir(&db.folder).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("sqlite")));
        let holds =
            |path: &std::path::PathBuf| std::fs::read(path).unwrap().windows(9).any(|bytes| bytes == b"192.0.2.7");
        files.filter(holds).count()
    };
    assert!(found() > 0);
    sweep::wipe_addresses(&trail.db, Duration::ZERO).await.unwrap();
    assert_eq!(found(), 0);
}
