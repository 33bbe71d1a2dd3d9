use super::*;
use clap::Parser;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    settings: SettingsArgs,
}

fn check(flags: &[&str], env: &[(&str, &str)]) -> Result<Settings, String> {
    let command = Command::try_parse_from(["sessile"].iter().chain(flags)).unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    command.settings.check(env).map_err(|error| error.to_string())
}

/// 41 characters.
const LONG_NAME: &str = "The Corner Shop of Anna and Berta at Sea.";

/// Each variable with valid values and invalid values.
const CASES: &[(&str, &[&str], &[&str])] = &[
    (
        "SESSILE_LISTEN_DATABASE_URL",
        &["postgres://u:p@h/d", "postgresql://h1,h2:6000/d"],
        &["sqlite://data/x.db", "h", "postgres://h/d?load_balance_hosts=random"],
    ),
    (
        "DATABASE_URL",
        &["sqlite://data/x.db", "sqlite:///var/x", "postgres://u:p@h/d", "postgresql://h1,h2:6000/d"],
        &[
            "data/x.db",
            "mysql://h/d",
            "sqlite://",
            "sqlite://:memory:",
            "sqlite://x?mode=ro",
            "sqlite://d/",
            "sqlite://file:x",
            "postgres://h/d?sslmode=perhaps",
            "postgres://h/d?load_balance_hosts=disable",
            "postgres://h/d?target_session_attrs=standby",
            "postgres://h:port/d",
            "sqlite:x",
        ],
    ),
    (
        "SESSILE_LISTEN",
        &["127.0.0.1:0", "0.0.0.0:80", "[::1]:8080", "localhost:8080"],
        &["8080", ":8080", "127.0.0.1", "example.com:80", "127.0.0.1:65536", "localhost:", "localhost:+1", "::1:80"],
    ),
    (
        "SESSILE_PUBLIC_URL",
        &["https://id.example.com", "https://id.example.com/", "http://localhost:8080", "http://[::1]:81"],
        &[
            "id.example.com",
            "ftp://id.example.com",
            "https://id.example.com/x",
            "https://id.example.com?q",
            "https://id.example.com/#f",
            "https://u:p@id.example.com",
            "https:id.example.com",
            "https://",
            "https:///id.example.com",
            "https:\\\\id.example.com",
            " https://id.example.com",
            "https://a b",
            "https://id.example.com:0",
            "https://id.example.com:x",
            "https://id.example.com/?",
        ],
    ),
    (
        "SESSILE_TRUSTED_PROXIES",
        &["10.0.0.0/8", "10.0.0.0/8, fd00::/8", "192.0.2.7"],
        &["10.0.0.0/33", "proxy", "10.0.0.0/8,", ","],
    ),
    ("SESSILE_KEY_FILE", &["data/session.key", "/run/key"], &["data/"]),
    ("SESSILE_NAME", &["Corner Shop", "Café Möwe", "é", "/shop"], &["", " ", "a\nb", "\u{202e}shop", LONG_NAME]),
    ("SESSILE_LOGO", &["logo.svg", "/etc/sessile/logo.png"], &["data/"]),
    (
        "SESSILE_ACCENT",
        &["#0b6e63", "#FFFFFF", "#000000"],
        &["0b6e63", "#fff", "#0b6e6g", "#0b6e631", "teal", "#+b6e63"],
    ),
    ("SESSILE_CONTACT", &["Anna, 0171 5550199", "help@example.com"], &[" ", "\u{200b}", "a\tb"]),
    (
        "SESSILE_PRIVACY_URL",
        &["https://example.com/privacy", "http://localhost/p?q#f"],
        &[
            "example.com/privacy",
            "/privacy",
            "javascript:alert(1)",
            "mailto:a@b.c",
            "https://u:p@example.com/",
            "https://a b",
        ],
    ),
    ("SESSILE_SIGNUP", &["open", "closed"], &["on", "Open", "true"]),
    ("SESSILE_SECOND_FACTOR", &["optional", "admins", "everyone"], &["off", "Everyone", "admin", "required"]),
    ("SESSILE_PASSWORD_MIN", &["8", "12", "15", "64"], &["7", "65", "0", "-12", "twelve", "12.5", "+12"]),
    (
        "SESSILE_IDLE_TTL",
        &["61s", "1h", "30d"],
        &[
            "72",
            "0s",
            "-1h",
            "1.5h",
            "1 h",
            "h",
            "1w",
            "+1h",
            "1H",
            "1h30m",
            "99999999999999999999d",
            "300000000000d",
            "36501d",
            "١h",
        ],
    ),
    ("SESSILE_ABSOLUTE_TTL", &["72h", "36500d"], &["0d", "30", "30 d"]),
    ("SESSILE_TOUCH_INTERVAL", &["1ms", "60s", "71h"], &["0s", "1", "s"]),
    ("SESSILE_PRUNE_INTERVAL", &["0s", "0ms", "1h"], &["0", "off", "-1s"]),
    ("SESSILE_ADDRESS_TTL", &["1d"], &["0d", "90"]),
    ("SESSILE_POOL_MAX", &["1", "10000"], &["0", "-1", "ten", "10001", "+5", "1.0", " 1"]),
    ("SESSILE_POOL_TIMEOUT", &["2s", "1ms"], &["0s", "2", "25d"]),
    ("SESSILE_STATEMENT_TIMEOUT", &["3s", "24d"], &["0ms", "3", "25d"]),
    ("SESSILE_SESSIONS_PER_ACCOUNT", &["0", "1", "1000000"], &["-1", "many", "1000001", "5000000000"]),
    (
        "SESSILE_DRAFTS_MAX",
        &["8MiB", "1KiB", "1024GiB"],
        &["8", "8MB", "8 MiB", "0MiB", "-1KiB", "1.5MiB", "1025GiB", "MiB"],
    ),
    ("SESSILE_SESSION_CACHE", &["on", "off"], &["yes", "true", "ON", "1"]),
    ("SESSILE_SESSION_CACHE_MAX", &["1KiB", "64MiB", "2GiB"], &["0KiB", "64", "64MB", "lots"]),
    ("SESSILE_WORKERS", &["1", "512"], &["0", "513", "-2", "two"]),
    (
        "SESSILE_LOG",
        &["info", "INFO", "off", "sessile", "warn,sessile=debug", "actix_web::middleware=trace"],
        &["sessile=loud", "inof", "[[[", "info,sessile=loud"],
    ),
    ("SESSILE_LOG_FORMAT", &["text", "json"], &["xml", "JSON"]),
];

