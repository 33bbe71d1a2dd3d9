//! The statements on apps. Called by the actions, and by the registry in memory.
//!
//! Invariant: a statement that changes what the gate decides by announces the change in its transaction.

use diesel::{
    ExpressionMethods as _, Insertable, NullableExpressionMethods as _, QueryDsl as _, Queryable, Selectable,
    SelectableHelper as _, TextExpressionMethods as _,
};

use super::{
    registered::{App, Identity},
    rule::Rule,
};
use crate::{
    base::{
        db::{Conn, ForUpdate, Instant, find, now, run, schema::apps},
        error::Result,
    },
    records::news,
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = apps)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
struct AppRow {
    id: String,
    name: String,
    origin: String,
    admits: String,
    identity: Identity,
    observe: bool,
    allow_cross_site: bool,
    allow_preflight: bool,
    public_paths: String,
    token_hash: Vec<u8>,
    secret_hash: Vec<u8>,
    created_at: Instant,
    disabled_at: Option<Instant>,
    last_used_at: Option<Instant>,
    refused: i64,
    require_second_factor: bool,
}

impl From<AppRow> for App {
    fn from(row: AppRow) -> Self {
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        Self {
            admits: row.admits.lines().filter_map(Rule::parse).collect(),
            public_paths: lines(&row.public_paths),
            id: row.id,
            name: row.name,
            origin: row.origin,
            identity: row.identity,
            observe: row.observe,
            allow_cross_site: row.allow_cross_site,
            allow_preflight: row.allow_preflight,
            require_second_factor: row.require_second_factor,
            token_hash: row.token_hash,
            secret_hash: row.secret_hash,
            created_at: row.created_at,
            disabled_at: row.disabled_at,
            last_used_at: row.last_used_at,
            refused: row.refused,
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = apps)]
struct AppColumns<'a> {
    id: &'a str,
    name: &'a str,
    origin: &'a str,
    admits: String,
    identity: Identity,
    observe: bool,
    allow_cross_site: bool,
    allow_preflight: bool,
    public_paths: String,
    token_hash: &'a [u8],
    secret_hash: &'a [u8],
    refused: i64,
    require_second_factor: bool,
}

/// Adds an app. Its times are ignored: it is created now. `false` if another app has its origin.
pub async fn add(conn: &mut Conn<'_>, app: &App) -> Result<bool> {
    let columns = AppColumns {
        id: &app.id,
        name: &app.name,
        origin: &app.origin,
        admits: joined(&app.admits),
        identity: app.identity,
        observe: app.observe,
        allow_cross_site: app.allow_cross_site,
        allow_preflight: app.allow_preflight,
        public_paths: app.public_paths.join("\n"),
        token_hash: &app.token_hash,
        secret_hash: &app.secret_hash,
        refused: 0,
        require_second_factor: app.require_second_factor,
    };
    let new = diesel::insert_into(apps::table).values((columns, apps::created_at.eq(now()))).on_conflict_do_nothing();
    let is_new = run!(conn, execute(new))? == 1;
    news::apps_changed(conn).await?;
    Ok(is_new)
}

/// Writes everything that can be changed of an app, except its times and its count.
pub async fn change(conn: &mut Conn<'_>, app: &App) -> Result<()> {
    let own = apps::table.filter(apps::id.eq(&app.id));
    let columns = (
        apps::name.eq(&app.name),
        apps::origin.eq(&app.origin),
        apps::admits.eq(joined(&app.admits)),
        apps::identity.eq(app.identity),
        apps::observe.eq(app.observe),
        apps::allow_cross_site.eq(app.allow_cross_site),
        apps::allow_preflight.eq(app.allow_preflight),
        apps::require_second_factor.eq(app.require_second_factor),
        apps::public_paths.eq(app.public_paths.join("\n")),
        apps::token_hash.eq(&app.token_hash),
        apps::secret_hash.eq(&app.secret_hash),
    );
    run!(conn, execute(diesel::update(own).set(columns)))?;
    news::apps_changed(conn).await
}

