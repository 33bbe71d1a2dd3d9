//! A browser that was here before. It keeps a secret for each account in a cookie, a new one from every sign-in, so that the
//! same browser is the same device next time, and a copy of the cookie is worth nothing after the next sign-in. Called by the login rule; [`known`] is what its owner sees and does with it, [`arrivals`] what
//! the account's other devices are told of a new one; [`sweep`] clears away those that nobody comes back to.
//!
//! Invariant: a device belongs to one browser and one account, and no two devices share a secret; a secret opens nothing;
//! one that nobody knows here is never adopted.

pub mod arrivals;
pub mod client;
pub mod known;
mod owners;
pub mod sweep;

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, Insertable, NullableExpressionMethods as _, QueryDsl as _,
    Queryable, Selectable, SelectableHelper as _,
};

pub use self::client::{Client, Hints, Unread};
use crate::{
    base::{
        db::{Conn, Instant, find, now, run, schema::devices, words},
        error::{Error, Result},
        secret::{self, Secret},
        text,
    },
    records::session::KeyMaker,
};

words! {
    /// What sort of machine it is, for its picture.
    pub enum Shape {
        /// A computer.
        Desktop = "desktop",
        /// A phone.
        Phone = "phone",
        /// A tablet.
        Tablet = "tablet",
        /// Anything else, programs among them.
        Other = "other",
    }
}

/// A device, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = devices)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Device {
    /// Names the device; opens nothing.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whether it runs as an app on the home screen.
    pub installed: bool,
    /// When this browser first signed in to the account.
    pub first_seen: Instant,
    /// When it last did.
    pub last_seen: Instant,
    browser: String,
    os: String,
    kind: Shape,
    /// Since when it is known to be the person's own.
    pub acknowledged_at: Option<Instant>,
    /// Since when it is forgotten, and only kept for what it means to the account's other devices.
    pub forgotten_at: Option<Instant>,
}

impl Device {
    /// What its browser said of itself at the last login.
    pub fn client(&self) -> Client {
        Client { browser: self.browser.clone(), os: self.os.clone(), kind: self.kind, installed: self.installed }
    }
}

#[derive(Insertable)]
#[diesel(table_name = devices)]
struct Row<'a> {
    id: &'a str,
    account_id: &'a str,
    secret_hash: Vec<u8>,
    name: &'a str,
    browser: &'a str,
    os: &'a str,
    kind: Shape,
    installed: bool,
}

/// What a browser says of itself at a login.
#[derive(Debug, Clone)]
pub struct Says {
    /// By its headers.
    pub client: Client,
    /// Whether it runs as an app; `None` if it did not say, as a form does not.
    pub installed: Option<bool>,
    /// What the device is to be called.
    pub name: Option<String>,
}

/// The device of a login.
#[derive(Debug, Clone)]
pub struct Recognized {
    /// The device.
    pub device: Device,
    /// What is known of the browser now.
    pub client: Client,
    /// Whether the account was never used from it before.
    pub is_new: bool,
    /// What it was called before this login gave it another name.
    pub was_called: Option<String>,
    /// The secret that the browser keeps from now on.
    pub secret: Secret,
    /// The secrets of other accounts' devices that the browser brought, to be kept.
    pub others: Vec<Secret>,
}

/// What is known of the browser of a sign-in.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// The secrets that it brought.
    pub presented: Vec<Secret>,
    /// The secret that it keeps from now on, unless one follows from what it brought.
    pub next: Secret,
    /// The device that it is known to be by something else than a secret.
    pub known: Option<String>,
    /// Who makes the secret that follows another.
    pub keys: KeyMaker,
}

/// The account's devices of a browser that has one of these secrets, or had it before one that it has not shown yet.
macro_rules! of_browser {
    ($account_id:expr, $secrets:expr) => {{
        let hashes: Vec<Vec<u8>> = $secrets.iter().map(Secret::hash).collect();
        let previous: Vec<Option<Vec<u8>>> = hashes.iter().cloned().map(Some).collect();
        devices::table.filter(devices::account_id.eq($account_id)).filter(
            devices::secret_hash.eq_any(hashes).or(devices::previous_secret_hash
                .is_not_null()
                .and(devices::previous_secret_hash.eq_any(previous).assume_not_null())),
        )
    }};
}