fn flag(variable: &str) -> String {
    format!("--{}", variable.trim_start_matches("SESSILE_").to_lowercase().replace('_', "-"))
}

#[test]
fn every_variable_and_flag_accepts_its_valid_values() {
    for (variable, good, _) in CASES {
        for value in *good {
            check(&[], &[(variable, value)]).unwrap_or_else(|e| panic!("{variable}={value}: {e}"));
            let typed = format!("{}={value}", flag(variable));
            check(&[&typed], &[]).unwrap_or_else(|e| panic!("{typed}: {e}"));
        }
    }
}

#[test]
fn an_invalid_value_gets_one_line_that_says_what_to_write() {
    for (variable, _, bad) in CASES {
        for value in bad.iter().chain(&["", "\u{fffd}", "\n", "a\r"]) {
            for (name, error) in [
                ((*variable).to_owned(), check(&[], &[(variable, value)])),
                (flag(variable), check(&[&format!("{}={value}", flag(variable))], &[])),
            ] {
                let error = error.map(|_| ()).expect_err(&format!("{variable}={value:?} was taken"));
                assert!(error.starts_with(&format!("{name}: ")), "{error}");
                assert_eq!(error.matches(&name).count(), 1, "{error}");
                assert!(!error.contains('\n') && error.len() < 250, "{error}");
                assert!(["write ", "postgres", "remove it"].iter().any(|advice| error.contains(advice)), "{error}");
            }
        }
    }
}

