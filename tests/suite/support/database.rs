//! A separate database for each case: a SQLite file in its own folder, or a database in the PostgreSQL of
//! `SESSILE_TEST_POSTGRES`. It is created on first use, either empty or as a copy of a [`template`](super::template).

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::time::Duration;

use sessile::{
    base::{
        clock::Clock,
        db::Db,
        keys::Keys,
        secret,
        settings::{Settings, SettingsArgs},
    },
    records::{
        mail::Letters,
        session::{KeyMaker, Lifetimes, Sessions, cache::SessionCache, touch::TouchQueue},
    },
};

use super::{
    citus, forget,
    template::{self, Start},
};

/// The engine of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// "true" in the engine's SQL.
    pub fn yes(self) -> &'static str {
        if self == Self::Sqlite { "1" } else { "true" }
    }

    /// SQL for a table `n` with the numbers `i` from 1 to `most`, to be named in a FROM. Not a recursive query on
    /// PostgreSQL: Citus refuses one beside distributed tables.
    pub fn numbers(self, most: impl std::fmt::Display) -> String {
        if self == Self::Postgres {
            return format!("generate_series(1, {most}) AS n(i)");
        }
        format!(
            "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {most}) SELECT i FROM n) AS n"
        )
    }
}

/// A database and a folder, which are deleted after the case.
pub struct TestDb {
    pub engine: Engine,
    pub folder: PathBuf,
    url: String,
    /// The name of the database in the shared PostgreSQL.
    name: Option<String>,
    /// Whether the database is on the Citus cluster of `SESSILE_TEST_CITUS`, with distributed tables.
    pub is_on_citus: bool,
    made: Once,
}

impl TestDb {
    pub fn new(engine: Engine) -> Self {
        let name = secret::random_name("sessile_test_").unwrap().replace('-', "x").to_lowercase();
        let folder = new_folder(&name);
        let (url, name) = match engine {
            Engine::Sqlite => (format!("sqlite://{}", folder.join(FILE).display()), None),
            Engine::Postgres => (url_of(&name), Some(name)),
        };
        Self { engine, folder, url, name, is_on_citus: false, made: Once::new() }
    }

    /// A database on the Citus cluster of `SESSILE_TEST_CITUS`, whose tables are distributed. `None` without a cluster.
    pub fn on_citus() -> Option<Self> {
        citus::coordinator()?;
        let name = secret::random_name("sessile_test_").unwrap().replace('-', "x").to_lowercase();
        let (folder, url) = (new_folder(&name), citus::url_of(&name));
        Some(Self { engine: Engine::Postgres, folder, url, name: Some(name), is_on_citus: true, made: Once::new() })
    }

    /// An empty database on that cluster, whose tables are not distributed yet.
    pub fn on_citus_before() -> Option<Self> {
        let db = Self::on_citus()?;
        db.made.call_once(|| {
            citus::create_database(db.name(), None);
            citus::make_cluster(db.name());
        });
        Some(db)
    }

    /// A database in a PostgreSQL that the case started itself and stops with all its data.
    pub fn in_own_postgres(url: String) -> Self {
        let folder = new_folder(&secret::random_name("sessile_test_").unwrap());
        Self { engine: Engine::Postgres, folder, url, name: None, is_on_citus: false, made: Once::new() }
    }

    /// The URL. In PostgreSQL an empty database is created if there is none yet.
    pub fn url(&self) -> &str {
        self.made.call_once(|| match &self.name {
            Some(_) if self.is_on_citus => template::copy(self, Start::Schema),
            Some(name) => create_database(name, None),
            None => {}
        });
        &self.url
    }

    /// Replaces the URL, for example to connect through a proxy.
    pub fn lead_to(&mut self, url: String) {
        self.url();
        self.url = url;
    }

    /// Creates the database as a copy of a template, unless it exists. Returns whether it did.
    pub fn copy_of(&self, start: Start) -> bool {
        let mut is_copy = false;
        let is_ours = self.engine == Engine::Sqlite || self.name.is_some();
        if is_ours && !self.file().exists() && !Path::new(&self.key_file()).exists() {
            self.made.call_once(|| {
                template::copy(self, start);
                is_copy = true;
            });
        }
        is_copy
    }

