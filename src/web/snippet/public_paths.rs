//! Paths that a proxy does not ask about: web hooks, health checks, the manifest, the service worker.
//!
//! Invariant: a pattern matches no request that an app could read as another path. It is compared with the path as the
//! client wrote it, and knows neither `%`, nor `//`, nor segments that begin with a dot.

use crate::records::app::is_public_path;

/// One segment of a path below a public folder.
const SEGMENT: &str = "[A-Za-z0-9_~-][A-Za-z0-9._~-]*";

/// The regular expression for paths without their query. It has no anchors, and means the same to every proxy.
pub(super) fn pattern(path: &str) -> Result<String, String> {
    if !is_public_path(path) {
        return Err(format!("{path} cannot be a public path"));
    }
    let literal = path.replace('.', "[.]");
    Ok(match path.ends_with('/') {
        true => format!("{literal}({SEGMENT}/)*({SEGMENT})?"),
        false => literal,
    })
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::pattern;

    fn matches(path: &str, asked: &str) -> bool {
        Regex::new(&format!("^{}$", pattern(path).unwrap())).unwrap().is_match(asked)
    }

    #[test]
    fn a_folder_matches_what_is_below_and_a_file_only_itself() {
        for below in ["/hooks/", "/hooks/a", "/hooks/a/b.json", "/hooks/a/"] {
            assert!(matches("/hooks/", below), "{below}");
        }
        assert!(matches("/robots.txt", "/robots.txt") && !matches("/robots.txt", "/robotsxtxt"));
        assert!(!matches("/health", "/health/a") && !matches("/health", "/healthy"));
    }

    #[test]
    fn what_an_app_could_read_as_another_path_does_not_match() {
        for other in [
            "/hooks/../admin",
            "/hooks/%2e%2e/admin",
            "/hooks//admin",
            "/hooks/..%2fadmin",
            "/hooks/a;/../b",
            "/hooks/\\..\\admin",
        ] {
            assert!(!matches("/hooks/", other), "{other}");
        }
    }

    #[test]
    fn paths_that_would_change_a_configuration_are_refused() {
        for path in
            ["", "/", "health", "/a b", "/a;b", "/a{b", "/a\"", "/a//b", "/../a", "/.sessile/start", "/a\n", "/a$b"]
        {
            assert!(pattern(path).is_err(), "{path}");
        }
    }
}
