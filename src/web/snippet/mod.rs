//! Proxy configurations that protect an app: what `sessile app snippet` and the pages for admins print. The files under
//! `ops/proxies` are made by the same templates.
//!
//! Invariant: only checked values reach a template, so none can change the meaning of a configuration.

mod caddy;
mod envoy;
mod haproxy;
mod nginx;
mod proxy;
mod public_paths;
mod traefik;
mod values;

use self::values::Values;
pub use self::{
    proxy::Proxy,
    values::{NO_TOKEN, Snippet, check_place},
};

/// The configuration as text. Several files are divided by lines `--- NAME`. Without a token the first line says so.
///
/// # Errors
/// A value that cannot stand in a configuration.
pub fn render(snippet: &Snippet<'_>) -> Result<String, String> {
    let values = Values::new(snippet)?;
    let files = match snippet.proxy {
        Proxy::Nginx => nginx::files(&values),
        Proxy::Caddy => caddy::files(&values),
        Proxy::Traefik => traefik::files(&values),
        Proxy::Haproxy => haproxy::files(&values),
        Proxy::Envoy => envoy::files(&values),
    };
    let files = files.map_err(|error| format!("the configuration cannot be rendered: {error}"))?;
    let first = match snippet.token {
        Some(_) => "",
        None => "# Replace GATE_TOKEN by the app's gate token, which `sessile app add` and `rotate-token` print.\n",
    };
    Ok(match files.as_slice() {
        [(_, only)] => format!("{first}{only}\n"),
        several => several.iter().fold(first.to_owned(), |text, (name, file)| text + &format!("--- {name}\n{file}\n")),
    })
}

#[cfg(test)]
mod tests;
