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

pub mod actions;
pub mod base;
pub mod cli;
pub mod pages;
pub mod records;
pub mod serve;
pub mod web;
