//! Requests for help: people who forgot their password and asked for a link. Called by `actions::links`, and by the pages
//! for admins.
//!
//! Invariant: an account has at most one request. It is settled when the person gets a new password, and not shown any more
//! once they have signed in.

use std::collections::HashMap;
use std::time::Duration;

use diesel::{ExpressionMethods as _, QueryDsl as _, SelectableHelper as _};

use crate::{
    base::{
        db::{
            Conn, Db, Instant, before_now, find, first_of, now, run,
            schema::{accounts, help_requests},
        },
        error::{Error, Result},
    },
    records::account::{Account, Role},
};

/// The most requests that a page shows. The oldest come first, so that nobody waits for long.
const MOST_SHOWN: usize = 100;
/// The most requests that are read for that. Some of them are left out: those of people whom the reader may not help, and
/// of people who have signed in since.
const MOST_READ: u16 = 1000;
/// How long a request is kept. Whoever still needs help asks again.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// A person who asked for help.
#[derive(Debug, Clone)]
pub struct HelpRequest {
    pub person: Account,
    pub asked_at: Instant,
}

/// Notes that the person asks for help. `false` if they had asked before.
pub async fn ask(conn: &mut Conn<'_>, account_id: &str) -> Result<bool> {
    let row = (help_requests::account_id.eq(account_id), help_requests::asked_at.eq(now()));
    let insert = diesel::insert_into(help_requests::table).values(row).on_conflict_do_nothing();
    Ok(run!(conn, execute(insert))? == 1)
}

/// When the person asked for help. `None` if they have no open request.
pub async fn asked_at(conn: &mut Conn<'_>, account_id: &str) -> Result<Option<Instant>> {
    let own = help_requests::table.filter(help_requests::account_id.eq(account_id)).select(help_requests::asked_at);
    find!(conn, first(own))
}

/// Settles the person's request, if there is one.
pub async fn settle(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    let own = help_requests::table.filter(help_requests::account_id.eq(account_id));
    run!(conn, execute(diesel::delete(own))).map(drop)
}

/// The open requests of people whom somebody with this role may help, the oldest first. On distributed tables, none while a
/// worker is away: the helper's own page does not depend on that worker.
pub async fn open(conn: &mut Conn<'_>, helper: Role) -> Result<Vec<HelpRequest>> {
    match read_open(conn, helper).await {
        Err(Error::Unavailable(fault)) if conn.is_distributed() => {
            tracing::debug!(cause = fault.cause, "reading the open requests for help failed");
            Ok(Vec::new())
        }
        read => read,
    }
}

async fn read_open(conn: &mut Conn<'_>, helper: Role) -> Result<Vec<HelpRequest>> {
    let oldest = help_requests::table
        .filter(help_requests::asked_at.gt(before_now(KEPT)))
        .order(help_requests::asked_at)
        .select((help_requests::account_id, help_requests::asked_at));
    let asked: Vec<(String, Instant)> = run!(conn, load(first_of::<MOST_READ, _>(oldest)))?;
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = asked.iter().map(|(id, _)| id.as_str()).collect();
    let those = accounts::table.filter(accounts::id.eq_any(ids)).filter(accounts::disabled_at.is_null());
    let people: Vec<(Account, Option<Instant>)> =
        run!(conn, load(those.select((Account::as_select(), accounts::last_login_at))))?;
    let mut people: HashMap<String, (Account, Option<Instant>)> =
        people.into_iter().map(|one| (one.0.id.clone(), one)).collect();
    let requests = asked.into_iter().filter_map(|(id, asked_at)| {
        let (person, last_login_at) = people.remove(&id)?;
        let is_open = helper.is_above(person.role) && last_login_at.is_none_or(|at| at < asked_at);
        is_open.then_some(HelpRequest { person, asked_at })
    });
    Ok(requests.take(MOST_SHOWN).collect())
}

/// Deletes requests that nobody has answered for long. Returns how many.
pub async fn sweep(db: &Db) -> Result<usize> {
    db.write(async |conn: &mut Conn<'_>| {
        let old = help_requests::table.filter(help_requests::asked_at.le(before_now(KEPT)));
        run!(conn, execute(diesel::delete(old)))
    })
    .await
}
