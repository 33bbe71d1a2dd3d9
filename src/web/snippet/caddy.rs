use askama::Template;

use super::values::{Files, IDENTITY, Values};

#[derive(Template)]
#[template(path = "snippet/Caddyfile", escape = "none")]
struct Caddy<'a> {
    v: &'a Values,
    identity: [&'static str; IDENTITY.len()],
}

pub(super) fn files(v: &Values) -> Files {
    Ok(vec![("Caddyfile", Caddy { v, identity: IDENTITY }.render()?)])
}
