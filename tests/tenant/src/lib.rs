//! The demo tenant.
pub mod graph;
pub mod seed;
pub mod wire;
