//! What a browser says of itself, as people know it: read from its `User-Agent` and, where sent, its client hints. Called
//! at a login only.
//!
//! Invariant: whatever bytes a client sends, this answers something that can be shown.

use serde::Serialize;

use super::Shape;

/// Brands that are shown as they are. Any other is what somebody chose to send, and people would take it for our own words.
const KNOWN_BRANDS: [&str; 12] = [
    "Chromium",
    "Brave",
    "Opera",
    "Opera GX",
    "Vivaldi",
    "Samsung Internet",
    "DuckDuckGo",
    "Whale",
    "Yandex",
    "Avast Secure Browser",
    "Arc",
    "Huawei Browser",
];

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
        let is_kaios = user_agent.contains("KAIOS/");
        let kind = match (category, os) {
            _ if is_kaios => Shape::Phone,
            (_, "iPad") => Shape::Tablet,
            ("smartphone" | "mobilephone", _) if !user_agent.contains("Mobile") && os == "Android" => Shape::Tablet,
            ("smartphone" | "mobilephone", _) => Shape::Phone,
            ("pc", _) => Shape::Desktop,
            _ => Shape::Other,
        };
        let browser = match name {
            // There is but one, and it has no name that people know.
            _ if is_kaios => "Unknown",
            // An app from the home screen says all that Safari does but its name, and ends so; others go on.
            "Webview" if matches!(os, "iPhone" | "iPad" | "iPod") && ends_as_safari_begins(user_agent) => "Safari",
            name => told_by_token(user_agent).unwrap_or_else(|| plain_browser(name)),
        };
        let os = if is_kaios { "KaiOS" } else { plain_system(os) };
        Self { browser: browser.to_owned(), os: os.to_owned(), kind, installed: false }
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
        ("DuckDuckGo/", "DuckDuckGo"),
        ("Ddg/", "DuckDuckGo"),
        ("HuaweiBrowser/", "Huawei Browser"),
        ("MiuiBrowser/", "Mi Browser"),
        ("Silk/", "Silk"),
    ];
    tokens.into_iter().find(|(token, _)| user_agent.contains(token)).map(|(_, name)| name)
}

/// "… (KHTML, like Gecko) Mobile/15E148", and nothing behind it.
fn ends_as_safari_begins(user_agent: &str) -> bool {
    user_agent.rsplit(' ').next().is_some_and(|last| last.starts_with("Mobile/"))
}

fn plain_browser(name: &str) -> &str {
    match name {
        "Webview" => "An app",
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
        "YaBrowser" => "Yandex",
        known => *KNOWN_BRANDS.iter().find(|brand| **brand == known)?,
    };
    Some(name.to_owned())
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
mod tests;
