//! A person uses a link to choose a password: an invitation, or a link for a new password. Called by the page of the link.
//!
//! Two transactions: [`new_password`](crate::actions::new_password) counts the attempt; the second one uses the link up.
//! Locks of the second, in this order: the instance's row if somebody becomes an owner, the account's row, the counts of the
//! attempt, live sessions by id, the device.
//!
//! Invariant: the link, the password, the ends of the other sessions and the new session are committed together or not at
//! all.

use crate::{
    actions::{
        new_password::{Door, HashedPassword},
        new_session::{Visit, Welcome, begin},
        password_proof::{Prover, keep_leaving, run_to_completion},
        second_factor::half::{Half, HalfSignedIn},
    },
    base::{
        db::{Conn, Db},
        error::Result,
        secret::Secret,
    },
    records::{
        account::{
            self, Admission, EmailAddress, Role, factors,
            hasher::ChosenPassword,
            person::{self, Person},
        },
        audit::{self, Event, Kind},
        help, instance,
        link::{self, Link, Purpose},
        mail::{Detail, MailKind},
        second_factor,
        session::{EndReason, Scope, Sessions, ends},
        throttle::Network,
    },
};

/// A link, and the person that it belongs to.
#[derive(Debug, Clone)]
pub struct Opened {
    pub purpose: Purpose,
    pub person: account::Account,
    /// Whether the link works now.
    pub is_good: bool,
}

/// What the person chose. The name is well formed.
pub struct Choice {
    /// `None` leaves the name as it is.
    pub name: Option<String>,
    pub password: String,
    pub network: Network,
    /// The browser that gets the new session.
    pub visit: Visit,
}

/// The outcome of using a link.
pub enum Accepted {
    /// The password is set, and the person is signed in.
    Yes(Box<Welcome>),
    /// The password is set. The account has a second factor, which the person still has to give.
    Half(Box<HalfSignedIn>),
    /// The link was used, has expired, or never existed.
    Gone,
}

