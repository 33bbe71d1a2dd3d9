//! Gives an account another e-mail address. Where this instance sends mail, the address counts only once the person has
//! used the link that is mailed to it. Called by [`change`](super::change), [`own`], and the page of the link.
//!
//! Locks of [`own`] and [`verify`], in this order: the account's row, the session, then links and mails.
//!
//! Invariant: no mail that went to the old address gives access to the account under the new one.

use std::time::Duration;

use crate::{
    base::{
        db::{Conn, Db},
        error::{Error, Result},
        secret::Secret,
    },
    records::{
        account::{
            Account, EmailAddress,
            person::{self, Person},
        },
        audit::{self, Kind},
        link::{self, Purpose},
        mail::{self, Detail, Letters, MailKind},
        session::{CurrentUser, Reach, acting::Acting},
    },
};

/// How long the link works.
const LIFE: Duration = Duration::from_secs(24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);
/// The most links that are mailed in an hour for one account, because a link can go to any address.
const MOST_MAILS: usize = 3;

/// What became of a new address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// It was the account's address before.
    Same,
    /// It is the account's address now.
    Now,
    /// It will be, once it is verified.
    OnceVerified,
    /// Another account has it.
    Taken,
}

/// Whether a change needs a link that is mailed to the new address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    Nothing,
    /// If this instance sends mail.
    Verification,
}

/// Gives the account this address, or mails the link. The caller has locked the account's row, and records the event.
///
/// # Errors
/// [`Error::TooManyAttempts`] after too many links within an hour.
pub(super) async fn give(
    conn: &mut Conn<'_>,
    letters: &Letters,
    (person, by): (&Person, &str),
    (email, needs): (&EmailAddress, Needs),
) -> Result<Given> {
    let account = &person.account;
    if account.email == email.as_str() {
        return Ok(Given::Same);
    }
    let is_same_mailbox = EmailAddress::known(&account.email).is_ok_and(|old| old.key() == email.key());
    // Nobody has used the address of an invited account yet.
    if needs == Needs::Nothing || !letters.is_on() || is_same_mailbox || person.is_invited() {
        return replace(conn, letters, (person, email)).await;
    }
    if person::id_of(conn, email.key()).await?.is_some() {
        return Ok(Given::Taken);
    }
    if link::made_within(conn, &account.id, (Purpose::Address, by), HOUR).await? >= MOST_MAILS {
        return Err(Error::TooManyAttempts(HOUR));
    }
    link::end(conn, &account.id, Purpose::Address).await?;
    let about = Some(email.as_str());
    let new = link::New { purpose: Purpose::Address, about, life: LIFE, by, token: Secret::random()? };
    let to = Account { email: email.as_str().to_owned(), ..account.clone() };
    letters.queue_with_link(conn, &to, (MailKind::VerifyAddress, Detail::default()), new).await?;
    Ok(Given::OnceVerified)
}

/// Replaces the address, and tells both. Links that went to the old address stop working.
async fn replace(conn: &mut Conn<'_>, letters: &Letters, (person, email): (&Person, &EmailAddress)) -> Result<Given> {
    if !person::set_email(conn, person, email).await? {
        return Ok(Given::Taken);
    }
    // Whoever reads the old mailbox must not get in.
    link::end_entries(conn, &person.account.id).await?;
    link::end(conn, &person.account.id, Purpose::Address).await?;
    mail::withdraw(conn, &person.account.id).await?;
    if !person.is_invited() {
        let detail = Detail { address: Some(email.as_str().to_owned()), ..Detail::default() };
        let new = Account { email: email.as_str().to_owned(), ..person.account.clone() };
        for to in [&person.account, &new] {
            letters.queue(conn, to, MailKind::AddressChanged, &detail).await?;
        }
    }
    Ok(Given::Now)
}

/// Gives the person's own account another address. Returns `None` if the session has ended. `acting` has the session's
/// current key.
///
/// # Errors
/// [`Error::ConfirmationRequired`]; [`Error::TooManyAttempts`] after too many links within an hour.
pub async fn own(
    db: &Db,
    letters: &Letters,
    (user, acting): (&CurrentUser, Acting),
    (email, ip): (EmailAddress, Option<&str>),
) -> Result<Option<Given>> {
    let (letters, event) = (letters.clone(), user.event(Kind::AccountEmailChanged).ip(ip));
    db.write(async move |conn: &mut Conn<'_>| {
        let Some((who, _)) = acting.hold_for_proofs(conn, Reach::Itself).await? else { return Ok(None) };
        let person = person::find(conn, &who.account_id).await?.ok_or(Error::NotFound)?;
        let given = give(conn, &letters, (&person, &who.account_id), (&email, Needs::Verification)).await?;
        let event = event.session(&who.session_id);
        match given {
            Given::Now => {
                audit::record(conn, &[event.detail(&format!("was {}", person.account.email))]).await?;
            }
            Given::OnceVerified => {
                let asked = event.about(Kind::EmailChangeAsked).detail(&format!("to {}", email.as_str()));
                audit::record(conn, &[asked]).await?;
            }
            Given::Same | Given::Taken => {}
        }
        Ok(Some(given))
    })
    .await
}

/// The outcome of using the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    Yes,
    /// Another account has the address meanwhile.
    Taken,
    /// The link was used, or has expired.
    Gone,
    /// The link belongs to another account.
    OfAnother,
}

/// Uses the link up in the session of its own account. A stranger who got the mail by mistake cannot use it. Returns
/// `None` if the session has ended.
pub async fn verify(
    db: &Db,
    letters: &Letters,
    (user, token): (&CurrentUser, Secret),
    ip: Option<&str>,
) -> Result<Option<Verified>> {
    let (letters, acting) = (letters.clone(), user.acting());
    let event = user.event(Kind::AccountEmailChanged).ip(ip);
    db.write(async move |conn: &mut Conn<'_>| {
        let Some(who) = acting.hold(conn, Reach::Itself).await? else { return Ok(None) };
        let id = who.account_id.as_str();
        let Some(found) = link::look_up(conn, &token).await? else { return Ok(Some(Verified::Gone)) };
        if found.account_id != id {
            return Ok(Some(Verified::OfAnother));
        }
        let (Some(email), true) = (found.about, link::spend(conn, id, &token, Purpose::Address).await?) else {
            return Ok(Some(Verified::Gone));
        };
        let person = person::find(conn, id).await?.ok_or(Error::NotFound)?;
        let email = EmailAddress::known(&email)?;
        if replace(conn, &letters, (&person, &email)).await? == Given::Taken {
            return Ok(Some(Verified::Taken));
        }
        let event = event.session(&who.session_id).detail(&format!("was {}", person.account.email));
        audit::record(conn, &[event]).await?;
        Ok(Some(Verified::Yes))
    })
    .await
}
