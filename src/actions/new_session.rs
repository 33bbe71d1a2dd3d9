//! Begins the session of a person who has just proved their identity, in the caller's transaction. Called by
//! [`sign_in`](super::sign_in), [`setup`](super::setup) and [`sign_up`](super::sign_up).
//!
//! A client whose login response was lost may repeat the login. The repeated login gets the same session and the same
//! key. It is recognised by the session key that it presents, or by the visitor cookie.
//!
//! Locks, in this order: the account's live sessions and the presented session, by id; then the device. The caller
//! holds the lock on the account's row.
//!
//! Invariant: one login of one browser leaves one session. If the browser's previous session belongs to the same
//! person, its data is kept; if it belongs to another person, it ends.

use std::time::Duration;

use crate::{
    base::{
        db::Conn,
        error::{EndedBecause, Error, Result},
        secret::{self, Secret},
    },
    records::{
        account::{self, Account},
        audit::{self, Event, Kind},
        device::{self, Recognized, SignIn, Unread},
        link::{self, Purpose},
        mail::{Detail, MailKind},
        session::{
            Amr, EndReason, LoginForm, NewKey, NewSession, Record, Scope, SessionKey, SessionRef, Sessions,
            device_sweep, ends,
            former::{self, HeldSession},
            generation, listing, statements,
        },
    },
};

/// The browser or program that a person signs in with.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The session key that it presented.
    pub presented: Option<SessionKey>,
    /// The submitted form, identified by its visitor cookie. A form that is sent twice is one login.
    pub form: Option<LoginForm>,
    /// The secrets in its device cookie.
    pub device_secrets: Vec<Secret>,
    /// The device name that a program sent.
    pub device_name: Option<String>,
    /// The client's IP address.
    pub ip: Option<String>,
    /// The unparsed client headers.
    pub client: Unread,
    /// Whether it runs as an installed app, if known.
    pub installed: Option<bool>,
    /// The browser's time zone, if known.
    pub zone: Option<String>,
    /// How the person has proved who they are.
    pub amr: Amr,
}

impl Visit {
    /// The names that identify a repeated login. The first becomes the name of the new session. The presented session
    /// key comes first: it outlives the visitor cookie in the browser, and a form may get its visitor cookie only on
    /// the second attempt.
    pub(super) fn names(&self) -> Vec<LoginForm> {
        let over = self.presented.as_ref().map(LoginForm::over);
        over.into_iter().chain(self.form.clone()).collect()
    }
}

/// A login that was committed.
#[derive(Debug, Clone)]
pub struct Welcome {
    pub account: Account,
    pub record: Record,
    pub device_name: String,
    /// The session's key, for its cookie.
    pub key: SessionKey,
    /// The secrets for the device cookie.
    pub device_secrets: Vec<Secret>,
}

/// How to handle the browser's previous session.
enum Plan {
    /// Give it a new key.
    Rotate(SessionKey),
    /// This login was already carried out. Continue its session under this key, which has not been used yet.
    Resume(SessionKey),
    /// End the session with this id, because it has reached the limit of keys per session. A new session takes over its
    /// data.
    Inherit(String),
    /// There was no previous session. Create one.
    Create,
}

