//! Tests of parsing PostgreSQL URLs and of connecting with them.

use std::time::Duration;

use tokio_postgres::config::{SslMode, TargetSessionAttrs};

use super::*;
use crate::base::database_url::postgres::{Trust, parse};

const SECOND: Duration = Duration::from_secs(1);

fn plan(url: &str) -> Result<ConnectPlan, String> {
    ConnectPlan::parse(url, 3 * SECOND, 6 * SECOND)
}

#[test]
fn sslmode_and_sslrootcert_work_at_any_position() {
    let full = || Trust::ChainAndHost("/a b/ca+1.pem".into());
    for (query, mode, trust) in [
        ("", SslMode::Prefer, Trust::Any),
        ("?sslmode=disable", SslMode::Disable, Trust::Any),
        ("?sslmode=disable&sslrootcert=x", SslMode::Disable, Trust::Any),
        ("?sslmode=allow", SslMode::Prefer, Trust::Any),
        ("?sslmode=prefer&user=u", SslMode::Prefer, Trust::Any),
        ("?user=u&sslmode=require", SslMode::Require, Trust::Any),
        ("?sslmode=require&sslrootcert=x", SslMode::Require, Trust::Chain("x".into())),
        ("?sslrootcert=x&sslmode=verify-ca", SslMode::Require, Trust::Chain("x".into())),
        ("?sslmode=verify-full&user=u&sslrootcert=/a%20b/ca+1.pem", SslMode::Require, full()),
        ("?sslmode=verif%79-full&sslrootcert=%2Fa b/ca%2b1.pem&", SslMode::Require, full()),
    ] {
        let parsed = parse(&format!("postgres://u:p@h/d{query}")).unwrap();
        assert_eq!((parsed.config.get_ssl_mode(), parsed.trust), (mode, trust), "{query}");
        assert_eq!(parsed.config.get_user(), Some("u"));
        assert_eq!(parsed.config.get_dbname(), Some("d"));
    }
}

#[test]
fn the_other_parameters_of_a_url_are_applied() {
    let plan = plan(
        "postgresql://u:p%40?w@h1:6001,h2,[::1]:6003/d?sslmode=require&target_session_attrs=read-write\
         &connect_timeout=1&options=-c%20search_path%3Dapp",
    )
    .unwrap();
    let config = plan.config;
    assert_eq!(config.get_password(), Some(&b"p@?w"[..]));
    assert_eq!(config.get_hosts(), ["h1", "h2", "::1"].map(|host| Host::Tcp(host.to_owned())));
    assert_eq!(config.get_ports(), [6001, 5432, 6003]);
    assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
    assert_eq!(config.get_connect_timeout(), Some(&SECOND));
    assert_eq!(config.get_application_name(), Some("sessile"));
    let set: Vec<String> = plan.session.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let own = ["statement_timeout=3000", "idle_in_transaction_session_timeout=6000"];
    assert_eq!(set[..4], [&["search_path=app"][..], &own, &["default_transaction_isolation=read committed"]].concat());
}

#[test]
fn the_search_path_comes_from_the_query_or_from_options() {
    for (query, path) in [
        ("search_path=app", Some("app")),
        ("search_path=%22My%20app%22,public", Some("\"My app\",public")),
        ("options=-c%20search_path%3Dother&search_path=app", Some("app")),
        ("target_session_attrs=any", None),
        ("target_session_attrs=primary", None),
    ] {
        let plan = plan(&format!("postgres://u@h/d?{query}")).unwrap();
        assert_eq!(plan.search_path(), path, "{query}");
        assert_eq!(plan.config.get_target_session_attrs(), TargetSessionAttrs::Any);
        assert_eq!(hosts::each(&plan.config)[0].get_options(), None, "PgBouncer rejects startup options");
    }
}

#[test]
fn every_host_gets_its_share_of_the_time() {
    for (url, share) in [
        ("postgres://h/d", 6 * SECOND),
        ("postgres://h1,h2,h3/d", 2 * SECOND),
        ("postgres://h1,h2,h3/d?connect_timeout=30", 2 * SECOND),
        ("postgres://h1,h2,h3/d?connect_timeout=1", SECOND),
    ] {
        assert_eq!(plan(url).unwrap().config.get_connect_timeout(), Some(&share), "{url}");
    }
    let pooled = plan("postgres://h1,h2/d").unwrap().within(2 * SECOND);
    assert_eq!(pooled.config.get_connect_timeout(), Some(&SECOND));
}

#[test]
fn a_socket_of_this_machine_is_not_encrypted() {
    for url in ["postgres://u@%2Frun%2Fpostgresql/d?sslmode=require", "postgres:///d?host=/run/postgresql"] {
        assert_eq!(plan(url).unwrap().config.get_ssl_mode(), SslMode::Disable, "{url}");
    }
}

