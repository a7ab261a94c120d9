//! The two clients of the daemon: what `m365-mcp` is made of, and how both find and start the daemon.

pub mod lines;
pub mod link;
pub mod peek;