    /// The name of the database in PostgreSQL.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The path of the SQLite database.
    pub fn file(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Settings for this database, with additional variables.
    pub fn settings(&self, more: &[(&str, &str)]) -> Settings {
        let own =
            [("DATABASE_URL".to_owned(), self.url().to_owned()), ("SESSILE_KEY_FILE".to_owned(), self.key_file())];
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        SettingsArgs::default().check(own.into_iter().chain(more)).expect("good settings")
    }

    pub fn key_file(&self) -> String {
        self.folder.join("session.key").display().to_string()
    }

    /// The keys from the key file, which all nodes of the case share.
    pub fn keys(&self) -> Keys {
        Keys::read_or_make(Path::new(&self.key_file())).unwrap()
    }

    /// The sessions of a new node, after migrating the schema.
    pub async fn sessions(&self) -> Sessions {
        self.copy_of(Start::Schema);
        let settings = self.settings(&[]);
        let db = Db::open(&settings, Some(self.keys().trail())).unwrap();
        db.migrate().await.unwrap();
        let keys = KeyMaker::new(self.keys().derivation());
        let cache = SessionCache::new(&settings, db.coherence(), db.metrics());
        Sessions {
            db,
            clock: Clock::default(),
            times: Lifetimes::from(&settings),
            touches: TouchQueue::default(),
            keys,
            cache,
            letters: Letters::off(),
            sealing: self.keys().sealing().clone(),
            second_factor: settings.second_factor,
        }
    }

    /// Runs SQL outside the program, for example to age a row. `INSTANT(…)` stands for the time that many seconds from
    /// now on either engine; a negative number is in the past. Running nodes forget what they cached of a changed row.
    pub fn sql(&self, statement: &str) -> String {
        let statement = with_instants(self.engine, statement);
        let said = match self.engine {
            Engine::Postgres => psql(self.url(), &statement),
            Engine::Sqlite => sqlite(&self.file(), &statement),
        };
        if forget::changes_something_cached(&statement) {
            forget::forget_cached(self);
        }
        said
    }
}

impl TestDb {
    /// Everything in the database, as text. Bytes are in hexadecimal.
    pub fn dump(&self) -> String {
        let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/base/db/schema.rs")).unwrap();
        let tables =
            source.lines().filter_map(|line| line.strip_suffix(") {")?.trim().split_once(" (")).map(|(name, _)| name);
        let rows = tables.map(|table| match self.engine {
            Engine::Postgres => self.sql(&format!("SELECT t::text FROM {table} t")),
            Engine::Sqlite => {
                let columns = self.sql(&format!(
                    "SELECT group_concat('quote(' || name || ')', ' || '','' || ') FROM pragma_table_info('{table}')"
                ));
                self.sql(&format!("SELECT {columns} FROM {table}"))
            }
        });
        rows.collect::<Vec<_>>().join("\n")
    }