#[test]
fn without_settings_the_defaults_apply() {
    let settings = check(&[], &[("PATH", "/bin"), ("SESSILEX", "1")]).unwrap();
    assert_eq!(settings.database, DatabaseUrl::Sqlite("data/sessile.sqlite3".into()));
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.public_url, None);
    assert_eq!(settings.tls, None);
    assert!(settings.trusted_proxies.is_empty());
    assert_eq!(settings.key_file, PathBuf::from("data/session.key"));
    assert_eq!(settings.brand, BrandSettings::default());
    assert_eq!(settings.signup, Signup::Closed);
    assert_eq!(settings.second_factor, SecondFactorRule::Off);
    assert_eq!(settings.password_min, 12);
    assert_eq!(settings.idle_ttl, Duration::from_secs(72 * 3600));
    assert_eq!(settings.absolute_ttl, Duration::from_secs(30 * 86_400));
    assert_eq!(settings.touch_interval, Duration::from_secs(60));
    assert_eq!(settings.prune_interval, Some(Duration::from_secs(3600)));
    assert_eq!(settings.address_ttl, Duration::from_secs(90 * 86_400));
    assert_eq!(settings.audit_ttl, Duration::from_secs(400 * 86_400));
    assert_eq!(settings.pool_max, 10);
    assert_eq!(settings.pool_timeout, Duration::from_secs(2));
    assert_eq!(settings.statement_timeout, Duration::from_secs(3));
    assert_eq!(settings.sessions_per_account, Some(20));
    assert!(settings.session_cache);
    assert!((1..=512).contains(&settings.workers));
    assert_eq!(settings.log, "info");
    assert_eq!(settings.log_format, LogFormat::Text);
}

#[test]
fn values_mean_what_they_say() {
    let settings = check(
        &["--idle-ttl", "1500ms", "--touch-interval=2ms"],
        &[
            ("DATABASE_URL", "sqlite:///var/lib/x.db"),
            ("SESSILE_IDLE_TTL", "9d"),
            ("SESSILE_LISTEN", "localhost:9"),
            ("SESSILE_TRUSTED_PROXIES", "10.1.2.3/8, ::1"),
            ("SESSILE_PRUNE_INTERVAL", "0s"),
            ("SESSILE_SESSIONS_PER_ACCOUNT", "0"),
            ("SESSILE_SESSION_CACHE", "off"),
            ("SESSILE_SIGNUP", "open"),
            ("SESSILE_SECOND_FACTOR", "admins"),
            ("SESSILE_PASSWORD_MIN", "15"),
            ("SESSILE_NAME", "Corner Shop "),
            ("SESSILE_ACCENT", "#c2185B"),
            ("SESSILE_LOG_FORMAT", "json"),
            ("SESSILE_TLS_CERT", "c.pem"),
            ("SESSILE_TLS_KEY", "k.pem"),
        ],
    )
    .unwrap();
    assert_eq!(settings.database, DatabaseUrl::Sqlite("/var/lib/x.db".into()));
    assert_eq!(settings.idle_ttl, Duration::from_millis(1500), "a flag wins over its variable");
    assert_eq!(settings.touch_interval, Duration::from_millis(2));
    assert_eq!(settings.listen.to_string(), "127.0.0.1:9");
    let proxies: Vec<String> = settings.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "::1/128"]);
    assert_eq!(settings.prune_interval, None);
    assert_eq!(settings.sessions_per_account, None);
    assert!(!settings.session_cache);
    assert_eq!(settings.signup, Signup::Open);
    assert_eq!(settings.second_factor, SecondFactorRule::Admins);
    assert_eq!(settings.password_min, 15);
    assert_eq!(settings.brand.name, "Corner Shop");
    assert_eq!(settings.brand.accent, Some(Rgb([0xc2, 0x18, 0x5b])));
    assert_eq!(settings.log_format, LogFormat::Json);
    assert_eq!(settings.tls, Some(TlsFiles { cert: "c.pem".into(), key: "k.pem".into() }));
}

#[test]
fn contradictory_settings_are_refused() {
    for (flags, env, wanted) in [
        (
            &["--touch-interval=72h"][..],
            &[][..],
            "--touch-interval (72h) must be shorter than SESSILE_IDLE_TTL (72h): change one of them",
        ),
        (
            &[],
            &[("SESSILE_IDLE_TTL", "31d")],
            "SESSILE_IDLE_TTL (31d) must be no longer than SESSILE_ABSOLUTE_TTL (30d): change one of them",
        ),
        (
            &[],
            &[("SESSILE_TLS_CERT", "cert.pem")],
            "SESSILE_TLS_KEY is missing, but SESSILE_TLS_CERT is set: set both, or neither",
        ),
        (&["--tls-key=key.pem"], &[], "SESSILE_TLS_CERT is missing, but --tls-key is set: set both, or neither"),
    ] {
        assert_eq!(check(flags, env).unwrap_err(), wanted);
    }
}

