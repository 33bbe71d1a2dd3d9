//! What a browser says of itself, as people know it: read from its `User-Agent` and, where sent, its client hints. Called
//! at a login only.
//!
//! Invariant: whatever bytes a client sends, this answers something that can be shown.

use serde::Serialize;

use super::Shape;
use crate::text;

/// A brand that is longer is no name that people know.
const LONGEST_BRAND: usize = 24;

/// What a browser says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Client {
    /// "Chrome".
    pub browser: String,
    /// "Windows".
    pub os: String,
    /// What sort of machine.
    pub kind: Shape,
    /// Whether it runs as an app on the home screen.
    pub installed: bool,
}

/// The client hints that browsers send by themselves (User-Agent Client Hints, 3), unread.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// `Sec-CH-UA`.
    pub brands: Option<String>,
    /// `Sec-CH-UA-Platform`.
    pub platform: Option<String>,
    /// `Sec-CH-UA-Mobile`.
    pub mobile: Option<String>,
}

impl Client {
    /// Reads a `User-Agent` header; what it does not know is "Unknown".
    pub fn from_user_agent(user_agent: &str) -> Self {
        let parsed = woothee::parser::Parser::new().parse(user_agent);
        let (name, os, category) = parsed.map_or(("UNKNOWN", "UNKNOWN", "UNKNOWN"), |p| (p.name, p.os, p.category));
        let kind = match (category, os) {
            (_, "iPad") => Shape::Tablet,
            ("smartphone" | "mobilephone", _) if !user_agent.contains("Mobile") && os == "Android" => Shape::Tablet,
            ("smartphone" | "mobilephone", _) => Shape::Phone,
            ("pc", _) => Shape::Desktop,
            _ => Shape::Other,
        };
        let browser = told_by_token(user_agent).unwrap_or_else(|| plain_browser(name));
        Self { browser: browser.to_owned(), os: plain_system(os).to_owned(), kind, installed: false }
    }

    /// Reads both. Hints win, since a `User-Agent` may be frozen or claim to be another (RFC 9110, 10.1.5).
    pub fn from_headers(user_agent: &str, hints: &Hints) -> Self {
        let mut client = Self::from_user_agent(user_agent);
        if let Some(brand) = hints.brands.as_deref().and_then(brand) {
            // The engine's own name says less than that of a browser made from it.
            if brand != "Chromium" || matches!(client.browser.as_str(), "Chrome" | "Unknown") {
                client.browser = brand;
            }
        }
        let Some(system) = hints.platform.as_deref().and_then(platform) else {
            return client;
        };
        client.kind = match (system, hints.mobile.as_deref().map(str::trim)) {
            ("Windows" | "macOS" | "Linux" | "ChromeOS", _) => Shape::Desktop,
            ("Android", Some("?1")) => Shape::Phone,
            ("Android", Some("?0")) => Shape::Tablet,
            _ => client.kind,
        };
        system.clone_into(&mut client.os);
        client
    }

    /// "Chrome on Windows", "iPhone app", or what is known.
    pub fn label(&self) -> String {
        match (self.installed, self.browser.as_str(), self.os.as_str()) {
            (true, _, "Unknown") => "App".to_owned(),
            (true, _, os) => format!("{os} app"),
            (false, "Unknown", "Unknown") => "Unknown device".to_owned(),
            (false, browser, "Unknown") => browser.to_owned(),
            (false, "Unknown", os) => os.to_owned(),
            (false, browser, os) => format!("{browser} on {os}"),
        }
    }
}

/// Browsers that name themselves beside the one they claim to be, which the parser does not know yet.
fn told_by_token(user_agent: &str) -> Option<&'static str> {
    let tokens = [
        ("EdgA/", "Edge"),
        ("EdgiOS/", "Edge"),
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("OPT/", "Opera"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("SamsungBrowser/", "Samsung Internet"),
    ];
    tokens.into_iter().find(|(token, _)| user_agent.contains(token)).map(|(_, name)| name)
}

fn plain_browser(name: &str) -> &str {
    match name {
        "UNKNOWN" => "Unknown",
        "Internet Explorer" | "Microsoft Edge" => "Edge",
        "HTTP Library" => "A program",
        other => other,
    }
}

fn plain_system(os: &str) -> &str {
    match os {
        "UNKNOWN" => "Unknown",
        "Mac OSX" => "macOS",
        os if os.starts_with("Windows Phone") => "Windows Phone",
        os if os.starts_with("Windows") => "Windows",
        other => other,
    }
}