    /// The query plan of a statement of the program, independent of its values.
    pub fn explain(&self, statement: &str) -> String {
        match self.engine {
            Engine::Sqlite => explain_sqlite(&self.file(), statement),
            Engine::Postgres => {
                let values = (1..10_000).take_while(|n| statement.contains(&format!("${n}"))).map(|_| "NULL");
                let values: Vec<&str> = values.collect();
                let values = if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
                psql(
                    self.url(),
                    &format!(
                        "SET plan_cache_mode = force_generic_plan; PREPARE asked AS {statement}; EXPLAIN EXECUTE asked{values};"
                    ),
                )
            }
        }
    }
}

/// Adds events without a chain link after the accounts' existing events, as versions before the chain wrote them.
/// `rows` is a query that returns `columns`.
pub fn add_events(db: &TestDb, columns: &str, rows: &str) {
    db.sql(&format!(
        "INSERT INTO audit (id, {columns}) SELECT (SELECT coalesce(max(e.id), 0) FROM audit e \
         WHERE e.account_id = new.account_id) + row_number() OVER (PARTITION BY new.account_id), new.* FROM ({rows}) AS new"
    ));
}

impl TestDb {
    /// Reverts migrations, newest first, down to and including `down_to`, and removes them from the migrations table.
    pub fn take_back(&self, down_to: &str) {
        let engine = if self.engine == Engine::Sqlite { "sqlite" } else { "postgres" };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine);
        let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.as_str() >= down_to).collect();
        names.sort_unstable_by(|one, other| other.cmp(one));
        for name in names {
            self.sql(&std::fs::read_to_string(folder.join(&name).join("down.sql")).unwrap());
            let version = name.split('_').next().unwrap().replace('-', "");
            self.sql(&format!("DELETE FROM __diesel_schema_migrations WHERE version = '{version}'"));
        }
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        if let Some(name) = self.name.as_ref().filter(|_| self.made.is_completed()) {
            if self.is_on_citus {
                citus::drop_database(name);
            } else {
                psql(&admin_url(), &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
            }
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub const FILE: &str = "test.sqlite3";

fn new_folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir(&folder).unwrap();
    folder
}

/// Creates a database in the shared PostgreSQL.
pub fn create_database(name: &str, template: Option<&str>) {
    let template = template.map(|template| format!(" TEMPLATE {template}")).unwrap_or_default();
    psql(&admin_url(), &format!("CREATE DATABASE {name}{template}"));
}

/// The URL of a database in the shared PostgreSQL.
pub fn url_of(name: &str) -> String {
    let admin = admin_url();
    let (base, _) = admin.rsplit_once('/').expect("an URL with a database");
    format!("{base}/{name}")
}

/// The URL of the PostgreSQL that `./scripts/test` started.
#[expect(clippy::disallowed_methods, reason = "the tests' own setting, not the product's")]
pub fn admin_url() -> String {
    std::env::var("SESSILE_TEST_POSTGRES")
        .expect("SESSILE_TEST_POSTGRES: run ./scripts/test, which starts a PostgreSQL")
}

fn with_instants(engine: Engine, statement: &str) -> String {
    let mut parts = statement.split("INSTANT(");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (seconds, rest) = part.split_once(')').expect("INSTANT(seconds)");
        out += &match engine {
            Engine::Postgres => format!("(statement_timestamp() + interval '{seconds} seconds')"),
            Engine::Sqlite => {
                format!("(CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000 + ({seconds}) * 1000000)")
            }
        };
        out += rest;
    }
    out
}

pub fn psql(url: &str, statement: &str) -> String {
    let mut child = Command::new("psql")
        .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-", url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql");
    child.stdin.take().expect("stdin").write_all(statement.as_bytes()).expect("stdin");
    let out = child.wait_with_output().expect("an exit status");
    assert!(out.status.success(), "{statement}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn sqlite(file: &Path, statement: &str) -> String {
    use diesel::{Connection as _, RunQueryDsl as _, connection::SimpleConnection as _};
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Text)]
        value: String,
    }
    let mut conn = diesel::SqliteConnection::establish(&file.display().to_string()).unwrap();
    conn.batch_execute("PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON").unwrap();
    if !statement.trim_start().to_uppercase().starts_with("SELECT") {
        conn.batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        return String::new();
    }
    let wrapped = format!("WITH q(c) AS ({statement}) SELECT CAST(q.c AS TEXT) AS value FROM q");
    let rows: Vec<Row> =
        diesel::sql_query(wrapped).load(&mut conn).unwrap_or_else(|error| panic!("{statement}: {error}"));
    rows.into_iter().map(|row| row.value).collect::<Vec<_>>().join("\n")
}

fn explain_sqlite(file: &Path, statement: &str) -> String {
    use diesel::{Connection as _, RunQueryDsl as _};
    #[derive(diesel::QueryableByName)]
    struct Step {
        #[diesel(sql_type = diesel::sql_types::Text)]
        detail: String,
    }
    let mut conn = diesel::SqliteConnection::establish(&file.display().to_string()).unwrap();
    let steps: Vec<Step> = diesel::sql_query(format!("EXPLAIN QUERY PLAN {statement}")).load(&mut conn).unwrap();
    steps.into_iter().map(|step| step.detail).collect::<Vec<_>>().join("\n")
}

/// Waits until a condition holds and polls it meanwhile. Panics after 30 s.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        actix_web::rt::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not within 30 s");
}
