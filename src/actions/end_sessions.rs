//! A signed-in person ends sessions: a single session, all others, those of a device, or those of an intruder. An
//! [`Ending`] has a short text form, so that a form can carry it through the confirmation. Called by the devices page
//! and the API ([`end`]) and by [`confirm`](super::confirm) (`carry_out`).
//!
//! Locks, in this order: the account's row, its live sessions by id, then devices.
//!
//! Invariant: only sessions and devices of the person's own account are ended.

use std::fmt;

use crate::{
    base::{
        db::{Conn, Db},
        error::{Error, Result},
        text::is_id,
    },
    records::{
        account,
        audit::{self, Event, Kind},
        device::{arrivals, known},
        session::{CurrentUser, Reach, Scope, Who, ends, former, listing},
    },
};

/// Longest text form of an [`Ending`], in bytes.
const LONGEST: usize = 100;

/// Which sessions to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// One session.
    Session(String),
    /// All sessions except the acting one.
    Others,
    /// All sessions on a device. The device stays known.
    OnDevice(String),
    /// All sessions on a device. The device is forgotten.
    Device(String),
    /// The session or device with this id, used by somebody else. Its sessions end, and the device is forgotten.
    NotMe(String),
}

impl Ending {
    /// Parses the text form of an ending. Returns `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "others" {
            return Some(Self::Others);
        }
        let (word, id) = text.split_once(':').filter(|(_, id)| text.len() <= LONGEST && is_id(id))?;
        let named = |prefix: &str| id.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()).then(|| id.to_owned());
        match word {
            "session" => named("aiq_").map(Self::Session),
            "on-device" => named("dev_").map(Self::OnDevice),
            "device" => named("dev_").map(Self::Device),
            "not-me" => named("aiq_").or_else(|| named("dev_")).map(Self::NotMe),
            _ => None,
        }
    }

    /// Whether the person must answer a confirmation question, even if they entered their password recently. True for
    /// every ending that reaches further than one session.
    pub fn needs_answer(&self) -> bool {
        !matches!(self, Self::Session(_))
    }

    /// Where to redirect a person who ended their own session. After [`Ending::NotMe`], the login leads on to choosing
    /// a new password.
    pub fn leads_out_to(&self) -> &'static str {
        match self {
            Self::NotMe(_) => "/login?next=%2Faccount%3Fwhy%3Dnot-me",
            Self::Session(_) | Self::Others | Self::OnDevice(_) | Self::Device(_) => "/login",
        }
    }

    /// Replaces a former session id by the current one. A page drawn before a key rotation names the former id.
    async fn with_current_id(&self, conn: &mut Conn<'_>, account_id: &str) -> Result<Self> {
        Ok(match self {
            Self::Session(id) => Self::Session(former::present_id(conn, account_id, id).await?),
            Self::NotMe(id) if !id.starts_with("dev_") => Self::NotMe(former::present_id(conn, account_id, id).await?),
            other => other.clone(),
        })
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(id) => write!(f, "session:{id}"),
            Self::Others => f.write_str("others"),
            Self::OnDevice(id) => write!(f, "on-device:{id}"),
            Self::Device(id) => write!(f, "device:{id}"),
            Self::NotMe(id) => write!(f, "not-me:{id}"),
        }
    }
}

/// The sessions that were ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndedSessions {
    /// How many live sessions ended.
    pub count: usize,
    /// Whether the acting session was among them.
    pub own: bool,
}

/// Ends sessions, if the acting session is still live and confirmed its password recently. Returns `None` if the acting
/// session has ended.
///
/// # Errors
/// [`Error::ConfirmationRequired`]; [`Error::NotFound`] when the account has no such session or device.
pub async fn end(db: &Db, user: &CurrentUser, ending: Ending, ip: Option<String>) -> Result<Option<EndedSessions>> {
    let acting = user.acting();
    let ended = db
        .write(async move |conn: &mut Conn<'_>| {
            let Some(who) = acting.hold_confirmed(conn, Reach::AllSessions).await? else {
                return Ok(None);
            };
            carry_out(conn, &who, &ending, ip.as_deref()).await.map(Some)
        })
        .await?;
    match ended {
        None => Ok(None),
        Some(None) => Err(Error::NotFound),
        Some(ended) => Ok(ended),
    }
}

/// The name of the device that an ending affects; empty for [`Ending::Others`]. Returns `None` if the account has no
/// such session or device.
pub async fn name(conn: &mut Conn<'_>, who: &Who, ending: &Ending) -> Result<Option<String>> {
    let account = who.account_id.as_str();
    match &ending.with_current_id(conn, account).await? {
        Ending::Others => Ok(Some(String::new())),
        Ending::OnDevice(id) | Ending::Device(id) => Ok(known::one(conn, account, id).await?.map(|device| device.name)),
        Ending::NotMe(id) if id.starts_with("dev_") => {
            Ok(known::one(conn, account, id).await?.map(|device| device.name))
        }
        Ending::Session(id) | Ending::NotMe(id) => {
            let found = listing::one(conn, account, id).await?;
            Ok(found.map(|(record, device)| device.unwrap_or_else(|| record.client().label())))
        }
    }
}

