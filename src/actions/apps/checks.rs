//! Checks what can be set of a protected app. Called by [`manage`](super::manage).
//!
//! Invariant: an origin belongs to at most one app, and is never Sessile's own. Its host is neither Sessile's nor
//! another app's, because browsers send cookies to every port of a host.

use crate::{
    base::{
        db::Conn,
        error::{Error, Result},
        settings::PublicUrl,
        text,
    },
    records::{
        account::{self, EmailAddress},
        app::{App, Identity, Rule, is_public_path, statements},
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
    pub require_second_factor: Option<bool>,
    pub public_paths: Option<Vec<String>>,
}

/// What a refused value was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Name,
    Origin,
    /// The rules as a whole, or one that is neither of a group nor of an account.
    Rules,
    /// A rule of a group.
    Groups,
    /// A rule of an account.
    Accounts,
    PublicPaths,
}

/// A value that cannot be set.
#[derive(Debug, Clone)]
pub struct Refused {
    pub field: Field,
    /// Says why, without a capital letter and a full stop.
    pub words: String,
    /// Whether another app has the origin.
    pub is_taken: bool,
}

/// A checked value, or why it cannot be set.
pub type Checked<T> = std::result::Result<T, Refused>;

impl Refused {
    fn new(field: Field, words: impl Into<String>) -> Self {
        Self { field, words: words.into(), is_taken: false }
    }

    pub(super) fn taken(origin: &str) -> Self {
        Self { is_taken: true, ..Self::new(Field::Origin, format!("the address {origin} belongs to another app")) }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused.is_taken {
            true => Self::Conflict(refused.words),
            false => Self::Invalid(refused.words),
        }
    }
}

/// The app with the changes, which are checked.
pub(super) async fn changed(
    conn: &mut Conn<'_>,
    mut app: App,
    changes: &Changes,
    public: &PublicUrl,
) -> Result<Checked<App>> {
    if let Some(typed) = &changes.origin {
        app.origin = match origin(typed, public) {
            Ok(origin) => origin,
            Err(refused) => return Ok(Err(refused)),
        };
        let others = statements::origins(conn).await?.into_iter().filter(|(id, _)| *id != app.id);
        if let Err(refused) = is_free(&app.origin, public, others.map(|(_, origin)| origin)) {
            return Ok(Err(refused));
        }
    }
    if let Some(typed) = &changes.admit {
        app.admits = match rules(conn, typed, &app.admits).await? {
            Ok(rules) => rules,
            Err(refused) => return Ok(Err(refused)),
        };
    }
    Ok(with_plain_values(app, changes))
}

/// The changes that can be checked without the database.
fn with_plain_values(mut app: App, changes: &Changes) -> Checked<App> {
    if let Some(typed) = &changes.name {
        app.name = name(typed)?;
    }
    if let Some(paths) = &changes.public_paths {
        app.public_paths = paths.iter().map(|typed| path(typed)).collect::<Checked<Vec<_>>>()?;
        few(app.public_paths.len(), Field::PublicPaths, "public paths")?;
    }
    app.identity = changes.identity.unwrap_or(app.identity);
    app.observe = changes.observe.unwrap_or(app.observe);
    app.allow_cross_site = changes.allow_cross_site.unwrap_or(app.allow_cross_site);
    app.allow_preflight = changes.allow_preflight.unwrap_or(app.allow_preflight);
    app.require_second_factor = changes.require_second_factor.unwrap_or(app.require_second_factor);
    Ok(app)
}

fn few(many: usize, field: Field, what: &str) -> Checked<()> {
    match many {
        0..=MOST_LINES => Ok(()),
        _ => Err(Refused::new(field, format!("an app can have at most {MOST_LINES} {what}"))),
    }
}

fn name(typed: &str) -> Checked<String> {
    let name = typed.trim();
    let is_fine = text::is_name(name) && name.chars().count() <= LONGEST_NAME;
    let words = || format!("the name of an app is a readable text of at most {LONGEST_NAME} characters");
    is_fine.then(|| name.to_owned()).ok_or_else(|| Refused::new(Field::Name, words()))
}

