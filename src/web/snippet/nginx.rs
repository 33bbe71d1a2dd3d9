use askama::Template;

use super::values::{Files, IDENTITY, Values};

#[derive(Template)]
#[template(path = "snippet/nginx.conf", escape = "none")]
struct Nginx<'a> {
    v: &'a Values,
    /// Each identity header with the end of its variable in nginx.
    identity: Vec<(&'static str, String)>,
}

pub(super) fn files(v: &Values) -> Files {
    let identity = IDENTITY.iter().map(|name| (*name, name.to_ascii_lowercase().replace('-', "_"))).collect();
    Ok(vec![("nginx.conf", Nginx { v, identity }.render()?)])
}
