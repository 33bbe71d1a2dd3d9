//! The connection of a unit of work, and the epilogue of a transaction. Used by every module that stores data.
//!
//! Invariant: the epilogue runs last in its transaction, and at most once.

use std::any::Any;
use std::time::Duration;

use diesel_async::AsyncPgConnection;
use futures_util::future::LocalBoxFuture;

use super::message::Outbox;
use crate::base::{
    error::{Away, Error, Result},
    keys::AuditKeys,
};

/// A connection lent to a unit of work. `run!` and `find!` run queries on it.
pub struct Conn<'a> {
    pub(crate) engine: EngineConn<'a>,
    pub(super) outbox: &'a mut Outbox,
    transaction: Option<Transaction<'a>>,
    is_distributed: bool,
}

/// The engine's own connection. Outside this folder, only `run!` and `find!` match on it.
pub enum EngineConn<'a> {
    /// PostgreSQL, with the deadline of each statement.
    Postgres(&'a mut AsyncPgConnection, Duration),
    /// SQLite, on a blocking thread.
    Sqlite(&'a mut diesel::SqliteConnection),
}

struct Transaction<'a> {
    audit_keys: Option<&'a AuditKeys>,
    epilogue: Option<Box<dyn Epilogue>>,
}

/// Work that a transaction runs once, just before it commits, however often it was requested. The epilogue takes its
/// locks after all other locks of the transaction, so its lock order does not depend on the rest.
pub trait Epilogue: Any + Send {
    /// Runs the epilogue.
    ///
    /// # Errors
    /// An error rolls the transaction back.
    fn run<'c>(self: Box<Self>, conn: &'c mut Conn<'_>) -> LocalBoxFuture<'c, Result<()>>;
}

impl<'a> Conn<'a> {
    pub(super) fn new(engine: EngineConn<'a>, outbox: &'a mut Outbox) -> Self {
        Self { engine, outbox, transaction: None, is_distributed: false }
    }

    pub(super) fn in_transaction(
        engine: EngineConn<'a>,
        outbox: &'a mut Outbox,
        audit_keys: Option<&'a AuditKeys>,
    ) -> Self {
        let transaction = Some(Transaction { audit_keys, epilogue: None });
        Self { engine, outbox, transaction, is_distributed: false }
    }

    /// The same connection, to a database whose tables may be [distributed](super::citus).
    pub(super) fn distributed(self, is_distributed: bool) -> Self {
        Self { is_distributed, ..self }
    }

    /// Whether the tables are [distributed](super::citus) over several servers. A statement that locks rows, or that a
    /// request waits for, must then name a single account or key.
    pub fn is_distributed(&self) -> bool {
        self.is_distributed
    }

    /// How many accounts or keys one statement may name: `most`, or one if the tables are distributed.
    pub fn at_once(&self, most: usize) -> usize {
        if self.is_distributed { 1 } else { most.max(1) }
    }

    /// The transaction's epilogue, to which the caller adds its work.
    ///
    /// # Errors
    /// A bug: there is no transaction, or its epilogue has another type.
    pub fn epilogue<Kind: Epilogue + Default>(&mut self) -> Result<&mut Kind> {
        let transaction = self.transaction.as_mut().ok_or_else(|| Error::bug("not in a transaction"))?;
        let epilogue: &mut dyn Any = &mut **transaction.epilogue.get_or_insert_with(|| Box::<Kind>::default());
        epilogue.downcast_mut().ok_or_else(|| Error::bug("the transaction has an epilogue of another type"))
    }

    /// The keys that seal audit events.
    ///
    /// # Errors
    /// A bug: the database was opened without keys, or there is no transaction.
    pub fn audit_keys(&self) -> Result<&'a AuditKeys> {
        let keys = self.transaction.as_ref().and_then(|transaction| transaction.audit_keys);
        keys.ok_or_else(|| Error::bug("cannot record an event: the database was opened without the audit keys"))
    }

    /// Runs the epilogue, if there is one.
    pub(super) async fn finish(&mut self) -> Result<()> {
        match self.transaction.as_mut().and_then(|transaction| transaction.epilogue.take()) {
            Some(epilogue) => epilogue.run(self).await,
            None => Ok(()),
        }
    }
}

/// Waits for a statement no longer than its deadline.
///
/// # Errors
/// [`Error::Unavailable`] when the deadline passes. It is then unknown whether the statement took effect.
pub async fn within<T>(deadline: Duration, statement: impl Future<Output = diesel::QueryResult<T>>) -> Result<T> {
    match tokio::time::timeout(deadline, statement).await {
        Ok(result) => result.map_err(Error::from),
        Err(_) => Err(Error::unavailable(Away::Deadline, "a statement exceeded its deadline")),
    }
}
