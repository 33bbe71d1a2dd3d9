//! A signed-in person hands their sign-in over to another device of theirs. Called by the page `/account/phone`, and by the
//! page of the link.
//!
//! The signed-in screen shows a link as a QR code. The first browser that sends the link's form claims it; both screens then
//! show a number. The person compares the numbers and confirms on the signed-in screen. Only then the other browser is
//! signed in.
//!
//! Locks, in this order: the account's row, live sessions by id, the device.
//!
//! Invariant: a link signs in one browser, within two minutes, and only while the session that confirmed it lives. The new
//! session proves no more than that one: its password counts as entered when it was entered there, and both end at the latest
//! at the same time.

use std::time::Duration;

use crate::{
    actions::new_session::{Visit, Welcome, begin},
    base::{
        db::{Conn, Db},
        error::{EndedBecause, Error, Result},
        secret::Secret,
    },
    records::{
        account,
        hand_over::{self, HandOver},
        link::{self, Link, Made, Purpose},
        news,
        session::{
            Reach, SessionRef, Sessions,
            acting::Acting,
            grants::statements::{lock_session, name_session},
            statements,
        },
    },
};

/// How long the link works.
const LIFE: Duration = Duration::from_secs(120);

/// Makes the link. An earlier one of the account stops working. `None` if the session has ended.
///
/// # Errors
/// [`Error::ConfirmationRequired`].
pub async fn start(db: &Db, acting: Acting) -> Result<Option<Made>> {
    db.write(async move |conn: &mut Conn<'_>| {
        let Some(who) = acting.hold_confirmed(conn, Reach::Itself).await? else { return Ok(None) };
        let id = who.account_id.as_str();
        link::end(conn, id, Purpose::HandOver).await?;
        let made = link::make(conn, id, Purpose::HandOver, LIFE, id).await?;
        let sid = name_session(conn, &SessionRef::new(id, &who.session_id)).await?;
        hand_over::create(conn, id, &made.token, &sid).await?;
        Ok(Some(made))
    })
    .await
}

/// Answers whether the number on the other screen is this one. A wrong number ends the hand-over: somebody else may have seen
/// the code. `None` if the session has ended; `Some(false)` if there is no such hand-over any more.
pub async fn answer(db: &Db, acting: Acting, number: Option<i64>) -> Result<Option<bool>> {
    db.write(async move |conn: &mut Conn<'_>| {
        let Some(who) = acting.hold(conn, Reach::Itself).await? else { return Ok(None) };
        let id = who.account_id.as_str();
        let sid = name_session(conn, &SessionRef::new(id, &who.session_id)).await?;
        let under_way = hand_over::under_way(conn, id).await?.filter(|one| one.sid == sid);
        match (under_way, number) {
            (Some(one), Some(number)) if one.number == Some(number) => {
                hand_over::confirm(conn, id, &one).await.map(Some)
            }
            _ => {
                link::end(conn, id, Purpose::HandOver).await?;
                Ok(Some(false))
            }
        }
    })
    .await
}

/// Where the hand-over of a link stands, for the browser that opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// No browser has claimed it. Contains the name of the account.
    Free(String),
    /// This browser has claimed it. Both screens show this number.
    Claimed(i64),
    /// The number is confirmed: this browser may sign in.
    Confirmed,
    /// The link was used, has expired, never existed, or belongs to another browser.
    Gone,
}

/// Looks a link up for the browser with this secret.
pub async fn look_up(db: &Db, token: &Secret, browser: Option<Secret>) -> Result<Stage> {
    let token = token.clone();
    db.read(async move |conn: &mut Conn<'_>| Ok(stage(conn, &token, browser.as_ref()).await?.1)).await
}

async fn stage(conn: &mut Conn<'_>, token: &Secret, browser: Option<&Secret>) -> Result<(String, Stage)> {
    let gone = || Ok((String::new(), Stage::Gone));
    let good = link::look_up(conn, token).await?.filter(|link| link.is_good && link.purpose == Purpose::HandOver);
    let Some(Link { account_id, .. }) = good else { return gone() };
    let Some(account) = account::one(conn, &account_id).await? else { return gone() };
    let Some(one) = hand_over::of_link(conn, &account_id, token).await? else { return gone() };
    let stage = match one.number {
        None => Stage::Free(account.name),
        Some(_) if !browser.is_some_and(|browser| one.is_claimed_by(browser)) => Stage::Gone,
        Some(_) if one.is_confirmed => Stage::Confirmed,
        Some(number) => Stage::Claimed(number),
    };
    Ok((account_id, stage))
}

/// What became of the form of a link.
pub enum Went {
    /// The browser is signed in.
    In(Box<Welcome>),
    /// The page shows where the hand-over stands now.
    On(Stage),
}

/// Claims the hand-over for this browser, or signs it in if the number is confirmed.
pub async fn go_on(sessions: &Sessions, token: Secret, browser: Secret, visit: Visit) -> Result<Went> {
    let own = sessions.clone();
    let went = sessions
        .db
        .write(async move |conn: &mut Conn<'_>| {
            let (account_id, _) = stage(conn, &token, Some(&browser)).await?;
            account::lock(conn, &account_id).await?;
            match stage(conn, &token, Some(&browser)).await? {
                (id, Stage::Free(_)) => {
                    hand_over::claim(conn, &id, &token, &browser).await?;
                    news::changed(conn, std::iter::once(id.as_str()))?;
                    Ok(Went::On(stage(conn, &token, Some(&browser)).await?.1))
                }
                (id, Stage::Confirmed) => sign_in(conn, &own, (&id, &token), visit).await,
                (_, stage) => Ok(Went::On(stage)),
            }
        })
        .await;
    match went {
        Err(Error::SessionEnded(_)) => Ok(Went::On(Stage::Gone)),
        went => went,
    }
}

async fn sign_in(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    (account_id, token): (&str, &Secret),
    visit: Visit,
) -> Result<Went> {
    let one = hand_over::of_link(conn, account_id, token).await?;
    let account = account::one(conn, account_id).await?;
    let (Some(HandOver { sid, .. }), Some(account)) = (one, account) else { return Ok(Went::On(Stage::Gone)) };
    if !link::spend(conn, account_id, token, Purpose::HandOver).await? {
        return Ok(Went::On(Stage::Gone));
    }
    // Locks the sessions in their order. If the other session has ended, all of this is rolled back.
    let mut welcome = begin(conn, account, visit, sessions).await?;
    let from = lock_session(conn, account_id, &sid).await?;
    let from = from.ok_or(Error::SessionEnded(EndedBecause::Unknown))?;
    welcome.record = statements::hand_on(conn, &from, &welcome.record).await?;
    Ok(Went::In(Box::new(welcome)))
}
