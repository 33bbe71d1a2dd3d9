//! A connection as a unit of work has it, and what a transaction does last of all.

use std::any::Any;
use std::time::Duration;

use diesel_async::AsyncPgConnection;
use futures_util::future::LocalBoxFuture;

use super::message::Outbox;
use crate::base::{
    error::{Away, Error, Result},
    keys::AuditKeys,
};

/// One connection, lent to a unit of work. Queries run on it through `run!` and `find!`.
pub struct Conn<'a> {
    pub(crate) engine: EngineConn<'a>,
    pub(super) outbox: &'a mut Outbox,
    transaction: Option<Transaction<'a>>,
}

/// Which engine it leads to. Matched by `run!` and `find!` alone.
pub enum EngineConn<'a> {
    /// PostgreSQL, and the deadline of each statement.
    Postgres(&'a mut AsyncPgConnection, Duration),
    /// SQLite, on a thread that may block.
    Sqlite(&'a mut diesel::SqliteConnection),
}

struct Transaction<'a> {
    audit_keys: Option<&'a AuditKeys>,
    epilogue: Option<Box<dyn Epilogue>>,
}

/// What a transaction does just before it commits, in one piece, however often it came up on the way. What is locked
/// there is locked last of all, whatever else the transaction locks and in whatever order.
pub trait Epilogue: Any + Send {
    /// Does it.
    ///
    /// # Errors
    /// Whatever it returns rolls the transaction back.
    fn run<'c>(self: Box<Self>, conn: &'c mut Conn<'_>) -> LocalBoxFuture<'c, Result<()>>;
}

impl<'a> Conn<'a> {
    pub(super) fn new(engine: EngineConn<'a>, outbox: &'a mut Outbox) -> Self {
        Self { engine, outbox, transaction: None }
    }

    pub(super) fn in_transaction(
        engine: EngineConn<'a>,
        outbox: &'a mut Outbox,
        audit_keys: Option<&'a AuditKeys>,
    ) -> Self {
        Self { engine, outbox, transaction: Some(Transaction { audit_keys, epilogue: None }) }
    }

    /// What this transaction will do last, to be added to.
    ///
    /// # Errors
    /// A bug: there is no transaction, or it has another one.
    pub fn epilogue<Kind: Epilogue + Default>(&mut self) -> Result<&mut Kind> {
        let transaction = self.transaction.as_mut().ok_or_else(|| Error::bug("not in a transaction"))?;
        let epilogue: &mut dyn Any = &mut **transaction.epilogue.get_or_insert_with(|| Box::<Kind>::default());
        epilogue.downcast_mut().ok_or_else(|| Error::bug("the transaction has another epilogue"))
    }

    /// The keys of the audit trail.
    ///
    /// # Errors
    /// A bug: the database was opened without keys, or there is no transaction.
    pub fn audit_keys(&self) -> Result<&'a AuditKeys> {
        let keys = self.transaction.as_ref().and_then(|transaction| transaction.audit_keys);
        keys.ok_or_else(|| {
            Error::bug("an event is recorded, but the database was opened without the keys of the audit trail")
        })
    }

    /// Does what is to be done last.
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
/// [`Error::Unavailable`] when the deadline passes; whether the statement took effect is then unknown.
pub async fn within<T>(deadline: Duration, statement: impl Future<Output = diesel::QueryResult<T>>) -> Result<T> {
    match tokio::time::timeout(deadline, statement).await {
        Ok(result) => result.map_err(Error::from),
        Err(_) => Err(Error::unavailable(Away::Deadline, "a statement passed its deadline")),
    }
}
