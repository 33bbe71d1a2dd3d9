//! Finds or creates the device of a sign-in. Called by the actions that sign in.
//!
//! Invariant: a device is found only by a secret that its browser sent, or by the device id of the browser's session.

use diesel::{
    ExpressionMethods as _, Insertable, NullableExpressionMethods as _, QueryDsl as _, SelectableHelper as _,
    upsert::excluded,
};

use super::{
    arrivals, browser::find, client::Client, known, owners, row::Device, secrets::DeviceSecrets, shape::Shape,
};
use crate::{
    base::{
        db::{Conn, Instant, find, now, run, schema::devices},
        error::Result,
        secret::{self, Secret},
    },
    records::news,
};

/// What a browser reports about itself at a login.
#[derive(Debug, Clone)]
pub struct Reported {
    /// Read from its headers.
    pub client: Client,
    /// Whether it runs as an installed app. `None` if it did not report that: forms never do.
    pub installed: Option<bool>,
    /// The wanted name of the device.
    pub name: Option<String>,
}

/// The device of a login.
#[derive(Debug, Clone)]
pub struct Recognized {
    pub device: Device,
    /// The current description of the browser.
    pub client: Client,
    /// Whether this login created the device.
    pub is_new: bool,
    /// The device's old name, if this login renamed it.
    pub was_called: Option<String>,
    /// The browser's new secret.
    pub secret: Secret,
    /// The secrets of other accounts' devices that the browser sent. Its cookie must keep them.
    pub others: Vec<Secret>,
}

/// The secrets of the browser at a sign-in.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// The secrets that the browser sent.
    pub presented: Vec<Secret>,
    /// The browser's new secret, unless it is derived from one of `presented`.
    pub next: Secret,
    /// The device's id, if it is known from the browser's session.
    pub known: Option<String>,
    /// Derives the next secret of a device.
    pub secrets: DeviceSecrets,
}

/// Finds the device of a login by the browser's secret, or creates it. The browser gets a new secret. The old secret
/// stays valid until the browser has sent the new one. Until then, all logins with the old secret get the same new
/// secret, so that the browser may keep the cookie of any of them.
pub async fn recognize(
    conn: &mut Conn<'_>,
    account_id: &str,
    sign_in: SignIn,
    reported: Reported,
) -> Result<Recognized> {
    let device = match &sign_in.known {
        Some(id) => known::one(conn, account_id, id).await?,
        None => None,
    };
    let device = match device {
        Some(device) => Some(device),
        None => find(conn, account_id, &sign_in.presented).await?,
    };
    let mut recognized = match device {
        Some(device) => update(conn, account_id, device, &sign_in, reported).await?,
        None => create(conn, account_id, &sign_in.next, reported).await?,
    };
    recognized.others = owners::of_others(conn, account_id, sign_in.presented).await?;
    Ok(recognized)
}

#[derive(Insertable)]
#[diesel(table_name = devices)]
struct DeviceColumns<'a> {
    id: &'a str,
    account_id: &'a str,
    secret_hash: Vec<u8>,
    name: &'a str,
    browser: &'a str,
    os: &'a str,
    kind: Shape,
    installed: bool,
}

async fn create(conn: &mut Conn<'_>, account_id: &str, secret: &Secret, reported: Reported) -> Result<Recognized> {
    let client = Client { installed: reported.installed.unwrap_or(false), ..reported.client };
    let id = secret::random_name("dev_")?;
    let label = client.label();
    let columns = DeviceColumns {
        id: &id,
        account_id,
        secret_hash: secret.hash(),
        name: reported.name.as_deref().unwrap_or(&label),
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
                    columns,
                    devices::first_seen.eq(now()),
                    devices::last_seen.eq(now()),
                    devices::proved_at.eq(now().nullable()),
                ))
                .on_conflict((devices::account_id, devices::secret_hash))
                .do_update()
                .set((
                    devices::last_seen.eq(excluded(devices::last_seen)),
                    devices::proved_at.eq(excluded(devices::proved_at)),
                ))
                .returning(Device::as_returning())
        )
    )?;
    owners::add(conn, account_id, &secret.hash()).await?;
    if is_first {
        arrivals::set(conn, account_id, &device.id).await?;
    }
    let secret = secret.clone();
    Ok(Recognized { device, client, is_new: true, was_called: None, secret, others: Vec::new() })
}

async fn update(
    conn: &mut Conn<'_>,
    account_id: &str,
    known: Device,
    sign_in: &SignIn,
    reported: Reported,
) -> Result<Recognized> {
    let NextSecret { next, previous, replaced } = next_secret(conn, account_id, &known.id, sign_in).await?;
    let client = Client { installed: reported.installed.unwrap_or(known.installed), ..reported.client };
    let is_named = reported.name.is_some();
    // Keep a generated name up to date, for example after an upgrade of the operating system.
    let default_name = if known.name == known.client().label() { client.label() } else { known.name.clone() };
    let name = reported.name.unwrap_or(default_name);
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
                    // If the browser already sent the new secret, there is no previous secret to accept.
                    devices::previous_secret_hash.eq(previous.filter(|hash| !next.matches(hash))),
                ))
                .returning(Device::as_returning())
        )
    )?;
    // After the device's row, as in the sweep of old devices.
    owners::replace(conn, account_id, replaced, &next).await?;
    if device.name != known.name {
        news::looked_up_changed(conn, std::iter::once(account_id)).await?;
    }
    let was_called = (is_named && device.name != known.name).then_some(known.name);
    Ok(Recognized { device, client, is_new: false, was_called, secret: next, others: Vec::new() })
}

/// The change of a device's secret at a sign-in.
struct NextSecret {
    /// The browser's new secret.
    next: Secret,
    /// The hash of the secret that the browser sent, if it belongs to the device.
    previous: Option<Vec<u8>>,
    /// The hash of the device's current secret. `None` if the device is missing.
    replaced: Option<Vec<u8>>,
}

async fn next_secret(conn: &mut Conn<'_>, account_id: &str, id: &str, sign_in: &SignIn) -> Result<NextSecret> {
    type Hashes = (Vec<u8>, Option<Vec<u8>>);
    let device = devices::table.filter(devices::account_id.eq(account_id)).filter(devices::id.eq(id));
    let kept: Option<Hashes> =
        find!(conn, first(device.select((devices::secret_hash, devices::previous_secret_hash))))?;
    let Some((present, before)) = kept else {
        return Ok(NextSecret { next: sign_in.next.clone(), previous: None, replaced: None });
    };
    let is_known =
        |secret: &&Secret| secret.matches(&present) || before.as_ref().is_some_and(|hash| secret.matches(hash));
    let Some(matched) = sign_in.presented.iter().find(is_known) else {
        return Ok(NextSecret { next: sign_in.next.clone(), previous: None, replaced: Some(present) });
    };
    let next = match sign_in.secrets.next_again(id, matched, &present) {
        Some(next) => next,
        None => sign_in.secrets.next(id, matched)?,
    };
    Ok(NextSecret { next, previous: Some(matched.hash()), replaced: Some(present) })
}
