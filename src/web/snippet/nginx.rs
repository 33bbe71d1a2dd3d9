use askama::Template;

use super::values::{Files, Values};
use crate::web::identity_headers;

#[derive(Template)]
#[template(path = "snippet/nginx.conf", escape = "none")]
struct Nginx<'a> {
    v: &'a Values,
    /// Each identity header with the end of its variable in nginx.
    identity: Vec<(String, String)>,
}

pub(super) fn files(v: &Values) -> Files {
    let variable = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    let identity = identity_headers::as_written().into_iter().map(|name| (name.clone(), variable(&name))).collect();
    Ok(vec![("nginx.conf", Nginx { v, identity }.render()?)])
}
