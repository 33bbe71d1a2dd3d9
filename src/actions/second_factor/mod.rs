//! The second factor of a sign-in and of a confirmation: an authenticator app, and recovery codes. [`prove`] checks every
//! code; [`half`] is the state between a right password and the second factor, which [`finish`] ends. A person sets them up
//! and removes them with [`manage`]; [`reset`] helps people who have lost them.
//!
//! Invariant: a password alone never signs in to an account with a second factor.

pub(in crate::actions) mod codes;
pub mod finish;
pub mod half;
pub mod last;
pub mod manage;
pub mod prove;
pub mod reset;