/// Begins a session. The browser's previous session gets a new key, or ends if it belongs to another person.
pub async fn begin(conn: &mut Conn<'_>, account: Account, visit: Visit, sessions: &Sessions) -> Result<Welcome> {
    let generation = generation::current(conn).await?;
    let plan = plan(conn, &account, &visit, sessions).await?;
    if let Some(zone) = visit.zone.as_ref().filter(|zone| account.time_zone.as_ref() != Some(*zone)) {
        account::keep_time_zone(conn, &account.id, zone).await?;
    }
    account::note_login(conn, &account.id).await?;
    let form = visit.names().into_iter().next();
    let NewKey { key, nonce } = new_key(&plan, form.as_ref(), &account.id, sessions)?;
    let (ip, next) = (visit.ip.clone(), sessions.keys.device_secret(&key)?);
    let known = match &plan {
        Plan::Resume(key) => statements::device_of(conn, &account.id, key.id()).await?,
        Plan::Rotate(_) | Plan::Inherit(_) | Plan::Create => None,
    };
    let browser = SignIn { presented: visit.device_secrets, next, known, secrets: sessions.keys.devices().clone() };
    let reported =
        device::Reported { client: visit.client.read(), installed: visit.installed, name: visit.device_name };
    let recognized = device::recognize(conn, &account.id, browser, reported).await?;
    if recognized.is_new {
        device_sweep::make_room(conn, &account.id).await?;
    }
    // The device's previous secret stays valid until the new one has been seen.
    let nonce = if nonce.is_none() && !recognized.is_new { Some(secret::random_name("")?) } else { nonce };
    let new = NewSession {
        key,
        nonce,
        form,
        account_id: account.id.clone(),
        device_id: recognized.device.id.clone(),
        ip: visit.ip,
        client: recognized.client.clone(),
        amr: visit.amr,
        generation,
    };
    let (record, kind) = carry_out(conn, &plan, &new, sessions).await?;
    if let Some(most) = sessions.times.most {
        let over = Scope::OverLimit { account: account.id.clone(), but: record.id.clone(), most };
        ends::end(conn, &over, EndReason::Revoked, audit::SYSTEM, ip.as_deref()).await?;
    }
    audit::record(conn, &events(&plan, kind, &record, &recognized, ip.as_deref())).await?;
    if recognized.is_new && kind.is_some() {
        report_device(conn, &account, &recognized, (sessions, ip)).await?;
    }
    let device_secrets = std::iter::once(recognized.secret).chain(recognized.others).collect();
    Ok(Welcome { account, record, device_name: recognized.device.name, key: new.key, device_secrets })
}

/// Reports a new device by mail, unless it is the account's first.
async fn report_device(
    conn: &mut Conn<'_>,
    account: &Account,
    found: &Recognized,
    (sessions, ip): (&Sessions, Option<String>),
) -> Result<()> {
    let (letters, device) = (&sessions.letters, &found.device);
    if !letters.is_on() || !device::has_others(conn, &account.id, &device.id).await? {
        return Ok(());
    }
    // With open sign-up, somebody could register the address of another person and have them sent mails without end.
    if link::made_within(conn, &account.id, (Purpose::NotMe, audit::SYSTEM), DAY).await? >= MOST_REPORTED {
        return Ok(());
    }
    let detail = Detail { device: Some(found.client.label()), ip, ..Detail::default() };
    let new = link::New {
        purpose: Purpose::NotMe,
        about: Some(&device.id),
        life: NOT_ME,
        by: audit::SYSTEM,
        token: Secret::random()?,
    };
    letters.queue_with_link(conn, account, (MailKind::NewDevice, detail), new).await.map(drop)
}

const DAY: Duration = Duration::from_secs(86_400);
/// The most new devices of an account that are reported by mail in a day.
const MOST_REPORTED: usize = 10;
/// How long "This wasn't me" in the mail works.
const NOT_ME: Duration = Duration::from_secs(7 * 86_400);

/// The audit events of a login. Without a `kind`, the login itself was already recorded.
fn events(plan: &Plan, kind: Option<Kind>, record: &Record, found: &Recognized, ip: Option<&str>) -> Vec<Event> {
    let event = |kind| {
        Event::of(kind, &record.account_id)
            .session(&record.id)
            .device(Some(&found.device.id), Some(&found.device.name))
            .ip(ip)
    };
    let mut events = Vec::new();
    if let Some(kind) = kind {
        events.push(event(Kind::LoginSucceeded));
        events.extend(found.is_new.then(|| event(Kind::DeviceNew)));
        events.push(match plan {
            Plan::Rotate(old) => event(kind).detail(&format!("was {}", old.id())),
            Plan::Resume(_) | Plan::Inherit(_) | Plan::Create => event(kind),
        });
    }
    events.extend(found.was_called.as_ref().map(|was| event(Kind::DeviceRenamed).detail(&format!("was {was}"))));
    events
}

/// Continues the session of a login that was already carried out. Returns `None` if there is no such session.
pub async fn begin_again(
    conn: &mut Conn<'_>,
    account: Account,
    visit: Visit,
    sessions: &Sessions,
) -> Result<Option<Welcome>> {
    match plan(conn, &account, &visit, sessions).await? {
        Plan::Resume(_) => begin(conn, account, visit, sessions).await.map(Some),
        Plan::Rotate(_) | Plan::Inherit(_) | Plan::Create => Ok(None),
    }
}

