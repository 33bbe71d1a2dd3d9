//! Commands beside a server: what they end is gone when they return.

use super::{KIM, has_lease};
use crate::support::{Client, Server, TestDb, add_user, on_both_engines_and_citus, sessile};

on_both_engines_and_citus! {
    what_a_command_ended_is_gone_when_it_returns,
}

async fn what_a_command_ended_is_gone_when_it_returns(db: TestDb) {
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[]);
    has_lease(&server).await;
    for round in 0..10 {
        let mut clients: Vec<Client> = (0..2).map(|_| server.client()).collect();
        for client in &mut clients {
            client.log_in(KIM);
            for _ in 0..2 {
                assert_eq!(client.get("/api/session").status, 200);
            }
        }
        let id = clients[0].get("/api/session").json()["session"]["id"].as_str().unwrap().to_owned();
        let one = sessile(&db, &["session", "revoke", &id], "");
        assert!(one.status.success(), "{one:?}");
        assert_eq!(clients[0].get("/api/session").status, 401, "round {round}");
        assert_eq!(clients[1].get("/api/session").status, 200, "round {round}");
        let all = sessile(&db, &["session", "revoke", "--email", KIM], "");
        assert!(all.status.success(), "{all:?}");
        assert_eq!(clients[1].get("/api/session").status, 401, "round {round}");
    }
}
