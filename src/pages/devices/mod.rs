//! Where an account is signed in, and on which devices it was: looked at, named, ended. The page in [`page`], what it shows
//! in `cards`, the API in [`api`]; both do what they do through `act`.
//!
//! Invariant: nothing ends here without a password that was given within the last minutes, and nothing of another account.

mod act;
pub mod api;
mod cards;
pub mod page;
