//! The guided set-up of an app: configurations for its proxy, and whether requests arrive. Called by the pages for admins.
//!
//! Invariant: a configuration holds the gate token only in the answer to the form that made the token.

use serde::Deserialize;

use super::fields::{UPSTREAM, sentence};
use crate::{
    base::{db::Instant, secret::Secret},
    records::app::App,
    web::{
        layout::When,
        site::Site,
        snippet::{self, Proxy, Snippet},
    },
};

/// Where the app and Sessile listen, as the proxy reaches them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Places {
    pub upstream: String,
    pub sessile: String,
}

/// What the page shows.
pub(super) struct SetUp {
    pub places: Places,
    pub wrong_upstream: Option<String>,
    pub wrong_sessile: Option<String>,
    pub configurations: Vec<Configuration>,
    pub has_token: bool,
    pub check: Check,
}

/// A configuration for a proxy.
pub(super) struct Configuration {
    /// The proxy's name, as in the commands.
    pub word: &'static str,
    pub label: &'static str,
    pub text: String,
}

/// Whether requests arrive at the gate.
pub(super) struct Check {
    pub app_id: String,
    pub href: String,
    pub last_used: Option<When>,
    pub is_enabled: bool,
}

impl SetUp {
    pub fn new(site: &Site, app: &App, places: Places, token: Option<&Secret>, now: Instant) -> Self {
        let or = |typed: &str, default: &str| match typed.trim() {
            "" => default.to_owned(),
            typed => typed.to_owned(),
        };
        let places = Places {
            upstream: or(&places.upstream, UPSTREAM),
            sessile: or(&places.sessile, &format!("127.0.0.1:{}", site.port)),
        };
        let wrong = |place: &str| snippet::check_place(place).err().map(|words| sentence(&words));
        let configurations = Proxy::ALL.into_iter().filter_map(|proxy| {
            let text = snippet::render(&Snippet {
                app_origin: &app.origin,
                public_paths: &app.public_paths,
                upstream: &places.upstream,
                sessile: &places.sessile,
                token: token.map(Secret::expose),
                proxy,
            });
            Some(Configuration { word: proxy.word(), label: label(proxy), text: text.ok()? })
        });
        Self {
            configurations: configurations.collect(),
            has_token: token.is_some(),
            wrong_upstream: wrong(&places.upstream),
            wrong_sessile: wrong(&places.sessile),
            check: Check::new(app, now),
            places,
        }
    }

    pub fn is_wrong(&self) -> bool {
        self.wrong_upstream.is_some() || self.wrong_sessile.is_some()
    }
}

impl Check {
    fn new(app: &App, now: Instant) -> Self {
        Self {
            app_id: app.id.clone(),
            href: format!("{}/", app.origin),
            last_used: app.last_used_at.map(|at| When::past(at, now)),
            is_enabled: app.is_enabled(),
        }
    }
}

fn label(proxy: Proxy) -> &'static str {
    match proxy {
        Proxy::Nginx => "nginx",
        Proxy::Caddy => "Caddy",
        Proxy::Traefik => "Traefik",
        Proxy::Haproxy => "HAProxy",
        Proxy::Envoy => "Envoy",
    }
}
