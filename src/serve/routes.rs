//! Every address of the service, with its kind, its methods and handlers, and its body limit if that is not the
//! default. Called by [`app`](super::app).
//!
//! Invariant: no other file lists addresses, except `web/return_to.rs` (the login and the dashboard) and `static/sw.js`
//! (the paths of Sessile's pages). Middleware that needs the route before a handler is chosen asks the [`RouteTable`],
//! which is made from this list.

use actix_identity::Identity;
use actix_web::{
    FromRequest, Handler, HttpResponse, Resource, Responder, Scope, guard,
    web::{self, ServiceConfig},
};

use crate::{
    base::error::{Error, Result},
    pages::{
        account, account_data, account_email, activity, app_host, apps, dashboard, devices, drafts, events, gate,
        invitations, jwks, login, openapi, ops, passkeys, people, phone, pwa, security, security_txt, session_data,
        static_files, sync,
    },
    web::{
        forms, json, layout,
        return_to::{HOME, LOGIN},
        route::{Kind, NavItem, Route, RouteTable},
        site::Site,
    },
};

const KIB: usize = 1024;

/// The kind of unknown paths below these prefixes, which decides how their 404 is rendered.
const AREAS: &[(&str, Kind)] = &[("/api", Kind::Api), ("/.well-known", Kind::Document), ("/.sessile", Kind::AppHost)];

fn operations() -> Vec<Address> {
    let operations = |path| Address::new(path, Kind::Operations);
    vec![
        operations("/healthz").get(ops::healthz),
        operations("/readyz").get(ops::readyz),
        operations("/metrics").get(ops::metrics),
    ]
}

fn documents() -> Vec<Address> {
    let document = |path| Address::new(path, Kind::Document);
    vec![
        document("/manifest.webmanifest").get(pwa::manifest),
        document("/sw.js").get(pwa::worker),
        document("/offline").get(pwa::shell),
        document("/.well-known/change-password").get(change_password),
        document("/.well-known/jwks.json").get(jwks::show),
        document("/.well-known/security.txt").get(security_txt::show),
        document("/favicon.ico").get(favicon),
        document("/robots.txt").get(robots),
        Address::below("/static", "/static/{name:.*}", Kind::File, "GET, HEAD", static_files::serve),
    ]
}

/// On the hosts of apps. The proxy asks the first about each request, and passes the others on.
fn at_apps() -> Vec<Address> {
    let page = |path| Address::new(path, Kind::AppHost);
    vec![
        Address::new("/.sessile/gate/{token}", Kind::Gate).any_method(gate::ask),
        page("/.sessile/start").get(app_host::start::show),
        page("/.sessile/done").get(app_host::done::show).carries_secret(),
        page("/.sessile/sign-out").get(app_host::sign_out::show),
        page("/.sessile/echo").any_method(app_host::echo::show),
    ]
}

fn pages() -> Vec<Address> {
    let page = |path| Address::new(path, Kind::Page);
    vec![
        page("/").get(start),
        page("/setup").get(login::setup::show).post(login::setup::submit).carries_secret(),
        page(LOGIN).get(login::page::show).post(login::page::submit),
        page("/login/second").get(login::second::show).post(login::second::submit),
        page("/link/{token}").get(login::link::show).post(login::link::submit).carries_secret(),
        page("/forgot").get(login::forgot::show).post(login::forgot::submit),
        page("/signup").get(login::signup::show).post(login::signup::submit),
        page("/confirm").get(login::confirm::show).post(login::confirm::submit).open_to_set_up(),
        page("/logout").post(login::logout::submit).open_to_set_up(),
        page(HOME).get(dashboard::show).in_navigation("Home", "home"),
        page("/people").get(people::index::show).in_navigation("People", "people").for_admins(),
        page("/apps").get(apps::index::show).post(apps::index::submit).in_navigation("Apps", "apps").for_admins(),
        page("/devices").get(devices::page::show).post(devices::page::submit).in_navigation("Devices", "devices"),
        // Room for 10,000 characters of four bytes, percent-encoded, and the other fields.
        page("/drafts")
            .get(drafts::show)
            .post(drafts::submit)
            .largest_body(128 * KIB)
            .in_navigation("Drafts", "drafts"),
        page("/activity").get(activity::page::show).in_navigation("Activity", "activity"),
        page("/account").get(account::show).post(account::submit).in_navigation("Account", "account"),
        page("/account/export").get(account_data::ask_export).post(account_data::submit_export),
        page("/account/email").get(account_email::show).post(account_email::submit),
        page("/account/delete").get(account_data::ask_delete).post(account_data::submit_delete),
        page("/account/security").get(security::overview::show).post(security::overview::submit).open_to_set_up(),
        page("/account/security/app").get(security::app::show).post(security::app::submit).open_to_set_up(),
        page("/account/security/app/remove")
            .get(security::app::ask_removal)
            .post(security::app::remove)
            .open_to_set_up(),
        page("/account/security/recovery")
            .get(security::recovery::show)
            .post(security::recovery::submit)
            .open_to_set_up(),
        page("/account/security/passkeys/{id}").get(passkeys::page::show).post(passkeys::page::submit).open_to_set_up(),
        page("/account/security/passkeys/{id}/remove")
            .get(passkeys::page::ask_removal)
            .post(passkeys::page::remove)
            .open_to_set_up(),
        page("/people/{id}").get(people::one::show).post(people::one::submit),
        page("/people/{id}/confirm").get(people::question::show).post(people::question::submit),
        page("/account/phone").get(phone::show).post(phone::submit),
        page("/apps/{id}").get(apps::one::show).post(apps::one::submit),
        page("/apps/{id}/confirm").get(apps::question::show).post(apps::question::submit),
        // It leads people to the set-up itself, and then on to the app.
        page("/apps/{id}/open").get(apps::open::show).open_to_set_up(),
        page("/apps/{id}/sign-out").get(apps::sign_out::show),
        page("/people/invite").get(invitations::invite::show).post(invitations::invite::submit),
        page("/people/{id}/link").get(invitations::person::show).post(invitations::person::submit),
    ]
}

