//! What a browser says of itself, as people know it: read from its `User-Agent` and, where sent, its client hints.
//! Called at a login only.
//!
//! Invariant: whatever bytes a client sends, this answers something that can be shown.

mod browser;
mod system;

use serde::Serialize;

use crate::{base::text, records::device::shape::Shape};

/// Brands that are shown as they are. Any other is what somebody chose to send, and people would take it for our own
/// words.
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

/// The client hints that browsers send (User-Agent Client Hints, 3), unread.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// `Sec-CH-UA`.
    pub brands: Option<String>,
    /// `Sec-CH-UA-Platform`.
    pub platform: Option<String>,
    /// `Sec-CH-UA-Mobile`.
    pub mobile: Option<String>,
    /// `Sec-CH-UA-Platform-Version`, which browsers send because the page with the form asked for it.
    pub platform_version: Option<String>,
    /// `Sec-CH-UA-Model`, likewise.
    pub model: Option<String>,
}

/// What a browser has said of itself at a sign-in, not read yet: that is work which only the right password is worth.
#[derive(Debug, Clone)]
pub struct Unread {
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The client hints.
    pub hints: Hints,
    /// Whether the page's script has found a touch screen.
    pub has_touch_screen: bool,
}

impl Unread {
    /// Reads it.
    pub fn read(&self) -> Client {
        Client::from_headers(&self.user_agent, &self.hints).with_touch_screen(self.has_touch_screen)
    }
}

/// Characters of a `User-Agent` that are read; browsers' are far shorter.
const LONGEST: usize = 1024;

impl Client {
    /// Reads a `User-Agent` header; what it does not know is "Unknown".
    pub fn from_user_agent(user_agent: &str) -> Self {
        let end = user_agent.char_indices().nth(LONGEST).map_or(user_agent.len(), |(at, _)| at);
        let user_agent = user_agent.get(..end).unwrap_or_default();
        let (os, kind) = system::read(user_agent);
        Self { browser: browser::name(user_agent).to_owned(), os: os.to_owned(), kind, installed: false }
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
        client.os = in_full(system, hints);
        client
    }

    /// The same with a touch screen, which no Mac has: an iPad's browser says that it runs on a Mac.
    #[must_use]
    pub fn with_touch_screen(self, has_one: bool) -> Self {
        if !has_one || !self.os.starts_with("macOS") {
            return self;
        }
        Self { os: "iPad".to_owned(), kind: Shape::Tablet, ..self }
    }

    /// "Chrome on Windows", "App on iPhone", or what is known.
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

/// The system with its version and the device's model, as far as hints tell them: "Windows 11", "Android 15 (Pixel 8)".
fn in_full(system: &str, hints: &Hints) -> String {
    let first = |hint: &Option<String>| hint.as_deref().and_then(|sent| members(sent).into_iter().next());
    let major = first(&hints.platform_version).and_then(|version| version.split('.').next()?.parse::<u16>().ok());
    let named = match (system, major) {
        // Windows counts its interfaces, not its releases.
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

/// The texts of a structured list of texts (RFC 9651, 3.1 and 3.3.3), their parameters left out. What is none is
/// skipped.
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
