//! `sessile app …`: registers protected apps, and prints configurations for their proxies. Called by [`run`](super::run).
//!
//! Invariant: the gate token and the secret are printed once, when they are made.

use std::io::Read as _;

use serde::Serialize;

use super::{
    open::{open_to_read, open_to_record},
    output::{print, say},
};
use crate::{
    actions::apps::{
        checks::{Changes, Refused},
        manage::{self, Added, SecretOf},
        manager::Manager,
    },
    base::{
        db::{Conn, Db, Instant},
        error::{Error, Result},
        settings::{PublicUrl, Settings},
    },
    records::app::{App, Identity, statements},
    web::snippet::{self, Proxy, Snippet},
};

/// Whoever can run a command may do everything.
const BY: &Manager = &Manager::Operator;
/// The largest gate token that is read from stdin.
const LONGEST_TOKEN: u64 = 200;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Registers an app and prints its id, its gate token and its secret
    Add {
        /// Name of the app, as people read it
        #[arg(long)]
        name: String,
        /// Origin at which people open the app, such as https://shop.example.com
        #[arg(long)]
        url: String,
        #[command(flatten)]
        options: Options,
        /// Also prints the configuration of this proxy
        #[arg(long)]
        proxy: Option<Proxy>,
        #[command(flatten)]
        places: Places,
    },
    /// Lists all apps
    List {
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows everything about an app except its secrets
    Show {
        /// Id of the app
        id: String,
    },
    /// Changes an app
    Set {
        /// Id of the app
        id: String,
        /// Name of the app, as people read it
        #[arg(long)]
        name: Option<String>,
        /// Origin at which people open the app
        #[arg(long)]
        url: Option<String>,
        #[command(flatten)]
        options: Options,
    },
    /// Disables an app, so that nobody can open or use it
    Disable {
        /// Id of the app
        id: String,
    },
    /// Enables a disabled app
    Enable {
        /// Id of the app
        id: String,
    },
    /// Removes an app
    Remove {
        /// Id of the app
        id: String,
    },
    /// Replaces the gate token, which the proxy sends, and prints the new one
    RotateToken {
        /// Id of the app
        id: String,
    },
    /// Replaces the secret of the app's server and prints the new one
    RotateSecret {
        /// Id of the app
        id: String,
    },
    /// Prints a configuration for the app's proxy
    Snippet {
        /// Id of the app
        id: String,
        /// nginx, caddy, traefik, haproxy or envoy
        #[arg(long)]
        proxy: Proxy,
        #[command(flatten)]
        places: Places,
        /// Reads the gate token from stdin; without this flag the configuration holds GATE_TOKEN
        #[arg(long)]
        gate_token_stdin: bool,
    },
}

#[derive(clap::Args)]
pub struct Options {
    /// Who may open the app: everyone, role:ROLE, group:NAME or account:EMAIL; may be repeated [default: everyone]
    #[arg(long, value_name = "RULE")]
    admit: Vec<String>,
    /// Which identity headers the app gets: those of Sessile only, or also Remote-User and the like
    #[arg(long, value_parser = ["sessile", "remote"])]
    identity: Option<String>,
    /// Refuses nobody, and only counts whom the gate would refuse
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    observe: Option<bool>,
    /// Accepts unsafe requests and WebSockets from other origins
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    allow_cross_site: Option<bool>,
    /// Lets CORS preflights pass without a sign-in
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    allow_preflight: Option<bool>,
    /// Lets in only people who gave a second factor in their session
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    require_second_factor: Option<bool>,
    /// A path that the printed configuration leaves unprotected, with everything below it if it ends with a slash; may be
    /// repeated
    #[arg(long, value_name = "PATH", num_args = 1..)]
    public: Vec<String>,
    /// Protects all paths again
    #[arg(long, conflicts_with = "public")]
    no_public: bool,
}

#[derive(clap::Args)]
pub struct Places {
    /// Where the app listens
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:3000")]
    upstream: String,
    /// Where Sessile listens [default: the address of SESSILE_LISTEN]
    #[arg(long, value_name = "HOST:PORT")]
    sessile: Option<String>,
}

