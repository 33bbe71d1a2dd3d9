//! The OpenAPI document (OpenAPI 3.1), served at `/api/openapi.json` and printed by `sessile openapi`.
//!
//! Invariant: the document is the same for everybody. Only its title, the name of the service, differs between
//! installations.

mod call;
mod calls;
mod examples;
mod passkeys;
mod people;
mod second_factor;
mod shapes;

use actix_web::{
    HttpResponse,
    http::header::{self, HeaderValue},
    web::Data,
};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Paths, Server,
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use crate::{
    base::{
        assets::REVALIDATED,
        error::{Away, Error, Result},
    },
    web::site::Site,
};

/// `GET /api/openapi.json`
pub async fn show(site: Data<Site>) -> Result<HttpResponse> {
    let caching: HeaderValue = REVALIDATED;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, caching))
        .content_type("application/json")
        .body(text(&site.brand.name)?))
}

/// The document as JSON. `service` is its title.
pub fn text(service: &str) -> Result<String> {
    document(service).to_pretty_json().map_err(Error::bug)
}

fn document(service: &str) -> OpenApi {
    let mut paths = Paths::new();
    for call in calls::all().into_iter().chain(people::all()).chain(second_factor::all()).chain(passkeys::all()) {
        let (path, method) = (call.path, call.method.clone());
        paths.add_path_operation(path, vec![method], call.into_operation());
    }
    let info = InfoBuilder::new()
        .title(service)
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "JSON in camelCase, times in RFC 3339. Errors are problem documents (RFC 9457). A call that changes something \
             must come from the public origin; `Sec-Fetch-Site` and `Origin` are checked if they are sent. A POST without a JSON \
             body must send one of them. Whoever must set up a second factor first gets 403 `second-factor-required` with `setUp` \
             from every call that needs a sign-in, except those on second factors and passkeys and the sign-out.",
        ))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()));
    OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([Server::new("/")]))
        .paths(paths)
        .components(Some(components()))
        .build()
}

fn components() -> utoipa::openapi::Components {
    let cookie = ApiKeyValue::with_description(
        "aiq_session",
        "`__Host-aiq_session` over https. A port in the public URL is part of the name, as in `aiq_session_8081`.",
    );
    let secret = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("The secret of the app."));
    let components = ComponentsBuilder::new()
        .security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)))
        .security_scheme("appSecret", SecurityScheme::Http(secret.build()))
        .response("TooManyAttempts", call::problem(&[&Error::TooFast(std::time::Duration::from_secs(2))]))
        .response("Unavailable", call::problem(&[&Error::unavailable(Away::Busy, "busy")]));
    shapes::named().into_iter().fold(components, |components, (name, shape)| components.schema(name, shape)).build()
}