/// Ends sessions and records audit events, in the caller's transaction. Returns `None` if the account has no such
/// session or device. A session that had already ended counts as found, but is not included in the count.
pub(super) async fn carry_out(
    conn: &mut Conn<'_>,
    who: &Who,
    ending: &Ending,
    ip: Option<&str>,
) -> Result<Option<EndedSessions>> {
    account::lock(conn, &who.account_id).await?;
    let account = who.account_id.clone();
    match &ending.with_current_id(conn, &account).await? {
        Ending::Others => {
            let others = Scope::Others { account, but: who.session_id.clone() };
            revoke(conn, who, &others, ip).await.map(Some)
        }
        Ending::Session(id) => {
            if listing::one(conn, &account, id).await?.is_none() {
                return Ok(None);
            }
            revoke(conn, who, &Scope::These { account, ids: vec![id.clone()] }, ip).await.map(Some)
        }
        Ending::OnDevice(id) => {
            if known::one(conn, &account, id).await?.is_none() {
                return Ok(None);
            }
            revoke(conn, who, &Scope::OnDevice { account, device: id.clone() }, ip).await.map(Some)
        }
        Ending::Device(id) => forget(conn, who, id, ip).await,
        Ending::NotMe(id) if id.starts_with("dev_") => forget(conn, who, id, ip).await,
        Ending::NotMe(id) => {
            let Some((record, _)) = listing::one(conn, &account, id).await? else {
                return Ok(None);
            };
            let one = revoke(conn, who, &Scope::These { account, ids: vec![id.clone()] }, ip).await?;
            let with_device = match &record.device_id {
                Some(device) => forget(conn, who, device, ip).await?.unwrap_or_default(),
                None => EndedSessions::default(),
            };
            Ok(Some(EndedSessions { count: one.count + with_device.count, own: one.own || with_device.own }))
        }
    }
}

async fn revoke(conn: &mut Conn<'_>, who: &Who, scope: &Scope, ip: Option<&str>) -> Result<EndedSessions> {
    let count = ends::revoke(conn, scope, who, ip).await?;
    let own = !listing::lives(conn, &who.account_id, &who.session_id).await?;
    Ok(EndedSessions { count, own })
}

/// Ends all sessions of a device and forgets the device. This also drops the browser's own count of wrong passwords.
async fn forget(conn: &mut Conn<'_>, who: &Who, id: &str, ip: Option<&str>) -> Result<Option<EndedSessions>> {
    let Some(device) = known::one(conn, &who.account_id, id).await? else {
        return Ok(None);
    };
    let Some(rest) = arrivals::rest_of(conn, &who.account_id, &device, who.device_id.as_deref()).await? else {
        return Ok(None);
    };
    let all = Scope::OnDevice { account: who.account_id.clone(), device: id.to_owned() };
    let ended = revoke(conn, who, &all, ip).await?;
    let event = Event::of(Kind::DeviceForgotten, &who.account_id)
        .session(&who.session_id)
        .device(Some(&device.id), Some(&device.name))
        .ip(ip);
    audit::record(conn, &[event]).await?;
    known::forget(conn, &who.account_id, id, rest).await?;
    Ok(Some(ended))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_round_trips_through_its_text() {
        for ending in [
            Ending::Session("aiq_1_a".into()),
            Ending::Others,
            Ending::OnDevice("dev_a".into()),
            Ending::Device("dev_a".into()),
            Ending::NotMe("aiq_1_a".into()),
            Ending::NotMe("dev_a".into()),
        ] {
            assert_eq!(Ending::parse(&ending.to_string()), Some(ending));
        }
    }

    #[test]
    fn every_ending_beyond_one_session_needs_an_answer() {
        assert!(!Ending::Session("aiq_1_a".into()).needs_answer());
        let device = || "dev_a".to_owned();
        for ending in [Ending::Others, Ending::OnDevice(device()), Ending::Device(device()), Ending::NotMe(device())] {
            assert!(ending.needs_answer(), "{ending}");
        }
    }

    #[test]
    fn other_texts_are_not_parsed_as_endings() {
        let long = format!("session:aiq_{}", "a".repeat(LONGEST));
        for text in [
            "",
            "other",
            "others:",
            "session",
            "session:",
            "session:dev_a",
            "device:aiq_a",
            "not-me:",
            "session:aiq_",
            "all",
            "session:aiq_\0",
            "not-me:dev_a b",
            &long,
        ] {
            assert_eq!(Ending::parse(text), None, "{text:?}");
        }
    }
}
