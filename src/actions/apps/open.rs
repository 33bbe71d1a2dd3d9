//! A signed-in person opens a protected app. On Sessile's origin the browser gets a code; on the app's host it spends the
//! code and gets the app's cookie. Called by the pages for apps.
//!
//! Locks, in this order: the account's row, the session, the code and the grants, and the head of the audit chain.
//!
//! Invariant: whatever a code is for, it opens the app only for the session that it was made in, while that lives.

use crate::{
    base::{
        db::{Conn, Db},
        error::Result,
    },
    records::{
        account,
        app::App,
        audit::{self, Event, Kind},
        session::{
            CurrentUser, Reach, SessionRef,
            grants::{
                Code, GrantKey,
                codes::{self, Purpose},
                statements,
            },
        },
    },
};

/// The outcome of [`begin`].
#[derive(Debug)]
pub enum Begun {
    Code(Code),
    /// The app does not admit the person.
    Denied,
    /// The session has ended.
    Ended,
}

/// The browser that opens an app, and where it goes on.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The hash of the browser's pending cookie.
    pub pending_hash: Vec<u8>,
    /// The path and query in the app.
    pub target: String,
    pub ip: Option<String>,
}

/// Makes a code for the person's browser, if the app admits them.
pub async fn begin(db: &Db, user: &CurrentUser, app: &App, opening: Opening) -> Result<Begun> {
    let acting = user.acting();
    let denied = user.event(Kind::AppDenied).detail(&app.name).ip(opening.ip.as_deref());
    let is_admitted = app.allows(&user.account);
    let app_id = app.id.clone();
    db.write(async move |conn: &mut Conn<'_>| {
        let Some(who) = acting.hold(conn, Reach::Itself).await? else { return Ok(Begun::Ended) };
        if !is_admitted {
            audit::record(conn, &[denied.session(&who.session_id)]).await?;
            return Ok(Begun::Denied);
        }
        let sid = statements::name_session(conn, &SessionRef::new(&who.account_id, &who.session_id)).await?;
        let Opening { pending_hash, target, .. } = opening;
        let purpose = Purpose { app_id, sid, pending_hash, target };
        codes::create(conn, &who.account_id, &purpose).await.map(Begun::Code)
    })
    .await
}

/// The outcome of [`finish`].
#[derive(Debug)]
pub enum Finished {
    Opened {
        key: GrantKey,
        /// The path and query in the app.
        target: String,
    },
    /// The code opens nothing.
    Refused {
        /// Where the browser wanted to go, if the code was made for this app.
        target: Option<String>,
        /// Whether the code was made for another pending cookie: another browser's, or one that a second tab replaced.
        is_for_other: bool,
    },
}

/// Spends a code at an app and makes the grant. `pending_hash` is the hash of the browser's pending cookie.
pub async fn finish(
    db: &Db,
    app: &App,
    code: Code,
    pending_hash: Option<Vec<u8>>,
    ip: Option<String>,
) -> Result<Finished> {
    let (app_id, name) = (app.id.clone(), app.name.clone());
    let opened = app.clone();
    db.write(async move |conn: &mut Conn<'_>| {
        let purpose = codes::purpose(conn, &code).await?;
        let Some(purpose) = purpose.filter(|purpose| purpose.app_id == app_id) else {
            return Ok(Finished::Refused { target: None, is_for_other: false });
        };
        let is_for_other = !pending_hash.as_ref().is_some_and(|hash| purpose.is_for(hash));
        let refused = |target| Ok(Finished::Refused { target: Some(target), is_for_other });
        if is_for_other {
            return refused(purpose.target);
        }
        let account_id = code.account_id();
        account::lock(conn, account_id).await?;
        let session = statements::lock_session(conn, account_id, &purpose.sid).await?;
        let account = account::one(conn, account_id).await?;
        let (Some(session), Some(account)) = (session, account) else {
            return refused(purpose.target);
        };
        let is_enough = !opened.require_second_factor || session.amr().has_second_factor();
        if !opened.allows(&account) || !is_enough || !codes::spend(conn, &code).await? {
            return refused(purpose.target);
        }
        let (key, is_first) = statements::create(conn, account_id, &purpose.sid, &app_id).await?;
        if is_first {
            let event = Event::of(Kind::AppOpened, account_id).session(&session.id).detail(&name).ip(ip.as_deref());
            audit::record(conn, &[event.device(session.device_id.as_deref(), None)]).await?;
        }
        Ok(Finished::Opened { key, target: purpose.target })
    })
    .await
}
