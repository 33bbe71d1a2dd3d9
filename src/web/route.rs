//! The declared properties of each address: kind, methods, body limit. `serve::routes` declares them. Layers that run
//! before a handler is chosen look an address up here.
//!
//! Invariant: every path has a route, even a path without a handler.

use actix_web::dev::ResourceDef;

use crate::base::error::Methods;

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
        matches!(self, Self::Api | Self::Operations)
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
}

/// A declared address.
#[derive(Debug, Clone)]
pub struct Route {
    /// An actix-web pattern.
    pub path: &'static str,
    pub kind: Kind,
    pub methods: Methods,
    pub largest_body: usize,
    /// Whether its query carries a secret, so that no page may repeat the address.
    pub carries_secret: bool,
    pub navigation: Option<NavItem>,
}

impl Route {
    pub fn new(path: &'static str, kind: Kind) -> Self {
        Self {
            path,
            kind,
            methods: Methods::default(),
            largest_body: LARGEST_BODY,
            carries_secret: false,
            navigation: None,
        }
    }
}

/// All routes, in the order in which they are tried.
#[derive(Debug)]
pub struct RouteTable {
    declared: Vec<(ResourceDef, Route)>,
    /// The route of a path without a handler.
    other: Route,
}

impl RouteTable {
    /// Builds a table. A path below one of `areas` that is not in `addresses` gets the area's kind. Any other unknown
    /// path is a page.
    pub fn new(addresses: impl IntoIterator<Item = Route>, areas: &[(&'static str, Kind)]) -> Self {
        let addresses = addresses.into_iter().map(|route| (ResourceDef::new(route.path), route));
        let areas = areas.iter().map(|(path, kind)| (ResourceDef::prefix(*path), Route::new(path, *kind)));
        Self { declared: addresses.chain(areas).collect(), other: Route::new("/", Kind::Page) }
    }

    /// The route of a path, without its query.
    pub fn find(&self, path: &str) -> &Route {
        let found = self.declared.iter().find(|(pattern, _)| pattern.is_match(path));
        found.map_or(&self.other, |(_, route)| route)
    }

    /// Every declared address.
    pub fn addresses(&self) -> impl Iterator<Item = &Route> {
        self.declared.iter().map(|(_, route)| route).filter(|route| !route.methods.is_empty())
    }

    /// The navigation, in the order of the routes.
    pub fn navigation(&self) -> Vec<NavItem> {
        self.declared.iter().filter_map(|(_, route)| route.navigation).collect()
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