impl Options {
    fn changes(self, name: Option<String>, origin: Option<String>) -> Changes {
        Changes {
            name,
            origin,
            admit: (!self.admit.is_empty()).then_some(self.admit),
            identity: self.identity.as_deref().and_then(Identity::from_word),
            observe: self.observe,
            allow_cross_site: self.allow_cross_site,
            allow_preflight: self.allow_preflight,
            require_second_factor: self.require_second_factor,
            public_paths: (self.no_public || !self.public.is_empty()).then_some(self.public),
        }
    }
}

pub async fn run(command: Command, settings: &Settings) -> Result<()> {
    match command {
        Command::Add { name, url, options, proxy, places } => {
            add(settings, options.changes(Some(name), Some(url)), proxy, &places).await
        }
        Command::List { json } => list(settings, json).await,
        Command::Show { id } => show(settings, &id).await,
        Command::Set { id, name, url, options } => {
            let db = open_to_record(settings).await?;
            let changed = manage::set(&db, BY, &public(settings), &id, options.changes(name, url)).await;
            changed.map_err(|error| or_unknown(error, &id))?.map_err(refused).and_then(|_| say("changed"))
        }
        Command::Disable { id } => {
            let done = manage::disable(&open_to_record(settings).await?, BY, &id).await;
            done.map_err(|error| or_unknown(error, &id)).and_then(|()| say("disabled"))
        }
        Command::Enable { id } => {
            let done = manage::enable(&open_to_record(settings).await?, BY, &id).await;
            done.map_err(|error| or_unknown(error, &id)).and_then(|()| say("enabled"))
        }
        Command::Remove { id } => {
            let done = manage::remove(&open_to_record(settings).await?, BY, &id).await;
            done.map_err(|error| or_unknown(error, &id)).and_then(|()| say("removed"))
        }
        Command::RotateToken { id } => rotate(settings, &id, SecretOf::Gate, "gateToken").await,
        Command::RotateSecret { id } => rotate(settings, &id, SecretOf::Server, "secret").await,
        Command::Snippet { id, proxy, places, gate_token_stdin } => {
            let token = if gate_token_stdin { Some(token_from_stdin()?) } else { None };
            let app = find(&open_to_read(settings).await?, &id).await?;
            print(configuration(settings, &app, proxy, &places, token.as_deref())?.as_bytes())
        }
    }
}

async fn add(settings: &Settings, changes: Changes, proxy: Option<Proxy>, places: &Places) -> Result<()> {
    // Before the app is registered, because its secrets are shown only once.
    [Some(&places.upstream), places.sessile.as_ref()]
        .into_iter()
        .flatten()
        .try_for_each(|place| snippet::check_place(place).map_err(Error::Invalid))?;
    let db = open_to_record(settings).await?;
    let Added { app, gate_token, secret } = manage::add(&db, BY, &public(settings), changes).await?.map_err(refused)?;
    say(&format!("id: {}\ngateToken: {}\nsecret: {}", app.id, gate_token.expose(), secret.expose()))?;
    match proxy {
        Some(proxy) => {
            let text = configuration(settings, &app, proxy, places, Some(gate_token.expose()))?;
            print(format!("\n{text}").as_bytes())
        }
        None => Ok(()),
    }
}

async fn rotate(settings: &Settings, id: &str, which: SecretOf, label: &str) -> Result<()> {
    let made = manage::rotate(&open_to_record(settings).await?, BY, id, which).await;
    say(&format!("{label}: {}", made.map_err(|error| or_unknown(error, id))?.expose()))
}

