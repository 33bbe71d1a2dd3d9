//! The count of wrong passwords for an account, and how long it lasts.

use super::{ALEX, FREE, FROM, KIM, WRONG, count, guess, hold, node, pass, serve, try_from, wait_of};
use crate::support::{App, PASSWORD, TestDb, eventually, on_both_engines_and_citus};

on_both_engines_and_citus! {
    after_the_free_tries_each_wrong_password_doubles_the_wait,
    forty_good_logins_in_a_row_all_pass,
    the_right_password_resets_the_count,
    an_unknown_account_is_throttled_the_same_way,
    a_day_later_all_is_forgotten,
    concurrent_tries_on_two_nodes_gain_nothing,
    good_logins_at_once_pass,
    right_passwords_at_once_wait_for_one_another_and_all_pass,
    a_form_sent_twice_is_no_second_try,
    throttling_is_recorded_once_per_wrong_password,
    a_try_that_died_with_its_node_counts_for_a_minute_only,
    the_wait_after_a_wrong_password_from_the_future_begins_now,
    disconnecting_gains_no_free_try,
    old_counts_are_swept,
}

async fn after_the_free_tries_each_wrong_password_doubles_the_wait(db: TestDb) {
    let server = serve(&db);
    guess(&db, &server, KIM, FREE);
    for wait in [1, 2, 4, 8, 16] {
        let right = try_from(&mut server.client(), FROM, KIM, PASSWORD);
        assert_eq!(wait_of(&right), wait);
        pass(&db, wait.cast_signed());
        guess(&db, &server, KIM, 1);
    }
    assert_eq!(try_from(&mut server.client(), FROM, ALEX, PASSWORD).status, 200, "another account is not throttled");
    pass(&db, 60);
    assert_eq!(try_from(&mut server.client(), FROM, KIM, PASSWORD).status, 200, "after the wait the login succeeds");
}

async fn forty_good_logins_in_a_row_all_pass(db: TestDb) {
    let server = serve(&db);
    for n in 0..40 {
        let answer = try_from(&mut server.client(), FROM, KIM, PASSWORD);
        assert_eq!(answer.status, 200, "login {n}: {answer:?}");
    }
    assert_eq!((count(&db, "throttle_tries"), count(&db, "throttle_counts WHERE failures > 0")), (0, 0));
}

async fn the_right_password_resets_the_count(db: TestDb) {
    let server = serve(&db);
    for _ in 0..3 {
        guess(&db, &server, KIM, FREE - 1);
        assert_eq!(try_from(&mut server.client(), FROM, KIM, PASSWORD).status, 200);
    }
}

async fn an_unknown_account_is_throttled_the_same_way(db: TestDb) {
    let server = serve(&db);
    guess(&db, &server, "Nobody@example.com", FREE);
    let known_one = try_from(&mut server.client(), FROM, "nobody@EXAMPLE.com", WRONG);
    assert_eq!(wait_of(&known_one), 1);
    assert_eq!(count(&db, "audit WHERE kind = 'login.throttled' AND account_id = ''"), 1);
    let dump = db.sql("SELECT email FROM accounts");
    assert!(!dump.contains("obody"), "the typed address is not stored");
}

async fn a_day_later_all_is_forgotten(db: TestDb) {
    let server = serve(&db);
    guess(&db, &server, KIM, FREE);
    pass(&db, 24 * 3600);
    guess(&db, &server, KIM, FREE);
    wait_of(&try_from(&mut server.client(), FROM, KIM, PASSWORD));
}

async fn concurrent_tries_on_two_nodes_gain_nothing(db: TestDb) {
    let nodes = [serve(&db), node(&db)];
    let began = std::time::Instant::now();
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..60)
            .map(|n| {
                let mut client = nodes[n % 2].client();
                scope.spawn(move || try_from(&mut client, FROM, KIM, WRONG).status)
            })
            .collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let looked_at = answers.iter().filter(|status| **status == 401).count();
    assert!(answers.iter().all(|status| matches!(status, 401 | 429 | 503)), "{answers:?}");
    // On a slow machine some waits after the free tries may end meanwhile: after 1 s, then 2 s and 4 s later.
    let beyond = [1, 3, 7, 15].iter().filter(|seconds| began.elapsed().as_secs() >= **seconds).count();
    assert!((1..=FREE + beyond).contains(&looked_at), "{looked_at} passwords were checked: {answers:?}");
    assert_eq!(count(&db, "audit WHERE kind = 'login.failed'"), looked_at);
    // Where the database did not answer in time, the outcome of a try stays unknown for a while.
    let unknown = answers.iter().filter(|status| **status == 503).count();
    assert!(count(&db, "throttle_tries") <= unknown, "{answers:?}");
}

async fn good_logins_at_once_pass(db: TestDb) {
    let server = serve(&db);
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let logins: Vec<_> = (0..FREE)
            .map(|_| {
                let mut client = server.client();
                scope.spawn(move || try_from(&mut client, FROM, KIM, PASSWORD).status)
            })
            .collect();
        logins.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(answers, [200; FREE]);
}

/// Strangers have used all free tries but one, so each try has to wait for the outcome of another.
async fn right_passwords_at_once_wait_for_one_another_and_all_pass(db: TestDb) {
    let server = serve(&db);
    let mut answers = Vec::new();
    // A try waits for others for less than a second. On a busy machine that may be too short for two hashes.
    for _ in 0..10 {
        db.sql("DELETE FROM throttle_counts");
        guess(&db, &server, KIM, FREE - 1);
        answers = right_passwords_at_once(&server);
        if answers == [200; 3] {
            return;
        }
    }
    panic!("{answers:?}");
}

