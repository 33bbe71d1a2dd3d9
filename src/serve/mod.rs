//! The server: routes, the application, the listener, TLS, background jobs and shutdown. Called by the commands.
//!
//! Invariant: only this layer assembles the application; no layer below depends on it.

pub mod anchors;
pub mod app;
pub mod connection;
pub mod jobs;
pub mod listener;
pub mod log;
mod mail;
pub mod risks;
pub mod routes;
pub mod run;
pub mod shutdown;
pub mod start;
pub mod tls;
