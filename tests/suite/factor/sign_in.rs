//! Signing in with a code: by the API, by the pages, and against people who guess or replay.

use std::sync::Barrier;

use serde_json::json;

use super::{
    KIM, count, events, is_refused, leads_to, lengthen_waits, let_time_pass, level, log_in_by_page, log_in_with,
    second_step, serve, set_up, signed_in,
};
use crate::support::{App, Client, PASSWORD, TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    the_api_takes_a_code_beside_the_password,
    the_pages_ask_for_a_code_after_the_password,
    a_code_works_once_on_all_nodes,
    a_code_that_is_used_on_two_nodes_at_once_works_once,
    after_a_code_no_older_one_is_taken,
    codes_cannot_be_guessed,
    a_right_password_gives_no_further_tries_at_a_code,
    with_a_wrong_password_the_code_is_not_looked_at,
    a_recovery_code_works_once,
    a_password_link_leads_to_the_second_step,
    a_code_that_is_hinted_at_does_not_work_later,
}

async fn the_api_takes_a_code_beside_the_password(db: TestDb) {
    let server = serve(&db);
    let (phone, _) = set_up(&mut signed_in(&server));
    let_time_pass(&db);
    let before = [count(&db, "sessions"), count(&db, "devices"), events(&db, "login.succeeded")];
    let mut client = server.client();
    is_refused(&client.try_log_in(KIM, PASSWORD), &["totp", "recovery"]);
    is_refused(&log_in_with(&mut client, PASSWORD, &phone.wrong_code()), &["totp", "recovery"]);
    assert_eq!([count(&db, "sessions"), count(&db, "devices"), events(&db, "login.succeeded")], before);
    let code = phone.code();
    let answer = log_in_with(&mut client, PASSWORD, &format!(" {}-{} ", &code[..3], &code[3..]));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["session"]["amr"], json!(["pwd", "otp", "mfa"]));
    assert_eq!(level(&mut client), (json!(2), json!(["pwd", "otp", "mfa"])));
    assert_eq!(events(&db, "second-factor.failed"), 1);
}

async fn the_pages_ask_for_a_code_after_the_password(db: TestDb) {
    let server = serve(&db);
    let (phone, _) = set_up(&mut signed_in(&server));
    let_time_pass(&db);
    let mut client = server.client();
    leads_to(&client.get("/login/second"), "/login");
    let answer = log_in_by_page(&mut client, "/drafts");
    leads_to(&answer, "/login/second");
    assert!(answer.sets("aiq_session").is_none() && answer.sets("aiq_device").is_none(), "{answer:?}");
    assert_eq!(client.get("/api/session").status, 401, "the first step opens nothing");
    let page = client.get("/login/second");
    assert!(page.body.contains("autocomplete=\"one-time-code\""), "{}", page.body);
    assert_eq!(second_step(&mut client, "").status, 422);
    let wrong = second_step(&mut client, &phone.wrong_code());
    assert!(wrong.status == 401 && wrong.body.contains("id=\"code-error\""), "{wrong:?}");
    leads_to(&second_step(&mut client, &phone.code()), "/drafts");
    assert_eq!(level(&mut client), (json!(2), json!(["pwd", "otp", "mfa"])));
}

async fn a_code_works_once_on_all_nodes(db: TestDb) {
    let nodes = [serve(&db), App::start(&db, &[])];
    let (phone, _) = set_up(&mut signed_in(&nodes[0]));
    let_time_pass(&db);
    let code = phone.code();
    assert_eq!(log_in_with(&mut nodes[0].client(), PASSWORD, &code).status, 200);
    for node in &nodes {
        is_refused(&log_in_with(&mut node.client(), PASSWORD, &code), &["totp", "recovery"]);
        let mut client = node.client();
        leads_to(&log_in_by_page(&mut client, ""), "/login/second");
        let again = second_step(&mut client, &code);
        assert!(again.status == 401 && again.body.contains("used already"), "{again:?}");
        assert_eq!(client.get("/api/session").status, 401);
    }
}

async fn a_code_that_is_used_on_two_nodes_at_once_works_once(db: TestDb) {
    let nodes = [serve(&db), App::start(&db, &[])];
    let (phone, _) = set_up(&mut signed_in(&nodes[0]));
    for _ in 0..3 {
        let_time_pass(&db);
        let (code, all) = (phone.code(), Barrier::new(4));
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let attempt = |mut client: Client| {
                let (code, all) = (&code, &all);
                scope.spawn(move || {
                    all.wait();
                    log_in_with(&mut client, PASSWORD, code).status
                })
            };
            let attempts: Vec<_> = (0..4).map(|n| attempt(nodes[n % 2].client())).collect();
            attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        db.sql("DELETE FROM throttle_counts");
    }
}

async fn after_a_code_no_older_one_is_taken(db: TestDb) {
    let server = serve(&db);
    let (phone, _) = set_up(&mut signed_in(&server));
    let_time_pass(&db);
    let (before, next) = (phone.code_after(-1), phone.code_after(1));
    assert_eq!(log_in_with(&mut server.client(), PASSWORD, &next).status, 200);
    for code in [&before, &phone.code(), &next] {
        is_refused(&log_in_with(&mut server.client(), PASSWORD, code), &["totp", "recovery"]);
    }
}

