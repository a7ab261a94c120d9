//! What is to be done: tasks, and the rules about their leases, retries and waits. Pure; the rows lie in the ledger.
//!
//! * A run holds a lease of [`LEASE`] and renews it every [`BEAT`]. A run whose lease is lost ends, and nothing it says counts.
//! * A failure that may pass is tried [`MOST_RETRIES`] times more, each time after a wait with full jitter. See [`after`].
//! * Progress is written every [`TELL`] at most.

mod retry;

use std::time::Duration;

pub use self::retry::{Failure, MOST_RETRIES, after};
pub use crate::store::{Claimed, Lease, MOST_ATTEMPTS, Progress, TaskEnd, TaskKind, TaskRow};

/// How long a run may be silent before its task is given to somebody else. A restart does not wait for it.
pub const LEASE: Duration = Duration::from_secs(60);

/// How often a run renews its lease: two may be missed.
pub const BEAT: Duration = Duration::from_secs(20);

/// Progress is written at most so often.
pub const TELL: Duration = Duration::from_secs(1);
