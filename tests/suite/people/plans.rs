//! The statements about people use indexes, however many accounts there are. `scripts/people-speed` measures the pages.

use serde_json::json;
use sessile::{actions::person::leave, records::account::search};

use super::{KIM, serve, signed_in};
use crate::{
    centre::query_plans::{NARROW, WIDE, check, seed},
    gate::db_of_operator,
    support::{
        Engine, TestDb, on_both_engines,
        statements::{ran_alone, seen, unseen},
    },
};

on_both_engines! {
    no_statement_about_people_goes_through_all_accounts,
}

fn fill_in(db: &TestDb) {
    db.sql("UPDATE accounts SET search = lower(name || ' ' || email), created_at = INSTANT(-1000) WHERE search = ''");
    if db.engine == Engine::Postgres {
        // As autovacuum does on a production PostgreSQL. SQLite has no counterpart that runs by itself.
        db.sql("VACUUM ANALYZE");
    }
}

async fn no_statement_about_people_goes_through_all_accounts(db: TestDb) {
    let engine = if db.engine == Engine::Postgres { "postgres" } else { "sqlite" };
    if ran_alone(module_path!(), &format!("{engine}::no_statement_about_people_goes_through_all_accounts")) {
        return;
    }
    let (server, [_, alex, sam]) = serve(&db);
    seed(&db, 2000, 20_000);
    fill_in(&db);
    let mut kim = signed_in(&server, KIM);
    let person = format!("/api/people/{sam}");
    seen();
    for path in ["/people", "/people?query=n77", "/api/people?limit=200", "/api/people?query=zzz", &person] {
        assert_eq!(kim.get(path).status, 200, "{path}");
    }
    assert_eq!(kim.get(&format!("/people/{sam}")).status, 200);
    let next = kim.get("/api/people").json()["next"].as_str().unwrap().to_owned();
    assert_eq!(kim.get(&format!("/api/people?query=n&before={next}")).status, 200);
    assert_eq!(kim.json("POST", &format!("{person}/password-link"), &json!({})).status, 201);
    let invited = kim.json("POST", "/api/people/invitations", &json!({"email": "new@example.com"}));
    assert_eq!(invited.status, 201);
    let all =
        json!({"name": "Other", "email": "o@example.com", "groups": ["Night"], "role": "admin", "disabled": true});
    assert_eq!(kim.json("PATCH", &person, &all).status, 200);
    assert_eq!(kim.json("PATCH", &person, &json!({"disabled": false})).status, 200);
    assert_eq!(kim.json("POST", &format!("{person}/revoke-sessions"), &json!({})).status, 200);
    assert_eq!(kim.get(&format!("{person}/export")).status, 200);
    assert_eq!(kim.json("DELETE", &person, &json!(null)).status, 204);
    unseen(&db, &format!("UPDATE accounts SET deletion_asked_at = INSTANT(-9000000) WHERE id = '{alex}'"));
    let own = db_of_operator(&db);
    assert_eq!(leave::sweep(&own).await.unwrap(), 1);
    let asked = seen();
    // It goes through the index of people, in small batches.
    search::fill(&own).await.unwrap();
    if db.engine == Engine::Postgres {
        unseen(&db, "VACUUM ANALYZE");
    }
    // The index of owners holds owners only, so it is read as a whole.
    let (owners, asked): (Vec<String>, Vec<String>) = asked.into_iter().partition(|one| one.contains("role = 'owner'"));
    for one in &owners {
        let plan = db.explain(one);
        assert!(plan.contains("accounts_owners"), "{plan}\n{one}");
    }
    assert!(!owners.is_empty() || asked.len() > 30);
    let columns: Vec<&str> =
        NARROW.iter().chain(&WIDE).copied().chain(["deletion_asked_at", "actor", "subject"]).collect();
    check(&db, &asked, 30, &columns);
    let listing: Vec<&String> = asked.iter().filter(|one| one.contains("LIKE") && one.contains("search")).collect();
    assert!(!listing.is_empty());
    for one in listing {
        let plan = db.explain(one);
        assert!(plan.contains("accounts_people") && !plan.contains("TEMP B-TREE"), "{plan}\n{one}");
    }
}
