//! What HTTP needs that is no page: the outermost layer, error answers, cookies, forms, headers and limits.
//!
//! Invariant: what is not allowed here is refused before a handler runs.

pub mod activity_words;
pub mod answers;
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
pub mod layout;
pub mod limits;
pub mod opened;
pub mod operators;
pub mod origin;
pub mod proxies;
pub mod rates;
pub mod request_facts;
pub mod return_to;
pub mod sent_form;
pub mod site;
pub mod week;