fn right_passwords_at_once(server: &App) -> Vec<u16> {
    let start = std::sync::Barrier::new(3);
    std::thread::scope(|scope| {
        let login = || {
            let (mut client, start) = (server.client(), &start);
            scope.spawn(move || {
                start.wait();
                try_from(&mut client, FROM, KIM, PASSWORD).status
            })
        };
        [login(), login(), login()].into_iter().map(|one| one.join().unwrap()).collect()
    })
}

async fn a_form_sent_twice_is_no_second_try(db: TestDb) {
    let server = serve(&db);
    let mut browser = server.client();
    let csrf = browser.form_token("/login");
    let start = std::sync::Barrier::new(4);
    guess(&db, &server, KIM, FREE - 1);
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let press = || {
            let (mut own, start, csrf) = (browser.clone(), &start, csrf.as_str());
            scope.spawn(move || {
                start.wait();
                own.form("/login", &[("csrf", csrf), ("email", KIM), ("password", PASSWORD)]).status
            })
        };
        [press(), press(), press(), press()].into_iter().map(|press| press.join().unwrap()).collect()
    });
    assert_eq!(answers, [303; 4]);
    assert_eq!(count(&db, "sessions"), 1);
}

async fn throttling_is_recorded_once_per_wrong_password(db: TestDb) {
    let server = serve(&db);
    guess(&db, &server, KIM, FREE);
    for _ in 0..5 {
        hold(&db);
        wait_of(&try_from(&mut server.client(), FROM, KIM, WRONG));
    }
    assert_eq!(count(&db, "audit WHERE kind = 'login.throttled'"), 1);
    pass(&db, 2);
    guess(&db, &server, KIM, 1);
    for _ in 0..5 {
        hold(&db);
        wait_of(&try_from(&mut server.client(), FROM, KIM, WRONG));
    }
    assert_eq!(count(&db, "audit WHERE kind = 'login.throttled'"), 2);
    assert_eq!(count(&db, "audit WHERE kind = 'login.failed'"), FREE + 1);
}

async fn a_try_that_died_with_its_node_counts_for_a_minute_only(db: TestDb) {
    let server = serve(&db);
    guess(&db, &server, KIM, 1);
    let subjects = db.sql("SELECT count(*) FROM throttle_counts");
    assert_eq!(subjects, "2", "counts for the account and for the address");
    for (age, status) in [("-30", 429), ("-61", 200), ("86400", 200)] {
        db.sql("DELETE FROM throttle_tries");
        for n in 0..60 {
            db.sql(&format!(
                "INSERT INTO throttle_tries (subject, try_id, began_at) SELECT subject, 'died{n}', INSTANT({age}) FROM \
                 throttle_counts"
            ));
        }
        assert_eq!(try_from(&mut server.client(), FROM, KIM, PASSWORD).status, status, "{age}");
    }
}

/// The database's clock was a day ahead and is corrected.
async fn the_wait_after_a_wrong_password_from_the_future_begins_now(db: TestDb) {
    let server = serve(&db);
    guess(&db, &server, KIM, FREE);
    db.sql("UPDATE throttle_counts SET last_failed_at = INSTANT(86400), changed_at = INSTANT(86400)");
    assert_eq!(wait_of(&try_from(&mut server.client(), FROM, KIM, PASSWORD)), 1);
    let ahead = "SELECT count(*) FROM throttle_counts WHERE last_failed_at > INSTANT(0)";
    assert_eq!(db.sql(ahead), "0", "no time may stay in the future");
    pass(&db, 2);
    assert_eq!(try_from(&mut server.client(), FROM, KIM, PASSWORD).status, 200);
}

async fn disconnecting_gains_no_free_try(db: TestDb) {
    use std::io::Write as _;
    let server = serve(&db);
    let body = format!("{{\"email\":\"{KIM}\",\"password\":\"{WRONG}\"}}");
    let request = format!(
        "POST /api/establish-session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         X-Forwarded-For: {FROM}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for n in 1..=FREE {
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        // The client disconnects as soon as its try is recorded, however far the check has got.
        eventually("the try", async || {
            count(&db, "throttle_tries") + count(&db, "audit WHERE kind = 'login.failed'") > n - 1
        })
        .await;
        drop(socket);
        eventually("its end", async || count(&db, "audit WHERE kind = 'login.failed'") == n).await;
    }
    hold(&db);
    wait_of(&try_from(&mut server.client(), FROM, KIM, PASSWORD));
}

async fn old_counts_are_swept(db: TestDb) {
    let server = serve(&db);
    guess(&db, &server, KIM, 1);
    db.sql("INSERT INTO throttle_tries (subject, try_id, began_at) SELECT subject, 'old', INSTANT(-1000) FROM throttle_counts");
    let prune = || crate::support::sessile(&db, &["prune"], "");
    assert!(prune().status.success());
    assert_eq!((count(&db, "throttle_counts"), count(&db, "throttle_tries")), (2, 0));
    db.sql("UPDATE throttle_counts SET changed_at = INSTANT(-86401)");
    assert!(prune().status.success());
    assert_eq!(count(&db, "throttle_counts"), 0);
}
