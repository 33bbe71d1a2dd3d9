//! What counts as a recent password, and what happens to a form that is sent twice or too late.

use serde_json::json;

use super::{KIM, count, device_id, devices_form, form, is_signed_in, leads_to, serve, session_id, signed_in};
use crate::support::{PASSWORD, TestDb, eventually, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_password_given_before_its_change_confirms_nothing,
    a_confirmation_from_the_future_confirms_nothing,
    a_confirmation_sent_twice_succeeds_both_times,
    a_form_sent_again_after_confirmation_works,
    a_name_in_a_form_that_was_open_for_a_while_is_not_lost,
    an_invalid_body_ends_nothing,
    ending_the_current_session_is_shown_as_done_here,
}

const NEW: &str = "tide pool limpet 77";

async fn a_password_given_before_its_change_confirms_nothing(db: TestDb) {
    let server = serve(&db);
    let mut thief = signed_in(&server, KIM, "Elsewhere");
    let mut owner = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    let passwords = [("current_password", PASSWORD), ("password", NEW), ("end_others", "")];
    leads_to(&form(&mut owner, "/account", &passwords), "/account?done=password");
    let others = "/api/sessions/revoke-others";
    let refused = thief.json("POST", others, &json!({}));
    assert_eq!((refused.status, refused.problem().as_str()), (403, "confirmation-required"), "{refused:?}");
    let path = format!("/api/devices/{}", device_id(&mut owner));
    assert_eq!(thief.json("DELETE", &path, &json!(null)).status, 403);
    let asked = devices_form(&mut thief, &[("ending", "others")]);
    leads_to(&asked, "/confirm?then=others&next=%2Fdevices%3Fdone%3Dothers");
    assert!(is_signed_in(&mut owner) && is_signed_in(&mut phone), "nothing has ended");
    // The new password confirms, whether it is given in a change, a confirmation or a sign-in.
    let confirmed = form(&mut phone, "/confirm", &[("password", NEW), ("then", "others"), ("next", "/devices")]);
    leads_to(&confirmed, "/devices");
    assert!(!is_signed_in(&mut owner) && !is_signed_in(&mut thief));
    assert_eq!(owner.try_log_in(KIM, NEW).status, 200);
    assert_eq!(owner.json("POST", others, &json!({})).json(), json!({"revoked": 1}));
    let passwords = [("current_password", NEW), ("password", PASSWORD), ("end_others", "")];
    leads_to(&form(&mut owner, "/account", &passwords), "/account?done=password");
    assert_eq!(owner.json("POST", others, &json!({})).json(), json!({"revoked": 0}), "the new password was given");
}

/// The database's clock was a day ahead and is corrected.
async fn a_confirmation_from_the_future_confirms_nothing(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let others = "/api/sessions/revoke-others";
    db.sql("UPDATE accounts SET password_changed_at = INSTANT(86400)");
    db.sql(
        "UPDATE sessions SET created_at = INSTANT(86400), authenticated_at = INSTANT(86400), last_activity = INSTANT(86400), \
         absolute_expires_at = INSTANT(2678400), expires_at = INSTANT(345600)",
    );
    let refused = desk.json("POST", others, &json!({}));
    assert_eq!((refused.status, refused.problem().as_str()), (403, "confirmation-required"), "{refused:?}");
    let ahead = "SELECT count(*) FROM sessions JOIN accounts ON accounts.id = account_id WHERE last_activity > INSTANT(0) OR \
                 sessions.created_at > INSTANT(0) OR authenticated_at > INSTANT(0) OR password_changed_at > INSTANT(0)";
    eventually("the times are put right", async || db.sql(ahead) == "0").await;
    // A password change in the future must not invalidate every confirmation until then.
    // The form is shown again if the server corrects its own view of the session between the form and its submission.
    let confirmed = async || form(&mut desk, "/confirm", &[("password", PASSWORD), ("next", "/devices")]).status == 303;
    eventually("the password confirms", confirmed).await;
    assert_eq!(desk.json("POST", others, &json!({})).json(), json!({"revoked": 0}));
}

