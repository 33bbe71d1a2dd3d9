//! Real and odd headers, and the labels that they give.

use super::*;

const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)";
const FROZEN_ANDROID: &str =
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36";

#[test]
fn browsers_are_named_as_people_know_them() {
    let cases = [
        (CHROME, "Chrome on Windows", Shape::Desktop),
        (&format!("{CHROME} Edg/124.0.0.0"), "Edge on Windows", Shape::Desktop),
        (&format!("{CHROME} OPR/110.0.0.0"), "Opera on Windows", Shape::Desktop),
        (&format!("{CHROME} Vivaldi/6.7"), "Vivaldi on Windows", Shape::Desktop),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0", "Firefox on Linux", Shape::Desktop),
        (
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
            "Chrome on ChromeOS",
            Shape::Desktop,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
            Shape::Phone,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/124.0 Mobile/15E148 Safari/604.1",
            "Chrome on iPhone",
            Shape::Phone,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/125.0 Mobile/15E148 Safari/605.1.15",
            "Firefox on iPhone",
            Shape::Phone,
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 12_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1 Mobile/15E148 Safari/604.1",
            "Safari on iPad",
            Shape::Tablet,
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15",
            "Safari on macOS",
            Shape::Desktop,
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36",
            "Chrome on Android",
            Shape::Phone,
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Safari/537.36",
            "Samsung Internet on Android",
            Shape::Tablet,
        ),
        (&format!("{IPHONE} Mobile/15E148"), "Safari on iPhone", Shape::Phone),
        (&format!("{IPHONE} Mobile/15E148 [FBAN/FBIOS;FBAV/452.0]"), "Facebook on iPhone", Shape::Phone),
        (
            &format!("{IPHONE} Version/17.4 Mobile/15E148 DuckDuckGo/7 Safari/605.1.15"),
            "DuckDuckGo on iPhone",
            Shape::Phone,
        ),
        (&format!("{IPHONE} Version/17.4 Mobile/15E148 Safari/604.1 Ddg/17.4"), "DuckDuckGo on iPhone", Shape::Phone),
        (
            "Mozilla/5.0 (Linux; Android 13; Pixel 7 Build/TQ3A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/124.0.0.0 Mobile Safari/537.36",
            "App on Android",
            Shape::Phone,
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; LYA-L29) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.5735.196 HuaweiBrowser/14.0.2.310 Mobile Safari/537.36",
            "Huawei Browser on Android",
            Shape::Phone,
        ),
        (
            "Mozilla/5.0 (Linux; U; Android 13; en-us; 2201117TG) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/112.0.5615.136 Mobile Safari/537.36 XiaoMi/MiuiBrowser/14.5.0",
            "Mi Browser on Android",
            Shape::Phone,
        ),
        (
            "Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/120.3.1 like Chrome/120.0.6099.230 Safari/537.36",
            "Silk on Android",
            Shape::Tablet,
        ),
        ("Mozilla/5.0 (Mobile; Nokia 8110 4G; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5", "KaiOS", Shape::Phone),
        ("", "Unknown device", Shape::Other),
        ("\u{1F980}", "Unknown device", Shape::Other),
    ];
    for (header, label, kind) in cases {
        let client = Client::from_user_agent(header);
        assert_eq!((client.label().as_str(), client.kind), (label, kind), "{header}");
    }
}

