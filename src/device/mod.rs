//! A browser that was here before. It keeps a secret in a cookie from its first login on, so that the same browser is
//! the same device next time. Called by the login rule; [`known`] is what its owner sees and does with it, [`arrivals`] what
//! the account's other devices are told of a new one; [`sweep`] clears away those that nobody comes back to.
//!
//! Invariant: a device belongs to one browser and one account; its secret opens nothing; one that nobody knows here
//! is never adopted.

pub mod arrivals;
pub mod client;
pub mod known;
pub mod sweep;

use diesel::{
    ExpressionMethods as _, Insertable, NullableExpressionMethods as _, QueryDsl as _, Queryable, Selectable,
    SelectableHelper as _,
};

pub use self::client::{Client, Hints};
use crate::{
    db::{Conn, Instant, find, now, run, schema::devices, words},
    error::{Error, Result},
    secret::{self, Secret},
    text,
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
    /// What the browser keeps, from now on if it is new to this browser.
    pub secret: Secret,
}

/// The account's device of a browser that has this secret.
///
/// # Errors
/// When the database is away.
pub async fn find(conn: &mut Conn<'_>, account_id: &str, secret: &Secret) -> Result<Option<Device>> {
    find!(
        conn,
        first(
            devices::table
                .filter(devices::account_id.eq(account_id))
                .filter(devices::secret_hash.eq(secret.hash()))
                .select(Device::as_select())
        )
    )
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

/// The browser that has this secret, if the account knows it and has not forgotten it.
///
/// # Errors
/// When the database is away.
pub async fn browser(conn: &mut Conn<'_>, account_id: &str, secret: &Secret) -> Result<Option<Browser>> {
    let row: Option<(String, Option<Instant>, Option<Instant>)> = find!(
        conn,
        first(
            devices::table
                .filter(devices::account_id.eq(account_id))
                .filter(devices::secret_hash.eq(secret.hash()))
                .filter(devices::forgotten_at.is_null())
                .select((devices::id, devices::proved_at, devices::acknowledged_at))
        )
    )?;
    let browser = |(id, proved, acknowledged): (String, Option<Instant>, Option<Instant>)| Browser {
        id,
        proved: proved.is_some(),
        acknowledged: acknowledged.is_some(),
    };
    Ok(row.map(browser))
}

/// Notes that the account's present password was given on a device.
///
/// # Errors
/// When the database is away.
pub async fn prove(conn: &mut Conn<'_>, id: &str) -> Result<()> {
    let proved = devices::proved_at.eq(now().nullable());
    run!(conn, execute(diesel::update(devices::table.filter(devices::id.eq(id))).set(proved))).map(drop)
}

/// Notes that the account's present password was given on none of its devices, since it is a new one.
///
/// # Errors
/// When the database is away.
pub async fn doubt_all(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    let proved = devices::table.filter(devices::account_id.eq(account_id)).filter(devices::proved_at.is_not_null());
    run!(conn, execute(diesel::update(proved).set(devices::proved_at.eq(None::<Instant>)))).map(drop)
}

/// The device of a login: known by the browser's secret, else made. A secret that another account's device of the same
/// browser has is shared with it; one that nobody has is replaced.
///
/// # Errors
/// When the database is away.
pub async fn recognize(
    conn: &mut Conn<'_>,
    account_id: &str,
    presented: Option<Secret>,
    says: Says,
) -> Result<Recognized> {
    let Some(secret) = presented else {
        return create(conn, account_id, Secret::random_short()?, says).await;
    };
    if let Some(known) = find(conn, account_id, &secret).await? {
        return see_again(conn, known, secret, says).await;
    }
    let elsewhere: Option<String> =
        find!(conn, first(devices::table.filter(devices::secret_hash.eq(secret.hash())).select(devices::id)))?;
    let secret = if elsewhere.is_some() { secret } else { Secret::random_short()? };
    create(conn, account_id, secret, says).await
}

/// Two logins at once from one browser may both come here: the second finds the row of the first.
async fn create(conn: &mut Conn<'_>, account_id: &str, secret: Secret, says: Says) -> Result<Recognized> {
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
    if is_first {
        arrivals::set(conn, &device.id).await?;
    } else {
        sweep::make_room(conn, account_id).await?;
    }
    Ok(Recognized { device, client, is_new: true, was_called: None, secret })
}

async fn see_again(conn: &mut Conn<'_>, known: Device, secret: Secret, says: Says) -> Result<Recognized> {
    let client = Client { installed: says.installed.unwrap_or(known.installed), ..says.client };
    let is_named = says.name.is_some();
    // A name that was made of what the browser said follows it: the next version of a system is no other device.
    let as_it_looks = if known.name == known.client().label() { client.label() } else { known.name.clone() };
    let name = says.name.unwrap_or(as_it_looks);
    let device: Device = run!(
        conn,
        get_result(
            diesel::update(devices::table.filter(devices::id.eq(&known.id)))
                .set((
                    devices::last_seen.eq(now()),
                    devices::proved_at.eq(now().nullable()),
                    devices::name.eq(&name),
                    devices::browser.eq(&client.browser),
                    devices::os.eq(&client.os),
                    devices::kind.eq(client.kind),
                    devices::installed.eq(client.installed),
                    devices::forgotten_at.eq(None::<Instant>),
                ))
                .returning(Device::as_returning())
        )
    )?;
    let was_called = (is_named && device.name != known.name).then_some(known.name);
    Ok(Recognized { device, client, is_new: false, was_called, secret })
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
