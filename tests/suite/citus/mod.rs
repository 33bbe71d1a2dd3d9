//! `sessile distribute`, and what the program promises on distributed tables. The suites `store`, `http` and others run
//! their cases on such tables too. All of this needs a Citus cluster; see `docs/scaling.md`.

#![expect(clippy::print_stdout, reason = "says what was not checked, and counts, for whoever asks cargo to show them")]

mod away;
mod distribute;
mod plans;
mod sign_ups;

use crate::support::{Client, TestDb};

const KIM: &str = "kim@example.com";

/// The database of a case, or `None` after it has said that nothing is checked.
fn on_cluster(db: Option<TestDb>) -> Option<TestDb> {
    if db.is_none() {
        println!("NOT CHECKED: SESSILE_TEST_CITUS names no cluster");
    }
    db
}

/// Asks for the session until the answer is final. An answer of 503 is repeated for 30 s.
fn status_in_the_end(client: &mut Client) -> u16 {
    let begin = std::time::Instant::now();
    loop {
        let status = client.get("/api/session").status;
        if status != 503 || begin.elapsed().as_secs() > 30 {
            return status;
        }
        std::thread::yield_now();
    }
}
