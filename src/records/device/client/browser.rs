//! The name of a browser or program, as people know it, from its `User-Agent`.
//!
//! The data is that of uap-core (`browsers.tsv`, made by `scripts/browser-names`), which is kept up by many; what it
//! lacks or names otherwise stands here. Each expression carries texts of which a match contains one, so that only a
//! few are compiled for one `User-Agent`, and nothing is kept in memory for the rare sign-in.

use regex::RegexBuilder;

const EXPRESSIONS: &str = include_str!("browsers.tsv");
/// Expressions compiled for one `User-Agent` at most: real ones need up to 18, a made-up one could ask for all.
const MOST: usize = 24;
/// What an expression may take when compiled, in bytes.
const LARGEST: usize = 1 << 20;

/// Libraries that programs use for HTTP and that the data lacks, by the name that they send first.
const PROGRAMS: [(&str, &str); 35] = [
    ("python-httpx", "Python program"),
    ("python-urllib3", "Python program"),
    ("Python", "Python program"),
    ("aiohttp", "Python program"),
    ("Scrapy", "Python program"),
    ("Java-http-client", "Java program"),
    ("Java", "Java program"),
    ("Jakarta Commons-HttpClient", "Java program"),
    ("Jetty", "Java program"),
    ("node", "Node.js program"),
    ("Node.js", "Node.js program"),
    ("undici", "Node.js program"),
    ("node-fetch", "Node.js program"),
    ("node-superagent", "Node.js program"),
    ("needle", "Node.js program"),
    ("Deno", "Deno program"),
    ("Bun", "Bun program"),
    ("Dart", "Dart program"),
    ("GuzzleHttp", "PHP program"),
    ("PHP", "PHP program"),
    ("Symfony HttpClient", "PHP program"),
    ("Faraday", "Ruby program"),
    ("Ruby", "Ruby program"),
    ("rest-client", "Ruby program"),
    ("http.rb", "Ruby program"),
    ("Typhoeus", "Ruby program"),
    ("hyper", "Rust program"),
    ("isahc", "Rust program"),
    ("fasthttp", "Go program"),
    ("hackney", "Erlang program"),
    ("Mint", "Elixir program"),
    ("RestSharp", ".NET program"),
    ("Microsoft-NetCore", ".NET program"),
    ("k6", "k6"),
    ("Bruno", "Bruno"),
];

/// The name; "Unknown" if there is none that people know.
pub(super) fn name(user_agent: &str) -> &'static str {
    match known_by_token(user_agent) {
        Some(name) => name,
        None => by_expression(user_agent).map_or("Unknown", as_people_know_it),
    }
}

/// What the data lacks or takes for another.
fn known_by_token(user_agent: &str) -> Option<&'static str> {
    // It has one browser, whose name nobody knows; and so have televisions and consoles.
    let nameless = ["KAIOS/", "SMART-TV", "SmartTV", "PlayStation", "Nintendo", "Kindle/", "Tesla/"];
    if nameless.iter().any(|token| user_agent.contains(token)) {
        return Some("Unknown");
    }
    let tokens = [
        ("MicroMessenger/", "WeChat"),
        ("Falkon/", "Falkon"),
        ("HuaweiBrowser/", "Huawei Browser"),
        ("MiuiBrowser/", "Mi Browser"),
        ("OPR/", "Opera"),
        ("Orion/", "Orion"),
        ("Ubuntu 20.04 like Android", "Morph"),
    ];
    if let Some((_, name)) = tokens.into_iter().find(|(token, _)| user_agent.contains(token)) {
        return Some(name);
    }
    if !user_agent.starts_with("Mozilla/")
        && let Some((_, name)) = PROGRAMS.iter().find(|(product, _)| begins_with_product(user_agent, product))
    {
        return Some(name);
    }
    let is_ios = ["iPhone;", "iPad;", "iPod;", "iPod touch;"].iter().any(|token| user_agent.contains(token));
    // An app from the home screen says all that Safari does but its name, and ends so; others go on.
    if is_ios && user_agent.rsplit(' ').next().is_some_and(|last| last.starts_with("Mobile/")) {
        return Some("Safari");
    }
    // Safari is made for Apple's systems only. GNOME Web has the same engine and leaves out its own name.
    let is_web_kit = user_agent.contains("Version/") && user_agent.contains(" Safari/");
    let is_other =
        ["Chrome/", "Chromium/", "Epiphany/", "Android", "Konqueror/"].iter().any(|token| user_agent.contains(token));
    (user_agent.contains("X11;") && is_web_kit && !is_other).then_some("GNOME Web")
}

/// Whether the first product of a `User-Agent` (RFC 9110, 10.1.5) is this one, with or without a version.
fn begins_with_product(user_agent: &str, product: &str) -> bool {
    let rest = user_agent.get(product.len()..);
    let begins = user_agent.get(..product.len()).is_some_and(|start| start.eq_ignore_ascii_case(product));
    begins && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ' ']))
}

/// The family in the data whose expression matches first: its name there, or the part of the expression that was found.
fn by_expression(user_agent: &str) -> Option<&'static str> {
    let candidates = EXPRESSIONS.lines().filter_map(|line| {
        let mut parts = line.split('\t');
        let (texts, expression, family) = (parts.next()?, parts.next()?, parts.next()?);
        texts.split('\u{1F}').any(|text| user_agent.contains(text)).then_some((expression, family))
    });
    candidates.take(MOST).find_map(|(expression, family)| {
        let found = RegexBuilder::new(expression).size_limit(LARGEST).build().ok()?.captures(user_agent)?;
        if !family.contains('$') {
            return Some(family);
        }
        // Only what the data itself spells out is shown: a client could send any other word.
        let sent = found.get(1)?.as_str();
        let at = expression.find(sent).filter(|_| family == "$1" && sent.len() > 1)?;
        expression.get(at..at + sent.len())
    })
}

fn as_people_know_it(family: &'static str) -> &'static str {
    match family {
        "Mobile Safari" => "Safari",
        "Mobile Safari UI/WKWebView" | "Chrome Mobile WebView" | "Android" => "An app",
        "Chrome Mobile" | "Chrome Mobile iOS" | "HeadlessChrome" => "Chrome",
        "Firefox Mobile" | "Firefox iOS" | "Firefox (Minefield)" | "Firefox (Shiretoko)" => "Firefox",
        "Edge Mobile" => "Edge",
        "IE" | "IE Mobile" => "Internet Explorer",
        "Opera Mobile" | "Opera Tablet" | "Opera Touch" => "Opera",
        "Opera Coast" => "Opera",
        "Google" => "Google app",
        "Yandex Browser" => "Yandex",
        "DuckDuckGo Mobile" => "DuckDuckGo",
        "Ecosia iOS" | "Ecosia Android" => "Ecosia",
        "Epiphany" => "GNOME Web",
        "Amazon Silk" => "Silk",
        "Oculus Browser" => "Quest Browser",
        "PaleMoon" => "Pale Moon",
        "Slack Desktop Client" => "Slack",
        "Go-http-client" => "Go program",
        "PostmanRuntime" => "Postman",
        "Python Requests" | "Python-urllib" | "Python/aiohttp" | "Python aiohttp" => "Python program",
        "bingbot" => "Bingbot",
        other => other,
    }
}
