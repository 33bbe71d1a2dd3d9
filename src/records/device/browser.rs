//! The browser of a device, found by its secret or by the device's id, and whether the account's present password was
//! given on it.

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
pub async fn browser_with_id(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<Option<Browser>> {
    let own = devices::table.filter(devices::account_id.eq(account_id)).filter(devices::id.eq(id));
    let kept = own.filter(devices::forgotten_at.is_null());
    let row: Option<BrowserRow> =
        find!(conn, first(kept.select((devices::id, devices::proved_at, devices::acknowledged_at))))?;
    Ok(row.map(Browser::from))
}

/// Notes that the account's present password was given on a device.
pub async fn prove(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<()> {
    let device = devices::table.filter(devices::account_id.eq(account_id)).filter(devices::id.eq(id));
    run!(conn, execute(diesel::update(device).set(devices::proved_at.eq(now().nullable())))).map(drop)
}

/// Notes that the account's present password was given on none of its devices, since it is a new one.
pub async fn doubt_all(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    let proved = devices::table.filter(devices::account_id.eq(account_id)).filter(devices::proved_at.is_not_null());
    run!(conn, execute(diesel::update(proved).set(devices::proved_at.eq(None::<Instant>)))).map(drop)
}
