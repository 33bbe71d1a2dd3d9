//! The system that a browser runs on, and the sort of machine, from its `User-Agent`.

use crate::records::device::shape::Shape;

/// Systems by a text in the `User-Agent`, the telling ones first: most claim to be another one too.
const SYSTEMS: &[(&str, &str, Shape)] = &[
    ("KAIOS/", "KaiOS", Shape::Phone),
    ("Xbox", "Xbox", Shape::Other),
    ("PlayStation 5", "PlayStation 5", Shape::Other),
    ("PlayStation 4", "PlayStation 4", Shape::Other),
    ("PlayStation", "PlayStation", Shape::Other),
    ("Nintendo Switch", "Nintendo Switch", Shape::Other),
    ("Nintendo", "Nintendo", Shape::Other),
    ("Web0S;", "LG TV", Shape::Other),
    ("SMART-TV; LINUX; Tizen", "Samsung TV", Shape::Other),
    ("SMART-TV", "Smart TV", Shape::Other),
    ("SmartTV", "Smart TV", Shape::Other),
    ("AppleTV", "Apple TV", Shape::Other),
    ("OculusBrowser/", "Meta Quest", Shape::Other),
    ("Kindle/", "Kindle", Shape::Tablet),
    ("Tesla/", "Tesla", Shape::Other),
    ("(Phone; OpenHarmony", "HarmonyOS", Shape::Phone),
    ("(Tablet; OpenHarmony", "HarmonyOS", Shape::Tablet),
    ("(PC; OpenHarmony", "HarmonyOS", Shape::Desktop),
    ("HarmonyOS", "HarmonyOS", Shape::Phone),
    ("Windows Phone", "Windows Phone", Shape::Phone),
    ("iPad;", "iPad", Shape::Tablet),
    ("iPod", "iPod", Shape::Phone),
    ("iPhone", "iPhone", Shape::Phone),
    ("Windows", "Windows", Shape::Desktop),
    ("CrOS", "ChromeOS", Shape::Desktop),
    ("Macintosh", "macOS", Shape::Desktop),
    ("Mac OS X", "macOS", Shape::Desktop),
    ("FreeBSD", "FreeBSD", Shape::Desktop),
    ("OpenBSD", "OpenBSD", Shape::Desktop),
    ("NetBSD", "NetBSD", Shape::Desktop),
    ("X11;", "Linux", Shape::Desktop),
    ("Linux x86_64", "Linux", Shape::Desktop),
];

/// The system and the sort of machine; "Unknown" and another if nothing tells.
pub(super) fn read(user_agent: &str) -> (&'static str, Shape) {
    let has = |token: &str| user_agent.contains(token);
    let held = if has("Mobile") || has("Opera Mini") { Shape::Phone } else { Shape::Tablet };
    if has("like Android") && has("Ubuntu") {
        return ("Ubuntu Touch", held);
    }
    // Of these makers' browsers only those for iPads claim to be a Mac's and name themselves so.
    if has("Macintosh") && ["CriOS/", "FxiOS/", "EdgiOS/"].into_iter().any(has) {
        return ("iPad", Shape::Tablet);
    }
    let found = SYSTEMS.iter().find(|(token, ..)| has(token));
    match found {
        Some((_, "Windows" | "Linux" | "macOS", _)) | None if has("Android") && !has("Windows") => ("Android", held),
        Some((_, system, shape)) => (system, *shape),
        None => ("Unknown", Shape::Other),
    }
}
