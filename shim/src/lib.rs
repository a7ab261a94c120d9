//! The two clients of the daemon: what `m365-mcp` is made of, and how both find and start the daemon.
//!
//! `m365-mcp` is a pipe: `stdio` reads, `lines` cuts, `peek` looks at ids, `link` decides (pure, no I/O), `wire` is one connection,
//! `pump` moves the bytes between them. `start` starts a daemon, `apart` from our terminal and pipes, and `retry` says when; `reach` is how
//! `m365-cachectl` connects.

pub mod apart;
pub mod lines;
pub mod link;
pub mod peek;
pub mod pump;
pub mod reach;
mod retry;
pub mod start;
pub mod stdio;
mod wire;
