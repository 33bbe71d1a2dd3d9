//! Runs migrations on distributed tables: tables that a migration creates are distributed at once. Called by the pools.
//!
//! Invariant: the text of a migration is the same for one server and for several. Only the foreign keys of a new table are
//! added after it was distributed, because Citus refuses them before.

use diesel::{
    connection::{BoxableConnection, SimpleConnection},
    migration::{Migration, MigrationMetadata, MigrationName, MigrationSource},
    pg::Pg,
};
use diesel_migrations::EmbeddedMigrations;

use super::{distribute::kept, placement::Placement};

/// The embedded migrations, for distributed tables.
pub struct OnCitus(pub EmbeddedMigrations);

struct Adapted(Box<dyn Migration<Pg>>);

impl MigrationSource<Pg> for OnCitus {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<Pg>>>> {
        let all: Vec<Box<dyn Migration<Pg>>> = self.0.migrations()?;
        Ok(all.into_iter().map(|one| Box::new(Adapted(one)) as Box<dyn Migration<Pg>>).collect())
    }
}

impl Migration<Pg> for Adapted {
    fn run(&self, conn: &mut dyn BoxableConnection<Pg>) -> diesel::migration::Result<()> {
        let mut text = Recorded(String::new());
        self.0.run(&mut text)?;
        conn.batch_execute("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")?;
        // One at a time: Citus passes the whole text of a batch on to the workers, which accept one statement.
        for statement in adapted(&text.0) {
            conn.batch_execute(&statement)?;
        }
        Ok(())
    }

    fn revert(&self, conn: &mut dyn BoxableConnection<Pg>) -> diesel::migration::Result<()> {
        self.0.revert(conn)
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self.0.metadata()
    }

    fn name(&self) -> &dyn MigrationName {
        self.0.name()
    }
}

/// Takes the text of a migration instead of running it.
struct Recorded(String);

impl SimpleConnection for Recorded {
    fn batch_execute(&mut self, query: &str) -> diesel::QueryResult<()> {
        self.0.push_str(query);
        Ok(())
    }
}

impl BoxableConnection<Pg> for Recorded {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn std::any::Any {
        self
    }
}

/// The statements of a migration, for distributed tables.
fn adapted(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let code = lines.join("\n");
    let statements = code.split(';').map(str::trim).filter(|statement| !statement.is_empty());
    let distributed = |statement: &str| {
        NewTable::parse(statement).map_or_else(|| vec![statement.to_owned()], |table| table.distributed())
    };
    statements.flat_map(distributed).collect()
}

/// A statement that creates a table.
struct NewTable<'a> {
    name: &'a str,
    /// Columns and constraints.
    items: Vec<&'a str>,
    /// What follows the closing parenthesis.
    rest: &'a str,
}

impl<'a> NewTable<'a> {
    fn parse(statement: &'a str) -> Option<Self> {
        let (name, rest) = statement.strip_prefix("CREATE TABLE ")?.split_once(" (")?;
        let (mut depth, mut start, mut items) = (0, 0, Vec::new());
        for (at, character) in rest.char_indices() {
            match character {
                '(' => depth += 1,
                ')' if depth == 0 => {
                    items.push(rest[start..at].trim());
                    return Some(Self { name: name.trim(), items, rest: &rest[at + 1..] });
                }
                ')' => depth -= 1,
                ',' if depth == 0 => {
                    items.push(rest[start..at].trim());
                    start = at + 1;
                }
                _ => {}
            }
        }
        None
    }

    fn placement(&self) -> Placement {
        let columns: Vec<&str> = self.items.iter().filter_map(|item| item.split_whitespace().next()).collect();
        let listed = self.items.iter().find_map(|item| item.strip_prefix("PRIMARY KEY ("));
        let own =
            self.items.iter().find(|item| item.ends_with("PRIMARY KEY") || item.contains("PRIMARY KEY REFERENCES"));
        let first = match (listed, own) {
            (Some(listed), _) => listed.split([',', ')']).next(),
            (None, Some(own)) => own.split_whitespace().next(),
            (None, None) => None,
        };
        Placement::of(self.name, first.unwrap_or_default(), columns.contains(&"account_id"))
    }

