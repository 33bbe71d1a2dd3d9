//! `SESSILE_SESSIONS_PER_ACCOUNT`: a login over the limit ends the session that was idle longest.

use super::{KIM, count, is_signed_in, session_id, signed_in};
use crate::support::{App, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_login_over_the_limit_ends_the_longest_idle_session,
    ten_logins_at_once_hold_the_limit,
    zero_is_no_limit,
    a_login_over_ones_own_session_ends_no_other,
}

fn serve(db: &TestDb, limit: &str) -> App {
    add_user(db, KIM, "owner");
    App::start(db, &[("SESSILE_SESSIONS_PER_ACCOUNT", limit)])
}

async fn a_login_over_the_limit_ends_the_longest_idle_session(db: TestDb) {
    let server = serve(&db, "2");
    add_user(&db, "sam@example.com", "member");
    let mut sam = signed_in(&server, "sam@example.com", "Sam's");
    let (mut old, mut idle) = (signed_in(&server, KIM, "Old"), signed_in(&server, KIM, "Idle"));
    let (used, unused) = (session_id(&mut old), session_id(&mut idle));
    db.sql(&format!("UPDATE sessions SET last_activity = INSTANT(-20) WHERE id = '{used}'"));
    db.sql(&format!("UPDATE sessions SET last_activity = INSTANT(-40) WHERE id = '{unused}'"));
    let mut new = signed_in(&server, KIM, "New");
    assert!(is_signed_in(&mut new) && is_signed_in(&mut old) && is_signed_in(&mut sam));
    assert!(!is_signed_in(&mut idle));
    let event = format!("audit WHERE kind = 'session.revoked' AND actor = 'system' AND session_id = '{unused}'");
    assert_eq!(count(&db, &event), 1);
    assert_eq!(db.sql("SELECT detail FROM audit WHERE kind = 'session.revoked'"), "too many at once");
    let page = old.get("/activity").body;
    assert!(page.contains("Signed out to make room for a new sign-in"), "{page}");
}

async fn ten_logins_at_once_hold_the_limit(db: TestDb) {
    let server = serve(&db, "3");
    std::thread::scope(|scope| {
        for _ in 0..10 {
            let mut client = server.client();
            scope.spawn(move || {
                // Too many password checks at once give a 503, so try again.
                while client.try_log_in(KIM, crate::support::PASSWORD).status != 200 {}
            });
        }
    });
    assert_eq!(count(&db, "sessions"), 10);
    assert_eq!(count(&db, "sessions WHERE ended_at IS NULL"), 3);
    assert_eq!(count(&db, "audit WHERE kind = 'session.revoked' AND actor = 'system'"), 7);
}

async fn zero_is_no_limit(db: TestDb) {
    let server = serve(&db, "0");
    let mut all: Vec<_> = (0..22).map(|_| signed_in(&server, KIM, "One")).collect();
    assert!(all.iter_mut().all(is_signed_in));
}

async fn a_login_over_ones_own_session_ends_no_other(db: TestDb) {
    let server = serve(&db, "2");
    let (mut desk, mut phone) = (signed_in(&server, KIM, "Desk"), signed_in(&server, KIM, "Phone"));
    phone.log_in(KIM);
    assert!(is_signed_in(&mut desk) && is_signed_in(&mut phone));
    assert_eq!(count(&db, "audit WHERE kind = 'session.revoked'"), 0);
}
