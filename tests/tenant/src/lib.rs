//! The demo tenant: Microsoft Graph v1.0 and its identity server on loopback, for tests, benches and the demo.
//!
//! | room | its job |
//! |---|---|
//! | `graph/`, `seed/` | the data and what Graph answers about it; never a socket |
//! | `front/` | who asks, may they, is the mailbox busy, how slow is it today; then `graph/` |
//! | `identity/` | sign-in: authorize, device code, token, logout |
//! | `downloads.rs` | what lies behind pre-authenticated URLs |
//! | `csdl/` | whether what goes out holds to Microsoft's declarations |
//! | `faults/` | trouble on demand |
//! | `control/` | the tests' hand in the machine: counters, clock, faults, changes by other people |
//! | `door/` | the seven ports: TCP, TLS, HTTP |
//!
//! Nothing here runs on real time but `latency = real` and the hang and slow-body faults: in everything else time is
//! the tenant's own [`clock`], which a test may stop and move.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use m365_cached_tenant::{Options, Tenant};
//! let tenant = Tenant::start(Options::default()).await?;
//! println!("{}", tenant.addresses().graph);
//! let stats = tenant.control().stats();
//! assert_eq!(stats.requests, 0);
//! tenant.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod clock;
pub mod control;
pub mod csdl;
mod door;
mod downloads;
pub mod faults;
mod front;
pub mod graph;
mod identity;
mod ids;
mod journal;
mod options;
pub mod profile;
pub mod seed;
mod state;
mod stats;
mod tenant;
#[cfg(test)]
mod tenant_tests;
#[cfg(test)]
mod testing;
mod tls;
pub mod wire;

pub use clock::{ClockReading, ClockSetting};
pub use control::Control;
pub use control::verbs::{AuthAction, DeviceAction, Wait, Waited};
pub use faults::{At, Effect, Fault, FaultState, GarbageKind, Port, RetryAfter};
pub use journal::Asked;
pub use options::{ClockStart, Latency, Options, Ports, Throttle};
pub use stats::Stats;
pub use tenant::{Account, Addresses, CLIENT_ID, Tenant};
