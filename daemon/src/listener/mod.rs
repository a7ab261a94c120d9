//! Where clients come in: only those of the same user.

#[cfg(unix)]
mod unix;
mod watched;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::{Connection, Listener};
pub use watched::{Watched, watched};
#[cfg(windows)]
pub use windows::{Connection, Listener};
