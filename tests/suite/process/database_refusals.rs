//! Commands, doctor and the log name what the database refuses, and what to grant or set. Pages do not mention it.

use super::{KIM, ask, assert_unavailable, cluster::Cluster};
use crate::support::{Engine, Server, TestDb, add_user, eventually};

/// The case's database, opened with another role or with more parameters.
fn with(db: &TestDb, role: &str, query: &str) -> TestDb {
    let (_, address) = db.url().split_once('@').unwrap();
    TestDb::in_own_postgres(format!("postgres://{role}@{address}{query}"))
}

/// Checks that both a command and doctor say what to do.
fn assert_named(db: &TestDb, check: &str, words: &[&str]) {
    ask(db, &["migrate"], "").refused(words);
    let doctor = ask(db, &["doctor"], "");
    let line = doctor.stdout.lines().find(|line| line.starts_with(&format!("FAIL {check}: ")));
    let line = line.unwrap_or_else(|| panic!("{check}: {doctor:?}"));
    assert!(words.iter().all(|word| line.contains(word)), "{words:?}: {line}");
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn refused_connections_are_named_and_pages_stay_neutral() {
    actix_web::rt::System::new().block_on(async {
        let (cluster, db) = Cluster::start();
        cluster.sql("CREATE ROLE kim LOGIN PASSWORD 'right'");
        cluster.sql("CREATE DATABASE closed");
        cluster.sql("REVOKE CONNECT ON DATABASE closed FROM PUBLIC");
        let named = |role: &str, database: &str, words: &[&str]| {
            let place = format!("127.0.0.1:{}", cluster.port());
            let other = TestDb::in_own_postgres(format!("postgres://{role}@{place}/{database}"));
            assert_named(&other, "database", words);
        };
        named("nobody", "postgres", &["role", "CREATE ROLE", "DATABASE_URL"]);
        named("kim", "nothing", &["CREATE DATABASE", "DATABASE_URL"]);
        named("kim", "closed", &["GRANT CONNECT"]);
        let rules = "host all kim 127.0.0.1/32 scram-sha-256\nhost all stranger 127.0.0.1/32 reject\n\
            host all all 127.0.0.1/32 trust\n";
        std::fs::write(cluster.data().join("pg_hba.conf"), rules).unwrap();
        cluster.sql("SELECT pg_reload_conf()");
        let wrong = async || ask(&with(&db, "kim:wrong", ""), &["migrate"], "").stderr.contains("correct the user");
        eventually("password authentication", wrong).await;
        named("kim:wrong", "postgres", &["password", "DATABASE_URL"]);
        named("kim", "postgres", &["add the password to DATABASE_URL"]);
        named("stranger", "postgres", &["pg_hba.conf"]);
        named("postgres", "postgres?sslmode=require", &["sslmode=disable", "ssl"]);

        let wrong = with(&db, "kim:wrong", "");
        let server = Server::start(&wrong, &[]);
        eventually("the log", async || server.log().contains("correct the user and the password")).await;
        let page = server.client().get("/login");
        assert_unavailable(&page);
        assert!(!page.body.contains("password") && !server.log().contains("wrong@"), "{page:?}");
        let told = |log: &str| log.lines().filter(|line| line.contains("opening the database failed")).count();
        // The server retries twice a second.
        eventually("more tries", async || server.client().get("/readyz").status == 503).await;
        assert_eq!(told(&server.log()), 1, "{}", server.log());
    });
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_missing_privilege_is_named() {
    let (cluster, db) = Cluster::start();
    cluster.sql("CREATE ROLE kim LOGIN");
    let kim = with(&db, "kim", "");
    // As in PostgreSQL 15 and later, where only the owner may create tables in the schema public.
    assert_named(&kim, "schema", &["kim", "public", "GRANT USAGE, CREATE ON SCHEMA public TO kim"]);
    let own = with(&db, "kim", "?search_path=shop");
    ask(&own, &["migrate"], "").refused(&["shop", "CREATE SCHEMA shop AUTHORIZATION kim"]);
    cluster.sql("CREATE SCHEMA shop");
    ask(&own, &["migrate"], "").refused(&["shop", "GRANT USAGE, CREATE ON SCHEMA shop TO kim"]);

    add_user(&db, KIM, "owner");
    assert_named(&kim, "schema", &["kim", "GRANT SELECT, INSERT, UPDATE, DELETE"]);
    cluster.sql(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO kim; \
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO kim",
    );
    std::fs::copy(db.key_file(), kim.key_file()).unwrap();
    let server = Server::start(&kim, &[]);
    server.client().log_in(KIM);
    cluster.sql(
        "DELETE FROM __diesel_schema_migrations WHERE version = (SELECT max(version) FROM __diesel_schema_migrations)",
    );
    ask(&kim, &["migrate"], "").refused(&["kim", "sessile migrate"]);
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn unsuitable_databases_are_refused() {
    let (cluster, db) = Cluster::start();
    cluster.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
    cluster.sql("CREATE DATABASE fixed");
    cluster.sql("ALTER DATABASE fixed SET default_transaction_read_only = on");
    cluster.sql("CREATE ROLE nologin NOLOGIN");
    cluster.sql("CREATE ROLE nobody LOGIN CONNECTION LIMIT 0");
    let at = |role: &str, database: &str| {
        let place = format!("127.0.0.1:{}", cluster.port());
        TestDb::in_own_postgres(format!("postgres://{role}@{place}/{database}"))
    };
    assert_named(&at("postgres", "latin"), "schema", &["latin", "LATIN1", "ENCODING 'UTF8'"]);
    assert_named(&at("postgres", "fixed"), "schema", &["fixed", "RESET default_transaction_read_only"]);
    assert_named(&at("nologin", "postgres"), "database", &["ALTER ROLE", "LOGIN"]);
    assert_named(&at("nobody", "postgres"), "database", &["ALTER ROLE", "CONNECTION LIMIT"]);
    ask(&with(&db, "postgres", "?search_path=pg_mine"), &["migrate"], "").refused(&["pg_mine", "search_path"]);
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_foreign_table_of_our_name_stops_the_migration() {
    for other in [
        "CREATE SEQUENCE sessions",
        "CREATE TYPE sessions AS ENUM ('a')",
        "CREATE DOMAIN sessions AS text",
        "CREATE TABLE shop (id int); CREATE INDEX sessions ON shop (id)",
    ] {
        let db = TestDb::new(Engine::Postgres);
        db.sql(other);
        assert_named(&db, "schema", &["sessions", "search_path=sessile"]);
        assert_eq!(db.sql("SELECT count(*) FROM pg_tables WHERE tablename = 'accounts'"), "0", "{other}");
    }
}

/// Some libraries, such as connect-pg-simple, use a table with the same name as ours.
#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn another_programs_tables_are_left_alone() {
    let db = TestDb::new(Engine::Postgres);
    db.sql("CREATE TABLE sessions (sid text PRIMARY KEY, sess json); INSERT INTO sessions VALUES ('a', '{}')");
    assert_named(&db, "schema", &["public", "sessions", "search_path=sessile", "DATABASE_URL"]);
    ask(&db, &["serve"], "").refused(&["sessions", "search_path=sessile"]);
    ask(&db, &["user", "list"], "").refused(&["sessions", "search_path=sessile"]);
    assert_eq!(db.sql("SELECT string_agg(tablename, ',') FROM pg_tables WHERE schemaname = 'public'"), "sessions");

    for query in ["?search_path=sessile", "?options=-c%20search_path%3Dother"] {
        let own = TestDb::in_own_postgres(format!("{}{query}", db.url()));
        add_user(&own, KIM, "owner");
        let server = Server::start(&own, &[]);
        let mut client = server.client();
        client.log_in(KIM);
        assert_eq!(client.get("/api/session").status, 200);
        let doctor = ask(&own, &["doctor"], "");
        assert_eq!(doctor.code, Some(0), "{doctor:?}");
    }
    assert_eq!(db.sql("SELECT count(*) FROM sessile.accounts"), "1");
    assert_eq!(db.sql("SELECT count(*) FROM other.accounts"), "1");
    assert_eq!(db.sql("SELECT count(*) FROM sessions"), "1");
    // Another program that uses diesel.
    let diesel = TestDb::new(Engine::Postgres);
    diesel.sql(
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY); \
         INSERT INTO __diesel_schema_migrations VALUES ('20200101000000')",
    );
    assert_named(&diesel, "schema", &["__diesel_schema_migrations", "search_path"]);
}

#[test]
fn another_programs_file_is_left_alone() {
    let db = TestDb::new(Engine::Sqlite);
    db.sql("CREATE TABLE sessions (sid TEXT PRIMARY KEY)");
    let before = std::fs::read(db.folder.join("test.sqlite3")).unwrap();
    assert_named(&db, "schema", &["test.sqlite3", "sessions", "name another file"]);
    ask(&db, &["serve"], "").refused(&["sessions", "name another file"]);
    assert_eq!(std::fs::read(db.folder.join("test.sqlite3")).unwrap(), before);
}

#[test]
fn a_file_that_is_not_a_database_is_named() {
    let db = TestDb::new(Engine::Sqlite);
    std::fs::write(db.folder.join("test.sqlite3"), "This is no database. ".repeat(99)).unwrap();
    assert_named(&db, "schema", &["test.sqlite3", "not a database", "restore your backup"]);
    let folder = TestDb::new(Engine::Sqlite);
    std::fs::create_dir(folder.folder.join("test.sqlite3")).unwrap();
    ask(&folder, &["migrate"], "").refused(&["test.sqlite3", "DATABASE_URL"]);
}
