//! Real processes for judgement from outside: built here, started here, stopped here.
//!
//! Nothing here sleeps to wait: it waits for an event (a line, a datagram, the end of a process) with a deadline.

pub mod answer;
pub mod bins;
pub mod ctl;
pub mod daemon;
pub mod figure;
pub mod home;
pub mod manager;
pub mod mcp;
pub mod process;
pub mod proxy;
pub mod pty;
pub mod scan;
pub mod signin;
pub mod stopwatch;
pub mod tenant;
pub mod terminal;
pub mod user_manager;
pub mod workday;
pub mod world;

use std::time::Duration;

/// How long anything may take before it counts as hanging.
pub const PATIENCE: Duration = Duration::from_secs(60);
