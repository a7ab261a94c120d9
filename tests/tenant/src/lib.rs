//! The demo tenant.
pub mod wire;
