//! Passwords and accounts that change while a password is being checked.

use sessile::{
    actions::password_proof::{Checked, Claim, Proof, Prover},
    base::db::Conn,
    records::{
        account::{
            self, EmailAddress,
            hasher::{Hasher, Source},
            strength::Lengths,
        },
        throttle::Network,
    },
};

use super::KIM;
use crate::support::{PASSWORD, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    right_passwords_at_once_with_an_outdated_hash_all_pass,
    a_password_replaced_during_its_check_is_refused,
    an_account_disabled_during_the_check_is_refused,
}

/// The tests' password, hashed with Argon2id with 4 MiB and one pass.
const OUTDATED: &str =
    "$argon2id$v=19$m=4096,t=1,p=1$c2l4dGVlbiBieXRlcyBvZg$H+xzsnL17IsclE3s3KgC3rWIJY7cFJ0IMk2FSoViZ1k";

async fn prover(db: &TestDb) -> Prover {
    Prover::new(db.sessions().await.db, Hasher::new(1, Lengths::new(12)).unwrap())
}

async fn check(prover: &Prover) -> Checked {
    let network = Network::new(None, |name| Ok(name.to_owned())).unwrap();
    let claim = Claim::new(&EmailAddress::parse(KIM).unwrap(), Vec::new(), None, network);
    let proof = Proof { claim, password: PASSWORD.to_owned(), on_right: Box::new(|| {}) };
    prover.check(proof).await.unwrap()
}

async fn settle(prover: &Prover, checked: Checked) -> bool {
    prover.db.write(async move |conn: &mut Conn<'_>| checked.settle(conn).await).await.unwrap()
}

async fn right_passwords_at_once_with_an_outdated_hash_all_pass(db: TestDb) {
    add_user(&db, KIM, "owner");
    let prover = prover(&db).await;
    db.sql(&format!("UPDATE accounts SET password_hash = '{OUTDATED}'"));
    let (first, second) = (check(&prover).await, check(&prover).await);
    assert!(settle(&prover, first).await);
    let hash = db.sql("SELECT password_hash FROM accounts");
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    assert!(settle(&prover, second).await, "a replaced hash of the same password is accepted");
    assert_eq!(db.sql("SELECT password_hash FROM accounts"), hash);
    assert_eq!(db.sql("SELECT count(*) FROM audit WHERE kind = 'login.failed'"), "0");
    assert_eq!(db.sql("SELECT count(*) FROM throttle_counts WHERE failures > 0"), "0");
}

async fn a_password_replaced_during_its_check_is_refused(db: TestDb) {
    let id = add_user(&db, KIM, "owner");
    let prover = prover(&db).await;
    let checked = check(&prover).await;
    let place = prover.hasher.place(&Source::Command).unwrap();
    // The same password with another salt still counts as a new password.
    let hash = prover.hasher.choose(place, PASSWORD.to_owned(), vec![], false).await.unwrap();
    let set = async move |conn: &mut Conn<'_>| account::set_password(conn, &id, &hash).await;
    prover.db.write(set).await.unwrap();
    assert!(!settle(&prover, checked).await);
    assert_eq!(db.sql("SELECT count(*) FROM audit WHERE kind = 'login.failed'"), "1");
    let again = check(&prover).await;
    assert!(settle(&prover, again).await);
}

async fn an_account_disabled_during_the_check_is_refused(db: TestDb) {
    add_user(&db, KIM, "owner");
    let prover = prover(&db).await;
    let checked = check(&prover).await;
    db.sql("UPDATE accounts SET disabled_at = INSTANT(0)");
    assert!(!settle(&prover, checked).await);
}
