//! Adds, changes and removes protected apps. Called by the `app` commands.
//!
//! Locks, in this order: the app's row; when an app is removed, also its codes and grants. No account's rows.
//!
//! Invariant: an origin belongs to at most one app, and is never Sessile's own.

use crate::{
    base::{
        db::{Conn, Db, Instant},
        error::{Error, Result},
        secret::{self, Secret},
        settings::PublicUrl,
        text,
    },
    records::{
        account::{self, EmailAddress},
        app::{App, Identity, Rule, statements},
        audit::{self, Event, Kind, OPERATOR},
        session::grants,
    },
};

/// The most characters of an app's name.
const LONGEST_NAME: usize = 80;
/// The most rules or public paths of an app.
const MOST_LINES: usize = 200;

/// What can be set of an app. `None` leaves it as it is, or at its default.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    pub name: Option<String>,
    /// The origin, as it was typed.
    pub origin: Option<String>,
    /// The rules, as they were typed: the account of a rule is an e-mail address. They replace all rules.
    pub admit: Option<Vec<String>>,
    pub identity: Option<Identity>,
    pub observe: Option<bool>,
    pub allow_cross_site: Option<bool>,
    pub allow_preflight: Option<bool>,
    pub public_paths: Option<Vec<String>>,
}

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

/// Adds an app. Without rules, it admits everyone.
///
/// # Errors
/// [`Error::Invalid`] for a value that cannot be set, [`Error::Conflict`] if the origin is taken.
pub async fn add(db: &Db, public: &PublicUrl, changes: Changes) -> Result<Added> {
    let (gate_token, secret) = (Secret::random()?, Secret::random()?);
    let app = App {
        id: secret::random_name("app_")?,
        name: String::new(),
        origin: String::new(),
        admits: vec![Rule::Everyone],
        identity: Identity::Sessile,
        observe: false,
        allow_cross_site: false,
        allow_preflight: false,
        public_paths: Vec::new(),
        token_hash: gate_token.hash(),
        secret_hash: secret.hash(),
        created_at: Instant::from_micros(0),
        disabled_at: None,
        last_used_at: None,
        refused: 0,
    };
    let public = public.clone();
    let app = db
        .write(async move |conn: &mut Conn<'_>| {
            let app = changed(conn, app, &changes, &public).await?;
            if app.name.is_empty() || app.origin.is_empty() {
                return Err(Error::Invalid("an app needs a name and an origin".into()));
            }
            if !statements::add(conn, &app).await? {
                return Err(taken(&app.origin));
            }
            record(conn, Kind::AppAdded, &app).await?;
            statements::one(conn, &app.id).await?.ok_or(Error::NotFound)
        })
        .await?;
    Ok(Added { app, gate_token, secret })
}

/// Changes an app.
///
/// # Errors
/// Like [`add`], and [`Error::NotFound`] if there is no such app.
pub async fn set(db: &Db, public: &PublicUrl, id: &str, changes: Changes) -> Result<App> {
    let (id, public) = (id.to_owned(), public.clone());
    db.write(async move |conn: &mut Conn<'_>| {
        let was = statements::one(conn, &id).await?.ok_or(Error::NotFound)?;
        let app = changed(conn, was.clone(), &changes, &public).await?;
        if app != was {
            statements::change(conn, &app).await?;
            record(conn, Kind::AppChanged, &app).await?;
        }
        Ok(app)
    })
    .await
}

/// Disables an app, so that nobody can open or use it.
pub async fn disable(db: &Db, id: &str) -> Result<()> {
    switch(db, id, false).await
}

/// Enables an app again.
pub async fn enable(db: &Db, id: &str) -> Result<()> {
    switch(db, id, true).await
}

async fn switch(db: &Db, id: &str, on: bool) -> Result<()> {
    let id = id.to_owned();
    db.write(async move |conn: &mut Conn<'_>| {
        let app = statements::one(conn, &id).await?.ok_or(Error::NotFound)?;
        // Also when nothing changes: whoever reports it reports that every node knows.
        match on {
            true => statements::enable(conn, &id).await?,
            false => statements::disable(conn, &id).await?,
        }
        if app.is_enabled() != on {
            record(conn, Kind::AppChanged, &app).await?;
        }
        Ok(())
    })
    .await
}

/// Removes an app. What was opened from it is closed.
pub async fn remove(db: &Db, id: &str) -> Result<()> {
    let id = id.to_owned();
    db.write(async move |conn: &mut Conn<'_>| {
        let app = statements::one(conn, &id).await?.ok_or(Error::NotFound)?;
        statements::remove(conn, &id).await?;
        grants::statements::remove_of_app(conn, &id).await?;
        record(conn, Kind::AppRemoved, &app).await
    })
    .await
}

/// Replaces the gate token or the secret. The old one is invalid when this returns.
pub async fn rotate(db: &Db, id: &str, which: SecretOf) -> Result<Secret> {
    let (id, secret) = (id.to_owned(), Secret::random()?);
    let hash = secret.hash();
    db.write(async move |conn: &mut Conn<'_>| {
        let mut app = statements::one(conn, &id).await?.ok_or(Error::NotFound)?;
        match which {
            SecretOf::Gate => app.token_hash = hash,
            SecretOf::Server => app.secret_hash = hash,
        }
        statements::change(conn, &app).await?;
        record(conn, Kind::AppChanged, &app).await
    })
    .await?;
    Ok(secret)
}

