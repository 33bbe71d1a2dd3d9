//! Sessile keeps people signed in, safely: a self-hosted sign-in service whose sessions survive restarts, deployments
//! and lost networks.
//!
//! # The house
//!
//! Each layer is a folder and imports only from the layers before it; a test holds that, and that the modules import each
//! other in no circle.
//!
//! - [`base`]: settings, keys, the clock, errors, metrics, and the database, which alone knows the engine.
//! - [`records`]: rows and the statements on them. A record imports only the records before it.
//! - [`actions`]: what the product does. One transaction each, with its lock order; no HTTP types.
//! - [`web`]: what HTTP needs that is no page: the outermost layer, cookies, forms, headers, limits.
//! - [`pages`]: a folder or file for each page and API; pages never import pages.
//! - [`serve`]: the map of addresses, the listeners, the work in the background.
//! - [`cli`]: one file a command.
//!
//! # The walk of a signed-in request
//!
//! 1. [`web::edge`] gives the request its id, and secures the headers of the answer in the end.
//! 2. [`web::request_facts`] verifies the cookie's signature and holds what is known of the request.
//! 3. [`web::origin`] refuses it if another site caused it.
//! 4. actix-session asks [`records::session::store`] for the session, which is one query.
//! 5. [`serve::routes`] finds the handler, in [`pages`].
//! 6. [`CurrentUser`](records::session::CurrentUser), an argument of the handler, says who it is and queues a touch if one
//!    is due.
//! 7. The handler reads what it shows, or calls one of the [`actions`], and renders.
//! 8. On the way out actix-session calls the store again: it merges the keys that the handler changed, or hands back the key
//!    so that the cookie is renewed.
//!
//! # The walk of a login
//!
//! 1. [`pages::login::page`] or [`pages::login::api`] reads the form, and makes of it a
//!    [`Proof`](actions::password_proof::Proof) and a [`Visit`](actions::new_session::Visit).
//! 2. [`actions::sign_in`] takes both. [`actions::password_proof`] counts the try and commits that, then
//!    [`records::account::hasher`] checks the password on its bounded threads.
//! 3. In a second transaction `sign_in` settles the try, and [`actions::new_session`] finds the device, ends or rotates the
//!    session that the browser had, creates one, and records it.
//! 4. The page hands the new key over in a reserved entry of the actix session. The store finds it there, does no I/O, and
//!    returns it as the cookie's value.
//!
//! A change of password ([`actions::password`]) and a confirmation ([`actions::confirm`]) take the same steps 2 to 4 for a
//! session that goes on under a new key.
//!
//! # Lock order
//!
//! Every transaction locks rows in this order, and skips what it does not need:
//!
//! 1. The instance's row: its history, its signing key, and whether an owner comes or goes
//!    ([`records::instance::lock`]).
//! 2. The account's row ([`Acting::hold`](records::session::Acting::hold), a settled
//!    [`Checked`](actions::password_proof::Checked), or [`records::account::lock`]). At most one account.
//! 3. The counts of a password's try, in the order of their subjects ([`records::throttle::count`]).
//! 4. Rows of sessions, by id ([`records::session::listing::lock_living`]). They may be another account's, when one person
//!    signs in over another's session.
//! 5. Everything else of the account: devices, former keys, drafts, operations. The account's row guards these.
//! 6. The heads of audit trails, by account. Events wait until the transaction is about to commit
//!    ([`records::audit::record`]), so that each head is locked last and as briefly as possible.
//!
//! A new password also clears its account's own count, after step 4. That cannot deadlock: a transaction that begins a try
//! holds counts only, and waits for nothing but counts and heads.
//!
//! The background work either locks one row by the same order, or locks batches of sessions that nobody else has locked
//! (`SKIP LOCKED`); a flush of touches is one statement in the order of ids. On SQLite there is one writer, and every
//! transaction that writes begins IMMEDIATE.
//!
//! # Where things go
//!
//! - A page: a file in [`pages`] with its template beside it in `templates/`, and a line in [`serve::routes`].
//! - Something that changes data: a function in [`actions`], called by the page, the API and the command.
//! - A second factor: its row in [`records`] after the account, its check beside [`actions::password_proof`], and its
//!   settlement in [`actions::sign_in`] and [`actions::confirm`].
//! - A command: a file in [`cli`], which calls actions.
//! - A cache of sessions: in [`records::session::lookup`], which answers the one query of a request; ends reach it as
//!   [`records::news`].
//! - Work in the background: in [`serve`], calling the sweep of a record.

pub mod actions;
pub mod base;
pub mod cli;
pub mod pages;
pub mod records;
pub mod serve;
pub mod web;
