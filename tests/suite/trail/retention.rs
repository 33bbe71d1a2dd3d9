//! Old events are removed, and the remaining events stay verifiable.

use sessile::{
    base::db::{Conn, Instant},
    records::audit::{
        Event, Kind, anchor, retention,
        verify::{Verified, Wrong, verify_since},
    },
};

use super::{Trail, full, ids, look, one, record};
use crate::{
    centre::{KIM, serve, signed_in},
    support::{TestDb, on_both_engines_and_citus, sessile},
};

on_both_engines_and_citus! {
    old_events_go_and_the_rest_verifies,
    a_missing_event_is_still_noticed,
    a_checkpoint_cannot_be_made_up_changed_or_put_back,
    no_events_are_removed_from_a_broken_chain,
    anchors_hold_through_a_removal,
    many_events_go_in_batches,
    prune_removes_them_and_activity_ends_there,
}

/// The time of an event.
fn at(db: &TestDb, trail: &Trail, id: i64) -> Instant {
    let micros = match db.engine {
        crate::support::Engine::Sqlite => db.sql(&format!("SELECT at FROM audit WHERE {}", one(&trail.kim, id))),
        crate::support::Engine::Postgres => db.sql(&format!(
            "SELECT (extract(epoch FROM at) * 1000000)::bigint FROM audit WHERE {}",
            one(&trail.kim, id)
        )),
    };
    Instant::from_micros(micros.parse().unwrap())
}

/// Removes Kim's events up to the nth, and everything as old.
async fn remove_to(db: &TestDb, trail: &Trail, nth: usize) -> u64 {
    let cutoff = at(db, trail, ids(db, &trail.kim)[nth]);
    retention::remove_until(&trail.db, cutoff).await.unwrap()
}

async fn old_events_go_and_the_rest_verifies(db: TestDb) {
    let trail = Trail::new(&db).await;
    record(&trail.db, vec![Event::of_nobody(Kind::LoginFailed)]).await;
    let removed = remove_to(&db, &trail, 2).await;
    assert!(removed >= 5, "{removed}");
    let verified = trail.verified().await;
    assert!(verified.is_whole(), "{verified:?}");
    assert_eq!((verified.links + removed, verified.removed), (12, removed));
    record(&trail.db, vec![full(&trail.kim, 7)]).await;
    assert_eq!(trail.verified().await.links + removed, 13);
    // Remove all events, including those without an account.
    assert_eq!(retention::sweep(&trail.db, std::time::Duration::ZERO).await.unwrap(), 14 - removed);
    assert_eq!(db.sql("SELECT count(*) FROM audit"), "0");
    assert_eq!(
        trail.verified().await,
        Verified {
            accounts: 2,
            removed: 13,
            mark: sessile::records::audit::mark::Mark::Missing,
            ..Verified::default()
        }
    );
    record(&trail.db, vec![full(&trail.kim, 8)]).await;
    let verified = trail.verified().await;
    assert!(verified.is_whole() && verified.links == 1, "{verified:?}");
}

async fn a_missing_event_is_still_noticed(db: TestDb) {
    let trail = Trail::new(&db).await;
    remove_to(&db, &trail, 2).await;
    let left = ids(&db, &trail.kim);
    for (gone, wrong) in [(left[0], Wrong::Missing), (*left.last().unwrap(), Wrong::TailCut(1))] {
        db.sql("CREATE TABLE kept AS SELECT * FROM audit");
        db.sql(&format!("DELETE FROM audit WHERE {}", one(&trail.kim, gone)));
        assert_eq!(trail.found().await.wrong, wrong);
        db.sql(&format!("INSERT INTO audit SELECT * FROM kept WHERE {}", one(&trail.kim, gone)));
        db.sql("DROP TABLE kept");
    }
    assert!(trail.verified().await.is_whole());
}

async fn a_checkpoint_cannot_be_made_up_changed_or_put_back(db: TestDb) {
    let trail = Trail::new(&db).await;
    remove_to(&db, &trail, 1).await;
    let kim = format!("WHERE account_id = '{}'", trail.kim);
    db.sql("CREATE TABLE kept AS SELECT * FROM trail_checkpoints");
    let put_back = || db.sql("DELETE FROM trail_checkpoints; INSERT INTO trail_checkpoints SELECT * FROM kept");
    // Move the checkpoint forward, as a removal would.
    for change in [
        format!("UPDATE trail_checkpoints SET links = links + 1 {kim}"),
        format!("UPDATE trail_checkpoints SET unchained = 1 {kim}"),
        format!("UPDATE trail_checkpoints SET digest = mac {kim}"),
        format!("UPDATE trail_checkpoints SET mac = digest {kim}"),
    ] {
        db.sql(&change);
        assert_eq!(trail.found().await.wrong, Wrong::Checkpoint, "{change}");
        put_back();
    }
    db.sql(&format!("DELETE FROM trail_checkpoints {kim}"));
    assert_eq!(trail.found().await.wrong, Wrong::Missing);
    put_back();
    assert!(trail.verified().await.is_whole());
    // Use an older checkpoint, or another account's.
    remove_to(&db, &trail, 1).await;
    assert!(trail.verified().await.is_whole());
    put_back();
    assert_eq!(trail.verified().await.broken, 2);
}

