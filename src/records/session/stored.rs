//! Reads a session's row, its account and the name of its device in one query. Called by [`lookup`](super::lookup).
//!
//! Invariant: the query filters by account, so a key cannot reach a session of another account.

use diesel::{
    ExpressionMethods as _, JoinOnDsl as _, NullableExpressionMethods as _, QueryDsl as _, Queryable, Selectable,
    SelectableHelper as _, dsl::Lt,
};
use serde_json::Value;

use super::{ended::EndReason, listing::own_device, live::is_of_earlier_generation, record::Record};
use crate::{
    base::{
        db::{
            Conn, CurrentGeneration, Db, Instant, Now, find, now,
            schema::{accounts, devices, sessions},
        },
        error::Result,
    },
    records::account::Account,
};

/// The account's session with this id, live or ended.
pub(super) async fn read(db: &Db, account_id: &str, id: &str) -> Result<Option<Stored>> {
    let (account_id, id) = (account_id.to_owned(), id.to_owned());
    db.read(async move |conn: &mut Conn<'_>| {
        find!(
            conn,
            get_result(
                sessions::table
                    .inner_join(accounts::table)
                    .left_join(devices::table.on(own_device()))
                    .filter(sessions::account_id.eq(&account_id))
                    .filter(sessions::id.eq(&id))
                    .select(Stored::as_select())
            )
        )
    })
    .await
}

/// A session, with the columns of its account and its device that a request needs. The cache keeps it too.
#[derive(Queryable, Selectable)]
#[diesel(table_name = sessions)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub(super) struct Stored {
    #[diesel(embed)]
    pub(super) record: Record,
    #[diesel(embed)]
    pub(super) account: Account,
    #[diesel(select_expression = devices::name.nullable())]
    pub(super) device_name: Option<String>,
    pub(super) secret_hash: Vec<u8>,
    pub(super) state: Value,
    pub(super) ended_at: Option<Instant>,
    #[diesel(select_expression = sessions::ended_reason.nullable())]
    pub(super) ended_reason: Option<EndReason>,
    pub(super) ended_by: Option<String>,
    pub(super) used_after_end_at: Option<Instant>,
    #[diesel(
        select_expression = is_of_earlier_generation(),
        select_expression_type = Lt<sessions::generation, CurrentGeneration>
    )]
    pub(super) is_outdated: bool,
    #[diesel(select_expression = accounts::password_changed_at)]
    pub(super) password_changed_at: Instant,
    #[diesel(embed)]
    pub(super) lineage: Lineage,
    #[diesel(select_expression = devices::secret_hash.nullable())]
    pub(super) device_secret: Option<Vec<u8>>,
    #[diesel(select_expression = devices::previous_secret_hash.nullable())]
    pub(super) previous_device_secret: Option<Vec<u8>>,
    #[diesel(select_expression = now(), select_expression_type = Now)]
    pub(super) now: Instant,
}

impl Stored {
    /// Whether the session has ended. The row of an outdated session may not say so yet.
    pub(super) fn has_ended(&self) -> bool {
        self.ended_at.is_some() || self.is_outdated
    }
}

/// How the session got its current key.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = sessions)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub(super) struct Lineage {
    pub(super) previous_id: Option<String>,
    pub(super) key_nonce: Option<String>,
    pub(super) key_used_at: Option<Instant>,
}

impl Lineage {
    /// Whether the first use of the key must still be recorded.
    pub(super) fn awaits_use(&self) -> bool {
        self.key_nonce.is_some() && self.key_used_at.is_none()
    }
}