/// The browser that a list of brands names. One of them is made up, so that nobody relies on the list (3.3).
fn brand(list: &str) -> Option<String> {
    let brands: Vec<String> = members(list).into_iter().filter(|brand| !is_made_up(brand)).collect();
    let of_its_own = brands.iter().find(|brand| *brand != "Chromium").or_else(|| brands.first())?;
    let name = match of_its_own.as_str() {
        "Google Chrome" | "HeadlessChrome" => "Chrome",
        "Microsoft Edge" | "Microsoft Edge WebView2" => "Edge",
        "Android WebView" => "An app",
        other => other,
    };
    (name.chars().count() <= LONGEST_BRAND && text::is_name(name)).then(|| name.trim().to_owned())
}

/// "Not A;Brand", "Not.A/Brand", "Not_A Brand" …
fn is_made_up(brand: &str) -> bool {
    let letters: String = brand.chars().filter(char::is_ascii_alphabetic).collect();
    letters.eq_ignore_ascii_case("NotABrand") || letters.eq_ignore_ascii_case("NotAnyBrand")
}

fn platform(sent: &str) -> Option<&'static str> {
    match members(sent).first()?.as_str() {
        "Windows" => Some("Windows"),
        "macOS" => Some("macOS"),
        "Linux" => Some("Linux"),
        "Android" => Some("Android"),
        "Chrome OS" | "Chromium OS" => Some("ChromeOS"),
        _ => None,
    }
}

/// The texts of a structured list of texts (RFC 9651, 3.1 and 3.3.3), their parameters left out. What is none is skipped.
fn members(list: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut inside, mut first, mut text) = (false, true, String::new());
    let mut characters = list.chars();
    while let Some(character) = characters.next() {
        match (inside, character) {
            (false, '"') => inside = true,
            (false, ',') => first = true,
            (false, _) => {}
            (true, '\\') => text.extend(characters.next()),
            (true, '"') => {
                inside = false;
                let whole = std::mem::take(&mut text);
                if std::mem::take(&mut first) {
                    found.push(whole);
                }
            }
            (true, character) => text.push(character),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36";
    const FROZEN_ANDROID: &str =
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36";

    #[test]
    fn browsers_are_named_as_people_know_them() {
        let cases = [
            (CHROME, "Chrome on Windows", Shape::Desktop),
            (&format!("{CHROME} Edg/124.0.0.0"), "Edge on Windows", Shape::Desktop),
            (&format!("{CHROME} OPR/110.0.0.0"), "Opera on Windows", Shape::Desktop),
            (&format!("{CHROME} Vivaldi/6.7"), "Vivaldi on Windows", Shape::Desktop),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
                "Firefox on Linux",
                Shape::Desktop,
            ),
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
            ("", "Unknown device", Shape::Other),
            ("\u{1F980}", "Unknown device", Shape::Other),
        ];
        for (header, label, kind) in cases {
            let client = Client::from_user_agent(header);
            assert_eq!((client.label().as_str(), client.kind), (label, kind), "{header}");
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
            (CHROME, r#""A \"quoted\", one";v="1";x="a,b""#, "", "", "A \"quoted\", one on Windows", Shape::Desktop),
            // What says nothing leaves what the User-Agent said.
            (firefox, "", "", "", "Firefox on Linux", Shape::Desktop),
            (firefox, r#""Not A;Brand""#, r#""Unknown""#, "", "Firefox on Linux", Shape::Desktop),
            (firefox, "Chromium;v=1", "Windows", "?7", "Firefox on Linux", Shape::Desktop),
            (firefox, "\"\u{202E}exe\"", "\"", "\"", "Firefox on Linux", Shape::Desktop),
            (firefox, &format!("\"{}\"", "x".repeat(25)), "", "", "Firefox on Linux", Shape::Desktop),
            ("", r#"""#, r#""\"#, "", "Unknown device", Shape::Other),
        ];
        for (user_agent, brands, platform, mobile, label, kind) in cases {
            let hints =
                Hints { brands: Some(brands.into()), platform: Some(platform.into()), mobile: Some(mobile.into()) };
            let client = Client::from_headers(user_agent, &hints);
            assert_eq!((client.label().as_str(), client.kind), (label, kind), "{user_agent} {hints:?}");
        }
    }

    /// Pieces that mean something to the parsers, in any order, and single characters.
    #[test]
    fn whatever_is_sent_is_answered_with_something_that_can_be_shown() {
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
        for _ in 0..20_000 {
            let mut made = || (0..next() % 14).map(|_| pieces[next() % pieces.len()]).collect::<String>();
            let user_agent = made();
            let hints = Hints { brands: Some(made()), platform: Some(made()), mobile: Some(made()) };
            let label = Client::from_headers(&user_agent, &hints).label();
            assert!(text::is_name(&label) && label.chars().count() <= 60, "{user_agent:?} {hints:?}: {label:?}");
        }
    }

    #[test]
    fn an_installed_app_is_called_one() {
        let client = Client { browser: "Safari".into(), os: "iPhone".into(), kind: Shape::Phone, installed: true };
        assert_eq!(client.label(), "iPhone app");
    }
}
