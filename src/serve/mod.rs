//! The server: routes, the application, listening, TLS, background jobs and shutdown. Called by the commands.

pub mod anchors;
pub mod app;
pub mod connection;
pub mod jobs;
pub mod listener;
pub mod log;
pub mod risks;
pub mod routes;
pub mod run;
pub mod shutdown;
pub mod start;
pub mod tls;
