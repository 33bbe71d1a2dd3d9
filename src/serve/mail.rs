//! The worker that sends queued mails. Every node has one; together they send each mail once. Called by
//! [`jobs`](super::jobs).
//!
//! Invariant: a mail whose link has lost its meaning is not sent.

use std::time::Duration;

use actix_web::rt;

use super::app::Parts;
use crate::{
    base::{
        db::{Conn, Db},
        error::{Error, Result},
        mail::{Mail, Mailer, NotSent},
        outage::Outage,
        settings::{BrandSettings, Settings},
    },
    records::{
        account::person::{self, Person},
        link,
        mail::{self, Attempt, Claimed, Letters},
    },
    web::mails::{self, Letterhead, Report},
};

/// How often the worker looks for mails.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often the worker tries to note an attempt. Ends before another node takes the mail over.
const MOST_TRIES: u32 = 60;
/// The path of the page for links, up to the token.
const LINK: &str = "link";

/// Sends mails. Never returns.
pub async fn run(parts: &Parts, settings: &Settings) {
    let Some(server) = &settings.mail else { return std::future::pending().await };
    let mut outage = Outage::new("sending mail");
    let mailer = loop {
        match Mailer::new(server, &settings.brand.name) {
            Ok(mailer) => break mailer,
            Err(error) => outage.failed(&error),
        }
        rt::time::sleep(Duration::from_secs(60)).await;
    };
    let mut reading = Outage::new("reading queued mails");
    loop {
        let sent = send_next(parts, (&mailer, &settings.brand), &mut outage).await;
        if !matches!(reading.see(sent), Some(true)) {
            rt::time::sleep(INTERVAL).await;
        }
    }
}

/// Sends the mail that has been due for longest. `false` if none is due.
async fn send_next(parts: &Parts, (mailer, brand): (&Mailer, &BrandSettings), outage: &mut Outage) -> Result<bool> {
    let db = &parts.sessions.db;
    let Some(mail) = mail::claim(db).await? else { return Ok(false) };
    let place = (brand, parts.site.public.origin());
    let attempt = match written(db, &parts.sessions.letters, place, &mail).await? {
        None => Attempt::Done,
        Some(written) => match mailer.send(written).await {
            Ok(()) => {
                outage.over();
                db.metrics().mail("sent");
                Attempt::Done
            }
            Err(NotSent::Later(words)) => {
                outage.failed(&words);
                Attempt::Later(words)
            }
            Err(NotSent::Never(words)) => Attempt::Never(words),
        },
    };
    let is_deferred = matches!(attempt, Attempt::Later(_));
    let (kind, account) = (mail.kind, mail.account_id.clone());
    if settled(db, &mail, &attempt).await? {
        db.metrics().mail("refused");
        tracing::warn!(%kind, account, "a mail was given up: no server accepts it");
    } else if is_deferred {
        db.metrics().mail("deferred");
    }
    Ok(true)
}

/// Settles an attempt. Tries again for a while if the database is away, because a mail that was sent and not settled would
/// be sent twice.
async fn settled(db: &Db, mail: &Claimed, attempt: &Attempt) -> Result<bool> {
    let mut tries = 0;
    loop {
        match mail::settle(db, mail.clone(), attempt.clone()).await {
            Err(error @ Error::Unavailable(_)) if tries < MOST_TRIES => {
                tries += 1;
                tracing::warn!(%error, "an attempt to send a mail could not be noted yet");
                rt::time::sleep(INTERVAL).await;
            }
            done => return done,
        }
    }
}

/// The mail in words. `None` if it has lost its meaning: the account is gone, or the link no longer works.
async fn written(
    db: &Db,
    letters: &Letters,
    (brand, origin): (&BrandSettings, &str),
    mail: &Claimed,
) -> Result<Option<Mail>> {
    let (id, tokens) = (mail.account_id.clone(), mail.detail.nonce.as_deref().map(|nonce| letters.tokens(nonce)));
    let read = async move |conn: &mut Conn<'_>| {
        let Some(person) = person::find(conn, &id).await? else { return Ok(None) };
        let Some(tokens) = &tokens else { return Ok(Some((person, None))) };
        for token in tokens {
            if let Some(link) = link::look_up(conn, token).await?.filter(|link| link.is_good) {
                return Ok(Some((person, Some((token.clone(), link.expires_at)))));
            }
        }
        Ok::<_, Error>(None)
    };
    let Some((Person { account, .. }, link)) = db.read(read).await? else { return Ok(None) };
    let head = Letterhead { brand, origin, person: &account.name, zone: account.time_zone.as_deref() };
    let link = link.map(|(token, until)| (format!("{origin}/{LINK}/{}", token.expose()), until));
    let report = Report { kind: mail.kind, detail: &mail.detail, at: mail.created_at, link };
    mails::write(&head, &report, &mail.recipient, &mail.id).map(Some)
}
