//! Signing in and out: the rule in [`rule`], the pages in [`page`], [`setup`], [`signup`] and [`confirm`], the API in
//! [`api`] and [`data`].

pub mod api;
pub mod confirm;
pub mod logout;
mod new_account;
pub mod page;
pub mod setup;
pub mod signup;
