//! Finds the operating system and the form factor of a device from its `User-Agent`. Called by [`client`](super).
//!
//! Invariant: a returned name comes from this file, never from the client.

use crate::records::device::shape::Shape;

/// Systems by a text in the `User-Agent`. Specific texts come first, because many systems also name a more common one.
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

/// The system and the form factor, or "Unknown" and [`Shape::Other`].
pub(super) fn read(user_agent: &str) -> (&'static str, Shape) {
    let has = |token: &str| user_agent.contains(token);
    let handheld = if has("Mobile") || has("Opera Mini") { Shape::Phone } else { Shape::Tablet };
    if has("like Android") && has("Ubuntu") {
        return ("Ubuntu Touch", handheld);
    }
    // Only the iPad versions of these browsers name a Mac together with these product names.
    if has("Macintosh") && ["CriOS/", "FxiOS/", "EdgiOS/"].into_iter().any(has) {
        return ("iPad", Shape::Tablet);
    }
    let found = SYSTEMS.iter().find(|(token, ..)| has(token));
    match found {
        Some((_, "Windows" | "Linux" | "macOS", _)) | None if has("Android") && !has("Windows") => {
            ("Android", handheld)
        }
        Some((_, system, shape)) => (system, *shape),
        None => ("Unknown", Shape::Other),
    }
}
