//! Sessile keeps people signed in, safely: a self-hosted sign-in service whose sessions survive restarts, deployments
//! and lost networks.
//!
//! # The house
//!
//! Modules stand in bands; each imports only from bands above it (a test holds that).
//!
//! - **Base**: [`settings`], [`clock`], [`secret`], [`key_file`], [`error`], [`metrics`], [`db`],
//!   [`assets`], [`text`], [`output`], [`outage`]
//! - **Records**: [`account`], [`audit`], [`device`], [`throttle`], [`session`], [`draft`], [`ending`], [`instance`]
//! - **Web**: [`security`], [`page`], [`failure`], [`desk`], [`trail`], [`pwa`]
//! - **Pages**: [`login`], [`dashboard`], [`account_page`], [`devices`], [`activity`], [`drafts`], [`sync`],
//!   [`live`], [`ops`]
//! - **Assembly**: [`routes`], [`app`], [`cli`]
//!
//! # The walk of a signed-in request
//!
//! [`failure`] names it; [`security::envelope`] verifies its cookie; [`security::origin`] refuses it if another site
//! caused it; actix-session asks [`session::store`] for its session, in one query; [`routes`] finds its handler;
//! [`session::CurrentUser`] hands the handler who it is, and queues a touch if one is due; the handler runs its one or
//! two queries and renders. On the way out actix-session calls the store once more: it merges the keys that the
//! handler changed, or only hands back the key so that the cookie is renewed. [`failure`] secures the headers.
//!
//! # The walk of a login
//!
//! [`login::page`] reads the form; [`login::rule`] checks the password on a bounded set of threads and commits account,
//! device, session and audit in one transaction; the finished key is left in a reserved entry of the actix session,
//! where the store finds it, does no I/O, and returns it: the cookie follows.

pub mod account;
pub mod account_page;
pub mod activity;
pub mod app;
pub mod assets;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod dashboard;
pub mod db;
pub mod desk;
pub mod device;
pub mod devices;
pub mod draft;
pub mod drafts;
pub mod email;
pub mod ending;
pub mod error;
pub mod failure;
pub mod instance;
pub mod key_file;
pub mod live;
pub mod login;
pub mod metrics;
pub mod ops;
pub mod outage;
pub mod output;
pub mod page;
pub mod pwa;
pub mod routes;
pub mod secret;
pub mod security;
pub mod session;
pub mod settings;
pub mod sync;
pub mod text;
pub mod throttle;
pub mod trail;