async fn list(settings: &Settings, json: bool) -> Result<()> {
    let db = open_to_read(settings).await?;
    let apps = db.read(async |conn: &mut Conn<'_>| statements::all(conn).await).await?;
    let views = views(&db, &apps).await?;
    if json {
        return say(&serde_json::to_string_pretty(&views).map_err(Error::bug)?);
    }
    for view in views {
        let status = if view.disabled { "disabled" } else { "enabled" };
        say(&format!("{}\t{}\t{}\t{status}\t{}", view.id, view.name, view.url, view.admit.join(" ")))?;
    }
    Ok(())
}

async fn show(settings: &Settings, id: &str) -> Result<()> {
    let db = open_to_read(settings).await?;
    let app = find(&db, id).await?;
    let Some(view) = views(&db, &[app]).await?.pop() else { return Err(or_unknown(Error::NotFound, id)) };
    let time = |at: Option<Instant>| at.map_or_else(|| "never".to_owned(), Instant::rfc3339);
    let lines = [
        ("id", view.id),
        ("name", view.name),
        ("url", view.url),
        ("status", if view.disabled { "disabled" } else { "enabled" }.to_owned()),
        ("admit", view.admit.join(", ")),
        ("identity", view.identity.to_string()),
        ("observe", view.observe.to_string()),
        ("allowCrossSite", view.allow_cross_site.to_string()),
        ("allowPreflight", view.allow_preflight.to_string()),
        ("requireSecondFactor", view.require_second_factor.to_string()),
        ("public", view.public_paths.join(" ")),
        ("createdAt", view.created_at.rfc3339()),
        ("lastUsedAt", time(view.last_used_at)),
        ("wouldHaveRefused", view.would_have_refused.to_string()),
    ];
    lines.iter().try_for_each(|(label, value)| say(&format!("{label}: {value}")))
}

/// An app as the commands show it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    id: String,
    name: String,
    url: String,
    disabled: bool,
    admit: Vec<String>,
    identity: Identity,
    observe: bool,
    allow_cross_site: bool,
    allow_preflight: bool,
    require_second_factor: bool,
    public_paths: Vec<String>,
    created_at: Instant,
    last_used_at: Option<Instant>,
    would_have_refused: i64,
}

async fn views(db: &Db, apps: &[App]) -> Result<Vec<View>> {
    let own = apps.to_vec();
    let rules = db.read(async move |conn: &mut Conn<'_>| manage::rules_in_words(conn, &own).await).await?;
    let view = |(app, admit): (&App, Vec<String>)| View {
        id: app.id.clone(),
        name: app.name.clone(),
        url: app.origin.clone(),
        disabled: !app.is_enabled(),
        admit,
        identity: app.identity,
        observe: app.observe,
        allow_cross_site: app.allow_cross_site,
        allow_preflight: app.allow_preflight,
        require_second_factor: app.require_second_factor,
        public_paths: app.public_paths.clone(),
        created_at: app.created_at,
        last_used_at: app.last_used_at,
        would_have_refused: app.refused,
    };
    Ok(apps.iter().zip(rules).map(view).collect())
}

async fn find(db: &Db, id: &str) -> Result<App> {
    let asked = id.to_owned();
    let found = db.read(async move |conn: &mut Conn<'_>| statements::by_id(conn, &asked).await).await?;
    found.ok_or_else(|| or_unknown(Error::NotFound, id))
}

/// The error for a value that cannot be set.
fn refused(refused: Refused) -> Error {
    let is_taken = refused.is_taken;
    let hint = if is_taken { ": `sessile app list` lists all apps" } else { "" };
    Refused { words: refused.words + hint, ..refused }.into()
}

fn or_unknown(error: Error, id: &str) -> Error {
    match error {
        Error::NotFound => Error::Invalid(format!("there is no app {id}: `sessile app list` lists all apps")),
        other => other,
    }
}

/// The public origin of the server. Without a setting, the server has the same one unless it picks its port.
fn public(settings: &Settings) -> PublicUrl {
    let own = || PublicUrl::localhost(settings.listen.port(), settings.tls.is_some());
    settings.public_url.clone().unwrap_or_else(own)
}

fn configuration(settings: &Settings, app: &App, proxy: Proxy, places: &Places, token: Option<&str>) -> Result<String> {
    let listen = settings.listen.to_string();
    let snippet = Snippet {
        app_origin: &app.origin,
        public_paths: &app.public_paths,
        upstream: &places.upstream,
        sessile: places.sessile.as_deref().unwrap_or(&listen),
        token,
        proxy,
    };
    snippet::render(&snippet).map_err(Error::Invalid)
}

/// A token that was piped in, without its newline. It is not checked against the database, which holds only its hash.
fn token_from_stdin() -> Result<String> {
    let mut text = String::new();
    let unreadable =
        |error: std::io::Error| Error::Invalid(format!("the gate token cannot be read from stdin: {error}"));
    std::io::stdin().take(LONGEST_TOKEN).read_to_string(&mut text).map_err(unreadable)?;
    let token = text.trim();
    let is_fine = !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    is_fine.then(|| token.to_owned()).ok_or_else(|| Error::Invalid("stdin holds no gate token".into()))
}
