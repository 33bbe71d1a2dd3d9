//! Whether browsers can use passkeys for this service, and whether the passkeys that people have were made for its host.
//! Called by `doctor` and by the start.
//!
//! Invariant: a service without passkeys is no problem. Passkeys that have stopped working are one.

use super::finding::Finding;
use crate::{
    base::{
        db::Conn,
        error::Result,
        webauthn::{Ceremonies, NoPasskeys},
    },
    records::passkey,
};

/// Compares the host with those that the passkeys in the database were made for.
pub async fn passkeys(conn: &mut Conn<'_>, here: Result<&Ceremonies, NoPasskeys>) -> Result<Finding> {
    let rp_id = here.map_or("", Ceremonies::rp_id);
    let others = passkey::for_other_hosts(conn, rp_id).await?;
    Ok(finding(here, others))
}

/// The finding where `others` passkeys were made for another host.
pub fn finding(here: Result<&Ceremonies, NoPasskeys>, others: i64) -> Finding {
    let state = match here {
        Ok(ceremonies) => format!("browsers can have passkeys for {}", ceremonies.rp_id()),
        Err(why) => why.to_string(),
    };
    let were = if others == 1 { "passkey was" } else { "passkeys were" };
    match others {
        0 => Ok(state),
        _ => Err(format!(
            "{others} {were} made for another host, and cannot be used here ({state}): correct SESSILE_PUBLIC_URL, or let \
             these people sign in another way and make new ones"
        )),
    }
}
