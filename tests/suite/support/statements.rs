//! Records every SQL statement of the program. The program is served in a separate test process, so that no other case
//! adds statements.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::{Instrumentation, InstrumentationEvent};

use super::TestDb;

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
static CACHED: Mutex<Vec<String>> = Mutex::new(Vec::new());
static DEAF: AtomicBool = AtomicBool::new(false);

const ALONE: &str = "SESSILE_TEST_ALONE";

/// Runs this case again in its own process and returns true. Inside that process it starts the recording and returns
/// false.
#[expect(clippy::disallowed_methods, reason = "the tests' own setting, not the product's")]
pub fn ran_alone(module: &str, case: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        diesel::connection::set_default_instrumentation(watch).unwrap();
        return false;
    }
    let name = format!("{}::{case}", module.split_once("::").expect("a module of the suite").1);
    let ran = Command::new(std::env::current_exe().unwrap())
        .args([&name, "--exact", "--include-ignored", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && out.contains("1 passed"), "{out}\n{err}");
    true
}

fn watch() -> Option<Box<dyn Instrumentation>> {
    Some(Box::new(|event: InstrumentationEvent<'_>| match event {
        InstrumentationEvent::StartQuery { query, .. } if !DEAF.load(Ordering::SeqCst) => {
            SEEN.lock().unwrap().push(query.to_string());
        }
        InstrumentationEvent::CacheQuery { sql, .. } => CACHED.lock().unwrap().push(sql.to_owned()),
        _ => {}
    }))
}

/// All statements since the last call of this or [`seen`], in order.
pub fn all_seen() -> Vec<String> {
    std::mem::take(&mut *SEEN.lock().unwrap())
}

/// The distinct statements since the last call, sorted and without their values.
pub fn seen() -> Vec<String> {
    let mut seen = all_seen();
    for one in &mut seen {
        if let Some(at) = one.find(" -- binds") {
            one.truncate(at);
        }
    }
    seen.sort_unstable();
    seen.dedup();
    seen
}

/// All statements so far that a connection prepared once and keeps. A statement that is not among them is prepared again
/// on each use.
pub fn cached() -> Vec<String> {
    CACHED.lock().unwrap().clone()
}

/// Runs the test's own SQL without recording it.
pub fn unseen(db: &TestDb, statement: &str) -> String {
    DEAF.store(true, Ordering::SeqCst);
    let answer = db.sql(statement);
    DEAF.store(false, Ordering::SeqCst);
    answer
}
