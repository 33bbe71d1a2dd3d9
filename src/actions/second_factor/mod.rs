//! The second factor of a sign-in and of a confirmation: an authenticator app, and recovery codes. [`prove`] checks every
//! code; [`half`] is the state between a right password and the second factor, which [`finish`] ends; and [`reset`] helps people who have lost
//! what they had.
//!
//! Invariant: a password alone never signs in to an account with a second factor.

pub mod finish;
pub mod half;
pub mod prove;
pub mod reset;
