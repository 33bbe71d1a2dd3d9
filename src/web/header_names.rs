//! The names of request headers that actix-web has no constants for. Looking a header up by a text would make its name
//! anew each time.

use actix_web::http::header::HeaderName;

pub const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
pub const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
pub const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
pub const SEC_WEBSOCKET_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
pub const SEC_CH_UA: HeaderName = HeaderName::from_static("sec-ch-ua");
pub const SEC_CH_UA_MOBILE: HeaderName = HeaderName::from_static("sec-ch-ua-mobile");
pub const SEC_CH_UA_MODEL: HeaderName = HeaderName::from_static("sec-ch-ua-model");
pub const SEC_CH_UA_PLATFORM: HeaderName = HeaderName::from_static("sec-ch-ua-platform");
pub const SEC_CH_UA_PLATFORM_VERSION: HeaderName = HeaderName::from_static("sec-ch-ua-platform-version");
/// A page's script sends this header with automatic requests, so that an open page alone does not keep a session alive.
pub const UNATTENDED: HeaderName = HeaderName::from_static("x-unattended");
/// Scripts of many libraries send this header, and navigations never do.
pub const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
pub const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
pub const X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
pub const X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
pub const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
