//! `/activity`: the account's audit events in plain words.

use super::{ALEX, KIM, device_id, serve, signed_in};
use crate::support::{Client, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    events_are_shown_in_plain_words,
    filters_show_one_sort_of_events,
    pages_show_each_event_once_while_others_arrive,
    only_sign_ins_on_other_existing_devices_can_be_denied,
}

async fn events_are_shown_in_plain_words(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    phone.try_log_in(KIM, "a wrong password");
    let id = device_id(&mut phone);
    desk.json("PATCH", &format!("/api/devices/{id}"), &serde_json::json!({"name": "Old phone"}));
    desk.json("DELETE", &format!("/api/devices/{id}"), &serde_json::Value::Null);
    let page = desk.get("/activity").body;
    for words in [
        "Account created",
        "Signed in on a new device",
        "Wrong password",
        "Device renamed",
        "Old phone, before: Phone",
        "Device removed",
        "Signed out from another device",
        "127.0.0.1",
        "wrong password",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("<b>Signed in</b>"), "a sign-in on a new device gets only one row: {page}");
    for jargon in ["session.", "login.", "token", "authenticat"] {
        assert!(!page.replace("/static/", "").contains(jargon), "{jargon}: {page}");
    }
}

async fn filters_show_one_sort_of_events(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    desk.try_log_in(KIM, "a wrong password");
    let titles = |client: &mut Client, query: &str| {
        let page = client.get(&format!("/activity{query}")).body;
        page.split("<p class=\"row-name\"><b>")
            .skip(1)
            .map(|rest| rest.split('<').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(titles(&mut desk, "?show=sign-ins"), ["Signed in on a new device"]);
    assert_eq!(titles(&mut desk, "?show=wrong-passwords"), ["Wrong password"]);
    assert_eq!(titles(&mut desk, "?show=changes"), ["Account created"]);
    let all = ["Wrong password", "Signed in on a new device", "Account created"];
    assert_eq!(titles(&mut desk, ""), all);
    assert_eq!(titles(&mut desk, "?show=nonsense&before=nonsense"), all);
    assert_eq!(titles(&mut desk, "?before=1"), [""; 0]);
    assert!(desk.get("/activity?before=1").body.contains("Nothing is older than that."));
    for odd in ["?before=-9", "?before=99999999999999999999", "?before=%00", "?show=%F0%9F"] {
        assert!(matches!(desk.get(&format!("/activity{odd}")).status, 200 | 400), "{odd}");
    }
}

async fn pages_show_each_event_once_while_others_arrive(db: TestDb) {
    let server = serve(&db);
    add_user(&db, ALEX, "member");
    let mut desk = signed_in(&server, KIM, "Desk");
    // Events of two accounts alternate.
    let mut rows = String::new();
    for n in 0..100 {
        for email in [KIM, ALEX] {
            rows += &format!(
                "INSERT INTO audit (id, at, kind, account_id, actor, device_name) SELECT (SELECT max(e.id) + 1 FROM audit e \
                 WHERE e.account_id = accounts.id), INSTANT(-{}), 'login.confirmed', id, id, 'n{n:03}' FROM accounts \
                 WHERE email = '{email}';",
                1000 - n
            );
        }
    }
    db.sql(&format!("BEGIN; {rows} COMMIT;"));
    let mut seen = Vec::new();
    let mut address = "/activity".to_owned();
    loop {
        let page = desk.get(&address).body;
        seen.extend((0..100).filter(|n| page.contains(&format!("n{n:03} "))));
        desk.try_log_in(KIM, "a wrong password");
        let Some((before, _)) = page.split_once("\">Older</a>") else { break };
        address = before.rsplit_once("href=\"").unwrap().1.replace("&amp;", "&");
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..100).collect::<Vec<_>>(), "each event exactly once");
}

async fn only_sign_ins_on_other_existing_devices_can_be_denied(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    let (here, there) = (device_id(&mut desk), device_id(&mut phone));
    for page in ["/activity", "/activity?show=sign-ins", "/dashboard"] {
        let page = desk.get(page).body;
        assert!(
            page.contains(&format!("value=\"not-me:{there}\"")) && !page.contains(&format!("not-me:{here}")),
            "{page}"
        );
    }
    desk.json("DELETE", &format!("/api/devices/{there}"), &serde_json::Value::Null);
    assert!(!desk.get("/activity").body.contains("not-me:"));
}
