//! Template databases with their keys. Each is migrated once per test process and copied for each case: on SQLite by
//! copying the file, on PostgreSQL with `CREATE DATABASE … TEMPLATE`.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::LazyLock;

use super::{
    PASSWORD, citus,
    database::{Engine, TestDb, admin_url, create_database, psql, url_of},
    server::sessile,
};

/// The e-mail address of the owner in a copy.
pub const OWNER: &str = "kim@example.com";

/// The content of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The schema and a key file.
    Schema,
    /// The schema, a key file, and an owner with [`OWNER`] and [`PASSWORD`].
    Owner,
}

/// A template.
struct Template {
    /// The bytes of a database file, or the name of a database.
    database: Made,
    keys: Vec<u8>,
    password_hash: String,
}

enum Made {
    File(Vec<u8>),
    Database(String),
}

static SQLITE: [LazyLock<Template>; 2] = [
    LazyLock::new(|| Template::make(Engine::Sqlite, Start::Schema)),
    LazyLock::new(|| Template::make(Engine::Sqlite, Start::Owner)),
];
static POSTGRES: [LazyLock<Template>; 2] = [
    LazyLock::new(|| Template::make(Engine::Postgres, Start::Schema)),
    LazyLock::new(|| Template::make(Engine::Postgres, Start::Owner)),
];

static CITUS: [LazyLock<Template>; 2] =
    [LazyLock::new(|| Template::distributed(Start::Schema)), LazyLock::new(|| Template::distributed(Start::Owner))];

fn template(engine: Engine, start: Start) -> &'static Template {
    match engine {
        Engine::Sqlite => &SQLITE[start as usize],
        Engine::Postgres => &POSTGRES[start as usize],
    }
}

/// Copies a template to the database and key file of a case, which must not exist yet.
pub fn copy(db: &TestDb, start: Start) {
    let template = if db.is_on_citus { &CITUS[start as usize] } else { template(db.engine, start) };
    match &template.database {
        Made::File(bytes) => write(&db.file(), bytes),
        Made::Database(of) if db.is_on_citus => citus::create_database(db.name(), Some(of)),
        Made::Database(of) => create_database(db.name(), Some(of)),
    }
    if !Path::new(&db.key_file()).exists() {
        write(Path::new(&db.key_file()), &template.keys);
    }
}

/// The hash of [`PASSWORD`].
pub fn password_hash() -> &'static str {
    &template(Engine::Sqlite, Start::Owner).password_hash
}

/// Creates a file that only its owner can read, as the program does.
fn write(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::File::options().create_new(true).write(true).mode(0o600).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

impl Template {
    fn make(engine: Engine, start: Start) -> Self {
        let db = match engine {
            Engine::Sqlite => TestDb::new(engine),
            Engine::Postgres => lasting(start),
        };
        Self::fill(&db, start)
    }

    /// A template with distributed tables. No process may be connected to it while it is copied.
    fn distributed(start: Start) -> Self {
        let own = lasting_name(start, std::process::id());
        for name in citus::databases("sessile_template_%") {
            if is_left(&name, &own) {
                citus::drop_database(&name);
            }
        }
        citus::create_database(&own, None);
        citus::make_cluster(&own);
        let db = TestDb::in_own_postgres(citus::url_of(&own));
        run(&db, &["migrate"]);
        run(&db, &["distribute"]);
        let template = Self::fill(&db, start);
        citus::close(&own);
        template
    }

    fn fill(db: &TestDb, start: Start) -> Self {
        let engine = db.engine;
        run(db, &["migrate"]);
        if start == Start::Owner {
            run(db, &["user", "add", "--email", OWNER, "--name", "Kim Lee", "--role", "owner", "--password-stdin"]);
        } else {
            db.keys();
        }
        let password_hash = db.sql("SELECT password_hash FROM accounts");
        let database = match engine {
            Engine::Sqlite => {
                // Move the content of the write-ahead log into the file.
                db.sql("PRAGMA wal_checkpoint(TRUNCATE)");
                Made::File(std::fs::read(db.file()).unwrap())
            }
            Engine::Postgres => Made::Database(lasting_name(start, std::process::id())),
        };
        Self { database, keys: std::fs::read(db.key_file()).unwrap(), password_hash }
    }
}

fn run(db: &TestDb, args: &[&str]) {
    let out = sessile(db, args, PASSWORD);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

fn lasting_name(start: Start, process: u32) -> String {
    format!("sessile_template_{}_{process}", start as usize)
}

/// Whether a template's process has ended, or its name is taken again.
fn is_left(name: &str, own: &str) -> bool {
    let process = name.rsplit('_').next().unwrap_or_default();
    !Path::new("/proc").join(process).exists() || name == own
}

/// Creates a template database that outlives the process. Drops those of processes that have ended.
fn lasting(start: Start) -> TestDb {
    let (admin, own) = (admin_url(), lasting_name(start, std::process::id()));
    for name in psql(&admin, "SELECT datname FROM pg_database WHERE datname LIKE 'sessile_template_%'").lines() {
        if is_left(name, &own) {
            psql(&admin, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
    create_database(&own, None);
    TestDb::in_own_postgres(url_of(&own))
}