fn api() -> Vec<Address> {
    let api = |path| Address::new(path, Kind::Api);
    vec![
        api("/api/establish-session").post(login::api::establish),
        api("/api/session").get(login::api::show).delete(login::api::log_out),
        api("/api/session/sync").post(sync::sync).largest_body(256 * KIB),
        api("/api/session/data").get(session_data::show).patch(session_data::patch),
        api("/api/drafts").get(sync::drafts),
        api("/api/events").get(events::events),
        api("/api/openapi.json").get(openapi::show),
        api("/api/activity").get(activity::api::list),
        api("/api/apps").get(apps::list::list),
        api("/api/apps/{id}/ends").get(apps::ends::stream),
        api("/api/apps/{id}/living").post(apps::living::show),
        api("/api/account").delete(account_data::delete),
        api("/api/account/export").get(account_data::export),
        api("/api/second-factor").get(security::api::show).open_to_set_up(),
        api("/api/second-factor/app")
            .post(security::api::new_app)
            .put(security::api::add_app)
            .delete(security::api::remove_app)
            .open_to_set_up(),
        api("/api/second-factor/recovery-codes").post(security::api::renew_codes).open_to_set_up(),
        api("/api/passkeys").post(passkeys::api::add).open_to_set_up(),
        api("/api/passkeys/options").post(passkeys::api::ask).open_to_set_up(),
        api("/api/passkeys/offer").post(passkeys::api::offer).open_to_set_up(),
        api("/api/passkeys/sign-in").post(login::passkey::submit),
        api("/api/passkeys/sign-in/options").post(login::passkey::ask),
        api("/api/passkeys/confirm").post(login::passkey::submit_confirmation).open_to_set_up(),
        api("/api/passkeys/confirm/options").post(login::passkey::ask_confirmation).open_to_set_up(),
        api("/api/passkeys/{id}").patch(passkeys::api::rename).delete(passkeys::api::remove).open_to_set_up(),
        api("/api/people").get(people::api::list),
        api("/api/people/{id}").get(people::api::show).patch(people::api::patch).delete(people::api::delete),
        api("/api/people/{id}/revoke-sessions").post(people::api::revoke_sessions),
        api("/api/people/{id}/export").get(people::api::export),
        api("/api/people/invitations").post(invitations::api::invite),
        api("/api/people/{id}/password-link").post(invitations::api::password_link),
        api("/api/sessions").get(devices::api::sessions),
        api("/api/sessions/revoke-others").post(devices::api::end_others),
        api("/api/sessions/{id}").delete(devices::api::end_session),
        api("/api/devices").get(devices::api::devices),
        api("/api/devices/{id}").patch(devices::api::rename).delete(devices::api::forget),
    ]
}

/// `GET /`: redirects to the dashboard or the login.
async fn start(who: Option<Identity>) -> HttpResponse {
    layout::see_other(if who.is_some() { HOME } else { LOGIN })
}

/// Password managers open this address to change a password (W3C, A Well-Known URL for Changing Passwords).
async fn change_password() -> HttpResponse {
    layout::see_other("/account")
}

/// Browsers request this address for documents without an icon link.
async fn favicon(site: web::Data<Site>) -> HttpResponse {
    layout::see_other(site.brand.favicon())
}

/// Excludes the whole site from search engines (RFC 9309).
async fn robots() -> &'static str {
    "User-agent: *\nDisallow: /\n"
}

async fn not_found() -> Result<HttpResponse> {
    Err(Error::NotFound)
}

/// The addresses as Actix resources, and the table of their routes.
pub struct Routes {
    pub table: RouteTable,
    without_session: Vec<Service>,
    with_session: Vec<Service>,
}

/// What actix-web registers for an address.
enum Service {
    Resource(Resource),
    Scope(Scope),
}

impl Service {
    fn add_to(self, config: &mut ServiceConfig) {
        match self {
            Self::Resource(resource) => config.service(resource),
            Self::Scope(scope) => config.service(scope),
        };
    }
}