async fn a_confirmation_sent_twice_succeeds_both_times(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let phone = format!("session:{}", session_id(&mut signed_in(&server, KIM, "Phone")));
    let next = "/devices?done=signed-out";
    let csrf = desk.form_token("/account");
    let fields = [("csrf", csrf.as_str()), ("password", PASSWORD), ("then", phone.as_str()), ("next", next)];
    // The second press is sent before the first answer arrives.
    let (mut again, mut late) = (desk.clone(), desk.clone());
    leads_to(&desk.form("/confirm", &fields), next);
    leads_to(&again.form("/confirm", &fields), next);
    assert_eq!(again.cookies.get("aiq_session"), desk.cookies.get("aiq_session"), "both answers set the same key");
    assert!(desk.get(next).body.contains("That device is signed out."));
    // From now on the old key cannot confirm anything.
    let elsewhere = [("csrf", csrf.as_str()), ("password", PASSWORD), ("next", "https://evil.example/")];
    leads_to(&late.form("/confirm", &elsewhere), "/login?next=%2Fdashboard");
}

async fn a_form_sent_again_after_confirmation_works(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let phone = format!("session:{}", session_id(&mut signed_in(&server, KIM, "Phone")));
    let mut before = desk.clone();
    let csrf = before.form_token("/devices");
    leads_to(&form(&mut desk, "/confirm", &[("password", PASSWORD)]), "/dashboard");
    assert!(is_signed_in(&mut desk), "this uses the new key");
    let sent = before.form("/devices", &[("csrf", &csrf), ("ending", &phone), ("next", "/activity")]);
    leads_to(&sent, "/login?next=%2Factivity");
    leads_to(&before.form("/devices", &[("csrf", &csrf), ("ending", "others")]), "/login?next=%2Fdevices");
    assert_eq!(count(&db, "sessions WHERE ended_at IS NULL"), 2, "an old key ends nothing");
}

async fn a_name_in_a_form_that_was_open_for_a_while_is_not_lost(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let device = device_id(&mut desk);
    let stale = desk.form_token("/devices");
    desk.log_in(KIM);
    let answer = desk.form("/devices", &[("csrf", &stale), ("device", &device), ("name", "By the <window>")]);
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.body.contains("value=\"By the &#60;window&#62;\""), "{}", answer.body);
    assert!(answer.body.contains("had been open for a while"));
    assert_eq!(count(&db, "devices WHERE name = 'Desk'"), 1);
    for odd in ["", "dev_x", "a b"] {
        let answer = desk.form("/devices", &[("csrf", &stale), ("device", odd), ("name", "Anything")]);
        assert_eq!(answer.status, 422, "{odd:?}");
        assert!(!answer.body.contains("Anything"), "there is no such field: {}", answer.body);
    }
}

async fn an_invalid_body_ends_nothing(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    let json = [("Content-Type", "application/json")];
    let path = "/api/sessions/revoke-others";
    for body in ["garbage", "{", "{} {}", "\u{0}"] {
        let answer = desk.send("POST", path, &json, body.as_bytes());
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid-request"), "{body:?}");
    }
    let answer = desk.send("POST", path, &[("Content-Type", "text/plain")], b"{}");
    assert_eq!((answer.status, answer.problem().as_str()), (415, "unsupported-media-type"));
    let large = format!("\"{}\"", "a".repeat(65 * 1024));
    assert_eq!(desk.send("POST", path, &json, large.as_bytes()).problem(), "too-large");
    assert!(is_signed_in(&mut phone));
    for body in ["", "{}", "null", " {\"any\": 1} "] {
        let answer = desk.send("POST", path, &json, body.as_bytes());
        assert_eq!(answer.status, 200, "{body:?}: {answer:?}");
    }
    assert!(!is_signed_in(&mut phone));
    assert_eq!(desk.send("POST", path, &[], b"").status, 200);
}

async fn ending_the_current_session_is_shown_as_done_here(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    let path = format!("/api/sessions/{}", session_id(&mut phone));
    assert_eq!(phone.json("DELETE", &path, &json!(null)).status, 204);
    let page = desk.get("/activity").body;
    assert!(page.contains("Signed out on the device itself") && !page.contains("from another device"), "{page}");
    let mut tablet = signed_in(&server, KIM, "Tablet");
    let path = format!("/api/devices/{}", device_id(&mut tablet));
    assert_eq!(tablet.json("DELETE", &path, &json!(null)).status, 204);
    assert!(!desk.get("/activity").body.contains("from another device"));
    phone.log_in(KIM);
    assert_eq!(phone.json("POST", "/api/sessions/revoke-others", &json!({})).json(), json!({"revoked": 1}));
    let page = phone.get("/activity").body;
    assert_eq!(page.matches("Signed out from another device").count(), 1, "{page}");
    assert_eq!(count(&db, "audit WHERE kind = 'session.revoked' AND detail = 'here'"), 2);
}
