//! Checks of the engines' query plans, and rows of other accounts that a bad plan would scan.

use crate::support::{Engine, TestDb};

/// Index conditions that select the rows of one account, device or session, or a single row.
pub const NARROW: [&str; 12] = [
    // Few people ask for help at a time.
    "asked_at",
    "token_hash",
    "app_id",
    "account_id",
    "device_id",
    "id",
    "subject",
    "try_id",
    "secret_hash",
    "email_key",
    "session_id",
    "rowid",
];
/// Index conditions that select the rows that are due.
pub const WIDE: [&str; 10] = [
    "created_at",
    "expires_at",
    "ended_at",
    "last_activity",
    "at",
    "changed_at",
    "began_at",
    "deleted_at",
    "last_seen",
    "generation",
];
/// Tables with at least as many rows as there are accounts.
const LARGE: [&str; 10] = [
    "accounts",
    "devices",
    "sessions",
    "former_keys",
    "audit",
    "trails",
    "drafts",
    "operations",
    "throttle_counts",
    "throttle_tries",
];

/// Indexes that are read without a condition, because they hold few rows: of the owners, and of those who manage others.
const WHOLE: [&str; 2] = ["accounts_owners", "accounts_managers"];

/// Checks that each statement uses an index on one of these columns.
pub fn check(db: &TestDb, statements: &[String], at_least: usize, columns: &[&str]) {
    // INSERT statements are left out: they look rows up by a unique key.
    let words = ["SELECT", "UPDATE", "DELETE", "WITH"];
    // Left out: touches, which name rows by id, and chain heads, which name rows by account. Only the driver knows the
    // types of their values.
    let is_touch = |one: &&String| {
        db.engine == Engine::Postgres && ["WITH touched (", "WITH heads ("].iter().any(|start| one.contains(start))
    };
    // Left out: at the start, small tables and those of counts are searched once for times in the future. The others are
    // searched in portions.
    let is_settling = |one: &&String| {
        let ahead = ["+ 5 * 1000000)", "+ 5 * interval '1 second')"];
        ahead.iter().any(|ahead| one.contains(ahead)) && !one.contains("<= $2")
    };
    // Left out: a digest covers the trails of all accounts. One node makes it, at intervals.
    let is_digest = |one: &&String| one.contains("sum(links)");
    let asked: Vec<&String> = statements
        .iter()
        .filter(|one| {
            words.iter().any(|word| one.trim_start().starts_with(word))
                && !is_touch(one)
                && !is_settling(one)
                && !is_digest(one)
        })
        .collect();
    assert!(asked.len() >= at_least, "{}: {asked:#?}", asked.len());
    let bad: Vec<String> = asked
        .into_iter()
        .filter_map(|statement| {
            let plan = db.explain(statement);
            let is_good = match db.engine {
                Engine::Sqlite => is_good_sqlite(&plan, columns),
                Engine::Postgres => is_good_postgres(&plan, columns),
            };
            (!is_good).then(|| format!("{statement}\n{plan}\n"))
        })
        .collect();
    assert!(bad.is_empty(), "{}:\n{}", bad.len(), bad.join("\n"));
}

fn is_good_sqlite(plan: &str, columns: &[&str]) -> bool {
    plan.lines().filter(|step| LARGE.iter().any(|table| names(step, table))).all(|step| {
        let by = |column: &&str| {
            [format!("({column}=?"), format!("({column}<?"), format!("({column}>?")].iter().any(|by| step.contains(by))
        };
        is_whole(step) || !step.contains("SCAN ") && columns.iter().any(by)
    })
}

