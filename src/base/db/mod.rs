//! The database layer for both engines: pools, units of work, and macros that run a query on either engine. Only this
//! folder distinguishes the engines. Every module that stores data calls it.
//!
//! Invariant: every unit of work has a bounded wait for its connection and a deadline enforced by this process. A
//! connection that broke, hung or became read-only never returns to the pool. The number of connections never exceeds
//! the configured maximum.

mod anchor_rows;
pub mod citus;
pub(crate) mod conn;
mod database;
mod draft_rows;
mod email_keys;
mod express;
mod file;
mod foreign;
pub mod inspect;
mod keep_lease;
pub(crate) mod lease;
mod marks;
mod message;
pub mod migrate;
mod nodes;
mod notify;
mod pairs;
mod parts;
mod place;
mod pools;
mod postgres;
mod query;
pub mod schema;
mod set_back;
mod sqlite;
pub(crate) mod sqlite_sockets;
mod statement;
mod together;
mod touches;

pub(crate) use self::query::{find, run};
pub use self::{
    anchor_rows::{AnchorRow, AnchorRows},
    conn::{Conn, Epilogue},
    database::Db,
    draft_rows::{DraftRow, DraftRows},
    express::{
        CurrentGeneration, IsOfCurrentGeneration, Merged, Now, NowIf, ShiftedNow, UnorderedNumber, before_now,
        from_now, is_word, merged, now, now_if, octet_length, substr,
    },
    inspect::Schema,
    marks::Marks,
    message::{FENCE, Heard, LONGEST_TEXT},
    notify::{announce, mention},
    pairs::{PairIn, pair_in},
    parts::by_part,
    place::{Place, Present},
    statement::{Counted, ForUpdate, LivingAnd, TrailHead, TrailHeads},
    together::{Together, apart, columns, first_of},
    touches::{TouchRow, Touches},
};
pub use super::instant::Instant;
pub(crate) use super::words::words;
