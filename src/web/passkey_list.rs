//! The list of a person's passkeys as pages show it. The template is `security/passkeys.html`; its page has the fields
//! `passkeys: PasskeyList`, `confirmation`, `must_add` and `next_after_adding`. Called by the page about how a person signs in.
//!
//! Invariant: the credential ids are shown to the person only. The page's script tells the browser which ones still work.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::{layout::When, site::Site};
use crate::{
    base::{
        db::Instant,
        webauthn::{NoPasskeys, UserHandle},
    },
    records::{
        passkey::{MOST, Passkey},
        session::CurrentUser,
    },
};

/// The passkeys of the signed-in person.
#[derive(Debug, Clone, Default)]
pub struct PasskeyList {
    pub rows: Vec<PasskeyRow>,
    /// Whether another one may be added.
    pub may_add: bool,
    /// Whether the person has to confirm before they add one.
    pub must_confirm: bool,
    /// Why browsers can have none for this service.
    pub why_none: Option<&'static str>,
    pub signal: Signal,
}

/// What the script tells the browser about the person's passkeys (WebAuthn Level 3, 5.1.10).
#[derive(Debug, Clone, Default)]
pub struct Signal {
    /// The host of the passkeys. Empty where browsers can have none.
    pub rp_id: String,
    pub user_handle: String,
    pub email: String,
    pub name: String,
    /// The ids of the credentials that work, divided by spaces.
    pub accepted: String,
}

/// A passkey in the list.
#[derive(Debug, Clone)]
pub struct PasskeyRow {
    pub id: String,
    pub name: String,
    pub added: When,
    pub used: Option<When>,
    /// The device that it was last used on.
    pub used_on: Option<String>,
    /// Whether a copy of it seems to exist.
    pub is_copied: bool,
    /// The host that it was made for, if it is not this one.
    pub other_host: Option<String>,
}

/// The list of these passkeys of the person.
pub fn list(site: &Site, user: &CurrentUser, all: &[Passkey]) -> PasskeyList {
    let here = site.passkeys.as_ref();
    let rp_id = here.map_or_else(|_| String::new(), |ceremonies| ceremonies.rp_id().to_owned());
    let usable = all.iter().filter(|passkey| passkey.rp_id == rp_id);
    let accepted: Vec<String> = usable.map(|passkey| BASE64_URL_SAFE_NO_PAD.encode(&passkey.credential_id)).collect();
    PasskeyList {
        rows: all.iter().map(|passkey| PasskeyRow::new(passkey, &rp_id, user.now)).collect(),
        may_add: here.is_ok() && all.len() < MOST,
        must_confirm: !user.may_change_proofs(),
        why_none: here.err().map(|why| in_words(*why)),
        signal: Signal {
            user_handle: UserHandle::of(&user.account.id).text(),
            email: user.account.email.clone(),
            name: user.account.name.clone(),
            accepted: accepted.join(" "),
            rp_id,
        },
    }
}

impl PasskeyRow {
    fn new(passkey: &Passkey, rp_id: &str, now: Instant) -> Self {
        Self {
            id: passkey.id.clone(),
            name: passkey.name.clone(),
            added: When::past(passkey.created_at, now),
            used: passkey.last_used_at.map(|at| When::past(at, now)),
            used_on: passkey.last_used_on.clone(),
            is_copied: passkey.warned_at.is_some(),
            other_host: (passkey.rp_id != rp_id).then(|| passkey.rp_id.clone()),
        }
    }
}

/// The reason for the person, who cannot change it.
fn in_words(why: NoPasskeys) -> &'static str {
    match why {
        NoPasskeys::IpAddress | NoPasskeys::NotAHost => {
            "Browsers have no passkeys for this service, because its address has no host name."
        }
        NoPasskeys::PlainHttp => "Browsers have no passkeys for this service, because its connection is not secure.",
    }
}