/// Checks that each statement on a table of accounts names the account. Lookup tables and `accounts` itself are exempt.
pub fn names_the_account(statements: &[String]) {
    let on_these: Vec<&String> = statements.iter().filter(|one| is_on_accounts(one)).collect();
    assert!(on_these.len() > 30, "{on_these:#?}");
    let silent: Vec<&&String> = on_these.iter().filter(|one| !is_of_account(one)).collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

/// Whether a statement uses a table whose rows belong to accounts.
fn is_on_accounts(statement: &str) -> bool {
    let of_accounts = [
        "sessions",
        "devices",
        "audit",
        "former_keys",
        "trails",
        "drafts",
        "operations",
        "audit_repeats",
        "app_grants",
        "app_codes",
        "links",
        "totp_apps",
        "recovery_codes",
        "spent_proofs",
    ];
    let plain: String = statement.chars().filter(|c| !matches!(c, '"' | '`')).collect();
    let is_named = |word: &str, table: &str| {
        plain.match_indices(&format!("{word} {table}")).any(|(at, found)| {
            plain[at + found.len()..].chars().next().is_none_or(|next| !next.is_alphanumeric() && next != '_')
        })
    };
    of_accounts.iter().any(|table| ["FROM", "UPDATE", "INTO", "JOIN"].iter().any(|word| is_named(word, table)))
}

/// Whether a statement names the account where it selects its rows. At the start each table is searched once for times
/// in the future.
fn is_of_account(statement: &str) -> bool {
    let is_settling = statement.contains("+ 5 * 1000000)") || statement.contains("+ 5 * interval '1 second')");
    let selecting = statement.split_once(" WHERE ").map_or(statement, |(_, conditions)| conditions);
    selecting.contains("account_id") || is_settling
}

#[test]
fn a_statement_without_the_account_is_noticed() {
    for table in ["drafts", "`drafts`", "\"sessions\"", "operations"] {
        for silent in [
            format!("SELECT text FROM {table} WHERE id = $1"),
            format!("SELECT account_id, text FROM {table} WHERE id = $1"),
            format!("UPDATE {table} SET text = $1 WHERE id = $2"),
            format!("DELETE FROM {table} WHERE id = $1"),
        ] {
            assert!(is_on_accounts(&silent) && !is_of_account(&silent), "{silent}");
            assert!(is_of_account(&format!("{silent} AND account_id = $3")));
        }
    }
    assert!(!is_on_accounts("SELECT account_id FROM account_of_email WHERE email_key = $1"));
    assert!(is_of_account("INSERT INTO drafts (account_id, id) VALUES ($1, $2)"));
}

/// Checks that the last use of a device and the new devices are read in index order. A device can have any number of
/// past sessions, so they must not be sorted.
pub fn nothing_of_a_device_is_sorted(db: &TestDb, statements: &[String]) {
    if db.engine == Engine::Postgres {
        // The planner's choice depends on the number of rows.
        return;
    }
    let of_devices = ["`sessions`.`ended_at` IS NOT NULL)) ORDER BY", "ORDER BY `devices`.`first_seen`"];
    let asked: Vec<&String> =
        statements.iter().filter(|one| of_devices.iter().any(|words| one.contains(words))).collect();
    assert!(asked.len() >= 2, "{asked:#?}");
    for statement in asked {
        let plan = db.explain(statement);
        // The list of devices is itself sorted by the last sign-in.
        let sorted = usize::from(statement.contains("ORDER BY `devices`.`last_seen`"));
        assert!(plan.matches("TEMP B-TREE").count() <= sorted, "{plan}\n{statement}");
    }
}

/// Whether a step of a plan reads a small index as a whole.
fn is_whole(step: &str) -> bool {
    step.split_whitespace().any(|word| WHOLE.contains(&word))
}

fn names(step: &str, table: &str) -> bool {
    step.split_whitespace().nth(1) == Some(table) && (step.contains("SCAN ") || step.contains("SEARCH "))
}

fn is_good_postgres(plan: &str, columns: &[&str]) -> bool {
    let lines: Vec<&str> = plan.lines().map(str::trim).collect();
    let goes_through = lines
        .iter()
        .any(|line| LARGE.iter().any(|table| format!("{line} ").contains(&format!("Seq Scan on {table} "))));
    let scans = lines
        .iter()
        .filter(|line| line.contains("Index") && line.contains("Scan") && line.contains("cost=") && !is_whole(line));
    let conditions: Vec<&&str> = lines.iter().filter(|line| line.starts_with("Index Cond:")).collect();
    let is_narrow = |condition: &&&str| {
        // In "((account_id = $1) AND (id < $2))" the first condition is the narrow one.
        let first = condition.trim_start_matches("Index Cond:").trim_matches([' ', '(']);
        columns.iter().any(|column| {
            let rest = first.strip_prefix(column).or_else(|| first.strip_prefix(&format!("({column})::text")));
            rest.is_some_and(|rest| [" = ", " < ", " <= ", " > ", " >= "].iter().any(|by| rest.starts_with(by)))
        })
    };
    !goes_through && scans.count() == conditions.len() && conditions.iter().all(is_narrow)
}

/// Adds accounts, each with devices, sessions with former keys, and events.
pub fn seed(db: &TestDb, accounts: usize, events: usize) {
    let numbers =
        |most: usize| format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {most})");
    let bytes = if db.engine == Engine::Postgres { "BYTEA" } else { "BLOB" };
    let state = if db.engine == Engine::Postgres { "'{}'" } else { "jsonb('{}')" };
    let no = if db.engine == Engine::Postgres { "false" } else { "0" };
    db.sql(&format!(
        "INSERT INTO accounts (id, email, email_key, name, role, password_hash, created_at, password_changed_at) {} \
         SELECT 'acc_' || i, 'n' || i || '@example.com', 'n' || i || '@example.com', 'N', 'member', 'none', INSTANT(0), \
         INSTANT(0) FROM n",
        numbers(accounts)
    ));
    db.sql(&format!(
        "INSERT INTO devices (id, account_id, secret_hash, name, browser, os, kind, installed, first_seen, last_seen) {} \
         SELECT 'dev_' || i, 'acc_' || (1 + i % {accounts}), CAST('hash' || i AS {bytes}), 'D', 'B', 'O', 'other', {no}, \
         INSTANT(0), INSTANT(0) FROM n",
        numbers(accounts * 20),
    ));
    db.sql(&format!(
        "INSERT INTO sessions (id, secret_hash, account_id, device_id, created_at, authenticated_at, last_activity, expires_at, \
         absolute_expires_at, browser, os, kind, installed, version, state, data) {} SELECT 'aiq_' || i, CAST('hash' || i AS {bytes}), \
         'acc_' || (1 + i % {accounts}), 'dev_' || i, INSTANT(0), INSTANT(0), INSTANT(0), INSTANT(9000), INSTANT(9000), 'B', 'O', \
         'other', {no}, 1, {state}, '{{}}' FROM n",
        numbers(accounts * 20)
    ));
    db.sql(
        "INSERT INTO former_keys (account_id, id, secret_hash, session_id, replaced_at) \
         SELECT account_id, 'former_' || id, secret_hash, id, INSTANT(0) FROM sessions",
    );
    db.sql(&format!(
        "INSERT INTO audit (id, at, kind, account_id, actor) {} SELECT i, INSTANT(-50), CASE i % 3 WHEN 0 THEN 'login.succeeded' \
         WHEN 1 THEN 'login.failed' ELSE 'session.created' END, 'acc_' || (1 + i % {accounts}), 'system' FROM n",
        numbers(events)
    ));
    let id = |prefix: &str| format!("CAST('{prefix}' || i AS {bytes})");
    let (subject, digest) = (id("subject"), id("digest"));
    for (table, columns, values) in [
        ("trails", "account_id, links, unchained", "'acc_' || i, 0, 0".to_owned()),
        ("throttle_counts", "subject, failures, told, changed_at", format!("{subject}, 0, 0, INSTANT(0)")),
        ("throttle_tries", "subject, try_id, began_at", format!("{subject}, 'try_' || i, INSTANT(0)")),
        (
            "drafts",
            "account_id, id, text, version, revision, updated_at, updated_on",
            "'acc_' || i, 'one', 'text', 1, 1, INSTANT(0), 'D'".to_owned(),
        ),
        (
            "operations",
            "account_id, id, digest, result, at",
            format!("'acc_' || i, 'one', {digest}, '{{}}', INSTANT(0)"),
        ),
    ] {
        db.sql(&format!("INSERT INTO {table} ({columns}) {} SELECT {values} FROM n", numbers(accounts)));
    }
}
