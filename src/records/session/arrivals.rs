//! What a device is told of the account's new ones, with the address from which the first of them was used. Called by the
//! pages.

use super::devices;
use crate::{
    base::{db::Conn, error::Result},
    records::device::{
        Device,
        arrivals::{self, NewDevices},
    },
};

/// What a device is told of the account's new ones.
#[derive(Debug, Clone, Default)]
pub struct Arrivals {
    /// Devices that this one may answer for, of the 50 newest, the newest first.
    pub to_answer: Vec<Device>,
    /// Ids of the 50 newest that nobody has answered for, this one among them if it is new itself.
    pub unanswered: Vec<String>,
    /// Whether this one may answer for new ones at all.
    pub may_answer: bool,
    /// From where the first of those to be answered for was used last.
    pub from: Option<String>,
}

/// What the device in use is told. One query through an index of unanswered devices; others only while there are any.
pub async fn list(conn: &mut Conn<'_>, account_id: &str, in_use: Option<&str>) -> Result<Arrivals> {
    let NewDevices { to_answer, unanswered, may_answer } = arrivals::list(conn, account_id, in_use).await?;
    let from = match to_answer.first() {
        Some(first) => devices::last_ip(conn, account_id, &first.id).await?,
        None => None,
    };
    Ok(Arrivals { to_answer, unanswered, may_answer, from })
}
