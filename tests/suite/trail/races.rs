//! With concurrent writers, each account still has a single chain in the order of commits.

use futures_util::future::join_all;
use sessile::{
    actions::revoke,
    records::{
        audit::{Event, Kind},
        session::{EndReason, Scope, ends, sweep},
    },
};

use super::{Trail, add_account, full, look, record};
use crate::support::{TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    eight_writers_of_one_account_make_one_chain,
    writers_of_many_accounts_never_deadlock,
    an_error_after_a_record_rolls_it_back,
    a_sweep_and_ends_at_once_leave_all_chains_whole,
}

async fn eight_writers_of_one_account_make_one_chain(db: TestDb) {
    let trail = Trail::new(&db).await;
    let node = trail.db.clone();
    let writers = (0..8).map(|writer| {
        let (node, kim) = (node.clone(), trail.kim.clone());
        async move {
            for n in 0..25 {
                record(&node, vec![full(&kim, writer * 100 + n)]).await;
            }
        }
    });
    let verified_meanwhile = async {
        for _ in 0..10 {
            let verified = trail.verified().await;
            assert!(verified.is_whole(), "concurrent events are not findings: {verified:?}");
        }
    };
    futures_util::future::join(join_all(writers), verified_meanwhile).await;
    let verified = trail.verified().await;
    assert!(verified.is_whole(), "{verified:?}");
    assert_eq!(verified.links, 212);
}

async fn writers_of_many_accounts_never_deadlock(db: TestDb) {
    let trail = Trail::new(&db).await;
    let mut accounts = vec![trail.kim.clone(), trail.sam.clone()];
    for n in 0..6 {
        accounts.push(add_account(&trail.db, &format!("a{n}@example.com")).await);
    }
    let writers = (0..6).map(|writer| {
        let (node, mut own) = (trail.db.clone(), accounts.clone());
        own.rotate_left(writer);
        if writer % 2 == 0 {
            own.reverse();
        }
        async move {
            for _ in 0..10 {
                let own = own.clone();
                // Record an event for each account separately, each node in another order.
                node.write(async move |conn: &mut sessile::base::db::Conn<'_>| {
                    for account in &own {
                        sessile::records::audit::record(conn, &[full(account, 1)]).await?;
                    }
                    Ok(())
                })
                .await
                .unwrap();
            }
        }
    });
    join_all(writers).await;
    let verified = trail.verified().await;
    assert!(verified.is_whole(), "{verified:?}");
    assert_eq!(verified.links, 12 + 6 + 6 * 10 * 8);
}

async fn an_error_after_a_record_rolls_it_back(db: TestDb) {
    let trail = Trail::new(&db).await;
    let event = full(&trail.kim, 1);
    let refused = trail
        .db
        .write(async move |conn: &mut sessile::base::db::Conn<'_>| {
            sessile::records::audit::record(conn, &[event]).await?;
            Err::<(), _>(sessile::base::error::Error::NotFound)
        })
        .await;
    assert!(refused.is_err());
    assert_eq!(trail.verified().await.links, 12);
    let outside = Event::of(Kind::Logout, &trail.kim);
    let read = trail.db.read(async move |conn: &mut sessile::base::db::Conn<'_>| {
        sessile::records::audit::record(conn, std::slice::from_ref(&outside)).await
    });
    assert!(read.await.is_err(), "recording needs a transaction");
}

async fn a_sweep_and_ends_at_once_leave_all_chains_whole(db: TestDb) {
    let one = crate::store::Node::new(&db).await;
    let two = one.another().await;
    for account in [&one.account_id, &two.account_id] {
        record(&one.sessions.db, vec![Event::of(Kind::AccountCreated, account)]).await;
    }
    for _ in 0..3 {
        for _ in 0..15 {
            one.create().await;
            two.create().await;
        }
        db.sql("UPDATE sessions SET expires_at = INSTANT(-1) WHERE ended_at IS NULL AND substr(id, 20, 1) < 'N'");
        let pool = &one.sessions.db;
        let end = |scope: Scope| {
            pool.write(async move |conn: &mut sessile::base::db::Conn<'_>| {
                ends::end(conn, &scope, EndReason::Revoked, "operator", None).await
            })
        };
        let logins = async {
            for n in 0..20 {
                record(pool, vec![full(&two.account_id, n), full(&one.account_id, n)]).await;
            }
        };
        let (swept, all, some, ()) = tokio::join!(
            sweep::sweep(pool),
            revoke::revoke_all(pool),
            end(Scope::Account(one.account_id.clone())),
            logins
        );
        swept.unwrap();
        all.unwrap();
        some.unwrap();
    }
    // A sweep skips rows that another transaction has locked, so sweep once more.
    sweep::sweep(&one.sessions.db).await.unwrap();
    let verified = look(&one.sessions.db, &db.keys()).await;
    assert!(verified.is_whole(), "{verified:?}");
    assert_eq!(verified.links, 2 + 3 * 40 + 90, "one link for each login and each end");
}