/// The account's device of a browser that has these secrets.
///
/// # Errors
/// When the database is away.
pub async fn find(conn: &mut Conn<'_>, account_id: &str, secrets: &[Secret]) -> Result<Option<Device>> {
    if secrets.is_empty() {
        return Ok(None);
    }
    find!(conn, first(of_browser!(account_id, secrets).select(Device::as_select())))
}

/// A browser that an account knows, as far as its count of wrong passwords is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Browser {
    /// Its device.
    pub id: String,
    /// Whether the account's present password was given on it, and not only an earlier one.
    pub proved: bool,
    /// Whether it is known to be the person's own.
    pub acknowledged: bool,
}

type BrowserRow = (String, Option<Instant>, Option<Instant>);

impl From<BrowserRow> for Browser {
    fn from((id, proved, acknowledged): BrowserRow) -> Self {
        Self { id, proved: proved.is_some(), acknowledged: acknowledged.is_some() }
    }
}

/// The browser that has this secret, if the account knows it and has not forgotten it.
///
/// # Errors
/// When the database is away.
pub async fn browser(conn: &mut Conn<'_>, account_id: &str, secrets: &[Secret]) -> Result<Option<Browser>> {
    if secrets.is_empty() {
        return Ok(None);
    }
    let kept = of_browser!(account_id, secrets).filter(devices::forgotten_at.is_null());
    let row: Option<BrowserRow> =
        find!(conn, first(kept.select((devices::id, devices::proved_at, devices::acknowledged_at))))?;
    Ok(row.map(Browser::from))
}