impl Routes {
    pub fn declare() -> Self {
        let addresses = [operations(), documents(), at_apps(), pages(), api()];
        let mut addresses: Vec<_> = addresses.into_iter().flatten().map(Address::finish).collect();
        // The router tries one after the other, and matching a pattern takes longer than comparing a path.
        addresses.sort_by_key(|(route, _)| route.path.contains('{'));
        let (with, without): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|(route, _)| route.kind.has_session());
        let (with, with_session): (Vec<_>, _) = with.into_iter().unzip();
        let (without, without_session): (Vec<_>, _) = without.into_iter().unzip();
        Self { table: RouteTable::new(without.into_iter().chain(with), AREAS), without_session, with_session }
    }

    /// Adds the addresses that load no session and answer while the database is away.
    pub fn add_without_session(&mut self, config: &mut ServiceConfig) {
        self.without_session.drain(..).for_each(|service| service.add_to(config));
    }

    /// Adds the pages and the API.
    pub fn add_with_session(&mut self, config: &mut ServiceConfig) {
        self.with_session.drain(..).for_each(|service| service.add_to(config));
        config.default_service(web::to(not_found));
    }
}

/// An address under construction.
struct Address {
    route: Route,
    resource: Resource,
    /// Registered instead of the resource.
    scope: Option<Scope>,
}

impl Address {
    fn new(path: &'static str, kind: Kind) -> Self {
        Self { route: Route::new(path, kind), resource: web::resource(path), scope: None }
    }

    /// Every path below `folder`; `path` is its pattern. The handler refuses other methods than `methods` itself. The
    /// router compares the folder: a pattern that matches any rest would be matched for each request.
    fn below<Args: FromRequest + 'static>(
        folder: &'static str,
        path: &'static str,
        kind: Kind,
        methods: &'static str,
        handler: impl Handler<Args, Output: Responder + 'static>,
    ) -> Self {
        let is_below = move |path: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        let is_below = guard::fn_guard(move |context| is_below(context.head().uri.path()));
        let scope = web::scope(folder).guard(is_below).default_service(web::to(handler));
        let route = Route { methods: methods.into(), ..Route::new(path, kind) };
        Self { route, scope: Some(scope), ..Self::new(path, kind) }
    }

    /// HEAD runs the same handler (RFC 9110, 9.3.2).
    fn get<Args: FromRequest + 'static>(self, handler: impl Handler<Args, Output: Responder + 'static>) -> Self {
        let get = web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
        self.method("GET, HEAD", get.to(handler))
    }

    fn post<Args: FromRequest + 'static>(self, handler: impl Handler<Args, Output: Responder + 'static>) -> Self {
        self.method("POST", web::post().to(handler))
    }

    fn put<Args: FromRequest + 'static>(self, handler: impl Handler<Args, Output: Responder + 'static>) -> Self {
        self.method("PUT", web::put().to(handler))
    }

    fn patch<Args: FromRequest + 'static>(self, handler: impl Handler<Args, Output: Responder + 'static>) -> Self {
        self.method("PATCH", web::patch().to(handler))
    }

    fn delete<Args: FromRequest + 'static>(self, handler: impl Handler<Args, Output: Responder + 'static>) -> Self {
        self.method("DELETE", web::delete().to(handler))
    }

    /// Every method, because the request that a proxy asks about may have any.
    fn any_method<Args: FromRequest + 'static>(self, handler: impl Handler<Args, Output: Responder + 'static>) -> Self {
        self.method("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", web::route().to(handler))
    }

    fn method(mut self, name: &str, route: actix_web::Route) -> Self {
        let methods = self.route.methods.to_mut();
        methods.push_str(if methods.is_empty() { "" } else { ", " });
        methods.push_str(name);
        Self { resource: self.resource.route(route), ..self }
    }

    /// Sets the body limit, both for the outermost layer and for the extractors.
    fn largest_body(mut self, bytes: usize) -> Self {
        self.route.largest_body = bytes;
        let resource = self.resource.app_data(forms::config_of(bytes)).app_data(json::config_of(bytes));
        Self { resource, ..self }
    }

    /// Admits people who must set up a second factor first.
    fn open_to_set_up(mut self) -> Self {
        self.route.is_open_to_set_up = true;
        self
    }

    fn carries_secret(mut self) -> Self {
        self.route.carries_secret = true;
        self
    }

    fn in_navigation(mut self, label: &'static str, icon: &'static str) -> Self {
        let href = self.route.path;
        self.route.navigation =
            Some(NavItem { id: href.trim_start_matches('/'), href, label, icon, is_for_admins: false });
        self
    }

    /// Shows the entry in the navigation to admins and owners only.
    fn for_admins(mut self) -> Self {
        if let Some(item) = &mut self.route.navigation {
            item.is_for_admins = true;
        }
        self
    }

    /// Answers other methods with 405 and the allowed methods (RFC 9110, 15.5.6).
    fn finish(self) -> (Route, Service) {
        if let Some(scope) = self.scope {
            return (self.route, Service::Scope(scope));
        }
        let methods = self.route.methods.clone();
        let refuse = move || {
            let methods = methods.clone();
            async move { Err::<HttpResponse, _>(Error::MethodNotAllowed(methods)) }
        };
        (self.route, Service::Resource(self.resource.default_service(web::to(refuse))))
    }
}
