//! What HTTP needs that is no page: the outermost layer, error answers, cookies, forms, headers and limits.
//!
//! Invariant: what is not allowed here is refused before a handler runs.

pub mod activity_words;
pub mod answers;
mod bounce;
pub mod compress;
pub mod connections;
pub mod context;
pub mod cookies;
pub mod edge;
pub mod errors;
pub mod form_again;
pub mod forms;
pub mod headers;
pub mod json;
pub mod key_handover;
pub mod layout;
pub mod limits;
pub mod opened;
pub mod operators;
pub mod origin;
pub mod proxies;
pub mod rates;
pub mod request_facts;
mod request_summary;
pub mod return_to;
pub mod route;
pub mod sent_form;
pub mod signed_out;
pub mod site;
pub mod week;
pub mod wrong_hosts;