fn origin(typed: &str, public: &PublicUrl) -> Checked<String> {
    let refused = |words: String| Refused::new(Field::Origin, words);
    let url = PublicUrl::parse_like(typed.trim(), "https://shop.example.com");
    let url = url.map_err(|wrong| refused(format!("the address {wrong}")))?;
    let origin = url.origin();
    if !is_host(host_of(&url)) {
        return Err(refused(format!("the host of {} is not a name or an IP address", text::quoted(origin))));
    }
    if origin == public.origin() {
        return Err(refused(format!("the address {origin} is Sessile's own: an app needs another one")));
    }
    if public.is_https() && !url.is_https() && !url.is_loopback() {
        let why = "has no TLS, so everybody between could read the app's cookie: use https";
        return Err(refused(format!("the address {origin} {why}")));
    }
    Ok(origin.to_owned())
}

/// Whether an app may have this origin, beside those of Sessile and of the other apps.
fn is_free(origin: &str, public: &PublicUrl, others: impl Iterator<Item = String>) -> Checked<()> {
    let refused = |words: String| Err(Refused::new(Field::Origin, words));
    let shares_host = |other: &str| host(origin).is_some_and(|own| host(other).as_ref() == Some(&own));
    let why = "browsers send cookies to every port of a host, so the app needs a host of its own";
    if shares_host(public.origin()) {
        return refused(format!("the address {origin} is on Sessile's own host: {why}"));
    }
    for other in others {
        if other == origin {
            return Err(Refused::taken(origin));
        }
        if shares_host(&other) {
            return refused(format!("the address {origin} is on the host of another app, {other}: {why}"));
        }
    }
    Ok(())
}

/// The host of an origin. On this machine, hosts are shared for development.
fn host(origin: &str) -> Option<String> {
    let url = PublicUrl::parse(origin).ok()?;
    (!url.is_loopback()).then(|| host_of(&url).to_owned())
}

/// The host without its port.
fn host_of(url: &PublicUrl) -> &str {
    let port = url.port().map_or(0, |port| port.len() + 1);
    url.host().get(..url.host().len() - port).unwrap_or_default()
}

/// Whether a host is an IP address, or a name whose labels browsers and proxies take as they are (RFC 1123, 2.1, and `_`).
/// Other characters would have a meaning in a proxy's configuration.
fn is_host(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_plain);
    inner.parse::<std::net::IpAddr>().is_ok() || (host.len() <= 253 && host.split('.').all(is_label))
}

/// `kept` are the rules that the app has. They may name accounts that are disabled or deleted.
async fn rules(conn: &mut Conn<'_>, typed: &[String], kept: &[Rule]) -> Result<Checked<Vec<Rule>>> {
    if let Err(refused) = few(typed.len(), Field::Rules, "rules") {
        return Ok(Err(refused));
    }
    let mut rules = Vec::new();
    for typed in typed {
        match rule(conn, typed, kept).await? {
            Ok(rule) if rules.contains(&rule) => {}
            Ok(rule) => rules.push(rule),
            Err(refused) => return Ok(Err(refused)),
        }
    }
    Ok(Ok(rules))
}

async fn rule(conn: &mut Conn<'_>, typed: &str, kept: &[Rule]) -> Result<Checked<Rule>> {
    if let Some(email) = typed.strip_prefix("account:") {
        let same = Rule::Account(email.to_owned());
        if kept.contains(&same) {
            return Ok(Ok(same));
        }
        let words = || format!("there is no account with the e-mail address {}", text::quoted(email));
        let unknown = || Refused::new(Field::Accounts, words());
        let Ok(address) = EmailAddress::known(email) else { return Ok(Err(unknown())) };
        let found = account::find_credentials(conn, address.key()).await?;
        return Ok(found.map(|found| Rule::Account(found.account.id)).ok_or_else(unknown));
    }
    Ok(Rule::parse(typed).ok_or_else(|| match typed.strip_prefix("group:") {
        Some(group) => Refused::new(
            Field::Groups,
            format!(
                "{} is not the name of a group: begin with a letter or digit, and use letters, digits, spaces and _ . -",
                text::quoted(group)
            ),
        ),
        None => Refused::new(
            Field::Rules,
            format!(
                "{} is not a rule: write everyone, role:owner, role:admin, role:member, group:NAME or account:EMAIL",
                text::quoted(typed)
            ),
        ),
    }))
}

fn path(typed: &str) -> Checked<String> {
    let words =
        || format!("{} cannot be a public path: write a path such as /webhooks/ without a query", text::quoted(typed));
    is_public_path(typed).then(|| typed.to_owned()).ok_or_else(|| Refused::new(Field::PublicPaths, words()))
}
