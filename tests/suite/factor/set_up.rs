//! Setting an app up and removing it, by the pages and by the API.

use std::sync::Barrier;

use serde_json::json;

use super::{
    KIM, Phone, add, count, events, form, is_refused, leads_to, lengthen_waits, let_confirmations_lapse, let_time_pass,
    level, log_in_with, needs_confirmation, serve, set_up, signed_in, texts,
};
use crate::support::{App, Client, PASSWORD, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    an_app_is_set_up_by_the_page,
    an_app_is_set_up_by_the_api,
    the_code_of_the_set_up_signs_nobody_in,
    two_tabs_that_set_up_at_once_make_one_app_and_one_set_of_codes,
    wrong_codes_of_a_set_up_are_counted,
    an_app_is_removed_with_its_recovery_codes,
    the_last_factor_stays_where_it_is_required,
    the_last_factor_of_an_account_with_a_short_password_stays,
    new_recovery_codes_replace_the_old_ones,
}

/// The key on the page, and the page's form token.
fn shown(client: &mut Client) -> (Phone, String) {
    let page = client.get("/account/security/app");
    assert_eq!((page.status, page.header("cache-control")), (200, Some("no-store")), "{page:?}");
    assert!(page.body.contains("<svg class=\"qr\"") && page.body.contains("otpauth://totp/"), "{}", page.body);
    let (_, rest) = page.body.split_once("id=\"app-key\">").expect("a key");
    let key = rest.split('<').next().expect("a key");
    assert!(key.len() == 39 && key.split(' ').all(|group| group.len() == 4), "{key}");
    (Phone::with_key(key), page.form_token())
}

async fn an_app_is_set_up_by_the_page(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    assert!(kim.get("/account").body.contains("href=\"/account/security\""));
    assert!(kim.get("/account/security").body.contains("Set up an app"));
    let (phone, csrf) = shown(&mut kim);
    let submit = |client: &mut Client, code: &str| {
        client.form("/account/security/app", &[("csrf", &csrf), ("code", code), ("next", "/drafts")])
    };
    for code in ["", "123", &phone.wrong_code()] {
        let answer = submit(&mut kim, code);
        assert_eq!(answer.status, 422, "{answer:?}");
        assert!(answer.body.contains("id=\"code-error\"") && answer.body.contains("value=\"/drafts\""), "{answer:?}");
    }
    let late = submit(&mut kim, &phone.code_after(-6));
    assert!(late.status == 422 && late.body.contains(" minutes behind"), "{late:?}");
    assert_eq!(count(&db, "totp_apps"), 0);
    let spaced = phone.code();
    let answer = submit(&mut kim, &format!("{} {}", &spaced[..3], &spaced[3..]));
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{answer:?}");
    let (_, rest) = answer.body.split_once("<pre").expect("the codes");
    let codes = rest.split_once('>').unwrap().1.split("</pre>").next().unwrap();
    assert_eq!(codes.split_whitespace().count(), 10, "{codes}");
    assert!(answer.body.contains("href=\"/drafts\""), "{answer:?}");
    assert_eq!(db.sql("SELECT second_factors FROM accounts"), "1");
    assert_eq!([events(&db, "totp.added"), events(&db, "recovery.made")], [1, 1]);
    assert_eq!(level(&mut kim), (json!(1), json!(["pwd"])), "a set-up raises no level");
    let to_confirm = "/confirm?level=2&next=%2Faccount%2Fsecurity%2Fapp%3Fnext%3D%252Fdrafts";
    leads_to(&submit(&mut kim, &phone.wrong_code()), to_confirm);
    leads_to(&submit(&mut kim, ""), to_confirm);
    let overview = kim.get("/account/security").body;
    assert!(overview.contains("only one second factor") && overview.contains("10 codes are left"), "{overview}");
    // The factor is there now, and this session has not given it.
    leads_to(&kim.get("/account/security/recovery"), "/confirm?level=2&next=%2Faccount%2Fsecurity%2Frecovery");
}

