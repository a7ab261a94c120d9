//! Where clients come in: only those of the same user.

#[cfg(unix)]
mod unix;
mod watched;
#[cfg(windows)]
mod windows;

use std::time::Duration;

#[cfg(unix)]
pub use unix::{Connection, Listener};
pub use watched::{Watched, watched};
#[cfg(windows)]
pub use windows::{Connection, Listener};

/// Pause after a failed accept: it fails again at once while file descriptors or memory are short.
const PAUSE: Duration = Duration::from_millis(50);
