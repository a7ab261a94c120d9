//! Judgement from outside: what the demo, the benches and the integration tests share. Starts real processes and measures them.
//!
//! No engine code: everything here knows the product only by its programs, its socket and its files.

pub mod answers;
pub mod campaign;
pub mod coverage;
pub mod demo;
pub mod outside;
pub mod pictures;
pub mod supply;
#[path = "../../support/mod.rs"]
pub mod support;
