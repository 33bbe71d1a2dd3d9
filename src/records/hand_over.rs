//! Hand-overs of a sign-in to another device. Called by `actions::links::hand_over`.
//!
//! Invariant: one browser claims a hand-over, and only the session that asked for it confirms it.

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, JoinOnDsl as _, NullableExpressionMethods as _, QueryDsl as _,
};
use serde_json::{Value, json};

use crate::{
    base::{
        db::{
            Conn, Instant, find, now, run,
            schema::{hand_overs, links},
        },
        error::Result,
        secret::{Secret, random_bytes},
    },
    records::link::Purpose,
};

/// A hand-over under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOver {
    token_hash: Vec<u8>,
    /// The lifelong name of the session that asked for it.
    pub sid: String,
    /// What both screens show, once a browser has claimed it.
    pub number: Option<i64>,
    claimed_by: Option<Vec<u8>>,
    pub is_confirmed: bool,
}

impl HandOver {
    /// Whether the browser with this secret has claimed it.
    pub fn is_claimed_by(&self, browser: &Secret) -> bool {
        self.claimed_by.as_ref().is_some_and(|hash| browser.matches(hash))
    }
}

/// Adds what a hand-over needs beside its link.
pub async fn create(conn: &mut Conn<'_>, account_id: &str, token: &Secret, sid: &str) -> Result<()> {
    let row = (hand_overs::account_id.eq(account_id), hand_overs::token_hash.eq(token.hash()), hand_overs::sid.eq(sid));
    run!(conn, execute(diesel::insert_into(hand_overs::table).values(row))).map(drop)
}

type Row = (Vec<u8>, String, Option<i64>, Option<Vec<u8>>, Option<Instant>);

fn of_row((token_hash, sid, number, claimed_by, confirmed_at): Row) -> HandOver {
    HandOver { token_hash, sid, number, claimed_by, is_confirmed: confirmed_at.is_some() }
}

const COLUMNS: (
    hand_overs::token_hash,
    hand_overs::sid,
    hand_overs::number,
    hand_overs::claimed_by,
    hand_overs::confirmed_at,
) = (hand_overs::token_hash, hand_overs::sid, hand_overs::number, hand_overs::claimed_by, hand_overs::confirmed_at);

/// The hand-over of a link.
pub async fn of_link(conn: &mut Conn<'_>, account_id: &str, token: &Secret) -> Result<Option<HandOver>> {
    let own = hand_overs::table
        .filter(hand_overs::account_id.eq(account_id))
        .filter(hand_overs::token_hash.eq(token.hash()))
        .select(COLUMNS);
    Ok(find!(conn, first(own))?.map(of_row))
}

/// The account's hand-over whose link still works.
pub async fn under_way(conn: &mut Conn<'_>, account_id: &str) -> Result<Option<HandOver>> {
    let own = hand_overs::table
        .inner_join(
            links::table
                .on(links::account_id.eq(hand_overs::account_id).and(links::token_hash.eq(hand_overs::token_hash))),
        )
        .filter(hand_overs::account_id.eq(account_id))
        .filter(links::account_id.eq(account_id))
        .filter(links::purpose.eq(Purpose::HandOver))
        .filter(links::used_at.is_null())
        .filter(links::expires_at.gt(now()))
        .order(links::made_at.desc())
        .select(COLUMNS);
    Ok(find!(conn, first(own))?.map(of_row))
}

/// Claims a hand-over for the browser with this secret, and chooses the number. `false` if another browser was first.
pub async fn claim(conn: &mut Conn<'_>, account_id: &str, token: &Secret, browser: &Secret) -> Result<bool> {
    let [a, b] = random_bytes()?;
    let number = 10 + i64::from(u16::from_be_bytes([a, b]) % 90);
    let free = hand_overs::table
        .filter(hand_overs::account_id.eq(account_id))
        .filter(hand_overs::token_hash.eq(token.hash()))
        .filter(hand_overs::claimed_by.is_null());
    let set = (hand_overs::claimed_by.eq(Some(browser.hash())), hand_overs::number.eq(Some(number)));
    Ok(run!(conn, execute(diesel::update(free).set(set)))? == 1)
}

/// Confirms that the number of a hand-over is the one on the other screen. `false` if it was confirmed before.
pub async fn confirm(conn: &mut Conn<'_>, account_id: &str, one: &HandOver) -> Result<bool> {
    let claimed = hand_overs::table
        .filter(hand_overs::account_id.eq(account_id))
        .filter(hand_overs::token_hash.eq(&one.token_hash))
        .filter(hand_overs::confirmed_at.is_null());
    Ok(run!(conn, execute(diesel::update(claimed).set(hand_overs::confirmed_at.eq(now().nullable()))))? == 1)
}

/// The account's hand-overs for its export, without their hashes.
pub async fn kept(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<Value>> {
    type Row = (String, Option<i64>, Option<Instant>);
    let own = hand_overs::table.filter(hand_overs::account_id.eq(account_id)).order(hand_overs::token_hash);
    let rows: Vec<Row> = run!(conn, load(own.select((hand_overs::sid, hand_overs::number, hand_overs::confirmed_at))))?;
    let one =
        |(sid, number, confirmed_at): Row| json!({ "session": sid, "number": number, "confirmedAt": confirmed_at });
    Ok(rows.into_iter().map(one).collect())
}
