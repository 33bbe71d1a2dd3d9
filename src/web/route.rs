//! The declared properties of each address: kind, methods, body limit. `serve::routes` declares them. Layers that run
//! before a handler is chosen look an address up here.
//!
//! Invariant: every path has a route, even a path without a handler.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::dev::ResourceDef;

use crate::base::{error::Methods, metrics::RouteMeter};

/// The largest body in bytes, unless an address sets another limit.
pub const LARGEST_BODY: usize = 64 * 1024;

/// The kind of an address: its clients, and the form of its error answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// For people; its answer may depend on who is signed in.
    Page,
    /// For programs; JSON, and errors as problem documents.
    Api,
    /// For operators and their programs; works over http too, and without a database.
    Operations,
    /// The same answer for everybody, without a session or a database.
    Document,
    /// The address at which a proxy asks about a request to an app.
    Gate,
    /// A page on the host of an app, which its proxy passes on to us.
    AppHost,
    /// A static file. It is in memory only once, however many clients fetch it.
    File,
}

impl Kind {
    /// Whether handlers may use the session.
    pub fn has_session(self) -> bool {
        matches!(self, Self::Page | Self::Api)
    }

    /// Whether the client is a program that reads problem documents, not a person who reads pages.
    pub fn wants_problem_documents(self) -> bool {
        matches!(self, Self::Api | Self::Operations | Self::Gate)
    }

    /// Whether the answer is shown on the host of an app.
    pub fn is_at_app(self) -> bool {
        matches!(self, Self::Gate | Self::AppHost)
    }

    /// Whether browsers open the address at our public origin only.
    pub fn is_for_browsers_here(self) -> bool {
        self != Self::Operations && !self.is_at_app()
    }
}

/// An entry of the navigation.
#[derive(Debug, Clone, Copy)]
pub struct NavItem {
    /// The path without its slash, compared with [`Page::current`](super::layout::Page::current).
    pub id: &'static str,
    pub href: &'static str,
    pub label: &'static str,
    pub icon: &'static str,
    /// Whether only admins and owners see it.
    pub is_for_admins: bool,
}

/// A declared address.
#[derive(Debug)]
pub struct Route {
    /// An actix-web pattern.
    pub path: &'static str,
    pub kind: Kind,
    pub methods: Methods,
    pub largest_body: usize,
    /// Whether its path or query carries a secret, so that no page may repeat the address.
    pub carries_secret: bool,
    /// Whether a person may use it who must set up a second factor first. Otherwise they are led to the set-up.
    pub is_open_to_set_up: bool,
    pub navigation: Option<NavItem>,
    /// Counts the requests to this address.
    pub meter: RouteMeter,
}

impl Route {
    pub fn new(path: &'static str, kind: Kind) -> Self {
        Self { meter: RouteMeter::of(Some(path)), ..Self::without_handler(path, kind) }
    }

    /// Whether the request may be passed to a handler that uses the session, or to the handler of unknown paths.
    pub fn may_load_session(&self) -> bool {
        self.kind.has_session() || self.methods.is_empty()
    }

    /// The route of paths that have no handler.
    fn without_handler(path: &'static str, kind: Kind) -> Self {
        Self {
            meter: RouteMeter::of(None),
            path,
            kind,
            methods: Methods::default(),
            largest_body: LARGEST_BODY,
            carries_secret: false,
            is_open_to_set_up: false,
            navigation: None,
        }
    }
}

/// All routes. An exact path is looked up first; then the patterns are tried in order.
#[derive(Debug)]
pub struct RouteTable {
    /// In the order of their declaration.
    addresses: Vec<Arc<Route>>,
    exact: HashMap<&'static str, Arc<Route>>,
    patterns: Vec<Pattern>,
    /// The route of a path without a handler.
    other: Arc<Route>,
}

#[derive(Debug)]
struct Pattern {
    /// The text with which every path of the pattern begins. Comparing it is faster than matching.
    begins: &'static str,
    /// `None` if any text may follow.
    matcher: Option<ResourceDef>,
    route: Arc<Route>,
}

impl Pattern {
    fn of(route: Arc<Route>) -> Self {
        let (begins, rest) = route.path.split_once('{').unwrap_or((route.path, ""));
        let takes_any_rest = rest.ends_with(":.*}") && !rest.contains('{');
        Self { begins, matcher: (!takes_any_rest).then(|| ResourceDef::new(route.path)), route }
    }

    fn matches(&self, path: &str) -> bool {
        path.starts_with(self.begins) && self.matcher.as_ref().is_none_or(|matcher| matcher.is_match(path))
    }
}

impl RouteTable {
    /// Builds a table. A path below one of `areas` that is not in `addresses` gets the area's kind. Any other unknown
    /// path is a page.
    pub fn new(addresses: impl IntoIterator<Item = Route>, areas: &[(&'static str, Kind)]) -> Self {
        let addresses: Vec<_> = addresses.into_iter().map(Arc::new).collect();
        let (with_parameters, exact): (Vec<_>, Vec<_>) =
            addresses.iter().cloned().partition(|route| route.path.contains('{'));
        let with_parameters = with_parameters.into_iter().map(Pattern::of);
        let areas = areas.iter().map(|(path, kind)| {
            let route = Arc::new(Route::without_handler(path, *kind));
            Pattern { begins: path, matcher: Some(ResourceDef::prefix(*path)), route }
        });
        Self {
            exact: exact.into_iter().map(|route| (route.path, route)).collect(),
            patterns: with_parameters.chain(areas).collect(),
            other: Arc::new(Route::without_handler("/", Kind::Page)),
            addresses,
        }
    }

    /// The route of a path, without its query.
    pub fn find(&self, path: &str) -> &Arc<Route> {
        self.exact.get(path).unwrap_or_else(|| {
            let found = self.patterns.iter().find(|pattern| pattern.matches(path));
            found.map_or(&self.other, |pattern| &pattern.route)
        })
    }

    /// Every declared address.
    pub fn addresses(&self) -> impl Iterator<Item = &Route> {
        self.addresses.iter().map(|route| &**route)
    }

    /// The navigation of whoever sees all of it, in the order of the routes.
    pub fn navigation(&self) -> Vec<NavItem> {
        self.addresses.iter().filter_map(|route| route.navigation).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_a_route() {
        let table = RouteTable::new(
            [Route::new("/login", Kind::Page), Route::new("/files/{name:.*}", Kind::File)],
            &[("/api", Kind::Api)],
        );
        let kind = |path: &str| table.find(path).kind;
        assert_eq!([kind("/login"), kind("/nothing"), kind("*")], [Kind::Page; 3]);
        assert_eq!([kind("/files/a/b"), kind("/files/")], [Kind::File; 2]);
        assert_eq!([kind("/api"), kind("/api/"), kind("/api/a/b")], [Kind::Api; 3]);
        assert_eq!([kind("/apis"), kind("/files"), kind("/login/")], [Kind::Page; 3]);
    }
}
