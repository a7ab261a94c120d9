//! How files move: streamed, resumed after a break, between allowed local folders and Microsoft's hosts. Knows no tool and no store.
//!
//! A file is never wholly in memory. Downloads are written beside their target and appear under its name only when they are whole; nothing
//! is ever overwritten. Bearer tokens go to Graph through [`crate::graph::Client`] and nowhere else: every other host is asked through
//! [`crate::graph::Bare`], which has none.

mod download;
mod draft;
mod error;
mod monitor;
mod pace;
mod path;
mod roots;
mod session;
mod upload;
mod whole;

pub use draft::Saved;
pub use error::{Cause, TransferError};
pub use monitor::Job;
pub use path::Fault;
pub use roots::{Opened, Roots};
pub use upload::SMALL;

use std::{sync::Arc, time::Duration};

use crate::{
    chance::Dice,
    clock::Clock,
    graph::{Bare, Client},
};

/// Limits of one transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// It is given up when no byte has moved for so long.
    pub idle: Duration,
    /// It is given up when it has taken so long altogether.
    pub total: Duration,
    /// The largest download, in bytes.
    pub most: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { idle: Duration::from_secs(60), total: Duration::from_secs(1800), most: 512 << 20 }
    }
}

/// Is told how many bytes have moved, and of how many when that is known.
pub type Progress<'a> = &'a (dyn Fn(u64, Option<u64>) + Send + Sync);

/// Moves files.
pub struct Transfer {
    graph: Arc<Client>,
    bare: Bare,
    roots: Arc<Roots>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    /// The bound of the first wait after a failure; it doubles.
    base: Duration,
}

/// How often in a row a transfer may fail without having moved a byte.
const TRIES: u32 = 5;

impl Transfer {
    /// Moves files between `roots` and the hosts of `graph` and `bare`.
    pub fn new(graph: Arc<Client>, bare: Bare, roots: Roots, settings: Settings, clock: Arc<dyn Clock>, dice: Arc<dyn Dice>) -> Self {
        Self { graph, bare, roots: Arc::new(roots), settings, clock, dice, base: Duration::from_millis(500) }
    }

    /// Opens a local file of at most `most` bytes for reading.
    ///
    /// # Errors
    ///
    /// When the path is not allowed, there is no such file, or it is too large.
    pub async fn open_local(&self, path: &str, most: u64) -> Result<Opened, TransferError> {
        let (roots, path) = (Arc::clone(&self.roots), path.to_owned());
        roots::blocking(move || roots.open(&path, most)).await
    }
}

#[cfg(test)]
mod world_tests;
