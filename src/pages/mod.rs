//! Every page and API address, with its handlers and Askama templates. Each has its own file or folder. Called by the
//! routes.
//!
//! A handler with a [`CurrentUser`](crate::records::session::CurrentUser) argument fails without a login. The docs of
//! handlers mention only other errors.
//!
//! Invariant: pages never import pages, and never open a transaction that writes.

pub mod account;
pub mod account_data;
pub mod account_email;
pub mod activity;
pub mod app_host;
pub mod apps;
pub mod dashboard;
pub mod devices;
pub mod drafts;
pub mod events;
pub mod gate;
pub mod invitations;
pub mod jwks;
pub mod login;
pub mod openapi;
pub mod ops;
pub mod people;
pub mod phone;
pub mod pwa;
pub mod security;
pub mod security_txt;
pub mod session_data;
pub mod static_files;
pub mod sync;