#[test]
fn an_address_without_a_host_name_can_be_encrypted_too() {
    let config = plan("postgres:///d?hostaddr=192.0.2.1").unwrap().config;
    assert_eq!(config.get_hosts(), [Host::Tcp("192.0.2.1".to_owned())]);
}

#[test]
fn an_invalid_url_is_refused_on_one_line_without_its_password() {
    for (url, expected) in [
        ("mysql://u:hunter2@h/d", "not a PostgreSQL URL"),
        ("postgres://", "no host"),
        ("postgres:///d", "no host"),
        ("postgres://u:hunter2@h1,,h2/d", "no host"),
        ("postgres://u:hunter2@h:port/d", "`port`"),
        ("postgres://u:hunter2@h:99999/d", "`port`"),
        ("postgres://u:hunter2@h/d?sslmode=perhaps", "unknown sslmode"),
        ("postgres://u:hunter2@h/d?sslmode=", "unknown sslmode"),
        ("postgres://u:hunter2@h/d?sslmode", "unknown sslmode"),
        ("postgres://u:hunter2@h/d?sslmode=verify-ca", "no sslrootcert"),
        ("postgres://u:hunter2@h/d?sslmode=verify-full", "no sslrootcert"),
        ("postgres://u:hunter2@h/d?sslrootcert=x", "no sslmode that checks it"),
        ("postgres://u:hunter2@h/d?sslmode=verify-full&sslrootcert=system", "not supported"),
        ("postgres://u:hunter2@h/d?sslmode=verify-full&sslrootcert=/no/such.pem", "cannot be read"),
        ("postgres://u:hunter2@h/d?sslmode=verify-full&sslrootcert=Cargo.toml", "no certificate"),
        ("postgres://u:hunter2@h/d?target_session_attrs=best", "`target_session_attrs`"),
        ("postgres://u:hunter2@h/d?target_session_attrs=standby", "only the primary"),
        ("postgres://u:hunter2@h/d?target_session_attrs=prefer-standby", "only the primary"),
        ("postgres://u:hunter2@h/d?target_session_attrs=read-only", "only the primary"),
        ("postgres://u:hunter2@h/d?load_balance_hosts=random", "only the primary"),
        ("postgres://u:hunter2@h/d?options=-e", "not settings"),
        ("postgres://u:hunter2@h/d?search_path=", "unknown option"),
        ("postgres://u:hunter2@h/d?connect_timeout=soon", "`connect_timeout`"),
        ("postgres://u:hunter2@h/d?hunter2=1", "unknown option"),
        ("postgres://u:hunter2@h/d?user", "unknown option"),
        ("postgres://u:x@hunter2@h/d", "%40"),
        ("postgres://u@h/d?password=x@hunter2", "%40"),
        ("postgres://u@h/d?password=x&hunter2", "unknown option"),
        ("postgres://u:hunter2@h/d\n", "control character"),
    ] {
        let refusal = plan(url).map(|_| ()).unwrap_err();
        assert!(refusal.contains(expected), "{url}: {refusal}");
        assert!(!refusal.contains("hunter2") && !refusal.contains('\n'), "{url}: {refusal}");
    }
}

#[tokio::test]
async fn a_server_that_accepts_but_never_answers_times_out() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://u@127.0.0.1:{}/d", silent.local_addr().unwrap().port());
    let plan = ConnectPlan::parse(&url, SECOND, Duration::from_millis(50)).unwrap();
    let error = plan.connect().await.map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "no connection within 50ms");
}

#[tokio::test]
async fn a_failed_connection_reports_its_cause_without_the_password() {
    let plan = plan("postgres://u:hunter2@127.0.0.1:1/d").unwrap();
    let error = plan.connect().await.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("Connection refused") && !error.contains("hunter2"), "{error}");
}

/// This lists every parameter, because `hosts::each` would silently drop one that it does not copy.
#[test]
fn each_host_keeps_all_other_parameters_of_its_url() {
    let rest = "d?sslmode=require&target_session_attrs=read-write&connect_timeout=1&application_name=x&keepalives=0\
         &keepalives_idle=7&keepalives_interval=8&keepalives_retries=9&tcp_user_timeout=4&channel_binding=require";
    let alone = |host: &str| plan(&format!("postgres://u:p@{host}/{rest}")).unwrap().within(SECOND / 2).config;
    let both = plan(&format!("postgres://u:p@h1:6001,h2:6002/{rest}")).unwrap().within(SECOND).config;
    assert_eq!(hosts::each(&both), [alone("h1:6001"), alone("h2:6002")]);
    let addresses = plan("postgres://u@/d?hostaddr=192.0.2.1,192.0.2.2").unwrap().config;
    let addresses: Vec<_> = hosts::each(&addresses).iter().map(|host| host.get_hostaddrs().to_vec()).collect();
    assert_eq!(addresses.concat().len(), 2);
}
