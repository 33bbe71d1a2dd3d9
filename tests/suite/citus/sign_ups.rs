//! An address belongs to one account, although it and the account are on different workers.

use std::collections::BTreeMap;

use super::{KIM, on_cluster};
use crate::support::{App, Client, TestDb, add_user};

const AT_ONCE: usize = 6;

#[test]
#[ignore = "needs Citus: see docs/scaling.md"]
fn one_of_many_sign_ups_at_once_gets_the_address() {
    let Some(db) = on_cluster(TestDb::on_citus()) else { return };
    add_user(&db, KIM, "owner");
    let nodes = [App::start(&db, &[("SESSILE_SIGNUP", "open")]), App::start(&db, &[("SESSILE_SIGNUP", "open")])];
    for round in 0..3 {
        let email = format!("new{round}@example.com");
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..AT_ONCE)
                .map(|n| {
                    let (mut client, email) = (nodes[n % 2].client(), &email);
                    scope.spawn(move || sign_up(&mut client, email))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("a status")).collect()
        });
        let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
        statuses.iter().for_each(|status| *counts.entry(*status).or_default() += 1);
        assert_eq!(counts.get(&303), Some(&1), "{counts:?}");
        assert!(counts.keys().all(|status| [303, 422, 503].contains(status)), "{counts:?}");
        for table in ["accounts WHERE email", "account_of_email WHERE email_key"] {
            assert_eq!(db.sql(&format!("SELECT count(*) FROM {table} = '{email}'")), "1", "{table}");
        }
    }
}

fn sign_up(client: &mut Client, email: &str) -> u16 {
    let csrf = client.form_token("/signup");
    let fields = [("csrf", csrf.as_str()), ("email", email), ("name", "New"), ("password", "tide pool limpet 77")];
    client.form("/signup", &fields).status
}
