//! What a tenant can be told when it starts.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::seed::Size;

/// How a tenant starts. [`Options::default`] is what tests want: small, repeatable, no latency, throttling on.
#[derive(Debug)]
pub struct Options {
    /// How much data is seeded.
    pub size: Size,
    /// The one number all data, ids, tokens and latencies come from.
    pub seed: u64,
    /// How many work accounts there are beside the usual ones: `user1@contoso.example` and so on.
    pub more_accounts: usize,
    /// How slow Graph is.
    pub latency: Latency,
    /// How many requests a mailbox takes at once.
    pub throttle: Throttle,
    /// How late lists and searches show what a write did.
    pub lag: Duration,
    /// How long an access token lives, by the tenant's clock.
    pub token_lifetime: Duration,
    /// The `interval` of the device-code answer; polling sooner than that gets `slow_down`.
    pub device_interval: Duration,
    /// Where the tenant's clock starts.
    pub clock: ClockStart,
    /// Whether each answer of Graph is held to the declarations of v1.0 as it goes out; `Control::csdl` tells what was found.
    pub check_csdl: bool,
    /// TCP ports; 0 lets the system choose.
    pub ports: Ports,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            size: Size::Small,
            seed: 1,
            more_accounts: 0,
            latency: Latency::None,
            throttle: Throttle::default(),
            lag: Duration::ZERO,
            token_lifetime: Duration::from_secs(3600),
            device_interval: Duration::from_secs(5),
            clock: ClockStart::Fixed,
            check_csdl: true,
            ports: Ports::default(),
        }
    }
}

/// How slow Graph is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Latency {
    /// Answers as fast as the machine can; never sleeps.
    None,
    /// Log-normal around 250 ms for lists, 120 ms for single items and 400 ms for writes, more for long pages;
    /// repeatable by seed and route.
    Real,
}

/// How many requests a mailbox takes at once, and what the others are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Throttle {
    /// Off: every request is served, concurrency is still measured.
    pub on: bool,
    /// Requests one mailbox takes at once.
    pub limit: u64,
    /// Seconds in the `Retry-After` of a 429.
    pub retry_after: u64,
    /// Off: a `$batch` occupies at most `limit` places of a mailbox at a time. On: all its items count at once, so
    /// that item five and up of a lone batch get 429.
    pub strict_batch: bool,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { on: true, limit: 4, retry_after: 1, strict_batch: false }
    }
}

/// Where the tenant's clock starts. It runs with real time from there until it is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockStart {
    /// 2026-11-20T09:00:00Z, the instant all seeded dates are relative to.
    Fixed,
    /// A given instant.
    At(Timestamp),
    /// The machine's time.
    Now,
}

/// TCP ports on 127.0.0.1; 0 lets the system choose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each names its port; `Addresses` says what they are")]
pub struct Ports {
    pub identity: u16,
    pub identity_tls: u16,
    pub graph: u16,
    pub graph_tls: u16,
    pub downloads: u16,
    pub downloads_tls: u16,
    pub control: u16,
}