/// Disables an app. One that is disabled already keeps its time.
pub async fn disable(conn: &mut Conn<'_>, id: &str) -> Result<()> {
    let enabled = apps::table.filter(apps::id.eq(id)).filter(apps::disabled_at.is_null());
    run!(conn, execute(diesel::update(enabled).set(apps::disabled_at.eq(now().nullable()))))?;
    news::apps_changed(conn).await
}

pub async fn enable(conn: &mut Conn<'_>, id: &str) -> Result<()> {
    let own = apps::table.filter(apps::id.eq(id));
    run!(conn, execute(diesel::update(own).set(apps::disabled_at.eq(None::<Instant>))))?;
    news::apps_changed(conn).await
}

/// Removes an app. Its grants and codes open nothing without it, and go with their sessions.
pub async fn remove(conn: &mut Conn<'_>, id: &str) -> Result<()> {
    run!(conn, execute(diesel::delete(apps::table.filter(apps::id.eq(id)))))?;
    news::apps_changed(conn).await
}

/// Removes the rules that name an account. Locks the apps that have such a rule, by id.
pub async fn forget_account(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    let rule = Rule::Account(account_id.to_owned()).to_string();
    let naming = apps::table.filter(apps::admits.like(format!("%{rule}%"))).order(apps::id);
    let rows: Vec<(String, String)> = run!(conn, load(ForUpdate::wait(naming.select((apps::id, apps::admits)))))?;
    for (id, admits) in &rows {
        let others: Vec<&str> = admits.lines().filter(|line| *line != rule).collect();
        let own = apps::table.filter(apps::id.eq(id));
        run!(conn, execute(diesel::update(own).set(apps::admits.eq(others.join("\n")))))?;
    }
    if rows.is_empty() { Ok(()) } else { news::apps_changed(conn).await }
}

/// What an app is found by.
#[derive(Debug, Clone)]
pub enum Key {
    Id(String),
    Origin(String),
    /// The hash of the gate token.
    Token(Vec<u8>),
}

/// The app with this key.
pub async fn find(conn: &mut Conn<'_>, key: &Key) -> Result<Option<App>> {
    let row: Option<AppRow> = match key {
        Key::Id(id) => find!(conn, first(apps::table.filter(apps::id.eq(id)).select(AppRow::as_select())))?,
        Key::Origin(origin) => {
            find!(conn, first(apps::table.filter(apps::origin.eq(origin)).select(AppRow::as_select())))?
        }
        Key::Token(hash) => {
            find!(conn, first(apps::table.filter(apps::token_hash.eq(hash)).select(AppRow::as_select())))?
        }
    };
    Ok(row.map(App::from))
}

/// The app with this id.
pub async fn by_id(conn: &mut Conn<'_>, id: &str) -> Result<Option<App>> {
    find(conn, &Key::Id(id.to_owned())).await
}

/// The ids and origins of all apps.
pub async fn origins(conn: &mut Conn<'_>) -> Result<Vec<(String, String)>> {
    run!(conn, load(apps::table.select((apps::id, apps::origin))))
}

/// All apps by name.
pub async fn all(conn: &mut Conn<'_>) -> Result<Vec<App>> {
    let rows: Vec<AppRow> = run!(conn, load(apps::table.order((apps::name, apps::id)).select(AppRow::as_select())))?;
    Ok(rows.into_iter().map(App::from).collect())
}

/// Adds to an app's count, and notes that it was used now if `is_used`. The gate decides nothing by either.
pub async fn note_usage(conn: &mut Conn<'_>, id: &str, is_used: bool, refused: i64) -> Result<()> {
    let own = || apps::table.filter(apps::id.eq(id));
    if is_used {
        run!(conn, execute(diesel::update(own()).set(apps::last_used_at.eq(now().nullable()))))?;
    }
    if refused > 0 {
        run!(conn, execute(diesel::update(own()).set(apps::refused.eq(apps::refused + refused))))?;
    }
    Ok(())
}

fn joined(rules: &[Rule]) -> String {
    rules.iter().map(Rule::to_string).collect::<Vec<_>>().join("\n")
}
