use askama::Template;

use super::values::{Files, Values};
use crate::web::identity_headers;

#[derive(Template)]
#[template(path = "snippet/Caddyfile", escape = "none")]
struct Caddy<'a> {
    v: &'a Values,
    identity: Vec<String>,
}

pub(super) fn files(v: &Values) -> Files {
    Ok(vec![("Caddyfile", Caddy { v, identity: identity_headers::as_written() }.render()?)])
}
