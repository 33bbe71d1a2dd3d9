//! The last owner who can sign in stays, also when several requests come at once.

use std::thread;

use serde_json::json;

use super::{KIM, SAM, count, serve, signed_in};
use crate::support::{Client, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    the_last_owner_cannot_step_down_or_leave,
    of_two_owners_who_leave_at_once_one_stays,
    an_owner_who_is_invited_keeps_nobody_from_staying,
}

const ANN: &str = "ann@example.com";

async fn the_last_owner_cannot_step_down_or_leave(db: TestDb) {
    let (server, [kim, _, sam]) = serve(&db);
    let mut client = signed_in(&server, KIM);
    let own = format!("/api/people/{kim}");
    let tries = [
        client.json("PATCH", &own, &json!({"role": "admin"})),
        client.json("PATCH", &own, &json!({"disabled": true, "name": "Other"})),
        client.json("DELETE", &own, &json!(null)),
        client.json("DELETE", "/api/account", &json!(null)),
    ];
    for answer in tries {
        assert_eq!((answer.status, answer.problem().as_str()), (409, "conflict"), "{answer:?}");
    }
    assert_eq!(db.sql(&format!("SELECT role || name FROM accounts WHERE id = '{kim}'")), "ownerKim Lee");
    let page = super::form(&mut client, &format!("/people/{kim}/confirm"), &[("act", "delete")]);
    assert_eq!(page.status, 422);
    assert!(page.body.contains("the last owner who can sign in"), "{page:?}");
    let page = super::form(&mut client, "/account/delete", &[]);
    assert!(page.status == 422 && page.body.contains("the last owner who can sign in"), "{page:?}");
    // An owner who is disabled, or who is going to be deleted, does not count.
    let ann = add_user(&db, ANN, "owner");
    db.sql(&format!("UPDATE accounts SET disabled_at = INSTANT(-5) WHERE id = '{ann}'"));
    assert_eq!(client.json("PATCH", &own, &json!({"role": "admin"})).status, 409);
    db.sql(&format!("UPDATE accounts SET disabled_at = NULL, deletion_asked_at = INSTANT(-5) WHERE id = '{ann}'"));
    assert_eq!(client.json("PATCH", &own, &json!({"role": "admin"})).status, 409);
    // Nor does one who is invited, and may never come.
    db.sql(&format!("UPDATE accounts SET deletion_asked_at = NULL, invited_at = INSTANT(-5) WHERE id = '{ann}'"));
    for body in [json!({"role": "admin"}), json!({"disabled": true})] {
        assert_eq!(client.json("PATCH", &own, &body).status, 409, "{body}");
    }
    assert_eq!(client.json("DELETE", "/api/account", &json!(null)).status, 409);
    assert_eq!(client.json("PATCH", &format!("/api/people/{sam}"), &json!({"role": "owner"})).status, 200);
    assert_eq!(client.json("PATCH", &own, &json!({"role": "admin"})).status, 200);
    assert_eq!(signed_in(&server, SAM).get(&own).status, 200);
}

async fn of_two_owners_who_leave_at_once_one_stays(db: TestDb) {
    let (server, [kim, ..]) = serve(&db);
    let ann = add_user(&db, ANN, "owner");
    let ways = [
        ("PATCH", "/api/people/{id}", json!({"role": "member"}), 200),
        ("PATCH", "/api/people/{id}", json!({"disabled": true}), 200),
        ("DELETE", "/api/account", json!(null), 204),
        ("DELETE", "/api/people/{id}", json!(null), 204),
    ];
    for (method, path, body, done) in ways {
        let both = [(KIM, kim.clone()), (ANN, ann.clone())]
            .map(|(email, id)| (signed_in(&server, email), path.replace("{id}", &id)));
        let asking = both.map(|(mut client, path): (Client, String)| {
            let body = body.clone();
            thread::spawn(move || client.json(method, &path, &body).status)
        });
        let mut statuses = asking.map(|asking| asking.join().unwrap());
        statuses.sort_unstable();
        assert_eq!(statuses, [done, 409], "{method} {body}");
        let left = "role = 'owner' AND disabled_at IS NULL AND deletion_asked_at IS NULL";
        assert_eq!(count(&db, &format!("accounts WHERE {left}")), 1, "{method} {body}");
        db.sql(&format!(
            "UPDATE accounts SET role = 'owner', disabled_at = NULL, deletion_asked_at = NULL WHERE id IN ('{kim}', '{ann}') \
             AND deleted_at IS NULL"
        ));
    }
}

async fn an_owner_who_is_invited_keeps_nobody_from_staying(db: TestDb) {
    let (server, [kim, ..]) = serve(&db);
    let mut client = signed_in(&server, KIM);
    let invitation = json!({"email": ANN, "role": "owner"});
    assert_eq!(client.json("POST", "/api/people/invitations", &invitation).status, 201);
    // Two changes at once that would each leave an invited owner alone.
    let own = format!("/api/people/{kim}");
    let asking = [json!({"role": "member"}), json!({"disabled": true})].map(|body| {
        let (mut client, own) = (signed_in(&server, KIM), own.clone());
        thread::spawn(move || client.json("PATCH", &own, &body).status)
    });
    assert_eq!(asking.map(|asking| asking.join().unwrap()), [409, 409]);
    // The owner manages whom they invited.
    let ann = db.sql(&format!("SELECT id FROM accounts WHERE email = '{ANN}'"));
    let person = client.get(&format!("/api/people/{ann}")).json();
    assert_eq!((&person["status"], &person["invitationExpired"]), (&json!("invited"), &json!(false)), "{person}");
    assert_eq!(client.json("DELETE", &format!("/api/people/{ann}"), &json!(null)).status, 204);
}