/// Looks a link up, without using it. `None` for an unknown link, and for one that belongs to no account.
pub async fn look_up(db: &Db, token: &Secret) -> Result<Option<Opened>> {
    let token = token.clone();
    db.read(async move |conn: &mut Conn<'_>| Ok(open(conn, &token).await?.map(|(opened, _)| opened))).await
}

async fn open(conn: &mut Conn<'_>, token: &Secret) -> Result<Option<(Opened, Person)>> {
    let Some(Link { account_id, purpose, is_good, made_by, .. }) = link::look_up(conn, token).await? else {
        return Ok(None);
    };
    let Some(person) = person::find(conn, &account_id).await? else { return Ok(None) };
    let fits = match purpose {
        Purpose::Invitation => person.is_invited(),
        _ => !person.is_invited(),
    };
    let is_good = is_good && fits && !person.is_disabled() && may_still(conn, &made_by, &person).await?;
    Ok(Some((Opened { purpose, person: person.account.clone(), is_good }, person)))
}

/// Whether whoever made a link for somebody else still may: an admin who was dismissed since must not use it themselves.
async fn may_still(conn: &mut Conn<'_>, made_by: &str, person: &Person) -> Result<bool> {
    if [audit::OPERATOR, audit::SYSTEM, &person.account.id].contains(&made_by) {
        return Ok(true);
    }
    let maker = account::one(conn, made_by).await?;
    Ok(maker.is_some_and(|maker| match person.is_invited() {
        true => maker.role.manages() && maker.role.may_give(person.account.role),
        false => maker.role.is_above(person.account.role),
    }))
}

/// Sets the password, ends the account's other sessions, settles its request for help, and signs the person in. If
/// the account has a second factor, returns the first step of a sign-in instead. Runs to completion even if the client
/// disconnects.
///
/// # Errors
/// [`Error::Invalid`](crate::base::error::Error::Invalid) for a password that is easy to guess;
/// [`Error::TooManyAttempts`](crate::base::error::Error::TooManyAttempts).
pub async fn accept(prover: &Prover, sessions: &Sessions, token: Secret, choice: Choice) -> Result<Accepted> {
    let (prover, sessions) = (prover.clone(), sessions.clone());
    run_to_completion(async move {
        let Some(opened) = look_up(&prover.db, &token).await?.filter(is_for_a_password) else {
            return Ok(Accepted::Gone);
        };
        let Choice { name, password, network, visit } = choice;
        let about = vec![name.clone().unwrap_or_else(|| opened.person.name.clone()), opened.person.email.clone()];
        let password = prover.choose(Door::Link(network), password, about, opened.person.has_second_factor()).await?;
        let used = Used { token, opened, name, password, visit };
        prover.db.write(async move |conn: &mut Conn<'_>| use_up(conn, &sessions, used).await).await
    })
    .await
}

fn is_for_a_password(opened: &Opened) -> bool {
    opened.is_good && matches!(opened.purpose, Purpose::Invitation | Purpose::Password)
}

struct Used {
    token: Secret,
    opened: Opened,
    name: Option<String>,
    password: HashedPassword,
    visit: Visit,
}

async fn use_up(conn: &mut Conn<'_>, sessions: &Sessions, used: Used) -> Result<Accepted> {
    let Used { token, opened, name, password, visit } = used;
    let (id, ip) = (opened.person.id.clone(), visit.ip.clone());
    if opened.purpose == Purpose::Invitation {
        // An invited person may become an owner.
        instance::lock(conn).await?;
    }
    account::lock(conn, &id).await?;
    let now = open(conn, &token).await?.filter(|(now, _)| is_for_a_password(now) && now.purpose == opened.purpose);
    let Some((_, Person { mut account, .. })) = now else {
        password.refused(conn).await?;
        return Ok(Accepted::Gone);
    };
    let admission = account::admit_by_link(conn, &id).await?;
    if admission == Admission::No || !link::spend(conn, &id, &token, opened.purpose).await? {
        password.refused(conn).await?;
        return Ok(Accepted::Gone);
    }
    if admission == Admission::Leaving {
        keep_leaving(conn, &id, ip.as_deref()).await?;
    }
    password.created(conn).await?;
    if let Some(name) = name.filter(|name| *name != account.name) {
        account::rename(conn, &id, &name).await?;
        account.name = name;
    }
    set_password(conn, &id, password.chosen()).await?;
    let event = match opened.purpose {
        Purpose::Invitation => Event::of(Kind::AccountCreated, &id).detail(account.role.as_str()),
        _ => Event::of(Kind::PasswordReset, &id),
    };
    if opened.purpose == Purpose::Invitation && account.role == Role::Owner {
        instance::close_setup(conn).await?;
    }
    audit::record(conn, &[event.ip(ip.as_deref())]).await?;
    if opened.purpose == Purpose::Password {
        let detail = Detail { ip: ip.clone(), ..Detail::default() };
        sessions.letters.queue(conn, &account, MailKind::PasswordChanged, &detail).await?;
    }
    if let Some(state) = factors::state(conn, &id).await?.filter(|state| state.count > 0) {
        ends::end(conn, &Scope::Account(id.clone()), EndReason::PasswordChanged, &id, ip.as_deref()).await?;
        let changed_at = account::password_age(conn, &id).await?.unwrap_or(sessions.clock.now());
        let email = EmailAddress::known(&account.email)?;
        let half = Half::new(&id, email.key(), changed_at, state.version, sessions.clock.now())?;
        let methods = second_factor::methods(conn, &id).await?;
        return Ok(Accepted::Half(Box::new(HalfSignedIn { half, methods })));
    }
    let welcome = begin(conn, account, visit, sessions).await?;
    let others = Scope::Others { account: id.clone(), but: welcome.record.id.clone() };
    ends::end(conn, &others, EndReason::PasswordChanged, &id, ip.as_deref()).await?;
    Ok(Accepted::Yes(Box::new(welcome)))
}

/// Sets the password. Other links of the account stop working, and its request for help is settled.
async fn set_password(conn: &mut Conn<'_>, id: &str, chosen: &ChosenPassword) -> Result<()> {
    account::set_password(conn, id, chosen).await?;
    for purpose in [Purpose::Invitation, Purpose::Password, Purpose::HandOver] {
        link::end(conn, id, purpose).await?;
    }
    help::settle(conn, id).await
}
