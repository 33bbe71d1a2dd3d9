//! Mails that wait to be sent. Actions queue them in their transactions; the worker of each node sends them.
//!
//! Invariant: a mail is queued if and only if the transaction of what it reports commits. At most one node at a time sends
//! it. No row contains a secret: the token of a link is derived from a nonce in the row with the key file.

use std::time::Duration;

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    base::{
        db::{Conn, Db, ForUpdate, Instant, before_now, find, from_now, now, run, schema::mails, words},
        error::{Error, Result},
        keys::{DerivationKeys, Keys},
        secret::{self, Secret},
        settings::Settings,
    },
    records::{
        account::Account,
        link::{self, Made},
    },
};

words! {
    /// What a mail reports.
    pub enum MailKind {
        /// The person is invited.
        Invitation = "invitation",
        /// The person forgot their password.
        ForgottenPassword = "forgotten-password",
        /// An administrator made a link for a new password.
        PasswordLink = "password-link",
        /// The person wants this address for their account.
        VerifyAddress = "verify-address",
        /// The account has another address.
        AddressChanged = "address-changed",
        /// The account signed in on a new device.
        NewDevice = "new-device",
        /// The password was changed.
        PasswordChanged = "password-changed",
        /// A second factor was added, removed or reset.
        SecondFactorChanged = "second-factor-changed",
        /// A recovery code was used.
        RecoveryCodeUsed = "recovery-code-used",
        /// A passkey may have been copied.
        PasskeyCopied = "passkey-copied",
    }
}

/// How long a node may take to send a mail. After that another node tries.
pub const LEASE: Duration = Duration::from_secs(300);
/// The pause after the first failed attempt. Each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// How long a mail is tried.
const TRIED_FOR: Duration = Duration::from_secs(24 * 3600);
/// How long a mail that nobody accepted is kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// The most rows of one account. Further mails are not queued: somebody causes them on purpose.
const MOST: usize = 50;
/// The most characters of a server's answer.
const LONGEST_FAILURE: usize = 300;
/// The most rows that one transaction deletes.
const BATCH: i64 = 500;

/// What a mail says beside its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Detail {
    /// Gives the token of the mail's link, with the key file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The browser and system, or the name, of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The account's new address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What changed about the second factor, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
}

/// Queues mails, if this instance sends any. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Letters(Option<DerivationKeys>);

impl Letters {
    pub fn new(settings: &Settings, keys: &Keys) -> Self {
        Self(settings.mail.is_some().then(|| keys.derivation()))
    }

    /// Queues nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Whether this instance sends mail.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Queues a mail. Does nothing if this instance sends none.
    pub async fn queue(&self, conn: &mut Conn<'_>, to: &Account, kind: MailKind, detail: &Detail) -> Result<()> {
        if self.is_on() { queue(conn, to, kind, detail).await } else { Ok(()) }
    }

    /// Makes a link, and queues the mail that contains it if this instance sends mail. `new.token` is replaced then.
    pub async fn queue_with_link(
        &self,
        conn: &mut Conn<'_>,
        to: &Account,
        (kind, detail): (MailKind, Detail),
        new: link::New<'_>,
    ) -> Result<Made> {
        let Some(keys) = &self.0 else { return link::add(conn, &to.id, new).await };
        let nonce = secret::random_name("")?;
        let token = keys.derive(&subject(&nonce))?;
        let made = link::add(conn, &to.id, link::New { token, ..new }).await?;
        queue(conn, to, kind, &Detail { nonce: Some(nonce), ..detail }).await?;
        Ok(made)
    }

    /// The tokens that the keys of the file give for a nonce. The link of one of them exists.
    pub fn tokens(&self, nonce: &str) -> Vec<Secret> {
        self.0.as_ref().map(|keys| keys.candidates(&subject(nonce)).collect()).unwrap_or_default()
    }
}

fn subject(nonce: &str) -> String {
    format!("link in a mail: {nonce}")
}