async fn an_app_is_set_up_by_the_api(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    let nothing = json!({"passkeys": [], "app": false, "recoveryLeft": 0});
    assert_eq!(kim.get("/api/second-factor").json(), nothing);
    let answer = kim.json("POST", "/api/second-factor/app", &json!({}));
    let (secret, uri) = (answer.json()["secret"].clone(), answer.json()["uri"].clone());
    let (secret, uri) = (secret.as_str().unwrap(), uri.as_str().unwrap());
    assert!(uri.contains(&format!("?secret={secret}&")) && uri.contains("kim%40example.com"), "{uri}");
    let again = kim.json("POST", "/api/second-factor/app", &json!({}));
    assert_eq!(again.json()["secret"], secret, "the same session gets the same secret");
    let other = signed_in(&server).json("POST", "/api/second-factor/app", &json!({}));
    assert_ne!(other.json()["secret"], secret, "another session gets another one");
    let phone = Phone::with_key(secret);
    assert_eq!(add(&mut kim, &phone.wrong_code()).problem(), "invalid-request");
    let first = phone.code();
    let added = add(&mut kim, &first);
    assert_eq!(texts(&added.json()["recoveryCodes"]).len(), 10);
    // The same code makes no other recovery codes.
    needs_confirmation(&add(&mut kim, &first));
    assert_eq!(count(&db, "audit WHERE kind = 'recovery.made'"), 1);
    assert_eq!(kim.get("/api/second-factor").json(), json!({"passkeys": [], "app": true, "recoveryLeft": 10}));
    // The session has not given the factor that the account has now.
    needs_confirmation(&add(&mut kim, &phone.wrong_code()));
    needs_confirmation(&kim.json("POST", "/api/second-factor/app", &json!({})));
    let_time_pass(&db);
    assert_eq!(log_in_with(&mut kim, PASSWORD, &phone.code()).status, 200);
    assert_eq!(kim.json("POST", "/api/second-factor/app", &json!({})).problem(), "conflict");
    assert_eq!(add(&mut kim, &phone.code()).problem(), "conflict");
}

async fn the_code_of_the_set_up_signs_nobody_in(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    let answer = kim.json("POST", "/api/second-factor/app", &json!({}));
    let phone = Phone::with_key(answer.json()["secret"].as_str().unwrap());
    let code = phone.code();
    assert_eq!(add(&mut kim, &code).status, 200);
    is_refused(&log_in_with(&mut server.client(), PASSWORD, &code), &["totp", "recovery"]);
    let_time_pass(&db);
    assert_eq!(log_in_with(&mut server.client(), PASSWORD, &phone.code()).status, 200);
}

async fn two_tabs_that_set_up_at_once_make_one_app_and_one_set_of_codes(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    let (phone, csrf) = shown(&mut kim);
    let (code, both) = (phone.code(), Barrier::new(2));
    let answers: Vec<_> = std::thread::scope(|scope| {
        let tab = |mut client: Client| {
            let (csrf, code, both) = (csrf.clone(), code.clone(), &both);
            scope.spawn(move || {
                both.wait();
                client.form("/account/security/app", &[("csrf", &csrf), ("code", &code)])
            })
        };
        let tabs = [tab(kim.clone()), tab(kim.clone())];
        tabs.into_iter().map(|tab| tab.join().unwrap()).collect()
    });
    // Whichever answer the browser shows, it has codes; those of one answer work.
    let shown: Vec<String> = answers.iter().map(first_code).collect();
    let work = shown.iter().filter(|code| log_in_with(&mut server.client(), PASSWORD, code).status == 200);
    assert_eq!(work.count(), 1, "{answers:?}");
    assert_eq!([count(&db, "totp_apps"), count(&db, "recovery_codes"), events(&db, "totp.added")], [1, 10, 1]);
    // Not later, and not with another code.
    assert_eq!(kim.form("/account/security/app", &[("csrf", &csrf), ("code", &code)]).status, 303);
    assert_eq!(db.sql("SELECT second_factors FROM accounts"), "1");
}

/// The first recovery code on a page.
fn first_code(page: &crate::support::Answer) -> String {
    assert_eq!(page.status, 200, "{page:?}");
    let (_, rest) = page.body.split_once("<pre").expect("the codes");
    let codes = rest.split_once('>').unwrap().1;
    codes.split_whitespace().next().unwrap().to_owned()
}

async fn wrong_codes_of_a_set_up_are_counted(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    let (phone, csrf) = shown(&mut kim);
    let wrong = phone.wrong_code();
    for _ in 0..10 {
        assert_eq!(add(&mut kim, &wrong).status, 400);
    }
    lengthen_waits(&db);
    let refused = add(&mut kim, &phone.code());
    assert_eq!((refused.status, refused.problem().as_str()), (429, "too-many-attempts"), "{refused:?}");
    let page = kim.form("/account/security/app", &[("csrf", &csrf), ("code", &phone.code())]);
    assert!(page.status == 429 && page.body.contains("Too many wrong codes"), "{page:?}");
    assert!(page.header("retry-after").is_some() && page.body.contains("id=\"app-key\""), "{page:?}");
    assert_eq!(count(&db, "totp_apps"), 0);
}

