//! Distributes the tables. Called by `sessile distribute`.
//!
//! Invariant: all tables are distributed in one transaction, or none. Nodes may run meanwhile: their statements wait for the
//! transaction, or fail at their deadline.

use diesel::{QueryableByName, sql_query, sql_types::Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};

use super::{
    look::Line,
    placement::{Placement, Table, tables, workers},
};
use crate::base::error::{Error, Result};

/// How often the distribution is tried. A running node may hold a lock that we need, and wait for one that we hold.
const TRIES: u32 = 5;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: all tables were distributed already.
    Nothing,
    /// This many tables were distributed, or would be.
    Tables(usize),
}

/// Receives a line about each step. Returns whether to go on.
pub type Told = Box<dyn Fn(&str) -> bool + Send + Sync>;
type Tell<'a> = &'a (dyn Fn(&str) -> bool + Send + Sync);

/// A foreign key.
#[derive(QueryableByName)]
struct ForeignKey {
    #[diesel(sql_type = Text)]
    on_table: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    target: String,
    #[diesel(sql_type = Text)]
    definition: String,
}

/// Distributes the tables that are not distributed yet; with `dry_run`, only tells what it would do. The caller holds the
/// lock that excludes migrations.
///
/// # Errors
/// [`Error::Conflict`] without Citus or without a worker, [`Error::Invalid`] if `tell` returned false. No
/// table has changed then.
pub async fn distribute(conn: &mut AsyncPgConnection, dry_run: bool, tell: Tell<'_>) -> Result<Outcome> {
    let workers = check_cluster(conn).await?;
    let tables = tables(conn).await?;
    let pending: Vec<&Table> =
        tables.iter().filter(|table| table.placement != Placement::Coordinator && !table.is_distributed).collect();
    if pending.is_empty() {
        return Ok(Outcome::Nothing);
    }
    tell(&format!("workers: {}", workers.join(", ")));
    if dry_run {
        for table in pending.iter().copied().chain(tables.iter().filter(|one| one.placement == Placement::Coordinator))
        {
            tell(&format!("{}: {}", table.name, table.placement.words()));
        }
        return Ok(Outcome::Tables(pending.len()));
    }
    let mut tries = 1;
    while let Err(error) = in_transaction(conn, &tables, &pending, tell).await {
        conn.batch_execute("ROLLBACK").await?;
        if tries >= TRIES || !is_deadlock(&error) {
            return Err(error);
        }
        tries += 1;
        tell("a running node held a lock: trying again");
    }
    // Statistics of the new tables, for good plans. Autovacuum would gather them later.
    for table in &pending {
        conn.batch_execute(&format!("ANALYZE {}", table.name)).await?;
    }
    Ok(Outcome::Tables(pending.len()))
}

/// Checks that the database has Citus and a worker. Returns the workers.
async fn check_cluster(conn: &mut AsyncPgConnection) -> Result<Vec<String>> {
    let citus = "SELECT extversion AS value FROM pg_extension WHERE extname = 'citus'";
    let found: Vec<Line> = sql_query(citus).load(conn).await?;
    if found.is_empty() {
        return Err(Error::Conflict(
            "this database has no Citus, which distributes the tables: install Citus on this server and on each worker, add \
             citus to shared_preload_libraries, restart PostgreSQL, and run CREATE EXTENSION citus in this database on each \
             server (docs/scaling.md)"
                .into(),
        ));
    }
    let workers = workers(conn, true).await?;
    if workers.is_empty() {
        return Err(Error::Conflict(
            "Citus has no worker that could take the tables: add one with SELECT citus_add_node('HOST', 5432) in this \
             database (docs/scaling.md)"
                .into(),
        ));
    }
    Ok(workers)
}

fn is_deadlock(error: &Error) -> bool {
    error.to_string().contains("deadlock detected")
}