/// Real headers from 2025, one per line: the expected label, the form factor, and the `User-Agent`.
#[test]
fn real_browsers_and_programs_are_named_as_a_person_would_say() {
    let mut wrong = Vec::new();
    for line in include_str!("named.tsv").lines() {
        let mut parts = line.splitn(3, '\t');
        let (label, kind, header) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let client = Client::from_user_agent(header);
        if (client.label().as_str(), format!("{:?}", client.kind).as_str()) != (label, kind) {
            wrong.push(format!("{label} {kind}, not {} {:?}: {header}", client.label(), client.kind));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_mac_with_a_touch_screen_is_an_ipad() {
    let safari = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 \
                  Safari/605.1.15";
    let named = |header: &str, touch| {
        let client = Client::from_user_agent(header).with_touch_screen(touch);
        (client.label(), client.kind)
    };
    assert_eq!(named(safari, true), ("Safari on iPad".to_owned(), Shape::Tablet));
    assert_eq!(named(safari, false), ("Safari on macOS".to_owned(), Shape::Desktop));
    assert_eq!(
        named(CHROME, true),
        ("Chrome on Windows".to_owned(), Shape::Desktop),
        "Windows devices have touch screens too"
    );
    let chrome = safari.replace("Version/18.5", "CriOS/142.0");
    assert_eq!(named(&chrome, false), ("Chrome on iPad".to_owned(), Shape::Tablet));
}

#[test]
fn versions_and_models_come_from_hints() {
    let named = |platform: &str, version: &str, model: &str| {
        let quoted = |text: &str| Some(format!("\"{text}\""));
        let hints = Hints {
            platform: quoted(platform),
            platform_version: quoted(version),
            model: quoted(model),
            mobile: Some("?1".into()),
            ..Hints::default()
        };
        Client::from_headers(FROZEN_ANDROID, &hints).os
    };
    assert_eq!(named("Windows", "15.0.0", ""), "Windows 11");
    assert_eq!(named("Windows", "13.0.0", ""), "Windows 11");
    assert_eq!(named("Windows", "10.0.0", ""), "Windows 10");
    assert_eq!(named("Windows", "0.3.0", ""), "Windows");
    assert_eq!(named("macOS", "15.6.1", ""), "macOS 15");
    assert_eq!(named("Linux", "6.8.0", ""), "Linux");
    assert_eq!(named("Android", "15.0.0", "Pixel 8"), "Android 15 (Pixel 8)");
    assert_eq!(named("Android", "", "SM-S921B"), "Android (SM-S921B)");
    for odd in ["\u{202E}exe", " ", "x (y)", "a\u{1F980}", &"x".repeat(25)] {
        assert_eq!(named("Android", "99999999", odd), "Android", "{odd:?}");
    }
}

#[test]
fn hints_win_over_a_user_agent_that_is_frozen_or_claims_to_be_another() {
    let chrome = r#""Chromium";v="124", "Google Chrome";v="124", "Not-A.Brand";v="99""#;
    let edge = r#""Chromium";v="124", "Microsoft Edge";v="124", "Not-A.Brand";v="99""#;
    let brave = r#""Not_A Brand";v="8", "Chromium";v="120", "Brave";v="120""#;
    let bare = r#""Chromium";v="124", "Not/A)Brand";v="24""#;
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0";
    let opera = format!("{CHROME} OPR/110.0.0.0");
    let cases = [
        (CHROME, chrome, r#""Windows""#, "?0", "Chrome on Windows", Shape::Desktop),
        (CHROME, edge, r#""Windows""#, "?0", "Edge on Windows", Shape::Desktop),
        (CHROME, brave, r#""macOS""#, "?0", "Brave on macOS", Shape::Desktop),
        (CHROME, chrome, r#""Chrome OS""#, "?0", "Chrome on ChromeOS", Shape::Desktop),
        (CHROME, bare, r#""Linux""#, "?0", "Chromium on Linux", Shape::Desktop),
        (&opera, bare, r#""Linux""#, "?0", "Opera on Linux", Shape::Desktop),
        (FROZEN_ANDROID, chrome, r#""Android""#, "?1", "Chrome on Android", Shape::Phone),
        (FROZEN_ANDROID, chrome, r#""Android""#, "?0", "Chrome on Android", Shape::Tablet),
        // Unknown brands are not shown.
        (CHROME, r#""A \"quoted\", one";v="1";x="a,b""#, "", "", "Chrome on Windows", Shape::Desktop),
        (CHROME, r#""Nothing to do";v="1", "Vivaldi";v="6""#, "", "", "Chrome on Windows", Shape::Desktop),
        // Empty or invalid hints do not override the User-Agent.
        (firefox, "", "", "", "Firefox on Linux", Shape::Desktop),
        (firefox, r#""Not A;Brand""#, r#""Unknown""#, "", "Firefox on Linux", Shape::Desktop),
        (firefox, "Chromium;v=1", "Windows", "?7", "Firefox on Linux", Shape::Desktop),
        (firefox, "\"\u{202E}exe\"", "\"", "\"", "Firefox on Linux", Shape::Desktop),
        (firefox, &format!("\"{}\"", "x".repeat(25)), "", "", "Firefox on Linux", Shape::Desktop),
        ("", r#"""#, r#""\"#, "", "Unknown device", Shape::Other),
    ];
    for (user_agent, brands, platform, mobile, label, kind) in cases {
        let hints = Hints {
            brands: Some(brands.into()),
            platform: Some(platform.into()),
            mobile: Some(mobile.into()),
            ..Hints::default()
        };
        let client = Client::from_headers(user_agent, &hints);
        assert_eq!((client.label().as_str(), client.kind), (label, kind), "{user_agent} {hints:?}");
    }
}

/// Random sequences of fragments that the parsers recognize, and of single characters.
#[test]
fn any_headers_give_a_label_that_can_be_shown() {
    let pieces = [
        "Mozilla/5.0",
        "(",
        ")",
        ";",
        " ",
        "Android",
        "iPhone",
        "Windows NT 10.0",
        "Mac OS X 10_15",
        "CrOS",
        "Chrome/",
        "Safari/",
        "Edg/",
        "MSIE ",
        "Trident/7.0; rv:",
        "Version/",
        "\"",
        "\\",
        ",",
        "Not A;Brand",
        "Chromium",
        ";v=",
        "\u{0}",
        "\u{202E}",
        "\u{FEFF}",
        "é",
        "\u{1F980}",
        "docomo",
        "DoCoMo/2.0",
        "KDDI",
        "SoftBank",
        "WILLCOM",
        "bot",
        "Opera/",
        "9",
        ".",
        "/",
        "%",
    ];
    let mut seed: u64 = 7;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap()
    };
    for _ in 0..2_000 {
        let mut made = || (0..next() % 14).map(|_| pieces[next() % pieces.len()]).collect::<String>();
        let user_agent = made();
        let hints = Hints { brands: Some(made()), platform: Some(made()), mobile: Some(made()), ..Hints::default() };
        let label = Client::from_headers(&user_agent, &hints).label();
        assert!(
            crate::base::text::is_name(&label) && label.chars().count() <= 60,
            "{user_agent:?} {hints:?}: {label:?}"
        );
    }
}

#[test]
fn an_installed_app_is_labelled_as_an_app() {
    let client = Client { browser: "Safari".into(), os: "iPhone".into(), kind: Shape::Phone, installed: true };
    assert_eq!(client.label(), "App on iPhone");
}
