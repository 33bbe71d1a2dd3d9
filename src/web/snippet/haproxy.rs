use askama::Template;

use super::values::{Files, IDENTITY, Values};

#[derive(Template)]
#[template(path = "snippet/haproxy.cfg", escape = "none")]
struct Haproxy<'a> {
    v: &'a Values,
}

/// The action that asks the gate. HAProxy has none of its own.
#[derive(Template)]
#[template(path = "snippet/sessile.lua", escape = "none")]
struct Action {
    identity: [&'static str; IDENTITY.len()],
}

pub(super) fn files(v: &Values) -> Files {
    Ok(vec![("haproxy.cfg", Haproxy { v }.render()?), ("sessile.lua", Action { identity: IDENTITY }.render()?)])
}
