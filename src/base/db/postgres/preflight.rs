//! The checks before the schema of a PostgreSQL database is migrated: no table belongs to another program, and the role
//! has the rights that it needs. Called under the migration lock, and by `inspect`.
//!
//! Invariant: every refusal tells the operator what to change.

use diesel::sql_types::{Array, Bool, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _};

use super::connection::literal;
use crate::base::{
    db::{foreign, migrate},
    error::{Away, Error, Result},
};

/// All names in the current schema: tables, views, indexes, sequences and types.
pub const PRESENT: &str = "SELECT name::text AS value FROM \
     (SELECT relname AS name, relnamespace AS schema FROM pg_class UNION SELECT typname, typnamespace FROM pg_type) AS named \
     WHERE schema = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())";
/// The recorded migrations, of any program.
pub const APPLIED: &str = "SELECT version AS value FROM __diesel_schema_migrations ORDER BY version";
/// The name of diesel's table of migrations; empty if there is none.
pub const IS_RECORDED: &str = "SELECT coalesce(to_regclass('__diesel_schema_migrations')::text, '') AS value";

/// The current schema, and the role's rights in it.
const PLACE: &str = "SELECT current_user::text AS role, current_database()::text AS database, \
     coalesce(current_schema()::text, '') AS schema, \
     coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_make, \
     has_database_privilege(current_database(), 'CREATE') AS may_make_schema, \
     current_setting('server_encoding') AS encoding, \
     (SELECT reset_val = 'on' FROM pg_settings WHERE name = 'default_transaction_read_only') AS read_only";

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Text)]
    database: String,
    #[diesel(sql_type = Text)]
    schema: String,
    #[diesel(sql_type = Bool)]
    may_make: bool,
    #[diesel(sql_type = Bool)]
    may_make_schema: bool,
    #[diesel(sql_type = Text)]
    encoding: String,
    #[diesel(sql_type = Bool)]
    read_only: bool,
}

