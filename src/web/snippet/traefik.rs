use askama::Template;

use super::values::{Files, Values};

#[derive(Template)]
#[template(path = "snippet/traefik.yml", escape = "none")]
struct Static<'a> {
    v: &'a Values,
}

#[derive(Template)]
#[template(path = "snippet/traefik-app.yml", escape = "none")]
struct Dynamic<'a> {
    v: &'a Values,
}

pub(super) fn files(v: &Values) -> Files {
    Ok(vec![("traefik.yml", Static { v }.render()?), ("app.yml", Dynamic { v }.render()?)])
}
