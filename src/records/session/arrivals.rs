//! Lists the account's new devices for the device in use, with the address at which the first of them was last used.
//! Called by the pages.

use super::devices;
use crate::{
    base::{db::Conn, error::Result},
    records::device::{
        Device,
        arrivals::{self, NewDevices},
    },
};

/// The account's new devices, as the device in use may see them.
#[derive(Debug, Clone, Default)]
pub struct Arrivals {
    /// Devices that the device in use may acknowledge: those among the 50 newest, newest first.
    pub to_answer: Vec<Device>,
    /// Ids of the 50 newest unacknowledged devices, including the device in use if it is unacknowledged.
    pub unanswered: Vec<String>,
    /// Whether the device in use may acknowledge new devices at all.
    pub may_answer: bool,
    /// Address of the latest use of the first device in `to_answer`.
    pub from: Option<String>,
}

/// Lists the new devices for the device in use. Runs one query through an index of unacknowledged devices, and further
/// queries only if it finds any.
pub async fn list(conn: &mut Conn<'_>, account_id: &str, in_use: Option<&str>) -> Result<Arrivals> {
    let new = arrivals::newest(conn, account_id).await?;
    of(conn, account_id, in_use, new).await
}

/// Like [`list`], for the unacknowledged devices that the caller has read. Runs a query only if there are any.
pub async fn of(conn: &mut Conn<'_>, account_id: &str, in_use: Option<&str>, new: Vec<Device>) -> Result<Arrivals> {
    let NewDevices { to_answer, unanswered, may_answer } = arrivals::answerable(conn, account_id, in_use, new).await?;
    let from = match to_answer.first() {
        Some(first) => devices::last_ip(conn, account_id, &first.id).await?,
        None => None,
    };
    Ok(Arrivals { to_answer, unanswered, may_answer, from })
}