#[test]
fn an_unknown_sessile_variable_is_refused_by_name() {
    for name in ["SESSILE_IDEL_TTL", "SESSILE_TEST_URL", "SESSILE_BIN", "SESSILE_", "SESSILE_DATABASE_URL"] {
        let error = check(&[], &[(name, "1")]).unwrap_err();
        assert!(error.starts_with(&format!("{name} is not a setting: ")), "{error}");
    }
}

#[test]
fn all_problems_are_reported_at_once_on_one_line() {
    let error = check(
        &["--workers=0"],
        &[("SESSILE_X", "1"), ("SESSILE_IDLE_TTL", "72"), ("SESSILE_TLS_KEY", "k"), ("SESSILE_SIGNUP", "")],
    )
    .unwrap_err();
    for name in ["SESSILE_X", "SESSILE_IDLE_TTL", "SESSILE_TLS_CERT", "--workers", "SESSILE_SIGNUP"] {
        assert!(error.contains(name), "{error}");
    }
    assert!(!error.contains('\n'));
}

#[test]
fn a_duration_without_a_unit_gets_an_example() {
    assert_eq!(
        check(&[], &[("SESSILE_IDLE_TTL", "72")]).unwrap_err(),
        "SESSILE_IDLE_TTL: \"72\" is not a duration: write a whole number with ms, s, m, h or d, such as 72h"
    );
}

#[test]
fn no_message_and_no_debug_output_shows_a_password() {
    let url = "postgres://u:hunter2@h/d";
    let args = SettingsArgs { database_url: Some(url.into()), ..SettingsArgs::default() };
    assert!(!format!("{args:?}").contains("hunter2"));
    let settings = args.check(std::iter::empty()).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert!(matches!(settings.database, DatabaseUrl::Postgres(url) if url.expose().contains("hunter2")));
    for (variable, value) in [
        ("DATABASE_URL", "mysql://u:hunter2@h/d"),
        ("DATABASE_URL", "postgres://u:hunter2@h:x/d"),
        ("DATABASE_URL", "postgres://u:hunter2@h/d?sslmode=bad"),
        ("DATABASE_URL", "postgres://u@h/d?password=hunter2&x=1"),
        ("SESSILE_PUBLIC_URL", "https://u:hunter2@h"),
    ] {
        let error = check(&[], &[(variable, value)]).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_public_url_is_normalised_as_browsers_do() {
    for (value, origin, host, https) in [
        ("https://ID.Example.com:443/", "https://id.example.com", "id.example.com", true),
        ("https://id.example.com:8443", "https://id.example.com:8443", "id.example.com:8443", true),
        ("http://localhost:80", "http://localhost", "localhost", false),
        ("http://[::1]:8080/", "http://[::1]:8080", "[::1]:8080", false),
        ("https://bücher.example", "https://xn--bcher-kva.example", "xn--bcher-kva.example", true),
    ] {
        let url = check(&["--public-url", value], &[]).unwrap().public_url.unwrap();
        assert_eq!((url.origin(), url.host(), url.is_https()), (origin, host, https));
    }
    assert_eq!(PublicUrl::localhost(8080, false).origin(), "http://localhost:8080");
    assert_eq!(PublicUrl::localhost(80, false).origin(), "http://localhost");
}

#[test]
fn the_help_lists_every_setting_with_variable_and_default() {
    use clap::CommandFactory;
    let help = Command::command().term_width(400).render_long_help().to_string();
    for setting in SettingsArgs::default().into_table() {
        let (variable, flag) = (setting.variable(), flag(setting.variable()));
        assert!(help.contains(&format!("[env: {variable}] [default: ")), "{variable}\n{help}");
        assert!(help.contains(&format!("{flag} <")), "{flag}\n{help}");
    }
    assert_eq!(SettingsArgs::default().into_table().len(), 34);
}
