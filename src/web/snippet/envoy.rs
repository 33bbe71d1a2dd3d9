use askama::Template;

use super::values::{Files, Values};

#[derive(Template)]
#[template(path = "snippet/envoy.yaml", escape = "none")]
struct Envoy<'a> {
    v: &'a Values,
}

pub(super) fn files(v: &Values) -> Files {
    Ok(vec![("envoy.yaml", Envoy { v }.render()?)])
}
