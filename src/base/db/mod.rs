//! The database, whichever engine it is: pools, units of work, and the macros that run a query on either engine.
//! The only folder that knows which engine speaks. Called by every module that stores something.
//!
//! Invariant: every unit of work has a bounded wait for its connection and a deadline kept on our side; a connection
//! that broke, hung or turned read-only never goes back to the pool; and there are never more than the settings say.

mod anchor_rows;
pub(crate) mod conn;
mod database;
mod draft_rows;
mod email_keys;
mod express;
mod file;
mod foreign;
pub mod inspect;
pub(crate) mod lease;
mod marks;
mod message;
pub mod migrate;
mod notify;
mod pairs;
mod place;
mod pools;
mod postgres;
mod query;
pub mod schema;
mod set_back;
mod sqlite;
pub(crate) mod sqlite_sockets;
mod statement;

pub(crate) use self::query::{find, run};
pub use self::{
    anchor_rows::{AnchorRow, AnchorRows},
    conn::{Conn, Epilogue},
    database::Db,
    draft_rows::{DraftRow, DraftRows},
    express::{Merged, Now, UnorderedNumber, before_now, from_now, merged, now, octet_length, substr},
    inspect::Schema,
    marks::Marks,
    message::{Heard, LONGEST_TEXT},
    notify::{announce, mention},
    pairs::{PairIn, pair_in},
    place::{Place, Present},
    statement::{ForUpdate, LivingAnd, TouchRow, Touches, TrailHead, TrailHeads},
};
pub use super::instant::Instant;
pub(crate) use super::words::words;
