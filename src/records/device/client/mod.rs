//! Describes a browser by its `User-Agent` and, if it sends them, its client hints. Called only at a login.
//!
//! Invariant: any bytes that a client sends give a label that is safe to show.

mod browser;
mod system;

use serde::Serialize;

use crate::{base::text, records::device::shape::Shape};

/// Brands that are shown unchanged. Other brands are not shown: a client can send any text, and people would take it
/// for ours.
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

/// The description of a browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Client {
    /// Such as "Chrome".
    pub browser: String,
    /// Such as "Windows".
    pub os: String,
    pub kind: Shape,
    /// Whether it runs as an installed app.
    pub installed: bool,
}

/// The raw client hints that a browser sent (User-Agent Client Hints, 3).
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// `Sec-CH-UA`.
    pub brands: Option<String>,
    /// `Sec-CH-UA-Platform`.
    pub platform: Option<String>,
    /// `Sec-CH-UA-Mobile`.
    pub mobile: Option<String>,
    /// `Sec-CH-UA-Platform-Version`. Browsers send it because the page with the form asks for it.
    pub platform_version: Option<String>,
    /// `Sec-CH-UA-Model`. Browsers send it because the page with the form asks for it.
    pub model: Option<String>,
}

/// What a browser sent about itself at a sign-in, not parsed yet. Parsing is expensive, so it waits for a correct
/// password.
#[derive(Debug, Clone)]
pub struct Unread {
    pub user_agent: String,
    pub hints: Hints,
    /// Whether the script of the page found a touch screen.
    pub has_touch_screen: bool,
}

impl Unread {
    pub fn read(&self) -> Client {
        Client::from_headers(&self.user_agent, &self.hints).with_touch_screen(self.has_touch_screen)
    }
}

/// Maximum characters of a `User-Agent` that are parsed. Real ones are far shorter.
const LONGEST: usize = 1024;

impl Client {
    /// Parses a `User-Agent` header. Unknown parts become "Unknown".
    pub fn from_user_agent(user_agent: &str) -> Self {
        let end = user_agent.char_indices().nth(LONGEST).map_or(user_agent.len(), |(at, _)| at);
        let user_agent = user_agent.get(..end).unwrap_or_default();
        let (os, kind) = system::read(user_agent);
        Self { browser: browser::name(user_agent).to_owned(), os: os.to_owned(), kind, installed: false }
    }

    /// Parses both headers. Hints win, because a `User-Agent` may be frozen or name another browser (RFC 9110, 10.1.5).
    pub fn from_headers(user_agent: &str, hints: &Hints) -> Self {
        let mut client = Self::from_user_agent(user_agent);
        if let Some(brand) = hints.brands.as_deref().and_then(brand) {
            // Chromium is only the engine. Keep a more specific name from the `User-Agent`.
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
        client.os = with_details(system, hints);
        client
    }

    /// Corrects macOS to iPad if there is a touch screen: browsers on an iPad claim to run on a Mac, and no Mac has
    /// one.
    #[must_use]
    pub fn with_touch_screen(self, has_one: bool) -> Self {
        if !has_one || !self.os.starts_with("macOS") {
            return self;
        }
        Self { os: "iPad".to_owned(), kind: Shape::Tablet, ..self }
    }

    /// The generated name of the device, such as "Chrome on Windows" or "App on iPhone".
    pub fn label(&self) -> String {
        match (self.installed, self.browser.as_str(), self.os.as_str()) {
            (true, _, "Unknown") => "App".to_owned(),
            (true, _, os) => format!("App on {os}"),
            (false, "Unknown", "Unknown") => "Unknown device".to_owned(),
            (false, browser, "Unknown") => browser.to_owned(),
            (false, "Unknown", os) => os.to_owned(),
            (false, browser, os) => format!("{browser} on {os}"),
        }
    }
}

/// The system with the version and the model from the hints, if any: "Windows 11", "Android 15 (Pixel 8)".
fn with_details(system: &str, hints: &Hints) -> String {
    let first = |hint: &Option<String>| hint.as_deref().and_then(|sent| members(sent).into_iter().next());
    let major = first(&hints.platform_version).and_then(|version| version.split('.').next()?.parse::<u16>().ok());
    let named = match (system, major) {
        // Windows sends the version of an API contract here, not of the release.
        ("Windows", Some(13..)) => "Windows 11".to_owned(),
        ("Windows", Some(1..)) => "Windows 10".to_owned(),
        ("macOS" | "Android", Some(version @ 1..100)) => format!("{system} {version}"),
        _ => system.to_owned(),
    };
    let is_model = |model: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || " -_+./".contains(c);
        model.len() <= 24 && model.trim() == model && text::is_name(model) && model.chars().all(plain)
    };
    match first(&hints.model).filter(is_model) {
        Some(model) if system == "Android" => format!("{named} ({model})"),
        _ => named,
    }
}

/// The browser in a list of brands. Browsers add a made-up brand, so that servers do not rely on exact lists (3.3).
fn brand(list: &str) -> Option<String> {
    let brands: Vec<String> = members(list).into_iter().filter(|brand| !is_made_up(brand)).collect();
    let specific = brands.iter().find(|brand| *brand != "Chromium").or_else(|| brands.first())?;
    let name = match specific.as_str() {
        "Google Chrome" | "HeadlessChrome" => "Chrome",
        "Microsoft Edge" | "Microsoft Edge WebView2" => "Edge",
        "Android WebView" => "App",
        "YaBrowser" => "Yandex",
        known => *KNOWN_BRANDS.iter().find(|brand| **brand == known)?,
    };
    Some(name.to_owned())
}

/// Recognizes "Not A;Brand", "Not.A/Brand", "Not_A Brand" and similar brands.
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

/// The strings in a structured list (RFC 9651, 3.1 and 3.3.3), without parameters. Skips other items.
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
