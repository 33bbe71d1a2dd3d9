//! The Citus cluster of `SESSILE_TEST_CITUS`, which names a database of its coordinator. That database has the extension,
//! and its workers are the cluster's. A case has a database of its own name on each server.

use super::{TestDb, database::psql};

/// The URL of the coordinator. `None` if there is no cluster.
#[expect(clippy::disallowed_methods, reason = "the tests' own setting, not the product's")]
pub fn coordinator() -> Option<String> {
    std::env::var("SESSILE_TEST_CITUS").ok().filter(|url| !url.is_empty())
}

/// The URL of a database on the coordinator.
pub fn url_of(name: &str) -> String {
    let admin = coordinator().expect("SESSILE_TEST_CITUS");
    let (base, _) = admin.rsplit_once('/').expect("an URL with a database");
    format!("{base}/{name}")
}

/// The hosts and ports of the workers.
pub fn workers() -> Vec<String> {
    let nodes = "SELECT nodename || ':' || nodeport FROM pg_dist_node WHERE groupid <> 0 ORDER BY nodeport";
    psql(&coordinator().expect("SESSILE_TEST_CITUS"), nodes).lines().map(str::to_owned).collect()
}

/// The URL of a database on a worker.
pub fn on_worker(worker: &str, name: &str) -> String {
    let admin = coordinator().expect("SESSILE_TEST_CITUS");
    let user = admin.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map(|(user, _)| format!("{user}@"));
    format!("postgres://{}{worker}/{name}", user.unwrap_or_default())
}

/// The URL of a database on each server, the coordinator's last.
fn everywhere(name: &str) -> Vec<String> {
    workers().iter().map(|worker| on_worker(worker, name)).chain([url_of(name)]).collect()
}

/// Creates a database on each server.
pub fn create_database(name: &str, template: Option<&str>) {
    let template = template.map(|template| format!(" TEMPLATE {template}")).unwrap_or_default();
    for server in everywhere("postgres") {
        psql(&server, &format!("CREATE DATABASE {name}{template}"));
    }
}

pub fn drop_database(name: &str) {
    for server in everywhere("postgres").into_iter().rev() {
        psql(&server, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
    }
}

/// The databases whose names match.
pub fn databases(like: &str) -> Vec<String> {
    let found = psql(&url_of("postgres"), &format!("SELECT datname FROM pg_database WHERE datname LIKE '{like}'"));
    found.lines().map(str::to_owned).collect()
}

/// Makes a cluster of the databases with this name.
pub fn make_cluster(name: &str) {
    for server in everywhere(name) {
        psql(&server, "CREATE EXTENSION citus");
    }
    for worker in workers() {
        let (host, port) = worker.rsplit_once(':').expect("a port");
        psql(&url_of(name), &format!("SELECT citus_add_node('{host}', {port})"));
    }
}

/// Lets nobody connect to the database, on any server.
pub fn close(name: &str) {
    for server in everywhere("postgres") {
        shut(&server, name);
    }
}

/// Makes one worker refuse all connections to the case's database, as if it were away.
pub fn take_away(db: &TestDb, worker: &str) {
    shut(&on_worker(worker, "postgres"), db.name());
}

/// Ends what [`take_away`] began.
pub fn bring_back(db: &TestDb, worker: &str) {
    psql(&on_worker(worker, "postgres"), &format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true", db.name()));
}

fn shut(server: &str, name: &str) {
    psql(
        server,
        &format!(
            "ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false; \
             SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'"
        ),
    );
}

/// The worker that has an account.
pub fn worker_of(db: &TestDb, account_id: &str) -> String {
    db.sql(&format!(
        "SELECT nodename || ':' || nodeport FROM pg_dist_placement JOIN pg_dist_node USING (groupid) \
         WHERE shardid = get_shard_id_for_distribution_column('accounts', '{account_id}')"
    ))
}

/// The plan of a statement of the program, with a value of each parameter's type. All values of a type are equal.
pub fn plan(db: &TestDb, statement: &str) -> String {
    // PostgreSQL cannot infer these types.
    let statement = statement.replace(
        "(VALUES ($1, $2, $3, $4, $5, $6))",
        "(VALUES ($1::text, $2::bigint, $3::bigint, $4::bytea, $5::text, $6::bytea))",
    );
    let prepare = format!("PREPARE asked AS {statement};");
    let types = "SELECT array_to_string(parameter_types::text[], ';') FROM pg_prepared_statements WHERE name = 'asked'";
    let types = psql(db.url(), &format!("{prepare} {types}"));
    let values: Vec<String> = types.split(';').filter(|name| !name.is_empty()).map(value).collect();
    let values = if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
    psql(db.url(), &format!("{prepare} EXPLAIN (COSTS OFF) EXECUTE asked{values};"))
}

fn value(of_type: &str) -> String {
    if let Some(element) = of_type.strip_suffix("[]") {
        return format!("ARRAY[{}]::{of_type}", value(element));
    }
    let text = match of_type {
        "text" => "x",
        "bytea" => "\\x00",
        "boolean" => "true",
        "jsonb" => "{}",
        name if name.starts_with("timestamp") => "2026-01-01",
        _ => "1",
    };
    format!("'{text}'::{of_type}")
}
