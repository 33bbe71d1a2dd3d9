//! Who may open an app, and that a change of the rules or of an account takes effect with the next request.

use sessile::actions::apps::{checks::Changes, manage, manager::Manager};

use super::{ALEX, Browser, FETCHES, HERE, KIM, NAVIGATES, SHOP, db_of_operator, path_of, register, serve};
use crate::support::{TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    the_rules_decide_who_may_open_the_app,
    a_changed_rule_takes_effect_with_the_next_request,
    a_changed_account_takes_effect_with_the_next_request,
    whoever_is_not_admitted_reads_whom_to_ask,
    a_rule_may_name_an_account_that_was_disabled_since,
}

async fn the_rules_decide_who_may_open_the_app(db: TestDb) {
    add_user(&db, KIM, "owner");
    add_user(&db, ALEX, "member");
    db.sql("UPDATE accounts SET groups = 'Night,Till staff' WHERE email = 'alex@example.com'");
    let server = serve(&db);
    let operator = db_of_operator(&db);
    let app = register(&db, SHOP, Changes::default()).await;
    for (rules, kim, alex) in [
        (&["everyone"][..], true, true),
        (&["role:owner"], true, false),
        (&["role:member"], false, true),
        (&["role:admin"], false, false),
        (&["group:Till staff"], false, true),
        (&["group:Till"], false, false),
        (&["account:KIM@example.com"], true, false),
        (&["role:owner", "group:Night"], true, true),
    ] {
        let admit = Some(rules.iter().map(|rule| (*rule).to_owned()).collect());
        let public = sessile::base::settings::PublicUrl::parse(HERE).unwrap();
        manage::set(&operator, &Manager::Operator, &public, &app.id, Changes { admit, ..Changes::default() })
            .await
            .unwrap()
            .unwrap();
        for (email, may) in [(KIM, kim), (ALEX, alex)] {
            let mut browser = Browser::signed_in(&server, &app, email);
            let listed = browser.sessile.get("/api/apps").json()["apps"].as_array().unwrap().len();
            let start = browser.at_app("/.sessile/start?to=/");
            let opened = browser.sessile.get(&path_of(&super::going_on(&start), HERE));
            assert_eq!((opened.status, listed), if may { (200, 1) } else { (403, 0) }, "{rules:?} {email}");
        }
    }
}

async fn a_changed_rule_takes_effect_with_the_next_request(db: TestDb) {
    let (server, app) = super::shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, ALEX);
    let operator = db_of_operator(&db);
    let public = sessile::base::settings::PublicUrl::parse(HERE).unwrap();
    let admit = |rule: &str| Changes { admit: Some(vec![rule.to_owned()]), ..Changes::default() };
    for _ in 0..5 {
        assert_eq!(browser.ask(&FETCHES).status, 200);
        manage::set(&operator, &Manager::Operator, &public, &app.id, admit("role:owner")).await.unwrap().unwrap();
        let refused = browser.ask(&FETCHES);
        assert_eq!((refused.status, refused.problem().as_str()), (403, "forbidden"), "{refused:?}");
        manage::set(&operator, &Manager::Operator, &public, &app.id, admit("everyone")).await.unwrap().unwrap();
    }
}

async fn a_changed_account_takes_effect_with_the_next_request(db: TestDb) {
    let (server, app) = super::shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, ALEX);
    assert_eq!(browser.ask(&FETCHES).header("x-sessile-groups"), Some(""));
    db.sql("UPDATE accounts SET groups = 'Night,Till staff', role = 'admin' WHERE email = 'alex@example.com'");
    let answer = browser.ask(&FETCHES);
    assert_eq!(answer.header("x-sessile-groups"), Some("Night,Till staff"));
    assert_eq!(answer.header("x-sessile-role"), Some("admin"));
    let csrf = browser.sessile.form_token("/account");
    assert_eq!(browser.sessile.form("/account", &[("csrf", &csrf), ("name", "Alex Ünal")]).status, 303);
    assert_eq!(browser.ask(&FETCHES).header("x-sessile-name"), Some("Alex %C3%9Cnal"));
}

async fn whoever_is_not_admitted_reads_whom_to_ask(db: TestDb) {
    add_user(&db, KIM, "owner");
    add_user(&db, ALEX, "member");
    let app = register(&db, SHOP, Changes::default()).await;
    let server = serve(&db);
    let mut inside = Browser::in_app(&server, &app, ALEX);
    let public = sessile::base::settings::PublicUrl::parse(HERE).unwrap();
    let only_owners = Changes { admit: Some(vec!["role:owner".to_owned()]), ..Changes::default() };
    manage::set(&db_of_operator(&db), &Manager::Operator, &public, &app.id, only_owners).await.unwrap().unwrap();
    let page = inside.ask(&NAVIGATES);
    assert_eq!(page.status, 403, "{page:?}");
    let dashboard = format!("{HERE}/dashboard");
    for part in ["no access to Shop", ALEX, "/.sessile/sign-out?to=", &dashboard] {
        assert!(page.body.contains(part), "{part}: {page:?}");
    }
    let start = inside.at_app("/.sessile/start?to=/");
    let open = path_of(&super::going_on(&start), HERE);
    for _ in 0..8 {
        let page = inside.sessile.get(&open);
        assert!(
            page.status == 403 && page.body.contains("no access to Shop") && page.body.contains("Use another account"),
            "{page:?}"
        );
        assert!(page.body.contains(ALEX) && page.body.contains(&format!("/apps/{}/open?to=/", app.id)), "{page:?}");
    }
    assert_eq!(inside.sessile.get(&open).header("location"), None);
    // Denials are recorded, but not without end.
    let recorded: usize = db.sql("SELECT count(*) FROM audit WHERE kind = 'app.denied'").parse().unwrap();
    assert!((1..=6).contains(&recorded), "{recorded}");
}

async fn a_rule_may_name_an_account_that_was_disabled_since(db: TestDb) {
    add_user(&db, KIM, "owner");
    add_user(&db, ALEX, "member");
    let admit = Some(vec![format!("account:{ALEX}")]);
    let app = register(&db, SHOP, Changes { admit, ..Changes::default() }).await;
    db.sql("UPDATE accounts SET disabled_at = INSTANT(0) WHERE email = 'alex@example.com'");
    let (operator, public) = (db_of_operator(&db), sessile::base::settings::PublicUrl::parse(HERE).unwrap());
    let id = db.sql("SELECT id FROM accounts WHERE email = 'alex@example.com'");
    for named in [ALEX, &id] {
        let admit = Some(vec![format!("account:{named}")]);
        let set = manage::set(&operator, &Manager::Operator, &public, &app.id, Changes { admit, ..Changes::default() });
        assert!(set.await.unwrap().is_ok(), "{named}");
    }
}
