use askama::Template;

use super::values::{Files, Values};
use crate::web::identity_headers;

#[derive(Template)]
#[template(path = "snippet/haproxy.cfg", escape = "none")]
struct Haproxy<'a> {
    v: &'a Values,
}

/// The action that asks the gate. HAProxy has none of its own.
#[derive(Template)]
#[template(path = "snippet/sessile.lua", escape = "none")]
struct Action {
    identity: Vec<String>,
}

pub(super) fn files(v: &Values) -> Files {
    let action = Action { identity: identity_headers::as_written() };
    Ok(vec![("haproxy.cfg", Haproxy { v }.render()?), ("sessile.lua", action.render()?)])
}
