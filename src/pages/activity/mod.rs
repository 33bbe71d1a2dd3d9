//! What happened to an account, as its page and the API tell it. Called by the routes.

pub mod api;
pub mod page;