async fn no_events_are_removed_from_a_broken_chain(db: TestDb) {
    let trail = Trail::new(&db).await;
    let own = ids(&db, &trail.kim);
    db.sql(&format!("UPDATE audit SET detail = 'changed' WHERE {}", one(&trail.kim, own[1])));
    retention::sweep(&trail.db, std::time::Duration::ZERO).await.unwrap();
    assert_eq!((ids(&db, &trail.kim), ids(&db, &trail.sam).len()), (own.clone(), 0));
    trail.assert_finds(Some(own[1]), Wrong::Changed).await;
}

async fn anchors_hold_through_a_removal(db: TestDb) {
    let trail = Trail::new(&db).await;
    let anchor = anchor::make(&trail.db, trail.keys.trail()).await.unwrap().unwrap();
    let since = async || {
        let (keys, anchor) = (trail.keys.trail().clone(), anchor.clone());
        let look = async move |conn: &mut Conn<'_>| {
            let verified = verify_since(conn, &keys, Some(anchor.number)).await?;
            Ok((anchor::compare(conn, &keys, &anchor).await?, verified.astray.0))
        };
        trail.db.read(look).await.unwrap()
    };
    record(&trail.db, vec![full(&trail.kim, 7), full(&trail.sam, 7)]).await;
    remove_to(&db, &trail, 2).await;
    assert_eq!(since().await, (anchor::Compared::AsThen, 0));
    // Delete events that the anchor counted, after the checkpoint.
    db.sql("CREATE TABLE kept_trails AS SELECT * FROM trails");
    record(&trail.db, vec![full(&trail.kim, 8)]).await;
    let later = anchor::make(&trail.db, trail.keys.trail()).await.unwrap().unwrap();
    db.sql(&format!("DELETE FROM audit WHERE {}", one(&trail.kim, ids(&db, &trail.kim).last().unwrap())));
    db.sql("DELETE FROM trails; INSERT INTO trails SELECT * FROM kept_trails");
    assert!(trail.verified().await.is_whole());
    let keys = trail.keys.trail().clone();
    let look = async move |conn: &mut Conn<'_>| verify_since(conn, &keys, Some(later.number)).await;
    assert_eq!(trail.db.read(look).await.unwrap().astray, (1, Some(trail.kim.clone())));
    // Remove all events that the anchor counted.
    retention::sweep(&trail.db, std::time::Duration::ZERO).await.unwrap();
    assert_eq!(db.sql("SELECT count(*) FROM audit"), "0");
    assert_eq!(since().await.1, 0);
}

async fn many_events_go_in_batches(db: TestDb) {
    let trail = Trail::new(&db).await;
    for n in 0..3 {
        record(&trail.db, (0..500).map(|k| full(&trail.kim, n * 500 + k)).collect()).await;
    }
    assert_eq!(retention::sweep(&trail.db, std::time::Duration::ZERO).await.unwrap(), 1512);
    let verified = look(&trail.db, &trail.keys).await;
    assert!(verified.is_whole() && verified.removed == 1512, "{verified:?}");
}

async fn prune_removes_them_and_activity_ends_there(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    assert!(phone.get("/api/activity?limit=200").json()["events"].as_array().unwrap().len() > 2);
    let pruned = crate::support::command(&db, &[("SESSILE_AUDIT_TTL", "1ms")]).arg("prune").output().unwrap();
    assert!(pruned.status.success(), "{pruned:?}");
    let told = phone.get("/api/activity?limit=200").json();
    assert_eq!((told["events"].as_array().unwrap().len(), told.get("next")), (0, None));
    assert_eq!(phone.get("/activity").status, 200);
    signed_in(&server, KIM, "Desk");
    let told = phone.get("/api/activity").json();
    assert!(!told["events"].as_array().unwrap().is_empty());
    let doctor = sessile(&db, &["doctor"], "");
    assert!(doctor.status.success(), "{doctor:?}");
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.contains("older ones were removed"), "{doctor}");
}
