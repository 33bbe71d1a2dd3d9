//! `doctor --app`: tries a protected app at its public address, through its proxy. Called by [`doctor`](super).
//!
//! Invariant: it sends no cookie, so it sees what a visitor who is not signed in sees.

use serde_json::Value;
use url::Url;

use super::{
    fetch::{Fetched, get},
    inputs::{Patient, unseen},
};
use crate::{
    base::db::Schema,
    cli::output::in_words,
    records::app::{App, statements},
    serve::risks::Finding,
};

/// The value of the headers that a client makes up.
const MADE_UP: &str = "made-up-by-doctor";
/// Names that an app may read as an identity header: CGI, WSGI and PHP turn every other character into an underscore.
const NAMES: [&str; 14] = [
    "X-Sessile-User",
    "x-sessile-role",
    "X-SESSILE-GROUPS",
    "X-Sessile-Assertion",
    "X_Sessile_User",
    "X_Sessile-User",
    "X.Sessile.User",
    "X~Sessile~User",
    "Remote-User",
    "Remote_User",
    "Remote.User",
    "X-Original-URL",
    "X-Original-Method",
    "Forwarded",
];

/// The findings about the app with this id, in the order of the output.
pub(super) async fn app(patient: &mut Patient, id: &str) -> Vec<(&'static str, Finding)> {
    let app = match registered(patient, id).await {
        Ok(app) => app,
        Err(words) => return vec![("app", Err(words))],
    };
    let origin = match Url::parse(&app.origin) {
        Ok(origin) => origin,
        Err(error) => return vec![("app", Err(format!("{} is not an origin: {error}", app.origin)))],
    };
    let known = format!("{}, {}", app.name, app.origin);
    // If the app cannot be reached at all, one line is enough.
    match get(&origin, "/.sessile/start?to=%2F", &[]) {
        Err(words) => vec![("app", Ok(known)), ("app pages", Err(words))],
        Ok(start) => vec![
            ("app", Ok(known)),
            ("app pages", pages(&app, &start)),
            ("app gate", gate(&app, &origin)),
            ("app headers", headers(&app, &origin)),
            ("app itself", itself(&app, &origin)),
        ],
    }
}

async fn registered(patient: &mut Patient, id: &str) -> Result<App, String> {
    let (Ok(Some(database)), Ok(Schema::Current(_))) = (&mut patient.database, &patient.schema) else {
        return Err(unseen());
    };
    let found = statements::by_id(&mut database.conn(), id).await.map_err(|error| in_words(&error))?;
    let app = found.ok_or_else(|| format!("there is no app {id}: `sessile app list` lists all apps"))?;
    match app.is_enabled() {
        true => Ok(app),
        false => Err(format!("{} is disabled: `sessile app enable {id}` opens it", app.name)),
    }
}

/// Whether Sessile's own pages on the app's host reach this instance.
fn pages(app: &App, start: &Fetched) -> Finding {
    let goes_on = format!("/apps/{}/open", app.id);
    if start.body.contains(&goes_on) || start.header("location").contains(&goes_on) {
        return Ok("/.sessile/ reaches Sessile".to_owned());
    }
    Err(format!(
        "/.sessile/start is answered with {}, but not by the sign-in of this app: the proxy must pass /.sessile/ to \
         Sessile unchanged, with X-Forwarded-Host and X-Forwarded-Proto, and SESSILE_TRUSTED_PROXIES must name its \
         address; {}",
        start.status,
        advice(app)
    ))
}

/// Whether the gate answers a visitor who is not signed in.
fn gate(app: &App, origin: &Url) -> Finding {
    let fetch = get(origin, "/", &[("Accept", "*/*"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")])?;
    if app.observe {
        return Ok(format!("not checked: the gate refuses nobody, because the app has --observe ({})", fetch.status));
    }
    let page = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    let page = get(origin, "/", &page)?;
    let start = format!("{}/.sessile/start", app.origin);
    match (fetch.status, page.status) {
        (401, 303) if page.header("location").starts_with(&start) => {
            Ok("asked for each request; its answers reach the browser".to_owned())
        }
        (503, _) | (_, 503) => Err("the gate answers 503: start Sessile, or make its database answer".to_owned()),
        (403 | 404, _) => Err(format!(
            "the gate refuses the proxy ({}): use the app's gate token (`sessile app rotate-token {}` makes a new one), \
             pass on X-Forwarded-Host, and name the proxy in SESSILE_TRUSTED_PROXIES",
            fetch.status, app.id
        )),
        (200..300, _) => {
            Err(format!("a request without a sign-in reached the app ({}): {}", fetch.status, advice(app)))
        }
        (fetch, page) => Err(format!(
            "a fetch without a sign-in was answered with {fetch} and a navigation with {page}, where the gate says 401 \
             and 303: {}",
            advice(app)
        )),
    }
}

/// Whether headers that a client made up reach the app. The echo of Sessile stands where the app stands.
fn headers(app: &App, origin: &Url) -> Finding {
    let forwarded = [("X-Forwarded-Host", "made-up.example"), ("X-Forwarded-Uri", "/made-up-by-doctor")];
    let sent: Vec<(&str, &str)> = NAMES.iter().map(|name| (*name, MADE_UP)).chain(forwarded).collect();
    let echo = get(origin, "/.sessile/echo", &sent)?;
    let seen = serde_json::from_str::<Value>(&echo.body).ok().filter(|_| echo.status == 200);
    let Some(seen) = seen.as_ref().and_then(|seen| seen["headers"].as_object()) else {
        return Err(format!(
            "/.sessile/echo is answered with {}, but not by Sessile: {}; {}",
            echo.status,
            not_the_echo(echo.status),
            advice(app)
        ));
    };
    let arrived: Vec<&str> = seen
        .iter()
        .filter(|(_, values)| values.to_string().contains("made-up"))
        .map(|(name, _)| name.as_str())
        .collect();
    match arrived.is_empty() {
        true => Ok("those that a client made up do not reach the app".to_owned()),
        false => Err(format!(
            "a client can send the app these headers: {}; the proxy must remove them, also on /.sessile/echo, which it \
             must route as it routes the app; {}",
            arrived.join(", "),
            advice(app)
        )),
    }
}

/// Why Sessile's echo was not reached. The gate answers 401 for the echo if the two pairs of forwarding headers differ.
fn not_the_echo(status: u16) -> &'static str {
    match status {
        401 => {
            "the proxy passes on X-Original-URL or X-Original-Method of the client, which it must replace or remove, or \
             it does not route this path as it routes the app, with Sessile as the upstream"
        }
        _ => "the proxy must route it as it routes the app, with Sessile as the upstream",
    }
}

/// Whether the app answers. Without a sign-in, only its public paths lead to it.
fn itself(app: &App, origin: &Url) -> Finding {
    let path = match app.public_paths.first() {
        Some(path) => path,
        None if app.observe => "/",
        None => return Ok("not checked: it has no public path, so nobody reaches it without a sign-in".to_owned()),
    };
    match get(origin, path, &[])?.status {
        status @ 502..=504 => Err(format!(
            "{path} is answered with {status}: start the app, or correct its address in the proxy's configuration \
             (`sessile app snippet {} --upstream HOST:PORT`)",
            app.id
        )),
        status => Ok(format!("{path} is answered with {status}")),
    }
}

fn advice(app: &App) -> String {
    format!("`sessile app snippet {}` prints a configuration that does", app.id)
}
