//! What the program does: every rule and every effect; knows nothing of gRPC, MCP, sockets or clap.

pub mod cache;
pub mod chance;
pub mod clock;
pub mod cloud;
pub mod hint;
pub mod ids;
pub mod secret;