async fn queue(conn: &mut Conn<'_>, to: &Account, kind: MailKind, detail: &Detail) -> Result<()> {
    let own = mails::table.filter(mails::account_id.eq(&to.id)).filter(mails::failed_at.is_null());
    let waiting: Vec<String> = run!(conn, load(own.select(mails::id)))?;
    if waiting.len() >= MOST {
        tracing::warn!(account = to.id, "a mail was not queued: too many wait for this account");
        return Ok(());
    }
    let row = (
        mails::account_id.eq(&to.id),
        mails::id.eq(secret::random_name("mail_")?),
        mails::kind.eq(kind),
        mails::recipient.eq(&to.email),
        mails::detail.eq(serde_json::to_string(detail).map_err(Error::bug)?),
        mails::created_at.eq(now()),
        mails::due_at.eq(now()),
        mails::attempts.eq(0),
    );
    run!(conn, execute(diesel::insert_into(mails::table).values(row))).map(drop)
}

/// A mail that this node sends now.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub account_id: String,
    pub id: String,
    pub kind: MailKind,
    pub recipient: String,
    pub detail: Detail,
    pub created_at: Instant,
    /// The attempts before this one.
    attempts: i64,
    now: Instant,
}

/// What became of an attempt to send a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// A server accepted it, or it has lost its meaning.
    Done,
    /// It may succeed later. Contains the reason.
    Later(String),
    /// It never will. Contains the reason.
    Never(String),
}

/// Claims the mail that has been due for longest. `None` if none is due.
pub async fn claim(db: &Db) -> Result<Option<Claimed>> {
    db.write(async |conn: &mut Conn<'_>| {
        let due = || mails::table.filter(mails::due_at.le(now())).filter(mails::failed_at.is_null());
        let first = due().order(mails::due_at).limit(1).select((mails::account_id, mails::id));
        let found: Vec<(String, String)> = ForUpdate::load_across(conn, first).await?;
        let Some((account_id, id)) = found.into_iter().next() else { return Ok(None) };
        let own = due().filter(mails::account_id.eq(&account_id)).filter(mails::id.eq(&id));
        let columns = (mails::kind, mails::recipient, mails::detail, mails::created_at, mails::attempts, now());
        type Row = (MailKind, String, String, Instant, i64, Instant);
        // If the rows are distributed, the first read has not locked the row. Another transaction may have settled it.
        let row: Option<Row> = find!(conn, get_result(ForUpdate::wait(own.select(columns))))?;
        let Some((kind, recipient, detail, created_at, attempts, now)) = row else { return Ok(None) };
        let set = (mails::due_at.eq(from_now(LEASE)), mails::attempts.eq(attempts + 1));
        let own = mails::table.filter(mails::account_id.eq(&account_id)).filter(mails::id.eq(&id));
        run!(conn, execute(diesel::update(own).set(set)))?;
        let detail = serde_json::from_str(&detail).map_err(Error::bug)?;
        Ok(Some(Claimed { account_id, id, kind, recipient, detail, created_at, attempts, now }))
    })
    .await
}

/// Settles an attempt. Returns whether the mail was given up.
pub async fn settle(db: &Db, mail: Claimed, attempt: Attempt) -> Result<bool> {
    db.write(async move |conn: &mut Conn<'_>| {
        let own = || {
            let own = mails::table.filter(mails::account_id.eq(&mail.account_id));
            own.filter(mails::id.eq(&mail.id))
        };
        let (words, is_given_up) = match attempt {
            Attempt::Done => {
                run!(conn, execute(diesel::delete(own())))?;
                return Ok(false);
            }
            Attempt::Later(words) => (words, mail.now.since(mail.created_at) >= TRIED_FOR),
            Attempt::Never(words) => (words, true),
        };
        let words: String = words.chars().take(LONGEST_FAILURE).collect();
        if is_given_up {
            let set = (mails::failed_at.eq(now().nullable()), mails::failure.eq(Some(words)), mails::detail.eq("{}"));
            run!(conn, execute(diesel::update(own()).set(set)))?;
        } else {
            let set = (mails::due_at.eq(from_now(pause(mail.attempts))), mails::failure.eq(Some(words)));
            run!(conn, execute(diesel::update(own()).set(set)))?;
        }
        Ok(is_given_up)
    })
    .await
}

