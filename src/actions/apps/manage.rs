//! Adds, changes and removes protected apps. Called by the `app` commands and by the pages for admins.
//!
//! Locks, in this order: the instance's row, so that changes of apps happen one after another; for a person, the rows of
//! [`Manager`].
//!
//! Invariant: nothing is changed before the [`Manager`] was admitted in the same transaction.

use super::{
    checks::{Changes, Checked, Refused, changed},
    manager::Manager,
};
use crate::{
    base::{
        db::{Conn, Db, Instant},
        error::{Error, Result},
        secret::{self, Secret},
        settings::PublicUrl,
    },
    records::{
        account,
        app::{App, Identity, Rule, statements},
        audit::{self, Event, Kind},
        instance,
    },
};

/// An app with the two secrets that are shown once.
#[derive(Debug)]
pub struct Added {
    pub app: App,
    pub gate_token: Secret,
    pub secret: Secret,
}

/// Which secret of an app to replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretOf {
    /// The gate token, which the proxy sends.
    Gate,
    /// The secret of the app's server.
    Server,
}

/// Adds an app, which has a name and an origin. Without rules, it admits everyone.
pub async fn add(db: &Db, by: &Manager, public: &PublicUrl, changes: Changes) -> Result<Checked<Added>> {
    let (gate_token, secret) = (Secret::random()?, Secret::random()?);
    let app = new_app(&gate_token, &secret)?;
    let changes = Changes {
        name: Some(changes.name.unwrap_or_default()),
        origin: Some(changes.origin.unwrap_or_default()),
        ..changes
    };
    let (public, by) = (public.clone(), by.clone());
    let added = db
        .write(async move |conn: &mut Conn<'_>| {
            let event = begin(conn, &by).await?;
            let app = match changed(conn, app, &changes, &public).await? {
                Ok(app) => app,
                Err(refused) => return Ok(Err(refused)),
            };
            if !statements::add(conn, &app).await? {
                return Ok(Err(Refused::taken(&app.origin)));
            }
            record(conn, event, Kind::AppAdded, &app).await?;
            statements::by_id(conn, &app.id).await?.ok_or(Error::NotFound).map(Ok)
        })
        .await?;
    Ok(added.map(|app| Added { app, gate_token, secret }))
}

fn new_app(gate_token: &Secret, secret: &Secret) -> Result<App> {
    Ok(App {
        id: secret::random_name("app_")?,
        name: String::new(),
        origin: String::new(),
        admits: vec![Rule::Everyone],
        identity: Identity::Sessile,
        observe: false,
        allow_cross_site: false,
        allow_preflight: false,
        require_second_factor: false,
        public_paths: Vec::new(),
        token_hash: gate_token.hash(),
        secret_hash: secret.hash(),
        created_at: Instant::from_micros(0),
        disabled_at: None,
        last_used_at: None,
        refused: 0,
    })
}

/// Changes an app.
///
/// # Errors
/// [`Error::NotFound`] if there is no such app.
pub async fn set(db: &Db, by: &Manager, public: &PublicUrl, id: &str, changes: Changes) -> Result<Checked<App>> {
    let (id, public, by) = (id.to_owned(), public.clone(), by.clone());
    db.write(async move |conn: &mut Conn<'_>| {
        let event = begin(conn, &by).await?;
        let was = statements::by_id(conn, &id).await?.ok_or(Error::NotFound)?;
        let app = match changed(conn, was.clone(), &changes, &public).await? {
            Ok(app) => app,
            Err(refused) => return Ok(Err(refused)),
        };
        if app != was {
            statements::change(conn, &app).await?;
            record(conn, event, Kind::AppChanged, &app).await?;
        }
        Ok(Ok(app))
    })
    .await
}

/// Disables an app, so that nobody can open or use it.
pub async fn disable(db: &Db, by: &Manager, id: &str) -> Result<()> {
    switch(db, by, id, false).await
}

/// Enables an app again.
pub async fn enable(db: &Db, by: &Manager, id: &str) -> Result<()> {
    switch(db, by, id, true).await
}

async fn switch(db: &Db, by: &Manager, id: &str, on: bool) -> Result<()> {
    let (id, by) = (id.to_owned(), by.clone());
    db.write(async move |conn: &mut Conn<'_>| {
        let event = begin(conn, &by).await?;
        let app = statements::by_id(conn, &id).await?.ok_or(Error::NotFound)?;
        // Also when nothing changes: whoever reports it reports that every node knows.
        match on {
            true => statements::enable(conn, &id).await?,
            false => statements::disable(conn, &id).await?,
        }
        if app.is_enabled() != on {
            record(conn, event, Kind::AppChanged, &app).await?;
        }
        Ok(())
    })
    .await
}

/// Removes an app. What was opened of it is closed.
pub async fn remove(db: &Db, by: &Manager, id: &str) -> Result<()> {
    let (id, by) = (id.to_owned(), by.clone());
    db.write(async move |conn: &mut Conn<'_>| {
        let event = begin(conn, &by).await?;
        let app = statements::by_id(conn, &id).await?.ok_or(Error::NotFound)?;
        statements::remove(conn, &id).await?;
        record(conn, event, Kind::AppRemoved, &app).await
    })
    .await
}

/// Replaces the gate token or the secret. The old one is invalid when this returns.
pub async fn rotate(db: &Db, by: &Manager, id: &str, which: SecretOf) -> Result<Secret> {
    let (id, by, secret) = (id.to_owned(), by.clone(), Secret::random()?);
    let hash = secret.hash();
    db.write(async move |conn: &mut Conn<'_>| {
        let event = begin(conn, &by).await?;
        let mut app = statements::by_id(conn, &id).await?.ok_or(Error::NotFound)?;
        match which {
            SecretOf::Gate => app.token_hash = hash,
            SecretOf::Server => app.secret_hash = hash,
        }
        statements::change(conn, &app).await?;
        record(conn, event, Kind::AppChanged, &app).await
    })
    .await?;
    Ok(secret)
}

/// The rules of each app as a person types them: the account of a rule is its e-mail address. A deleted account keeps its
/// id.
pub async fn rules_in_words(conn: &mut Conn<'_>, apps: &[App]) -> Result<Vec<Vec<String>>> {
    let rules = || apps.iter().flat_map(|app| &app.admits);
    let ids: Vec<&str> =
        rules().filter_map(|rule| if let Rule::Account(id) = rule { Some(&**id) } else { None }).collect();
    let emails = account::emails(conn, &ids).await?;
    let words = |rule: &Rule| match rule {
        Rule::Account(id) => format!("account:{}", emails.get(id).unwrap_or(id)),
        other => other.to_string(),
    };
    Ok(apps.iter().map(|app| app.admits.iter().map(words).collect()).collect())
}

async fn begin(conn: &mut Conn<'_>, by: &Manager) -> Result<Event> {
    instance::lock(conn).await?;
    by.admit(conn).await
}

async fn record(conn: &mut Conn<'_>, event: Event, kind: Kind, app: &App) -> Result<()> {
    audit::record(conn, &[event.about(kind).detail(&format!("{} at {}", app.name, app.origin))]).await
}
