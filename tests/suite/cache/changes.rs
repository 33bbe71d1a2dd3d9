//! A change of a session, its account or its device is seen by the next request on every node.

use serde_json::json;

use super::{KIM, has_lease};
use crate::support::{App, Client, PASSWORD, Served, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_change_is_seen_on_every_node_at_once,
}

async fn a_change_is_seen_on_every_node_at_once(db: TestDb) {
    add_user(&db, KIM, "owner");
    let nodes = [App::start(&db, &[]), App::start(&db, &[])];
    for node in &nodes {
        has_lease(node).await;
    }
    let mut here = nodes[0].client();
    here.log_in(KIM);
    let device = here.get("/api/session").json()["session"]["deviceId"].as_str().unwrap().to_owned();
    for round in 0..20 {
        let mut there = on(&nodes[1], &here);
        remember(&mut [&mut here, &mut there]);
        let name = format!("Kim {round}");
        let csrf = here.form_token("/account");
        assert_eq!(here.form("/account", &[("csrf", &csrf), ("name", &name)]).status, 303);
        for client in [&mut here, &mut there] {
            assert_eq!(client.get("/api/session").json()["user"]["name"], name.as_str());
        }

        remember(&mut [&mut here, &mut there]);
        let name = format!("Till {round}");
        assert_eq!(there.json("PATCH", &format!("/api/devices/{device}"), &json!({"name": name})).status, 200);
        for client in [&mut here, &mut there] {
            assert_eq!(client.get("/api/session").json()["session"]["deviceName"], name.as_str());
        }

        // A rotation: the old key opens nothing any more, on any node.
        remember(&mut [&mut here, &mut there]);
        assert_eq!(there.try_log_in(KIM, PASSWORD).status, 200);
        assert_eq!(there.get("/api/session").status, 200);
        for node in &nodes {
            assert_eq!(on(node, &here).get("/api/session").status, 401);
        }
        here = on(&nodes[0], &there);
    }
}

/// Makes each client's node remember the session.
fn remember(clients: &mut [&mut Client]) {
    for client in clients {
        for _ in 0..2 {
            assert_eq!(client.get("/api/session").status, 200);
        }
    }
}

/// The client, moved to another node.
fn on(node: &Served, client: &Client) -> Client {
    let mut there = node.client();
    there.cookies = client.cookies.clone();
    there
}