/// The pause after a failed attempt with this many before it.
fn pause(attempts: i64) -> Duration {
    let doubled = u32::try_from(attempts).ok().and_then(|attempts| 2_u32.checked_pow(attempts));
    FIRST_PAUSE.saturating_mul(doubled.unwrap_or(u32::MAX)).min(LONGEST_PAUSE)
}

/// A mail that no server accepted.
#[derive(Debug, Clone)]
pub struct Refused {
    pub recipient: String,
    pub at: Instant,
    /// What the server said.
    pub words: String,
}

/// The account's mails of the last 30 days that no server accepted, newest first.
pub async fn refused(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<Refused>> {
    type Row = (String, Option<Instant>, Option<String>);
    let own = mails::table.filter(mails::account_id.eq(account_id)).filter(mails::failed_at.is_not_null());
    let own = own.order(mails::failed_at.desc()).select((mails::recipient, mails::failed_at, mails::failure));
    let rows: Vec<Row> = run!(conn, load(own))?;
    let refused = |(recipient, at, words): Row| Some(Refused { recipient, at: at?, words: words.unwrap_or_default() });
    Ok(rows.into_iter().filter_map(refused).collect())
}

/// Deletes the mails of an account that were not sent yet, when its address changes.
pub async fn withdraw(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    let waiting = mails::table.filter(mails::account_id.eq(account_id)).filter(mails::failed_at.is_null());
    run!(conn, execute(diesel::delete(waiting))).map(drop)
}

/// The account's mails that were not sent, for its export. Leaves the nonce of a link out.
pub async fn kept(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<Value>> {
    type Row = (String, MailKind, String, String, Instant, i64, Option<Instant>, Option<String>);
    let own = mails::table.filter(mails::account_id.eq(account_id)).order(mails::created_at.desc());
    let columns = (
        mails::id,
        mails::kind,
        mails::recipient,
        mails::detail,
        mails::created_at,
        mails::attempts,
        mails::failed_at,
        mails::failure,
    );
    let rows: Vec<Row> = run!(conn, load(own.select(columns)))?;
    let one = |(id, kind, recipient, detail, created_at, attempts, failed_at, failure): Row| {
        let detail: Detail = serde_json::from_str(&detail).map_err(Error::bug)?;
        let detail = Detail { nonce: None, ..detail };
        Ok(json!({
            "id": id, "kind": kind, "recipient": recipient, "detail": detail, "createdAt": created_at,
            "attempts": attempts, "failedAt": failed_at, "failure": failure,
        }))
    };
    rows.into_iter().map(one).collect()
}

/// Deletes all mails of an account, when the account is deleted.
pub async fn forget(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    run!(conn, execute(diesel::delete(mails::table.filter(mails::account_id.eq(account_id))))).map(drop)
}

/// Deletes mails that were given up long ago.
///
/// # Errors
/// When a batch fails. Earlier batches stay committed.
pub async fn sweep(db: &Db) -> Result<()> {
    while db.write(delete_old).await? > 0 {}
    Ok(())
}

async fn delete_old(conn: &mut Conn<'_>) -> Result<usize> {
    let old =
        mails::table.filter(mails::failed_at.is_not_null()).filter(mails::failed_at.le(before_now(KEPT).nullable()));
    let old = old.order(mails::failed_at).limit(BATCH).select((mails::account_id, mails::id));
    let old: Vec<(String, String)> = run!(conn, load(old))?;
    for (account_id, id) in &old {
        let own = mails::table.filter(mails::account_id.eq(account_id)).filter(mails::id.eq(id));
        run!(conn, execute(diesel::delete(own)))?;
    }
    Ok(old.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_quarter_of_an_hour() {
        let pauses: Vec<u64> = (0..8).map(|attempts| pause(attempts).as_secs()).collect();
        assert_eq!(pauses, [30, 60, 120, 240, 480, 900, 900, 900]);
        assert_eq!(pause(i64::MAX), LONGEST_PAUSE);
    }
}