async fn codes_cannot_be_guessed(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    let (phone, codes) = set_up(&mut kim);
    let_time_pass(&db);
    let (wrong, mut stranger) = (phone.wrong_code(), server.client());
    for n in 0..10 {
        let guess = if n % 2 == 0 { wrong.as_str() } else { "AAAA-AAAA-AAAA-AAAA" };
        is_refused(&log_in_with(&mut stranger, PASSWORD, guess), &["totp", "recovery"]);
    }
    lengthen_waits(&db);
    for right in [&phone.code(), &codes[0]] {
        let refused = log_in_with(&mut stranger, PASSWORD, right);
        assert_eq!((refused.status, refused.problem().as_str()), (429, "too-many-attempts"), "{refused:?}");
    }
    leads_to(&log_in_by_page(&mut stranger, ""), "/login/second");
    let page = second_step(&mut stranger, &phone.code());
    assert!(page.status == 429 && page.body.contains("Too many wrong codes"), "{page:?}");
    // The person's own browser has its own count.
    assert_eq!(log_in_with(&mut kim, PASSWORD, &phone.code()).status, 200);
}

async fn a_right_password_gives_no_further_tries_at_a_code(db: TestDb) {
    let server = serve(&db);
    let (phone, _) = set_up(&mut signed_in(&server));
    let_time_pass(&db);
    let mut stranger = server.client();
    for _ in 0..10 {
        is_refused(&log_in_with(&mut stranger, PASSWORD, &phone.wrong_code()), &["totp", "recovery"]);
        // The right password alone.
        is_refused(&stranger.try_log_in(KIM, PASSWORD), &["totp", "recovery"]);
    }
    lengthen_waits(&db);
    assert_eq!(log_in_with(&mut stranger, PASSWORD, &phone.code()).status, 429);
}

async fn with_a_wrong_password_the_code_is_not_looked_at(db: TestDb) {
    let server = serve(&db);
    let (phone, codes) = set_up(&mut signed_in(&server));
    let_time_pass(&db);
    let code = phone.code();
    let refusals: Vec<_> = [code.as_str(), &codes[0], "000000", ""]
        .into_iter()
        .map(|code| log_in_with(&mut server.client(), "not the password 1", code))
        .collect();
    for refused in &refusals {
        assert_eq!((refused.status, refused.problem().as_str()), (401, "invalid-credentials"), "{refused:?}");
        assert_eq!(refused.json()["methods"], json!(null));
    }
    assert_eq!(db.sql("SELECT last_step FROM totp_apps"), "0");
    assert_eq!((count(&db, "recovery_codes WHERE used_at IS NOT NULL"), events(&db, "second-factor.failed")), (0, 0));
    assert_eq!(log_in_with(&mut server.client(), PASSWORD, &code).status, 200);
}

async fn a_recovery_code_works_once(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    let (_, codes) = set_up(&mut kim);
    let mut client = server.client();
    let typed = codes[3].to_lowercase().replace('-', " ");
    let answer = log_in_with(&mut client, PASSWORD, &typed);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(level(&mut client), (json!(2), json!(["pwd", "mfa"])));
    assert_eq!(client.get("/api/second-factor").json()["recoveryLeft"], 9);
    assert_eq!(events(&db, "recovery.used"), 1);
    is_refused(&log_in_with(&mut server.client(), PASSWORD, &codes[3]), &["totp", "recovery"]);
    let mut by_page = server.client();
    leads_to(&log_in_by_page(&mut by_page, ""), "/login/second");
    let again = second_step(&mut by_page, &codes[3]);
    assert!(again.status == 401 && again.body.contains("used already"), "{again:?}");
    leads_to(&second_step(&mut by_page, &codes[4]), "/dashboard");
    assert!(!client.get("/account/security").body.contains("recovery codes left"));
    for code in &codes[4..] {
        log_in_with(&mut server.client(), PASSWORD, code);
    }
    assert_eq!(log_in_with(&mut server.client(), PASSWORD, &codes[0]).status, 200);
    assert!(client.get("/account/security").body.contains("You have 2 recovery codes left"));
}

async fn a_password_link_leads_to_the_second_step(db: TestDb) {
    let server = serve(&db);
    let alex = crate::support::add_user(&db, "alex@example.com", "member");
    let mut client = server.client();
    client.log_in("alex@example.com");
    let (phone, _) = set_up(&mut client);
    let_time_pass(&db);
    let mut kim = signed_in(&server);
    let made = kim.json("POST", &format!("/api/people/{alex}/password-link"), &json!({}));
    let link = made.json()["link"].as_str().expect("a link").to_owned();
    let (_, token) = link.split_once("/link/").expect("a token");
    let (mut mailed, path) = (server.client(), format!("/link/{token}"));
    let page = mailed.get(&path);
    let answer = mailed.form(&path, &[("csrf", &page.form_token()), ("password", "purple limpets hum at noon")]);
    leads_to(&answer, "/login/second");
    assert!(answer.sets("aiq_session").is_none(), "{answer:?}");
    assert_eq!(mailed.get("/api/session").status, 401);
    leads_to(&second_step(&mut mailed, &phone.code()), "/dashboard");
    assert_eq!(mailed.get("/api/session").json()["user"]["email"], "alex@example.com");
}

async fn a_code_that_is_hinted_at_does_not_work_later(db: TestDb) {
    let server = serve(&db);
    let (phone, _) = set_up(&mut signed_in(&server));
    let_time_pass(&db);
    // Two periods if another one begins meanwhile.
    let early = phone.code_after(3);
    let mut client = server.client();
    leads_to(&log_in_by_page(&mut client, ""), "/login/second");
    let hint = second_step(&mut client, &early);
    assert!(hint.status == 401 && hint.body.contains(" ahead"), "{hint:?}");
    assert_eq!(count(&db, "spent_proofs"), 1);
    // The code of now still works.
    leads_to(&second_step(&mut client, &phone.code()), "/dashboard");
}
