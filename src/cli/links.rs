//! `sessile user invite` and `user password-link`: print one-time links. Called by [`user`](super::user).
//!
//! Invariant: a link is printed on stdout only.

use std::time::Duration;

use super::{
    address::{address, new_address, unknown},
    open::open_with_letters,
    output::say,
};
use crate::{
    actions::{
        apps::manager::Manager,
        links::{
            invite::{self, Invitation, Invited},
            password_link,
        },
    },
    base::{
        db::Conn,
        error::{Error, Result},
        settings::{PublicUrl, Settings, duration_of_flag},
    },
    records::{
        account::{self, Role, groups, person},
        link::Made,
    },
};

/// The longest time that a link may work.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// The arguments of `user invite`.
pub struct Invitee {
    pub email: String,
    pub name: Option<String>,
    pub role: Option<String>,
    pub groups: Vec<String>,
    pub ttl: String,
}

pub async fn invite(settings: &Settings, invitee: Invitee) -> Result<()> {
    let Invitee { email, name, role, groups, ttl } = invitee;
    let email = new_address(&email)?;
    let role = role.map(|role| Role::from_word(&role).ok_or_else(|| Error::bug("clap accepted an unknown role")));
    let exists = format!(
        "there is already an account with the address {}: for a new password, use `sessile user password-link`",
        email.as_str()
    );
    let invitation = Invitation {
        email,
        name: name.as_deref().map(account::display_name).transpose()?,
        role: role.transpose()?,
        // Without the flag, somebody who is invited again keeps their groups.
        groups: if groups.is_empty() { None } else { Some(groups::joined(groups.iter().map(String::as_str))?) },
        life: life(&ttl)?,
    };
    let (db, letters) = open_with_letters(settings).await?;
    match invite::invite(&db, &letters, &Manager::Operator, invitation).await? {
        Invited::Yes { made, .. } => print(settings, &made),
        Invited::Exists => Err(Error::Conflict(exists)),
    }
}

pub async fn for_password(settings: &Settings, email: &str, ttl: &str) -> Result<()> {
    let (address, life) = (address(email)?, life(ttl)?);
    let (db, letters) = open_with_letters(settings).await?;
    let key = address.key().to_owned();
    let id = db.read(async move |conn: &mut Conn<'_>| person::id_of(conn, &key).await).await?;
    let id = id.ok_or_else(|| unknown(&address))?;
    print(settings, &password_link::make(&db, &letters, &Manager::Operator, (&id, life)).await?)
}

fn life(ttl: &str) -> Result<Duration> {
    let life = duration_of_flag(ttl).map_err(|words| Error::Invalid(format!("--ttl: {words}")))?;
    if life > LONGEST {
        return Err(Error::Invalid("--ttl: a link may work for 30d at most".into()));
    }
    Ok(life)
}

fn print(settings: &Settings, made: &Made) -> Result<()> {
    let own = || PublicUrl::localhost(settings.listen.port(), settings.tls.is_some());
    let public = settings.public_url.clone().unwrap_or_else(own);
    say(&format!("{}/link/{}", public.origin(), made.token.expose()))?;
    say(&format!("works once, until {}", made.expires_at.rfc3339()))
}
