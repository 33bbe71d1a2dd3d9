//! Recognizes our addresses on the hosts of apps, however they are spelled: proxies decode, merge and resolve a path before
//! they compare it, and then pass on what the client sent. Called by the outermost layer and by the log.
//!
//! Invariant: a path that a proxy takes for one of ours below `/.sessile` is recognized.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The path below which our addresses on the hosts of apps are.
pub const AREA: &str = "/.sessile";

/// Whether a path is below `/.sessile`, but not spelled like our addresses there.
pub fn is_misspelled(path: &str) -> bool {
    let is_literal = path.strip_prefix(AREA).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    !is_literal && segments(&decoded(path)).any(is_area)
}

/// Whether a path may be that of a gate, which ends with a token.
pub fn names_gate(path: &str) -> bool {
    let decoded = decoded(path);
    let below = segments(&decoded).skip_while(|segment| !is_area(segment)).skip(1);
    below.into_iter().any(|segment| segment.eq_ignore_ascii_case("gate"))
}

/// Whether a path may be that of a one-time link, which ends with a token.
pub fn names_link(path: &str) -> bool {
    let decoded = decoded(path);
    decoded
        .split(['/', '\\'])
        .find(|segment| !segment.is_empty())
        .is_some_and(|first| first.eq_ignore_ascii_case("link"))
}

fn is_area(segment: &str) -> bool {
    AREA.strip_prefix('/').is_some_and(|area| segment.eq_ignore_ascii_case(area))
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split(['/', '\\'])
}

fn decoded(path: &str) -> Cow<'_, str> {
    if path.contains('%') { percent_decode_str(path).decode_utf8_lossy() } else { Cow::Borrowed(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_recognized() {
        for literal in ["/.sessile", "/.sessile/", "/.sessile/start", "/", "/login", "/sessile", "/a.sessile", "/%2e"] {
            assert!(!is_misspelled(literal), "{literal}");
        }
        for other in [
            "/%2esessile/start",
            "/.%73essile/x",
            "//.sessile/x",
            "/x/../.sessile/y",
            "/.SESSILE/x",
            "/./.sessile",
            "/x%2f.sessile%2fstart",
            "/..\\.sessile/x",
        ] {
            assert!(is_misspelled(other), "{other}");
        }
    }

    #[test]
    fn the_address_of_a_gate_is_recognized() {
        for gate in [
            "/.sessile/gate/token",
            "//.sessile/gate/token",
            "/.sessile//gate/token",
            "/%2Esessile/g%61te/token",
            "/.sessile/x/../gate/token",
        ] {
            assert!(names_gate(gate), "{gate}");
        }
        assert!(!names_gate("/gate/.sessile") && !names_gate("/.sessile/start"));
    }

    #[test]
    fn the_address_of_a_link_is_recognized() {
        for link in ["/link/token", "//link/token", "/l%69nk/token", "/LINK/token", "/%2flink/token"] {
            assert!(names_link(link), "{link}");
        }
        assert!(!names_link("/links") && !names_link("/static/link") && !names_link("/"));
    }
}
