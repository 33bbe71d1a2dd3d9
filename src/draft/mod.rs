//! Drafts: short texts that a person writes on any of their devices. Changed only by [`operation`]s, which [`apply`] carries
//! out each once, however often it is sent; what they mean is in [`book`]. Called by the sync and by the drafts page.
//!
//! Invariant: a text that was written is never overwritten by one that does not build on it; both are kept.

pub mod apply;
pub mod book;
mod call;
pub mod choice;
pub mod operation;
pub mod result;
pub mod revision;
pub mod sweep;

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, Queryable, Selectable, SelectableHelper as _,
};
use serde::{Serialize, ser::SerializeStruct as _};

use self::revision::{Known, Revision};
use crate::{
    db::{
        Conn, DraftRow, Instant, find, run,
        schema::{accounts, drafts, instance},
        substr,
    },
    error::Result,
    instance::history::SPAN,
};

/// Longest text, in characters (Unicode scalar values).
pub const LONGEST: usize = 10_000;
/// Characters of a draft that a list reads.
const BEGINNING: i32 = 400;
/// Drafts an account may have that are not deleted; what a conflict has split off does not count, up to as many again.
pub const MOST: i64 = 2_000;

/// A draft, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = drafts)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Draft {
    /// Made by a client; the account's own.
    pub id: String,
    /// What it says; nothing once it is deleted.
    pub text: String,
    /// Grows by one with each change.
    pub version: i64,
    /// The account's count of changes when this one was changed last.
    pub revision: i64,
    /// When that was.
    pub updated_at: Instant,
    /// What the device was called on which that was.
    pub updated_on: String,
    /// The draft from which this one was split off, because both had been changed.
    pub conflict_of: Option<String>,
    /// When it was deleted.
    pub deleted_at: Option<Instant>,
    /// Its last version from before the history in which it was changed last.
    pub forked_at: Option<i64>,
}

impl Draft {
    fn row(&self) -> DraftRow<'_> {
        DraftRow {
            id: &self.id,
            text: &self.text,
            version: self.version,
            revision: self.revision,
            updated_at: self.updated_at,
            updated_on: &self.updated_on,
            conflict_of: self.conflict_of.as_deref(),
            deleted_at: self.deleted_at,
            forked_at: self.forked_at,
        }
    }

    /// Whether it is not deleted.
    pub fn lives(&self) -> bool {
        self.deleted_at.is_none()
    }

    /// Whether what it says came after this version, which may be of a lost history.
    pub(crate) fn builds_on(&self, version: i64) -> bool {
        is_before(version, self.version) || self.forked_at.is_some_and(|last| is_before(version, last))
    }
}

/// Whether two versions of a draft are of the same history, and this one is no later than the other.
fn is_before(version: i64, other: i64) -> bool {
    (0..SPAN).contains(&(other - version))
}

/// As the API shows it.
impl Serialize for Draft {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shape = serializer.serialize_struct("Draft", 7)?;
        shape.serialize_field("id", &self.id)?;
        shape.serialize_field("text", &self.text)?;
        shape.serialize_field("version", &self.version)?;
        shape.serialize_field("updatedAt", &self.updated_at)?;
        shape.serialize_field("updatedOn", &self.updated_on)?;
        if let Some(of) = &self.conflict_of {
            shape.serialize_field("conflictOf", of)?;
        }
        if !self.lives() {
            shape.serialize_field("deleted", &true)?;
        }
        shape.end()
    }
}

/// What is news to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Drafts that changed, deleted ones among them; or all there are.
    pub drafts: Vec<Draft>,
    /// Whether these are all, and whatever else the client has is gone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// Whether the client knows another history: what it has and these lack may be lost here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
}

/// The account's drafts that are not deleted, changed last first, and the revision they stand at.
///
/// # Errors
/// When the database is away.
pub async fn list(conn: &mut Conn<'_>, account_id: &str) -> Result<(Vec<Draft>, Revision)> {
    // The revision first: what changes in between is news twice, and never missed.
    let revision = revision(conn, account_id).await?;
    Ok((living(conn, account_id).await?, revision))
}

async fn revision(conn: &mut Conn<'_>, account_id: &str) -> Result<Revision> {
    let history = instance::table.select(instance::history).single_value();
    let row = accounts::table.find(account_id).select((accounts::revision, history));
    let found: Option<(i64, Option<String>)> = find!(conn, first(row))?;
    let (count, history) = found.unwrap_or_default();
    Ok(Revision { history: history.unwrap_or_default(), count })
}

/// What a list shows of a draft.
#[derive(Debug, Clone, Queryable)]
pub struct Head {
    /// The draft.
    pub id: String,
    /// Its first characters.
    pub beginning: String,
    /// When it was changed last.
    pub updated_at: Instant,
    /// On which device.
    pub updated_on: String,
    /// The draft from which it was split off.
    pub conflict_of: Option<String>,
}

/// What a list shows of the account's drafts that are not deleted, changed last first, and the revision it is as new as.
///
/// # Errors
/// When the database is away.
pub async fn heads(conn: &mut Conn<'_>, account_id: &str) -> Result<(Vec<Head>, Revision)> {
    let revision = revision(conn, account_id).await?;
    let heads = run!(
        conn,
        load(
            drafts::table
                .filter(drafts::account_id.eq(account_id).and(drafts::deleted_at.is_null()))
                .order(drafts::revision.desc())
                .select((
                    drafts::id,
                    substr(drafts::text, 1, BEGINNING),
                    drafts::updated_at,
                    drafts::updated_on,
                    drafts::conflict_of
                ))
        )
    )?;
    Ok((heads, revision))
}

async fn living(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<Draft>> {
    run!(
        conn,
        load(
            drafts::table
                .filter(drafts::account_id.eq(account_id).and(drafts::deleted_at.is_null()))
                .order(drafts::revision.desc())
                .select(Draft::as_select())
        )
    )
}

/// One of the account's drafts, deleted or not.
///
/// # Errors
/// When the database is away.
pub async fn one(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<Option<Draft>> {
    find!(conn, first(drafts::table.find((account_id, id)).select(Draft::as_select())))
}

/// What changed since a client's revision; everything if that is none, too old to tell, or of another history.
async fn since(
    conn: &mut Conn<'_>,
    account_id: &str,
    known: Option<&Known>,
    floor: i64,
    revision: &Revision,
) -> Result<Changes> {
    let restored = known.is_some_and(|known| known.revision.history != revision.history);
    let known = known.map(|known| known.revision.count).filter(|known| (floor..=revision.count).contains(known));
    let Some(known) = known.filter(|_| !restored) else {
        return Ok(Changes { drafts: living(conn, account_id).await?, reset: true, restored });
    };
    let drafts = run!(
        conn,
        load(
            drafts::table
                .filter(drafts::account_id.eq(account_id).and(drafts::revision.gt(known)))
                .order(drafts::revision)
                .select(Draft::as_select())
        )
    )?;
    Ok(Changes { drafts, reset: false, restored: false })
}
