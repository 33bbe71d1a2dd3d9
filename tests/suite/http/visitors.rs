//! Visitors without an account leave no rows.

use sessile::base::keys::Keys;

use super::{assert_unharmed, count, raw, serve_process};
use crate::support::is_long;

const THREADS: usize = 4;

#[test]
fn visits_with_made_up_cookies_leave_no_row() {
    let visits = if is_long() { 10_000 } else { 1_000 };
    let (db, server) = serve_process(&[("SESSILE_LOG", "warn")]);
    let rows = || ["sessions", "devices", "audit", "accounts"].map(|table| count(&db, table));
    let before = rows();
    let keys = Keys::read_or_make(std::path::Path::new(&db.key_file())).expect("keys");
    let welcomed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (port, name, keys) = (server.port, &server.cookie("aiq_session"), &keys);
                let mine: Vec<_> =
                    (0..visits / THREADS).map(|visit| visit_to_login(name, thread, visit, keys)).collect();
                scope.spawn(move || raw::ask_in_turn(port, mine.into_iter(), is_welcome))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("answers")).sum()
    });
    assert_eq!((welcomed, rows()), (visits, before));
    assert_eq!(before[..2], [0, 0]);
    assert_unharmed(&server);
}

fn visit_to_login(name: &str, thread: usize, visit: usize, keys: &Keys) -> String {
    let key = format!("aiq_17954604{thread:02}{visit:05}_{visit:022}.{visit:043}");
    let cookie = match visit % 4 {
        0 => format!("made-up-{visit}"),
        1 => key,
        2 => format!("{thread:>044}{key}"),
        // Signed with the right key, but without a session.
        _ => keys.sign_cookie("aiq_session", key).encoded().to_string().split_off("aiq_session=".len()),
    };
    format!("GET /login HTTP/1.1\r\nHost: localhost\r\nCookie: {name}={cookie}\r\n\r\n")
}

/// Whether the answer is the login page without a cookie that would need a row.
fn is_welcome(answer: &str) -> bool {
    let sets = |name: &str| answer.contains(&format!("set-cookie: {name}"));
    answer.starts_with("HTTP/1.1 200 ")
        && answer.contains("action=\"/login\"")
        && !sets("aiq_session")
        && !sets("aiq_device")
}
