//! The sessions of many people, for the list of people, and what is deleted with an account. Called by the pages, the API
//! and the actions on people.
//!
//! Invariant: a list reads the sessions of the listed accounts only.

use std::collections::BTreeMap;

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _,
    dsl::{count_star, max},
};
use serde::Serialize;

use super::{key_owner, live::is_live, record::SessionRef};
use crate::{
    base::{
        db::{
            Conn, Instant, run,
            schema::{app_codes, app_grants, devices, former_keys, sessions},
        },
        error::Result,
    },
    records::{
        account::{Role, person::Person},
        device::{Shape, owners},
        link::{self, Purpose},
        news,
        throttle::{Subject, count},
    },
};

/// How an account is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// The number of live sessions.
    pub sessions: i64,
    /// The last activity of a session that is still stored.
    pub last_activity: Option<Instant>,
    /// When the link of the invitation stops working. `None` if no such link works.
    pub invited_until: Option<Instant>,
    /// The address that replaces the account's once it is verified.
    pub new_email: Option<String>,
}

/// How these accounts are used, by id. Accounts without a stored session or working link are left out.
pub async fn usage(conn: &mut Conn<'_>, accounts: &[&str]) -> Result<BTreeMap<String, Usage>> {
    if accounts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let own = || sessions::table.filter(sessions::account_id.eq_any(accounts.to_vec())).group_by(sessions::account_id);
    let last: Vec<(String, Option<Instant>)> =
        run!(conn, load(own().select((sessions::account_id, max(sessions::last_activity)))))?;
    let live: Vec<(String, i64)> =
        run!(conn, load(own().filter(is_live()).select((sessions::account_id, count_star()))))?;
    let last = last.into_iter().map(|(id, last_activity)| (id, Usage { last_activity, ..Usage::default() }));
    let mut usage: BTreeMap<String, Usage> = last.collect();
    for (id, sessions) in live {
        usage.entry(id).or_default().sessions = sessions;
    }
    for link in link::working(conn, accounts, &[Purpose::Invitation, Purpose::Address]).await? {
        let own = usage.entry(link.account_id).or_default();
        match link.purpose {
            Purpose::Address => own.new_email = link.about,
            _ => own.invited_until = Some(link.expires_at),
        }
    }
    Ok(usage)
}

/// Deletes the account's sessions with their former keys, its devices, and the counts of their wrong passwords and codes. Of a
/// session that opened a protected app, the ids and the end are kept until the sweep deletes the row, because the app's
/// server asks about them. The caller has locked the account and ended its sessions.
pub async fn delete_all(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    let own = || sessions::table.filter(sessions::account_id.eq(account_id));
    let ids: Vec<String> = run!(conn, load(own().select(sessions::id)))?;
    let refs: Vec<SessionRef> = ids.iter().map(|id| SessionRef::new(account_id, id)).collect();
    for some in refs.chunks(500) {
        key_owner::forget(conn, some).await?;
    }
    run!(conn, execute(diesel::delete(former_keys::table.filter(former_keys::account_id.eq(account_id)))))?;
    run!(conn, execute(diesel::delete(app_codes::table.filter(app_codes::account_id.eq(account_id)))))?;
    let opened = || app_grants::table.filter(app_grants::account_id.eq(account_id)).select(app_grants::sid.nullable());
    let others = own().filter(sessions::sid.is_null().or(diesel::dsl::not(sessions::sid.eq_any(opened()))));
    run!(conn, execute(diesel::delete(others)))?;
    let personal = (
        sessions::device_id.eq(None::<String>),
        sessions::ip.eq(None::<String>),
        sessions::browser.eq(""),
        sessions::os.eq(""),
        sessions::kind.eq(Shape::Other),
        sessions::state.eq(serde_json::json!({})),
        sessions::data.eq("{}"),
        sessions::login_form.eq(None::<Vec<u8>>),
        sessions::key_nonce.eq(None::<String>),
    );
    run!(conn, execute(diesel::update(own()).set(personal)))?;
    delete_devices(conn, account_id).await?;
    news::looked_up_changed(conn, std::iter::once(account_id)).await
}

async fn delete_devices(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    let own = || devices::table.filter(devices::account_id.eq(account_id));
    let rows: Vec<(String, Vec<u8>)> = run!(conn, load(own().select((devices::id, devices::secret_hash))))?;
    run!(conn, execute(diesel::delete(own())))?;
    let (ids, hashes): (Vec<String>, Vec<Vec<u8>>) = rows.into_iter().unzip();
    for some in hashes.chunks(1000) {
        owners::remove(conn, some).await?;
    }
    let subjects = ids.iter().flat_map(|id| [Subject::device(id), Subject::former_device(id)]);
    let passwords: Vec<Subject> = subjects.chain([Subject::former_devices(account_id)]).collect();
    let codes = passwords.iter().cloned().map(Subject::of_codes);
    let subjects: Vec<Subject> = codes.chain(passwords.iter().cloned()).collect();
    count::forget(conn, &subjects).await
}

/// A person as the API and the commands show them.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonView {
    id: String,
    email: String,
    name: String,
    role: Role,
    groups: Vec<String>,
    status: &'static str,
    created_at: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_activity: Option<Instant>,
    sessions: i64,
    second_factor: bool,
    /// When the account will be deleted, because its person asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    deletes_at: Option<Instant>,
    /// Whether the link of the invitation no longer works. Only for invited people.
    #[serde(skip_serializing_if = "Option::is_none")]
    invitation_expired: Option<bool>,
    /// The address that counts once it is verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_email: Option<String>,
}

impl PersonView {
    pub fn new(person: &Person, usage: &Usage) -> Self {
        Self {
            id: person.account.id.clone(),
            email: person.account.email.clone(),
            name: person.account.name.clone(),
            role: person.account.role,
            groups: person.account.groups().map(str::to_owned).collect(),
            status: person.status(),
            created_at: person.created_at,
            last_activity: usage.last_activity.max(person.last_login_at),
            sessions: usage.sessions,
            second_factor: person.account.has_second_factor(),
            deletes_at: person.deletes_at(),
            invitation_expired: person.is_invited().then_some(usage.invited_until.is_none()),
            new_email: usage.new_email.clone(),
        }
    }
}

/// These people, each with how they are used.
pub async fn with_usage(conn: &mut Conn<'_>, people: Vec<Person>) -> Result<Vec<(Person, Usage)>> {
    let ids: Vec<&str> = people.iter().map(|person| person.account.id.as_str()).collect();
    let mut usage = usage(conn, &ids).await?;
    let of = |person: Person| {
        let usage = usage.remove(&person.account.id).unwrap_or_default();
        (person, usage)
    };
    Ok(people.into_iter().map(of).collect())
}
