//! The list of people: newest first, by page, and the search in it.

use serde_json::Value;

use super::{ALEX, KIM, serve, signed_in, text};
use crate::support::{Client, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    the_list_is_read_page_by_page,
    people_are_found_by_name_and_address,
    an_invalid_query_is_refused,
    accounts_of_older_versions_are_found_after_a_sweep,
}

/// Adds accounts, each a second older than the one before.
fn seed(db: &TestDb, many: usize) {
    db.sql(&format!(
        "INSERT INTO accounts (id, email, email_key, name, role, password_hash, created_at, password_changed_at, search) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many}) SELECT 'acc_' || i, \
         'n' || i || '@shop.example', 'n' || i || '@shop.example', 'Person ' || i, 'member', 'none', INSTANT(-1000), \
         INSTANT(-1000), 'person ' || i || ' n' || i || '@shop.example' FROM n"
    ));
}

fn people(client: &mut Client, query: &str) -> (Vec<String>, Option<String>) {
    let answer = client.get(&format!("/api/people{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    let page = answer.json();
    let ids = page["people"].as_array().unwrap().iter().map(|person| text(&person["id"])).collect();
    (ids, page.get("next").map(text))
}

async fn the_list_is_read_page_by_page(db: TestDb) {
    let (server, ids) = serve(&db);
    seed(&db, 120);
    let mut kim = signed_in(&server, KIM);
    let (mut seen, mut query) = (Vec::new(), "?limit=50".to_owned());
    loop {
        let (some, next) = people(&mut kim, &query);
        assert!(some.len() <= 50);
        seen.extend(some);
        let Some(next) = next else { break };
        query = format!("?limit=50&before={next}");
    }
    assert_eq!(seen.len(), 123);
    let mut all = seen.clone();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 123, "each once");
    assert!(ids.iter().all(|id| seen[..3].contains(id)), "the newest first: {:?}", &seen[..4]);
    assert_eq!(people(&mut kim, "").0.len(), 50);
    assert_eq!(people(&mut kim, "?limit=200").0.len(), 123);
    let page = kim.get("/people").body;
    assert!(page.contains(">Older</a>") && page.matches("class=\"row\"").count() == 50, "{page}");
    let older = page.split("href=\"/people?before=").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let page = kim.get(&format!("/people?before={older}")).body;
    assert!(page.contains(">Newest</a>") && page.matches("class=\"row\"").count() == 50, "{page}");
    // The list names everybody, and leads only to those whom the reader manages.
    let page = signed_in(&server, ALEX).get("/people").body;
    let [owner, admin, member] = ids;
    assert!(page.contains(KIM) && !page.contains(&format!("/people/{owner}")), "{page}");
    assert!(!page.contains(&format!("/people/{admin}")) && page.contains(&format!("/people/{member}")), "{page}");
}

async fn people_are_found_by_name_and_address(db: TestDb) {
    let (server, _) = serve(&db);
    seed(&db, 120);
    let odd = add_user(&db, "Ö.Brien_1@Example.com", "member");
    let mut kim = signed_in(&server, KIM);
    assert_eq!(kim.json("PATCH", &format!("/api/people/{odd}"), &serde_json::json!({"name": "ÄNNE 100%"})).status, 200);
    let found = |kim: &mut Client, query: &str| people(kim, &format!("?limit=200&query={query}")).0;
    assert_eq!(found(&mut kim, "person").len(), 120);
    assert_eq!(found(&mut kim, "n77@"), ["acc_77"]);
    assert_eq!(found(&mut kim, "SHOP.example+person+117"), ["acc_117"]);
    for query in ["%C3%A4nne", "%C3%84NNE", "brien_", "100%25", "%C3%B6.brien_1@example.com+%C3%A4nne"] {
        assert_eq!(found(&mut kim, query), [odd.as_str()], "{query}");
    }
    for nobody in ["zzz", "n_7@", "%25", "'", "%5C"] {
        let expected = usize::from(nobody == "%25");
        assert_eq!(found(&mut kim, nobody).len(), expected, "{nobody}");
    }
    assert_eq!(found(&mut kim, "+").len(), 124, "an empty search finds everybody");
    let page = kim.get("/people?query=n77%40").body;
    assert!(page.contains("Person 77") && page.contains("value=\"n77@\"") && !page.contains("Person 78"), "{page}");
    assert!(kim.get("/people?query=zzz").body.contains("Nobody here has “zzz”"));
    let long = "x".repeat(5000);
    assert_eq!(kim.get(&format!("/api/people?query={long}")).status, 200);
}

async fn an_invalid_query_is_refused(db: TestDb) {
    let (server, _) = serve(&db);
    let mut kim = signed_in(&server, KIM);
    for query in ["limit=0", "limit=201", "limit=x", "before=x", "before=AQ", "before=%00"] {
        let answer = kim.get(&format!("/api/people?{query}"));
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid-request"), "{query}");
    }
    assert_eq!(kim.get("/api/people?query=%00").status, 200);
    assert_eq!(kim.get("/people?before=x&query=%00").status, 200);
}

async fn accounts_of_older_versions_are_found_after_a_sweep(db: TestDb) {
    let (server, [_, _, sam]) = serve(&db);
    db.sql("UPDATE accounts SET search = ''");
    let own = crate::gate::db_of_operator(&db);
    // The server's own sweep may be first.
    sessile::records::account::search::fill(&own).await.unwrap();
    assert_eq!(db.sql("SELECT count(*) FROM accounts WHERE search = ''"), "0");
    let mut kim = signed_in(&server, KIM);
    let page: Value = kim.get("/api/people?query=SAM@").json();
    assert_eq!(page["people"][0]["id"], serde_json::json!(sam));
}
