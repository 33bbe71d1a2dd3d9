//! Signing in and out: the rule in [`rule`], the pages in [`page`] and [`setup`], the API in [`api`] and [`data`].

pub mod api;
pub mod data;
mod desk;
pub mod logout;
pub mod page;
pub mod rule;
pub mod setup;

pub use self::rule::LoginRule;