    /// The statements that create the table, distribute it, and add its foreign keys.
    fn distributed(&self) -> Vec<String> {
        let placement = self.placement();
        let (mut items, mut foreign_keys) = (Vec::new(), Vec::new());
        for item in &self.items {
            match (item.starts_with("FOREIGN KEY"), item.split_once(" REFERENCES ")) {
                (true, _) => foreign_keys.push((*item).to_owned()),
                (false, Some((column, target))) => {
                    let name = column.split_whitespace().next().unwrap_or_default();
                    foreign_keys.push(format!("FOREIGN KEY ({name}) REFERENCES {target}"));
                    items.push(column);
                }
                (false, None) => items.push(item),
            }
        }
        let mut statements = vec![format!("CREATE TABLE {} (\n{}\n){}", self.name, items.join(",\n"), self.rest)];
        statements.extend(placement.statement(self.name));
        let target = Placement::Account("account_id");
        let ends = [Some(&placement), Some(&target)];
        let kept = foreign_keys.iter().filter(|key| is_to_account(key)).filter_map(|key| kept(key, ends));
        statements.extend(kept.map(|key| format!("ALTER TABLE {} ADD {key}", self.name)));
        statements
    }
}

/// Whether a foreign key refers to a table of accounts, and not to one of the few others.
fn is_to_account(foreign_key: &str) -> bool {
    let others = ["announcements", "apps", "instance", "nodes"];
    let target = foreign_key.split_once("REFERENCES ").and_then(|(_, target)| target.split([' ', '(']).next());
    target.is_some_and(|target| !others.contains(&target) && !target.starts_with("account_of_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_table_of_accounts_is_distributed_before_its_foreign_keys() {
        let text = "-- A comment; with a semicolon.\nCREATE TABLE keys (\n    account_id TEXT NOT NULL REFERENCES accounts (id) \
             ON DELETE CASCADE,\n    kind TEXT NOT NULL CHECK (kind IN ('a', 'b')),\n    PRIMARY KEY (account_id, kind)\n);\n\
             CREATE INDEX keys_kind ON keys (kind);\n";
        assert_eq!(
            adapted(text),
            [
                "CREATE TABLE keys (\naccount_id TEXT NOT NULL,\nkind TEXT NOT NULL CHECK (kind IN ('a', 'b')),\n\
                 PRIMARY KEY (account_id, kind)\n)",
                "SELECT create_distributed_table('keys', 'account_id', colocate_with => 'accounts')",
                "ALTER TABLE keys ADD FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE",
                "CREATE INDEX keys_kind ON keys (kind)",
            ]
        );
    }

    #[test]
    fn a_look_up_table_loses_its_foreign_key_and_a_table_without_account_stays() {
        let text = "CREATE TABLE account_of_key (\n    hash BYTEA NOT NULL PRIMARY KEY,\n    account_id TEXT NOT NULL,\n    \
             FOREIGN KEY (account_id) REFERENCES keys (account_id)\n);\nCREATE TABLE things (\n    id BIGINT PRIMARY KEY\n);";
        let adapted = adapted(text).join(";\n");
        assert!(
            adapted.contains("create_distributed_table('account_of_key', 'hash', colocate_with => 'none')"),
            "{adapted}"
        );
        assert!(!adapted.contains("REFERENCES") && !adapted.contains("'things'"), "{adapted}");
    }

    #[test]
    fn all_migrations_can_be_adapted() {
        let all: Vec<Box<dyn Migration<Pg>>> = crate::base::db::migrate::POSTGRES.migrations().unwrap();
        for one in all {
            let mut text = Recorded(String::new());
            one.run(&mut text).unwrap();
            let lines = text.0.lines().filter(|line| !line.trim_start().starts_with("--"));
            let created = lines.filter(|line| line.starts_with("CREATE TABLE ")).count();
            let adapted = adapted(&text.0).join(";\n");
            let new = adapted.matches("CREATE TABLE ").count();
            assert_eq!(created, new, "{}", one.name());
            assert!(!adapted.lines().any(|line| line.contains("TEXT") && line.contains(" REFERENCES ")), "{adapted}");
        }
    }
}