impl Place {
    /// Checks that the database can store every text, and that it accepts writes.
    fn check_database(&self) -> Result<()> {
        let Self { role, database, encoding, read_only, .. } = self;
        if encoding != "UTF8" {
            return Err(refused(format!(
                "the database {database} has the encoding {encoding}, which cannot store every character: create a database with \
                 CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            )));
        }
        if *read_only {
            return Err(refused(format!(
                "default_transaction_read_only is on for the database {database}, the role {role} or the server: turn it off, \
                 for example with ALTER DATABASE {database} RESET default_transaction_read_only"
            )));
        }
        Ok(())
    }
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    value: String,
}

/// Checks the database. If `make` holds the search path of the URL, first creates the first schema that it names.
/// Returns true if migrations are pending, or if the schema is newer than this program.
///
/// # Errors
/// [`Error::Conflict`] when the tables belong to another program; [`Error::Unavailable`] with [`Away::Refused`] when an
/// operator has to change something first.
pub async fn check(conn: &mut AsyncPgConnection, make: Option<&str>) -> Result<bool> {
    place(conn).await?.check_database()?;
    if let Some(schema) = make.and_then(first_schema) {
        make_schema(conn, &schema).await?;
    }
    let place = place(conn).await?;
    if place.schema.is_empty() {
        return Err(refused(format!(
            "no schema of the search path exists, or the role {} may use none of them: name a schema with search_path=… in \
             the URL, or run GRANT USAGE, CREATE ON SCHEMA … TO {}",
            place.role, place.role
        )));
    }
    let recorded = !values(conn, IS_RECORDED).await?.concat().is_empty();
    if recorded {
        check_rights(conn).await?;
    }
    let applied = if recorded { values(conn, APPLIED).await? } else { Vec::new() };
    if let Some(table) = foreign::foreign(&values(conn, PRESENT).await?, &applied)? {
        return Err(is_foreign(&table, &place.schema));
    }
    let known = migrate::versions()?;
    let is_newer = applied.iter().any(|version| !known.contains(version));
    let is_behind = known.iter().any(|version| !applied.contains(version));
    if is_behind {
        check_may_change(conn, &place).await?;
    }
    Ok(is_behind || is_newer)
}

/// The error for a table of another program.
pub fn is_foreign(table: &str, schema: &str) -> Error {
    foreign::refusal(
        table,
        &format!("the schema {schema}"),
        "give Sessile its own schema with search_path=sessile in the query of the URL",
    )
}

/// The schema in which tables are created; empty if there is none.
pub const SCHEMA: &str = "SELECT coalesce(current_schema()::text, '') AS value";

async fn make_schema(conn: &mut AsyncPgConnection, schema: &str) -> Result<()> {
    if schema.starts_with("pg_") {
        return Err(refused(format!(
            "PostgreSQL reserves schema names that start with pg_: name a schema other than {schema} in search_path=…"
        )));
    }
    let name = literal(schema);
    let query = format!("SELECT count(*)::text AS value FROM pg_namespace WHERE nspname = {name}");
    if values(conn, &query).await?.concat() == "0" {
        let place = place(conn).await?;
        if !place.may_make_schema {
            return Err(refused(format!(
                "the schema {schema} does not exist and the role {role} may not create it: run CREATE SCHEMA {schema} \
                 AUTHORIZATION {role} in the database {}",
                place.database,
                role = place.role
            )));
        }
        conn.batch_execute(&format!("CREATE SCHEMA \"{}\"", schema.replace('"', "\"\""))).await?;
        tracing::info!(%schema, "schema created");
    }
    let place = place(conn).await?;
    // PostgreSQL skips a schema that the role may not use, and would create the tables in the next one.
    if place.schema == schema {
        return Ok(());
    }
    Err(refused(format!(
        "the role {role} may not use the schema {schema}: run GRANT USAGE, CREATE ON SCHEMA {schema} TO {role} in the \
         database {}",
        place.database,
        role = place.role
    )))
}

/// Checks that the role may read and write each of our tables.
pub async fn check_rights(conn: &mut AsyncPgConnection) -> Result<()> {
    let place = place(conn).await?;
    let rights = ["INSERT", "UPDATE", "DELETE"]
        .map(|right| format!(" OR (relname <> '{}' AND NOT has_table_privilege(oid, '{right}'))", foreign::RECORD));
    let lacks_right = format!("NOT has_table_privilege(oid, 'SELECT'){}", rights.concat());
    let Some(table) = first_table_where(conn, &lacks_right).await? else { return Ok(()) };
    let Place { role, schema, .. } = place;
    Err(refused(format!(
        "the role {role} may not read and write the table {table}: run GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN \
         SCHEMA {schema} TO {role}; GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}"
    )))
}

/// Checks that the role may run the pending migrations.
async fn check_may_change(conn: &mut AsyncPgConnection, place: &Place) -> Result<()> {
    let Place { role, schema, database, .. } = place;
    if let Some(table) = first_table_where(conn, "NOT pg_has_role(relowner, 'USAGE')").await? {
        return Err(refused(format!(
            "the role {role} does not own the table {table} and may not migrate the schema: run `sessile migrate` as the \
             owner of the table"
        )));
    }
    if place.may_make {
        return Ok(());
    }
    Err(refused(format!(
        "the role {role} may not create tables in the schema {schema}: run GRANT USAGE, CREATE ON SCHEMA {schema} TO {role} in \
         the database {database}"
    )))
}

/// The first of our tables for which `condition` holds.
async fn first_table_where(conn: &mut AsyncPgConnection, condition: &str) -> Result<Option<String>> {
    let mut names: Vec<String> = foreign::ours()?.into_iter().collect();
    names.push(foreign::RECORD.to_owned());
    let query = format!(
        "SELECT relname::text AS value FROM pg_class WHERE relkind IN ('r', 'p') AND relname = ANY($1) \
         AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND ({condition}) \
         ORDER BY relname LIMIT 1"
    );
    let found: Vec<Value> = sql_query(query).bind::<Array<Text>, _>(&names).load(conn).await?;
    Ok(found.into_iter().next().map(|row| row.value))
}

/// The first schema that a search path names (PostgreSQL 15, section 5.9.3), unless it is a default schema.
fn first_schema(path: &str) -> Option<String> {
    let path = path.trim();
    let name = match path.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?.to_owned(),
        None => path.split(',').next()?.trim().to_lowercase(),
    };
    (!name.is_empty() && name != "$user" && name != "public").then_some(name)
}

async fn place(conn: &mut AsyncPgConnection) -> Result<Place> {
    Ok(sql_query(PLACE).get_result(conn).await?)
}

async fn values(conn: &mut AsyncPgConnection, query: &str) -> Result<Vec<String>> {
    let values: Vec<Value> = sql_query(query).load(conn).await?;
    Ok(values.into_iter().map(|row| row.value).collect())
}

fn refused(text: String) -> Error {
    Error::unavailable(Away::Refused, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_schema_of_a_search_path_is_the_one_that_is_made() {
        for (path, schema) in [
            ("Sessile", Some("sessile")),
            ("sessile, public", Some("sessile")),
            ("\"My App\",public", Some("My App")),
            ("public", None),
            ("\"$user\", public", None),
            ("", None),
        ] {
            assert_eq!(first_schema(path).as_deref(), schema, "{path}");
        }
    }
}