async fn an_app_is_removed_with_its_recovery_codes(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    leads_to(&kim.get("/account/security/app/remove"), "/account/security");
    assert_eq!(set_up(&mut kim).1.len(), 10);
    let to_confirm = "/confirm?level=2&next=%2Faccount%2Fsecurity%2Fapp%2Fremove";
    leads_to(&kim.get("/account/security/app/remove"), to_confirm);
    leads_to(&form(&mut kim, "/account/security/app/remove", &[]), to_confirm);
    needs_confirmation(&kim.json("DELETE", "/api/second-factor/app", &json!({})));
    db.sql("UPDATE sessions SET second_factor_at = INSTANT(0)");
    assert!(kim.get("/account/security/app/remove").body.contains("your recovery codes are deleted"));
    leads_to(&form(&mut kim, "/account/security/app/remove", &[]), "/account/security?done=app-removed");
    leads_to(&form(&mut kim, "/account/security/app/remove", &[]), "/account/security");
    assert_eq!(kim.json("DELETE", "/api/second-factor/app", &json!({})).status, 404);
    assert_eq!([count(&db, "totp_apps"), count(&db, "recovery_codes")], [0, 0]);
    assert_eq!((db.sql("SELECT second_factors FROM accounts"), events(&db, "totp.removed")), ("0".to_owned(), 1));
    server.client().log_in(KIM);
    // A new set-up has a new secret.
    set_up(&mut kim);
    db.sql("UPDATE sessions SET second_factor_at = INSTANT(0)");
    assert_eq!(kim.json("DELETE", "/api/second-factor/app", &json!({})).status, 204);
}

async fn the_last_factor_stays_where_it_is_required(db: TestDb) {
    add_user(&db, KIM, "owner");
    let (phone, _) = set_up(&mut signed_in(&App::start(&db, &[])));
    let server = App::start(&db, &[("SESSILE_SECOND_FACTOR", "admins")]);
    let_time_pass(&db);
    let mut kim = server.client();
    assert_eq!(log_in_with(&mut kim, PASSWORD, &phone.code()).status, 200);
    let refused = kim.json("DELETE", "/api/second-factor/app", &json!({}));
    assert_eq!((refused.status, refused.problem().as_str()), (409, "conflict"), "{refused:?}");
    let page = form(&mut kim, "/account/security/app/remove", &[]);
    assert!(page.status == 409 && page.body.contains("requires a second factor"), "{page:?}");
    assert_eq!([count(&db, "totp_apps"), count(&db, "recovery_codes")], [1, 10]);
}

async fn the_last_factor_of_an_account_with_a_short_password_stays(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    set_up(&mut kim);
    db.sql("UPDATE sessions SET second_factor_at = INSTANT(0)");
    db.sql(&format!("UPDATE accounts SET short_password = {}", db.engine.yes()));
    assert_eq!(kim.json("DELETE", "/api/second-factor/app", &json!({})).problem(), "conflict");
    let page = form(&mut kim, "/account/security/app/remove", &[]);
    assert!(page.status == 409 && page.body.contains("too short") && page.body.contains("href=\"/account\""));
    assert_eq!(count(&db, "totp_apps"), 1);
}

async fn new_recovery_codes_replace_the_old_ones(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    assert_eq!(kim.json("POST", "/api/second-factor/recovery-codes", &json!({})).problem(), "conflict");
    leads_to(&kim.get("/account/security/recovery"), "/account/security");
    let (_, old) = set_up(&mut kim);
    needs_confirmation(&kim.json("POST", "/api/second-factor/recovery-codes", &json!({})));
    db.sql("UPDATE sessions SET second_factor_at = INSTANT(0)");
    assert!(kim.get("/account/security/recovery").body.contains("You have 10 codes left"));
    let page = form(&mut kim, "/account/security/recovery", &[]);
    assert!(page.status == 200 && page.body.contains("The old ones no longer work."), "{page:?}");
    assert!(old.iter().all(|code| !page.body.contains(code)));
    let by_api = kim.json("POST", "/api/second-factor/recovery-codes", &json!({}));
    let new = texts(&by_api.json()["codes"]);
    assert_eq!((new.len(), count(&db, "recovery_codes"), events(&db, "recovery.made")), (10, 10, 3));
    is_refused(&log_in_with(&mut server.client(), PASSWORD, &old[0]), &["totp", "recovery"]);
    assert_eq!(log_in_with(&mut server.client(), PASSWORD, &new[0]).status, 200);
    let_confirmations_lapse(&db);
    needs_confirmation(&kim.json("POST", "/api/second-factor/recovery-codes", &json!({})));
}
