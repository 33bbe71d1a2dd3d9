//! What the dashboard says about a used recovery code and about a reset, until the person has seen it.

use super::{form, leads_to, log_in_with, serve, set_up, signed_in};
use crate::support::{PASSWORD, TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_used_recovery_code_is_shown_until_it_was_seen,
    a_reset_is_shown_until_it_was_seen,
}

async fn a_used_recovery_code_is_shown_until_it_was_seen(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    let (_, codes) = set_up(&mut kim);
    let words = "A recovery code was used";
    assert!(!kim.get("/dashboard").body.contains(words));
    let mut other = server.client();
    assert_eq!(log_in_with(&mut other, PASSWORD, &codes[0]).status, 200);
    for _ in 0..2 {
        assert!(kim.get("/dashboard").body.contains(words) && other.get("/dashboard").body.contains(words));
    }
    leads_to(&form(&mut kim, "/account/security", &[("act", "seen")]), "/dashboard");
    assert!(!kim.get("/dashboard").body.contains(words) && !other.get("/dashboard").body.contains(words));
    assert_eq!(form(&mut kim, "/account/security", &[("act", "other")]).status, 400);
}

async fn a_reset_is_shown_until_it_was_seen(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    let words = "An administrator removed your second factor";
    assert!(!kim.get("/dashboard").body.contains(words));
    db.sql("UPDATE accounts SET factor_reset_at = INSTANT(-60)");
    assert!(kim.get("/dashboard").body.contains(words));
    leads_to(&form(&mut kim, "/account/security", &[("act", "seen")]), "/dashboard");
    assert!(!kim.get("/dashboard").body.contains(words));
}
