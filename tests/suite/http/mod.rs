//! Cases to come.

use crate::support::{Engine, PASSWORD, Server, TestDb, add_user};

#[test]
fn login_by_api_and_read_back() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, "kim@example.com", "owner");
    let server = Server::start(&db, &[]);
    let mut client = server.client();
    assert_eq!(client.try_log_in("kim@example.com", "wrong password").problem(), "invalid-credentials");
    let answer = client.try_log_in("KIM@example.com", PASSWORD);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(client.get("/api/session").json()["user"]["email"], "kim@example.com");
}
