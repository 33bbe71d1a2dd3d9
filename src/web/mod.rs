//! The HTTP layers and helpers around the pages and the API: the outermost layer, error answers, cookies, forms,
//! headers and limits. Called by `serve` and by the handlers.
//!
//! Invariant: a request that these layers refuse never reaches a handler.

pub mod activity_words;
pub mod admin;
pub mod answers;
pub mod app_cookies;
pub mod app_face;
pub mod app_host;
mod bounce;
pub mod compress;
pub mod confirmed;
pub mod connections;
pub mod context;
pub mod cookies;
pub mod download;
pub mod edge;
pub mod errors;
pub mod form_again;
pub mod forms;
pub mod forwarded;
pub mod header_names;
pub mod headers;
pub mod help;
pub mod identity_headers;
pub mod json;
pub mod key_handover;
pub mod layout;
pub mod limits;
pub mod mails;
pub mod manager_words;
pub mod one_time_link;
pub mod opened;
pub mod operators;
pub mod origin;
pub mod passkey_list;
pub mod passkeys;
pub mod proxies;
pub mod qr;
pub mod rates;
pub mod request_facts;
mod request_summary;
pub mod return_to;
pub mod route;
pub mod sent_form;
pub mod signed_out;
pub mod site;
pub mod snippet;
pub mod target;
pub mod week;
pub mod wrong_hosts;
