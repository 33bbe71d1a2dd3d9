//! Recognises the variables that Kubernetes and `docker --link` set for services whose name begins with `sessile`. They
//! are not settings of this program. Called by the settings check.
//!
//! Invariant: only the exact forms are recognised, so that a misspelt setting still stops the start.

/// Whether a variable describes another service. For a service `sessile-db`, Kubernetes sets `SESSILE_DB_SERVICE_HOST`,
/// `…_SERVICE_PORT`, `…_SERVICE_PORT_<name>`, `…_PORT` and `…_PORT_<n>_TCP`, the last also with `_PROTO`, `_PORT` or
/// `_ADDR` (Kubernetes documentation, "Accessing the Service"). `docker --link` sets the same `…_PORT…` variables, and
/// `…_NAME` and `…_ENV_<variable>`.
pub(super) fn is_of_service_link(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix("SESSILE_") else { return false };
    is_of_service(rest) || is_of_port(rest, value) || is_of_container(rest, value)
}

fn is_of_service(rest: &str) -> bool {
    ends(rest, "SERVICE_HOST").any(str::is_empty)
        || ends(rest, "SERVICE_PORT").any(|end| end.is_empty() || is_name(end))
}

fn is_of_port(rest: &str, value: &str) -> bool {
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    ends(rest, "PORT").any(|end| {
        let parts: Vec<&str> = end.split('_').skip(1).collect();
        match parts[..] {
            [] => is_url,
            [number, "TCP" | "UDP" | "SCTP"] => is_number(number) && is_url,
            // For a range of ports, `docker --link` also sets START and END.
            [number, "TCP" | "UDP" | "SCTP", "PROTO" | "PORT" | "ADDR" | "START" | "END"]
            | [number, "TCP" | "UDP" | "SCTP", "PORT", "START" | "END"] => is_number(number),
            _ => false,
        }
    })
}

fn is_of_container(rest: &str, value: &str) -> bool {
    let names = value.strip_prefix('/').and_then(|names| names.split_once('/'));
    let is_link = names.is_some_and(|(one, other)| !one.is_empty() && !other.is_empty() && !other.contains('/'));
    (is_link && ends(rest, "NAME").any(str::is_empty)) || ends(rest, "ENV").any(is_name)
}

/// The text after each occurrence of `word` as a whole word: at the beginning, or after the rest of a service's name.
fn ends<'a>(rest: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    let begins = std::iter::once(rest).chain(rest.match_indices('_').filter_map(|(at, _)| rest.get(at + 1..)));
    begins.filter_map(move |part| part.strip_prefix(word)).filter(|end| end.is_empty() || end.starts_with('_'))
}

/// Whether `end` is `_` followed by a name.
fn is_name(end: &str) -> bool {
    end.len() > 1
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::is_of_service_link;

    #[test]
    fn variables_of_other_services_differ_from_misspelt_settings() {
        let ours = [
            ("SESSILE_PORT", "tcp://10.0.0.11:8080"),
            ("SESSILE_PORT", "udp://10.0.0.11:53"),
            ("SESSILE_PORT_8080_TCP", "tcp://10.0.0.11:8080"),
            ("SESSILE_PORT_8080_TCP_PROTO", "tcp"),
            ("SESSILE_PORT_8080_TCP_PORT", "8080"),
            ("SESSILE_PORT_8080_TCP_ADDR", "10.0.0.11"),
            ("SESSILE_SERVICE_HOST", "10.0.0.11"),
            ("SESSILE_SERVICE_HOST", "fd00::11"),
            ("SESSILE_SERVICE_PORT", "8080"),
            ("SESSILE_SERVICE_PORT_HTTP", "8080"),
            ("SESSILE_DB_PORT", "tcp://172.17.0.5:5432"),
            ("SESSILE_DB_PORT_5432_TCP", "tcp://172.17.0.5:5432"),
            ("SESSILE_DB_PORT_5432_TCP_ADDR", "172.17.0.5"),
            ("SESSILE_POSTGRES_SERVICE_HOST", "10.0.0.12"),
            ("SESSILE_POSTGRES_SERVICE_PORT_POSTGRES", "5432"),
            ("SESSILE_MY_2ND_DB_SERVICE_PORT", "5432"),
            ("SESSILE_NAME", "/web/sessile"),
            ("SESSILE_DB_NAME", "/sessile/db"),
            ("SESSILE_ENV_PATH", "/usr/bin"),
            ("SESSILE_DB_ENV_POSTGRES_PASSWORD", "geheim"),
            ("SESSILE_PORT_8000_TCP_PORT_START", "8000"),
            ("SESSILE_PORT_PORT", "tcp://10.0.0.11:8080"),
        ];
        for (name, value) in ours {
            assert!(is_of_service_link(name, value), "{name}={value}");
        }
        let not_ours = [
            ("SESSILE_LITSEN", "127.0.0.1:8080"),
            ("SESSILE_PORT", "8080"),
            ("SESSILE_PORT", ""),
            ("SESSILE_PORT_", "tcp://10.0.0.11:8080"),
            ("SESSILE__PORT_8080", "tcp://10.0.0.11:8080"),
            ("SESSILE_SERVICE_PORT_", "80"),
            ("SESSILE_PORT_X_TCP", "tcp://10.0.0.11:8080"),
            ("SESSILE_PORT_8080", "tcp://10.0.0.11:8080"),
            ("SESSILE_PORT_8080_TCP", "8080"),
            ("SESSILE_PORT_8080_TCP_NONSENSE", "1"),
            ("SESSILE_SERVICE_HOST_NAME", "10.0.0.11"),
            ("SESSILE_SERVICE_PORTS", "80"),
            ("SESSILE_NAME", "Corner Shop"),
            ("SESSILE_NAME", "/shop"),
            ("SESSILE_NAME", "/a/b/c"),
            ("SESSILE_ENV_", "x"),
            ("SESSILE_ENV", "x"),
            ("SESSILE_ENVIRONMENT", "x"),
            ("SESSILE_SUPPORT", "tcp://10.0.0.11:80"),
            ("SESSILE_NONSENSE", "1"),
            ("DATABASE_URL", "tcp://10.0.0.11:80"),
            ("sessile_port", "tcp://10.0.0.11:80"),
        ];
        for (name, value) in not_ours {
            assert!(!is_of_service_link(name, value), "{name}={value}");
        }
    }
}
