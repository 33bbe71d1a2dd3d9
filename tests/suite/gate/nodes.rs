//! Two nodes on one database: what has ended on one is refused by the gate of the other, and both tell apps the same.

use sessile::actions::apps::{manage, manager::Manager};

use super::{Browser, FETCHES, KIM, Registered, db_of_operator, shop};
use crate::support::{App, Served, TestDb, eventually, on_both_engines_and_citus};

on_both_engines_and_citus! {
    an_end_is_refused_by_the_gate_of_every_node,
    a_change_of_an_app_counts_on_every_node,
    a_code_made_on_one_node_is_spent_on_another,
}

async fn has_lease(node: &Served) {
    eventually("the node has a lease", async || {
        node.client().get("/metrics").body.contains("sessile_session_cache_lease 1")
    })
    .await;
}

async fn two_nodes(db: &TestDb) -> (App, App, Registered) {
    let (one, app) = shop(db).await;
    let other = super::serve(db);
    has_lease(&one).await;
    has_lease(&other).await;
    (one, other, app)
}

async fn an_end_is_refused_by_the_gate_of_every_node(db: TestDb) {
    let (one, other, app) = two_nodes(&db).await;
    let rounds = if crate::support::is_long() { 1000 } else { 25 };
    for round in 0..rounds {
        let mut here = Browser::in_app(&one, &app, KIM);
        let mut there = here.at(&other);
        // Both nodes have it in memory.
        assert_eq!((here.ask(&FETCHES).status, there.ask(&FETCHES).status), (200, 200), "{round}");
        assert_eq!(there.ask(&FETCHES).status, 200, "{round}");
        let ended = match round % 3 {
            0 => here.sessile.send("DELETE", "/api/session", &[], b"").status,
            1 => {
                let id = here.session_id();
                let mut admin = Browser::signed_in(&one, &app, KIM);
                admin.sessile.send("DELETE", &format!("/api/sessions/{id}"), &[], b"").status
            }
            _ => {
                let mut admin = Browser::signed_in(&one, &app, KIM);
                admin.sessile.json("POST", "/api/sessions/revoke-others", &serde_json::json!({})).status
            }
        };
        assert!(matches!(ended, 200 | 204), "{round}: {ended}");
        assert_eq!((there.ask(&FETCHES).status, here.ask(&FETCHES).status), (401, 401), "round {round}");
    }
}

async fn a_change_of_an_app_counts_on_every_node(db: TestDb) {
    let (one, other, app) = two_nodes(&db).await;
    let (mut here, operator) = (Browser::in_app(&one, &app, KIM), db_of_operator(&db));
    let mut there = here.at(&other);
    for _ in 0..5 {
        assert_eq!((here.ask(&FETCHES).status, there.ask(&FETCHES).status), (200, 200));
        manage::disable(&operator, &Manager::Operator, &app.id).await.unwrap();
        assert_eq!((here.ask(&FETCHES).status, there.ask(&FETCHES).status), (403, 403));
        manage::enable(&operator, &Manager::Operator, &app.id).await.unwrap();
    }
    manage::remove(&operator, &Manager::Operator, &app.id).await.unwrap();
    assert_eq!((here.ask(&FETCHES).status, there.ask(&FETCHES).status), (404, 404));
}

async fn a_code_made_on_one_node_is_spent_on_another(db: TestDb) {
    let (one, other, app) = two_nodes(&db).await;
    let mut here = Browser::signed_in(&one, &app, KIM);
    let code = super::path_of(&here.begin("/a"), &app.origin);
    let mut there = here.at(&other);
    assert_eq!(there.at_app(&code).status, 200);
    let mut back = there.at(&one);
    let (from_there, from_here) = (there.ask(&FETCHES), back.ask(&FETCHES));
    assert_eq!((from_there.status, from_here.status), (200, 200));
    let header = |answer: &crate::support::Answer| {
        answer.header("x-sessile-assertion").unwrap().split('.').next().unwrap().to_owned()
    };
    assert_eq!(header(&from_there), header(&from_here), "the nodes sign with different keys");
}