/// The rules as an operator reads them: the account of a rule is its e-mail address.
pub async fn rules_in_words(conn: &mut Conn<'_>, app: &App) -> Result<Vec<String>> {
    let mut words = Vec::new();
    for rule in &app.admits {
        words.push(match rule {
            Rule::Account(id) => match account::one(conn, id).await? {
                Some(account) => format!("account:{}", account.email),
                None => rule.to_string(),
            },
            other => other.to_string(),
        });
    }
    Ok(words)
}

async fn record(conn: &mut Conn<'_>, kind: Kind, app: &App) -> Result<()> {
    let event = Event::of_nobody(kind).by(OPERATOR).detail(&format!("{} at {}", app.name, app.origin));
    audit::record(conn, &[event]).await
}

fn taken(origin: &str) -> Error {
    Error::Conflict(format!("{origin} belongs to another app: `sessile app list` lists all"))
}

/// The app with the changes, which are checked.
async fn changed(conn: &mut Conn<'_>, mut app: App, changes: &Changes, public: &PublicUrl) -> Result<App> {
    if let Some(name) = &changes.name {
        app.name = checked_name(name)?;
    }
    if let Some(typed) = &changes.origin {
        app.origin = checked_origin(typed, public)?;
        if statements::at_origin(conn, &app.origin).await?.is_some_and(|other| other != app.id) {
            return Err(taken(&app.origin));
        }
    }
    if let Some(typed) = &changes.admit {
        let mut rules = Vec::new();
        for rule in typed {
            let rule = checked_rule(conn, rule).await?;
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        app.admits = few(rules, "rules")?;
    }
    if let Some(paths) = &changes.public_paths {
        let paths = paths.iter().map(|path| checked_path(path)).collect::<Result<Vec<_>>>()?;
        app.public_paths = few(paths, "public paths")?;
    }
    app.identity = changes.identity.unwrap_or(app.identity);
    app.observe = changes.observe.unwrap_or(app.observe);
    app.allow_cross_site = changes.allow_cross_site.unwrap_or(app.allow_cross_site);
    app.allow_preflight = changes.allow_preflight.unwrap_or(app.allow_preflight);
    Ok(app)
}

fn few<T>(list: Vec<T>, what: &str) -> Result<Vec<T>> {
    match list.len() {
        0..=MOST_LINES => Ok(list),
        _ => Err(Error::Invalid(format!("an app can have at most {MOST_LINES} {what}"))),
    }
}

fn checked_name(typed: &str) -> Result<String> {
    let name = typed.trim();
    let is_fine = text::is_name(name) && name.chars().count() <= LONGEST_NAME;
    is_fine.then(|| name.to_owned()).ok_or_else(|| {
        Error::Invalid(format!("the name of an app is a readable text of at most {LONGEST_NAME} characters"))
    })
}

fn checked_origin(typed: &str, public: &PublicUrl) -> Result<String> {
    let url = PublicUrl::parse(typed).map_err(|wrong| Error::Invalid(format!("--url {wrong}")))?;
    if url.origin() == public.origin() {
        return Err(Error::Invalid(format!("{} is Sessile's own origin: an app needs one of its own", url.origin())));
    }
    if public.is_https() && !url.is_https() && !url.is_loopback() {
        return Err(Error::Invalid(format!(
            "{} has no TLS, so everybody between could read the app's cookie: use https",
            url.origin()
        )));
    }
    Ok(url.origin().to_owned())
}

async fn checked_rule(conn: &mut Conn<'_>, typed: &str) -> Result<Rule> {
    if let Some(email) = typed.strip_prefix("account:") {
        let address = EmailAddress::known(email)?;
        let found = account::find_credentials(conn, address.key()).await?;
        let unknown = || Error::Invalid(format!("there is no account with the e-mail address {}", address.as_str()));
        return found.map(|found| Rule::Account(found.account.id)).ok_or_else(unknown);
    }
    Rule::parse(typed).ok_or_else(|| {
        Error::Invalid(format!(
            "{} is not a rule: write everyone, role:owner, role:admin, role:member, group:NAME or account:EMAIL",
            text::quoted(typed)
        ))
    })
}

/// A path that can stand in a configuration of any proxy.
fn checked_path(typed: &str) -> Result<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._~-".contains(c);
    let has_dots = typed.split('/').any(|segment| segment == "." || segment == "..");
    let is_one = typed.starts_with('/') && typed.len() > 1 && typed.len() <= 200 && !typed.contains("//");
    let is_fine = is_one && !has_dots && typed.chars().all(is_plain);
    let is_ours = typed == "/.sessile" || typed.starts_with("/.sessile/");
    (is_fine && !is_ours).then(|| typed.to_owned()).ok_or_else(|| {
        Error::Invalid(format!(
            "{} cannot be a public path: write a path such as /webhooks/ without a query",
            text::quoted(typed)
        ))
    })
}
