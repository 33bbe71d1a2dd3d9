//! Sessile is a self-hosted sign-in service. Its sessions survive restarts, deployments and lost networks.
//!
//! # Layers
//!
//! Each layer is a folder. Each layer imports only from layers earlier in this list. A test enforces this, and also
//! forbids import cycles between modules.
//!
//! - [`base`]: settings, keys, the clock, errors, metrics, and the database. Only this layer depends on the database
//!   engine.
//! - [`records`]: rows and the statements on them. A record imports only the records before it.
//! - [`actions`]: the product's operations. Each owns its transactions and states their lock order. None uses HTTP
//!   types.
//! - [`web`]: HTTP code that belongs to no page: the outermost middleware, cookies, forms, headers, limits.
//! - [`pages`]: a folder or file for each page and API; pages never import pages.
//! - [`serve`]: the route table, the listeners, the background work.
//! - [`cli`]: the commands, most in a file of their own.
//!
//! # How a signed-in request is handled
//!
//! 1. [`web::edge`] gives the request its id, and adds the security headers to the response.
//! 2. [`web::request_facts`] verifies the cookie's signature and collects the facts about the request.
//! 3. [`web::origin`] refuses requests that another site caused.
//! 4. actix-session loads the session from [`records::session::store`]: from memory ([`records::session::cache`]), or
//!    with one query. The first request after a login or a rotation may also write, to record the first use of the new
//!    key (`note_first_use`).
//! 5. [`serve::routes`] dispatches to the handler in [`pages`].
//! 6. [`CurrentUser`](records::session::CurrentUser), an argument of the handler, identifies the user. It queues a
//!    touch if one is due.
//! 7. The handler reads the data that it shows, or calls an [action](actions), and renders the response.
//! 8. On the way out, actix-session calls the store again. If the handler changed entries of the actix session, the
//!    store merges them into the row. If the session has ended meanwhile, the API answers 401 and a page redirects to
//!    the login. After a touch, the store returns the session key without a query, so that the cookie is renewed.
//!
//! # How a login is handled
//!
//! 1. [`pages::login::page`] or [`pages::login::api`] reads the form and builds a
//!    [`Proof`](actions::password_proof::Proof) and a [`Visit`](actions::new_session::Visit) from it.
//! 2. [`actions::sign_in`] takes both. [`actions::password_proof`] counts the attempt and commits that count. Then
//!    [`records::account::hasher`] checks the password on a bounded set of threads.
//! 3. In a second transaction, `sign_in` settles the attempt, and [`actions::new_session`] finds the device and begins
//!    the session. `new_session` gives the browser's own session a new key, or ends another person's session and
//!    creates a new one. A browser without a session gets a new one. If the account has a second factor, the first step
//!    alone begins no session: its state goes into a cookie ([`actions::second_factor::half`]), and
//!    [`actions::second_factor::finish`] or [`actions::passkeys`] begins the session later.
//! 4. The handler puts the new key in a reserved entry of the actix session. The store's `save` or `update` returns it
//!    as the cookie's value, without I/O.
//!
//! A password change ([`actions::password`]) and a confirmation ([`actions::confirm`]) follow steps 2 to 4, for a
//! session that continues under a new key.
//!
//! # Lock order
//!
//! Every transaction locks rows in this order, and skips the rows that it does not need:
//!
//! 1. The instance's row, which guards its history, its signing key and the set of owners
//!    ([`records::instance::lock`]).
//! 2. The account's row ([`Acting::hold`](records::session::Acting::hold), a settled
//!    [`Checked`](actions::password_proof::Checked), or [`records::account::lock`]). At most one account; where a person
//!    acts on another person, both accounts, by id ([`actions::person::admitted`]).
//! 3. The counts of a try at a password, a code or a passkey, in the order of their subjects ([`records::throttle::count`]).
//! 4. Session rows, by account and id ([`records::session::listing::lock_living`]). They may belong to another account,
//!    when a person signs in over another person's session, or acts on another person.
//! 5. Everything else that belongs to the account: devices, former keys, drafts, operations, links, mails, requests for
//!    help, codes and grants for apps, second factors and used proofs.
//!    The account's row guards these. A transaction that removes an app deletes its codes and grants without it, after
//!    the app's row. Before that, it locks at most the account's row and the session of the admin who asked.
//! 6. The apps whose rules name an account that is being deleted, by id.
//! 7. The heads of the audit chains, by account. Events are written just before the transaction commits
//!    ([`records::audit::record`]), so each head is locked last and as briefly as possible.
//!
//! A new password also clears the account's own count, after step 4. This cannot deadlock: a transaction that begins an
//! attempt holds only counts, and waits only for counts and heads.
//!
//! Background work either locks one row in the same order, or locks batches of sessions that no other transaction has
//! locked (`SKIP LOCKED`). On tables that are [distributed](base::db::citus) no statement can lock such a batch, so one
//! transaction at a time does this work. Touches are flushed in statements of at most 2,000 touches, in order of account and id. SQLite
//! has one writer, and every writing transaction begins with `BEGIN IMMEDIATE`.
//!
//! # Errors
//!
//! Any function that uses the database fails with [`Error::Unavailable`](base::error::Error::Unavailable) when the
//! database is unavailable. The docs of functions mention only other errors.
//!
//! # Where to add code
//!
//! - A page: a file in [`pages`], a template in `templates/`, and a line in [`serve::routes`].
//! - A change of data: a function in [`actions`], called by the page, the API and the command.
//! - A second factor: its row in [`records`] after the sessions, its check beside [`actions::second_factor::prove`], and its
//!   use in [`actions::sign_in`] and [`actions::confirm`].
//! - A command: a file in [`cli`], which calls actions.
//! - Something that a request's lookup reads: a column in [`records::session`], and an announcement in each statement
//!   that changes it, for the session cache ([`records::session::cache`]).
//! - Background work: a function of a record, and its loop in [`serve::jobs`]. A sweep is also called by `cli::prune`.

pub mod actions;
pub mod base;
pub mod cli;
pub mod pages;
pub mod records;
pub mod serve;
pub mod web;
