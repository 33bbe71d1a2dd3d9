//! The activity of an account, as a page and as JSON. Called by the routes.

pub mod api;
pub mod page;
