//! Finds the device of a browser, by the secret that it sent or by the session's device, and notes whether the
//! account's current password was entered on it. Called by the checks of passwords and by the sign-in.
//!
//! Invariant: every statement names the account.

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _,
    SelectableHelper as _,
};

use super::row::Device;
use crate::base::{
    db::{Conn, Instant, find, now, run, schema::devices},
    error::Result,
    secret::Secret,
};

/// The account's devices with one of these secrets. A device's previous secret counts until its browser has sent the
/// new one.
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

/// The account's device of the browser that sent these secrets, forgotten or not.
pub async fn find(conn: &mut Conn<'_>, account_id: &str, secrets: &[Secret]) -> Result<Option<Device>> {
    if secrets.is_empty() {
        return Ok(None);
    }
    find!(conn, first(of_browser!(account_id, secrets).select(Device::as_select())))
}

/// A known browser of an account. Decides which count of wrong passwords applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Browser {
    /// The device's id.
    pub id: String,
    /// Whether the account's current password was entered on it, not only an earlier one.
    pub proved: bool,
    /// Whether the device is acknowledged as the person's own.
    pub acknowledged: bool,
}

type BrowserRow = (String, Option<Instant>, Option<Instant>);

impl From<BrowserRow> for Browser {
    fn from((id, proved, acknowledged): BrowserRow) -> Self {
        Self { id, proved: proved.is_some(), acknowledged: acknowledged.is_some() }
    }
}

/// The known browser that sent these secrets. `None` if its device is unknown or forgotten.
pub async fn browser(conn: &mut Conn<'_>, account_id: &str, secrets: &[Secret]) -> Result<Option<Browser>> {
    if secrets.is_empty() {
        return Ok(None);
    }
    let kept = of_browser!(account_id, secrets).filter(devices::forgotten_at.is_null());
    let row: Option<BrowserRow> =
        find!(conn, first(kept.select((devices::id, devices::proved_at, devices::acknowledged_at))))?;
    Ok(row.map(Browser::from))
}

/// The known browser of a signed-in device. `None` if the device is unknown or forgotten.
pub async fn browser_with_id(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<Option<Browser>> {
    let own = devices::table.filter(devices::account_id.eq(account_id)).filter(devices::id.eq(id));
    let kept = own.filter(devices::forgotten_at.is_null());
    let row: Option<BrowserRow> =
        find!(conn, first(kept.select((devices::id, devices::proved_at, devices::acknowledged_at))))?;
    Ok(row.map(Browser::from))
}

/// Notes that the account's current password was entered on a device.
pub async fn prove(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<()> {
    let device = devices::table.filter(devices::account_id.eq(account_id)).filter(devices::id.eq(id));
    run!(conn, execute(diesel::update(device).set(devices::proved_at.eq(now().nullable())))).map(drop)
}

/// Notes that the account's current password was entered on none of its devices. Called when the password changes.
pub async fn doubt_all(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    let proved = devices::table.filter(devices::account_id.eq(account_id)).filter(devices::proved_at.is_not_null());
    run!(conn, execute(diesel::update(proved).set(devices::proved_at.eq(None::<Instant>)))).map(drop)
}
