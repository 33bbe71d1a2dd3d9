//! Everything that is kept about the drafts of an account. Called by the export of an account.
//!
//! Invariant: deleted drafts are included as long as they are kept.

use diesel::{ExpressionMethods as _, QueryDsl as _, SelectableHelper as _};
use serde_json::{Value, json};

use super::stored::Draft;
use crate::base::{
    db::{
        Conn, Instant, run,
        schema::{drafts, operations},
    },
    error::Result,
};

/// All drafts, and the operations that clients sent.
pub async fn all(conn: &mut Conn<'_>, account_id: &str) -> Result<(Vec<Value>, Vec<Value>)> {
    let own = drafts::table.filter(drafts::account_id.eq(account_id)).order(drafts::revision.desc());
    let stored: Vec<Draft> = run!(conn, load(own.select(Draft::as_select())))?;
    let one = |draft: Draft| {
        json!({
            "id": draft.id, "text": draft.text, "version": draft.version, "updatedAt": draft.updated_at,
            "updatedOn": draft.updated_on, "conflictOf": draft.conflict_of, "deletedAt": draft.deleted_at,
        })
    };
    let own = operations::table.filter(operations::account_id.eq(account_id)).order(operations::at.desc());
    let sent: Vec<(String, String, Instant)> =
        run!(conn, load(own.select((operations::id, operations::result, operations::at))))?;
    let operation = |(id, result, at): (String, String, Instant)| {
        let result = serde_json::from_str::<Value>(&result).unwrap_or(Value::String(result));
        json!({ "id": id, "result": result, "at": at })
    };
    Ok((stored.into_iter().map(one).collect(), sent.into_iter().map(operation).collect()))
}