/// The same browser by the id of its device: it is signed in.
///
/// # Errors
/// When the database is away.
pub async fn browser_with_id(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<Option<Browser>> {
    let own = devices::table.filter(devices::account_id.eq(account_id)).filter(devices::id.eq(id));
    let kept = own.filter(devices::forgotten_at.is_null());
    let row: Option<BrowserRow> =
        find!(conn, first(kept.select((devices::id, devices::proved_at, devices::acknowledged_at))))?;
    Ok(row.map(Browser::from))
}

/// Notes that the account's present password was given on a device.
///
/// # Errors
/// When the database is away.
pub async fn prove(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<()> {
    let device = devices::table.filter(devices::account_id.eq(account_id)).filter(devices::id.eq(id));
    run!(conn, execute(diesel::update(device).set(devices::proved_at.eq(now().nullable())))).map(drop)
}

/// Notes that the account's present password was given on none of its devices, since it is a new one.
///
/// # Errors
/// When the database is away.
pub async fn doubt_all(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    let proved = devices::table.filter(devices::account_id.eq(account_id)).filter(devices::proved_at.is_not_null());
    run!(conn, execute(diesel::update(proved).set(devices::proved_at.eq(None::<Instant>)))).map(drop)
}

/// The device of a login: known by the browser's secret, else made. The browser gets a new secret, and the one that it
/// brought counts until it has shown the new one. Until then all logins that bring the same secret get the same new one,
/// whichever of their answers the browser keeps.
///
/// # Errors
/// When the database is away.
pub async fn recognize(conn: &mut Conn<'_>, account_id: &str, sign_in: SignIn, says: Says) -> Result<Recognized> {
    let device = match &sign_in.known {
        Some(id) => known::one(conn, account_id, id).await?,
        None => None,
    };
    let device = match device {
        Some(device) => Some(device),
        None => find(conn, account_id, &sign_in.presented).await?,
    };
    let mut recognized = match device {
        Some(device) => see_again(conn, account_id, device, &sign_in, says).await?,
        None => create(conn, account_id, &sign_in.next, says).await?,
    };
    recognized.others = owners::of_others(conn, account_id, sign_in.presented).await?;
    Ok(recognized)
}

async fn create(conn: &mut Conn<'_>, account_id: &str, secret: &Secret, says: Says) -> Result<Recognized> {
    let client = Client { installed: says.installed.unwrap_or(false), ..says.client };
    let id = secret::random_name("dev_")?;
    let label = client.label();
    let row = Row {
        id: &id,
        account_id,
        secret_hash: secret.hash(),
        name: says.name.as_deref().unwrap_or(&label),
        browser: &client.browser,
        os: &client.os,
        kind: client.kind,
        installed: client.installed,
    };
    let is_first = !arrivals::any(conn, account_id).await?;
    let device: Device = run!(
        conn,
        get_result(
            diesel::insert_into(devices::table)
                .values((
                    row,
                    devices::first_seen.eq(now()),
                    devices::last_seen.eq(now()),
                    devices::proved_at.eq(now().nullable()),
                ))
                .on_conflict((devices::account_id, devices::secret_hash))
                .do_update()
                .set((devices::last_seen.eq(now()), devices::proved_at.eq(now().nullable())))
                .returning(Device::as_returning())
        )
    )?;
    owners::add(conn, account_id, &secret.hash()).await?;
    if is_first {
        arrivals::set(conn, account_id, &device.id).await?;
    } else {
        sweep::make_room(conn, account_id).await?;
    }
    let secret = secret.clone();
    Ok(Recognized { device, client, is_new: true, was_called: None, secret, others: Vec::new() })
}

async fn see_again(
    conn: &mut Conn<'_>,
    account_id: &str,
    known: Device,
    sign_in: &SignIn,
    says: Says,
) -> Result<Recognized> {
    let NextSecret { next, previous, replaced } = next_secret(conn, account_id, &known.id, sign_in).await?;
    if let Some(replaced) = replaced.filter(|hash| !next.matches(hash)) {
        owners::remove(conn, &[account_id], &[replaced]).await?;
        owners::add(conn, account_id, &next.hash()).await?;
    }
    let client = Client { installed: says.installed.unwrap_or(known.installed), ..says.client };
    let is_named = says.name.is_some();
    // A name that was made of what the browser said follows it: the next version of a system is no other device.
    let as_it_looks = if known.name == known.client().label() { client.label() } else { known.name.clone() };
    let name = says.name.unwrap_or(as_it_looks);
    let row = devices::table.filter(devices::account_id.eq(account_id)).filter(devices::id.eq(&known.id));
    let device: Device = run!(
        conn,
        get_result(
            diesel::update(row)
                .set((
                    devices::last_seen.eq(now()),
                    devices::proved_at.eq(now().nullable()),
                    devices::name.eq(&name),
                    devices::browser.eq(&client.browser),
                    devices::os.eq(&client.os),
                    devices::kind.eq(client.kind),
                    devices::installed.eq(client.installed),
                    devices::forgotten_at.eq(None::<Instant>),
                    devices::secret_hash.eq(next.hash()),
                    // The same one again: its answer was lost, or it has come.
                    devices::previous_secret_hash.eq(previous.filter(|hash| !next.matches(hash))),
                ))
                .returning(Device::as_returning())
        )
    )?;
    let was_called = (is_named && device.name != known.name).then_some(known.name);
    Ok(Recognized { device, client, is_new: false, was_called, secret: next, others: Vec::new() })
}

/// How a device's secret changes at a sign-in.
struct NextSecret {
    /// What the browser keeps from now on.
    next: Secret,
    /// The hash of the secret that the browser brought, if the device is known by it.
    previous: Option<Vec<u8>>,
    /// The hash of the device's secret until now.
    replaced: Option<Vec<u8>>,
}

async fn next_secret(conn: &mut Conn<'_>, account_id: &str, id: &str, sign_in: &SignIn) -> Result<NextSecret> {
    type Hashes = (Vec<u8>, Option<Vec<u8>>);
    let device = devices::table.find((account_id, id));
    let kept: Option<Hashes> =
        find!(conn, first(device.select((devices::secret_hash, devices::previous_secret_hash))))?;
    let Some((present, before)) = kept else {
        return Ok(NextSecret { next: sign_in.next.clone(), previous: None, replaced: None });
    };
    let is_known =
        |secret: &&Secret| secret.matches(&present) || before.as_ref().is_some_and(|hash| secret.matches(hash));
    let Some(brought) = sign_in.presented.iter().find(is_known) else {
        return Ok(NextSecret { next: sign_in.next.clone(), previous: None, replaced: Some(present) });
    };
    let next = match sign_in.keys.next_device_secret_again(id, brought, &present) {
        Some(next) => next,
        None => sign_in.keys.next_device_secret(id, brought)?,
    };
    Ok(NextSecret { next, previous: Some(brought.hash()), replaced: Some(present) })
}

/// A name somebody gives a device: 1 to 60 characters that can be seen.
///
/// # Errors
/// [`Error::Invalid`] with what is wrong.
pub fn check_name(typed: &str) -> Result<String> {
    let name = typed.trim();
    if name.chars().count() > 60 || !text::is_name(name) {
        return Err(Error::Invalid("a device's name has 1 to 60 characters that can be seen".into()));
    }
    Ok(name.to_owned())
}
