//! Where clients come in: only those of the same user.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::{Connection, Listener};
#[cfg(windows)]
pub use windows::{Connection, Listener};