async fn in_transaction(
    conn: &mut AsyncPgConnection,
    tables: &[Table],
    pending: &[&Table],
    tell: Tell<'_>,
) -> Result<()> {
    let names: Vec<&str> = pending.iter().map(|table| table.name.as_str()).collect();
    // Copying large tables takes longer than any other statement. If this program is killed meanwhile, the server stops
    // copying, too.
    conn.batch_execute(
        "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL citus.multi_shard_modify_mode = 'sequential'; \
         SET LOCAL client_min_messages = 'error'; \
         SELECT set_config(name, '1s', true) FROM pg_settings WHERE name = 'client_connection_check_interval'",
    )
    .await?;
    stop_unless(tell("waiting for running transactions"))?;
    conn.batch_execute(&format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", names.join(", "))).await?;
    stop_unless(tell("copying the tables; requests wait meanwhile"))?;
    let foreign_keys: Vec<ForeignKey> = foreign_keys(conn).await?;
    let concerned: Vec<&ForeignKey> = foreign_keys
        .iter()
        .filter(|key| names.contains(&key.on_table.as_str()) || names.contains(&key.target.as_str()))
        .collect();
    for key in &concerned {
        conn.batch_execute(&format!("ALTER TABLE {} DROP CONSTRAINT \"{}\"", key.on_table, key.name)).await?;
    }
    for table in pending {
        let Some(statement) = table.placement.statement(&table.name) else { continue };
        conn.batch_execute(&statement).await?;
        // The coordinator would keep its old rows, which nothing reads any more.
        let truncate = format!("SELECT truncate_local_data_after_distributing_table('{}')", table.name);
        conn.batch_execute(&truncate).await?;
        stop_unless(tell(&format!("{}: {}", table.name, table.placement.words())))?;
    }
    let placement = |name: &str| tables.iter().find(|table| table.name == name).map(|table| &table.placement);
    for key in concerned {
        let ends = [placement(&key.on_table), placement(&key.target)];
        let Some(definition) = kept(&key.definition, ends) else { continue };
        conn.batch_execute(&format!("ALTER TABLE {} ADD CONSTRAINT \"{}\" {definition}", key.on_table, key.name))
            .await?;
    }
    stop_unless(tell("committing"))?;
    conn.batch_execute("COMMIT").await?;
    Ok(())
}

fn stop_unless(is_wanted: bool) -> Result<()> {
    if is_wanted { Ok(()) } else { Err(Error::Invalid("stopped: no table was distributed".into())) }
}

async fn foreign_keys(conn: &mut AsyncPgConnection) -> Result<Vec<ForeignKey>> {
    let query = "SELECT t.relname::text AS on_table, conname::text AS name, f.relname::text AS target, \
         pg_get_constraintdef(c.oid) AS definition \
         FROM pg_constraint c JOIN pg_class t ON t.oid = conrelid JOIN pg_class f ON f.oid = confrelid \
         WHERE contype = 'f' AND conparentid = 0 AND NOT t.relispartition \
         AND t.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())";
    Ok(sql_query(query).load(conn).await?)
}

/// The definition of a foreign key between distributed tables. `None` if the two rows may be on different workers, which
/// no foreign key allows. The statements that delete the referenced row delete the other one too, whatever the engine.
pub(super) fn kept(definition: &str, ends: [Option<&Placement>; 2]) -> Option<String> {
    let [Some(Placement::Account(_)), Some(Placement::Account(_))] = ends else { return None };
    let plain = definition.replace(" ON UPDATE CASCADE", "");
    if plain == definition {
        return Some(plain);
    }
    // Citus has no ON UPDATE CASCADE. The statement that changes the referenced row changes the other one afterwards.
    Some(format!("{plain} DEFERRABLE INITIALLY DEFERRED"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_foreign_keys_within_an_account_are_kept() {
        let (account, key) = (Placement::Account("account_id"), Placement::Key("email_key".to_owned()));
        let plain = "FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE";
        assert_eq!(kept(plain, [Some(&account), Some(&account)]).as_deref(), Some(plain));
        assert_eq!(kept(plain, [Some(&key), Some(&account)]), None);
        assert_eq!(kept(plain, [Some(&account), None]), None);
        let renamed = "FOREIGN KEY (a, b) REFERENCES sessions(a, id) ON UPDATE CASCADE ON DELETE CASCADE";
        assert_eq!(
            kept(renamed, [Some(&account), Some(&account)]).as_deref(),
            Some("FOREIGN KEY (a, b) REFERENCES sessions(a, id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED")
        );
    }
}
