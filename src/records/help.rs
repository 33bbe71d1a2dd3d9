//! Requests for help: people who forgot their password and asked for a link. Called by `actions::links`, and by the pages
//! for admins.
//!
//! Invariant: an account has at most one request. It is settled when the person gets a new password.

use diesel::{ExpressionMethods as _, QueryDsl as _, SelectableHelper as _};

use crate::{
    base::{
        db::{
            Conn, Instant, now, run,
            schema::{accounts, help_requests},
        },
        error::Result,
    },
    records::account::{Account, Role},
};

/// The most requests that a page lists. The oldest come first, so that nobody waits for long.
const MOST: i64 = 50;

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

/// Settles the person's request, if there is one.
pub async fn settle(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    let own = help_requests::table.filter(help_requests::account_id.eq(account_id));
    run!(conn, execute(diesel::delete(own))).map(drop)
}

/// The open requests of people whom somebody with this role may help, the oldest first.
pub async fn open(conn: &mut Conn<'_>, helper: Role) -> Result<Vec<HelpRequest>> {
    let below: Vec<Role> = Role::ALL.iter().copied().filter(|role| helper.outranks(*role)).collect();
    if below.is_empty() {
        return Ok(Vec::new());
    }
    let open = help_requests::table
        .inner_join(accounts::table)
        .filter(accounts::role.eq_any(below))
        .filter(accounts::disabled_at.is_null())
        .order(help_requests::asked_at)
        .limit(MOST);
    let rows: Vec<(Account, Instant)> = run!(conn, load(open.select((Account::as_select(), help_requests::asked_at))))?;
    Ok(rows.into_iter().map(|(person, asked_at)| HelpRequest { person, asked_at }).collect())
}
