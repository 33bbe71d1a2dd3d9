//! Signing in and out, and creating an account: a page a file, the API in [`api`]. `visit` and `new_account` are what they
//! share.

pub mod api;
pub mod confirm;
pub mod logout;
mod new_account;
pub mod page;
pub mod setup;
pub mod signup;
mod visit;