async fn plan(conn: &mut Conn<'_>, account: &Account, visit: &Visit, sessions: &Sessions) -> Result<Plan> {
    if let Some(presented) = &visit.presented
        && let Some(plan) = plan_for(conn, account, presented, visit.ip.as_deref(), sessions).await?
    {
        return Ok(plan);
    }
    let names = visit.names();
    if names.is_empty() {
        return Ok(Plan::Create);
    }
    // Lock the sessions, so that no request can note the first use of its key meanwhile.
    listing::lock_living(conn, &account.id).await?;
    let begun = statements::begun_by(conn, &account.id, &names, &sessions.keys).await?;
    Ok(begun.map_or(Plan::Create, Plan::Resume))
}

/// Plans for the session whose key was presented. Ends that session if it belongs to another person.
async fn plan_for(
    conn: &mut Conn<'_>,
    account: &Account,
    presented: &SessionKey,
    ip: Option<&str>,
    sessions: &Sessions,
) -> Result<Option<Plan>> {
    // A rotation may commit between the read and the lock, so repeat until both agree.
    let mut held = former::holder(conn, presented).await?;
    let held = loop {
        let Some(HeldSession { account_id, session_id, .. }) = &held else {
            return ends::settle(conn, presented).await.map(|()| None);
        };
        let other = SessionRef::new(account_id, session_id);
        // Lock all sessions in one order before changing any of them. Otherwise two people who sign in over each
        // other's sessions could deadlock.
        listing::lock_living_and(conn, &account.id, &other).await?;
        let again = former::holder(conn, presented).await?;
        match again {
            Some(again) if held.as_ref() == Some(&again) => break again,
            again => held = again,
        }
    };
    let next = match held.is_current {
        true => None,
        false => former::successor(conn, presented, &sessions.keys).await?,
    };
    let is_own = held.account_id == account.id;
    let is_full = is_own && held.is_current && former::is_full(conn, &account.id, &held.session_id).await?;
    if is_own && !is_full {
        return Ok(if held.is_current { Some(Plan::Rotate(presented.clone())) } else { next.map(Plan::Resume) });
    }
    if held.is_current || next.is_some() {
        let one = Scope::One(SessionRef::new(&held.account_id, &held.session_id));
        ends::end(conn, &one, EndReason::Replaced, &account.id, ip).await?;
    }
    Ok(is_full.then_some(Plan::Inherit(held.session_id)))
}

fn new_key(plan: &Plan, form: Option<&LoginForm>, account_id: &str, sessions: &Sessions) -> Result<NewKey> {
    let now = sessions.clock.now();
    match (plan, form) {
        (Plan::Rotate(old), _) => sessions.keys.successor(old, account_id, now),
        (Plan::Resume(key), _) => Ok(NewKey { key: key.clone(), nonce: None }),
        (Plan::Inherit(_) | Plan::Create, Some(form)) => sessions.keys.of_form(form, account_id, now),
        (Plan::Inherit(_) | Plan::Create, None) => sessions.keys.random(account_id, now),
    }
}

/// Creates or updates the session row. Returns the event kind to record, or `None` if the session already existed.
async fn carry_out(
    conn: &mut Conn<'_>,
    plan: &Plan,
    new: &NewSession,
    sessions: &Sessions,
) -> Result<(Record, Option<Kind>)> {
    let missing = || Error::SessionEnded(EndedBecause::Unknown);
    match plan {
        Plan::Rotate(old) => {
            let record = statements::rotate(conn, old, new, sessions.times).await?.ok_or_else(missing)?;
            Ok((record, Some(Kind::SessionRegenerated)))
        }
        Plan::Resume(_) => {
            let record = statements::resume(conn, new, sessions.times).await?.ok_or_else(missing)?;
            Ok((record, None))
        }
        Plan::Inherit(from) => {
            let record = statements::create(conn, new, sessions.times).await?;
            statements::inherit(conn, &new.account_id, &record.id, from).await?;
            Ok((record, Some(Kind::SessionCreated)))
        }
        Plan::Create => Ok((statements::create(conn, new, sessions.times).await?, Some(Kind::SessionCreated))),
    }
}
