//! What the program does: every rule and every effect; knows nothing of gRPC, MCP, sockets or clap.

pub mod auth;
pub mod cache;
pub mod chance;
pub mod clock;
pub mod cloud;
pub mod config;
pub mod engine;
pub mod graph;
pub mod hint;
pub mod ids;
pub mod secret;
pub mod store;
pub mod tools;
pub mod vault;
pub mod worker;
