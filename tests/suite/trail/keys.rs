//! The keys of the audit chain: rotated, retired, lost.

use sessile::{base::keys::Keys, records::audit::verify::Wrong};

use super::{Trail, full, ids, look, one, record};
use crate::support::{PASSWORD, Server, TestDb, add_user, on_both_engines_and_citus, sessile};

on_both_engines_and_citus! {
    a_second_key_put_first_seals_and_the_old_links_stay_good,
    a_link_with_a_missing_key_is_not_called_broken,
    a_command_with_a_different_key_file_is_refused,
    a_first_command_creates_the_key_file_for_the_server,
}

fn another_key(db: &TestDb) -> String {
    let path = db.folder.join("another.key");
    let _ = std::fs::remove_file(&path);
    Keys::read_or_make(&path).unwrap();
    std::fs::read_to_string(path).unwrap()
}

async fn a_second_key_put_first_seals_and_the_old_links_stay_good(db: TestDb) {
    let trail = Trail::new(&db).await;
    let old = std::fs::read_to_string(db.key_file()).unwrap();
    let new = another_key(&db);
    std::fs::write(db.key_file(), format!("{new}{old}")).unwrap();
    let later = db.sessions().await.db;
    record(&later, vec![full(&trail.kim, 7)]).await;
    let sealed_by = db.sql("SELECT count(DISTINCT key_id) FROM audit");
    assert_eq!(sealed_by, "2");
    assert!(look(&later, &db.keys()).await.is_whole());
    // A node that was not restarted yet goes on sealing with the old key.
    record(&trail.db, vec![full(&trail.kim, 8)]).await;
    assert!(look(&later, &db.keys()).await.is_whole());
    // The file may keep the old key for verification only.
    std::fs::write(db.key_file(), format!("{new}trail:{old}")).unwrap();
    assert!(look(&later, &db.keys()).await.is_whole());
}

async fn a_link_with_a_missing_key_is_not_called_broken(db: TestDb) {
    let trail = Trail::new(&db).await;
    let old_id = trail.keys.trail().signing().id().to_owned();
    std::fs::write(db.key_file(), another_key(&db)).unwrap();
    let (later, keys) = (db.sessions().await.db, db.keys());
    record(&later, vec![full(&trail.kim, 7)]).await;
    let verified = look(&later, &keys).await;
    assert_eq!((verified.broken, verified.uncheckable), (0, 2), "{verified:?}");
    assert!(verified.findings.iter().all(|finding| finding.wrong == Wrong::KeyMissing(old_id.clone())));
    assert!(verified.findings[0].to_string().contains(&old_id) && verified.findings[0].to_string().contains("missing"));

    // A later link under the new key still confirms the earlier links whose key is gone.
    let id = ids(&db, &trail.kim)[2];
    db.sql(&format!("UPDATE audit SET detail = 'changed' WHERE {}", one(&trail.kim, id)));
    let verified = look(&later, &keys).await;
    assert_eq!((verified.broken, verified.uncheckable), (1, 1), "{verified:?}");
    let broken = verified.findings.iter().find(|finding| finding.wrong == Wrong::Changed).unwrap();
    assert_eq!((&broken.account_id, broken.audit_id), (&trail.kim, ids(&db, &trail.kim).last().copied()));
}

async fn a_command_with_a_different_key_file_is_refused(db: TestDb) {
    add_user(&db, "kim@example.com", "owner");
    let right = std::fs::read_to_string(db.key_file()).unwrap();
    let commands: [&[&str]; 4] = [
        &["user", "disable", "kim@example.com"],
        &["session", "revoke", "--email", "kim@example.com"],
        &["prune"],
        &["user", "add", "--email", "sam@example.com", "--password-stdin"],
    ];
    let before = db.sql("SELECT count(*) FROM audit");
    for other in [None, Some(another_key(&db))] {
        match &other {
            Some(key) => std::fs::write(db.key_file(), key).unwrap(),
            None => std::fs::remove_file(db.key_file()).unwrap(),
        }
        for command in commands {
            let out = sessile(&db, command, PASSWORD);
            let words = String::from_utf8_lossy(&out.stderr).into_owned();
            assert_eq!(out.status.code(), Some(1), "{command:?}: {words}");
            assert!(words.contains("SESSILE_KEY_FILE") && words.lines().count() == 1, "{words}");
        }
        assert_eq!(std::fs::read_to_string(db.key_file()).ok(), other, "the key file must not change");
    }
    assert_eq!(db.sql("SELECT count(*) FROM audit"), before);
    assert!(sessile(&db, &["user", "list"], "").status.success(), "a command that only reads needs no key");
    std::fs::write(db.key_file(), right).unwrap();
    for command in &commands[1..] {
        assert!(sessile(&db, command, PASSWORD).status.success(), "{command:?}");
    }
}

async fn a_first_command_creates_the_key_file_for_the_server(db: TestDb) {
    use std::os::unix::fs::PermissionsExt as _;
    add_user(&db, "kim@example.com", "owner");
    let made = std::fs::read_to_string(db.key_file()).unwrap();
    assert_eq!(std::fs::metadata(db.key_file()).unwrap().permissions().mode() & 0o777, 0o600);
    let server = Server::start(&db, &[]);
    server.client().log_in("kim@example.com");
    assert_eq!(std::fs::read_to_string(db.key_file()).unwrap(), made);
    let node = db.sessions().await.db;
    let verified = look(&node, &db.keys()).await;
    assert!(verified.is_whole() && verified.links == 4, "{verified:?}");
}
