//! Questions that are open before a user: a daemon that ended meanwhile would take them away from under their eyes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many are open.
#[derive(Debug, Default)]
pub(crate) struct Questions(AtomicU64);

/// One that is open until this is dropped.
pub(crate) struct Question<'a>(&'a Questions);

impl Questions {
    /// A client is about to ask its user.
    pub(crate) fn ask(&self) -> Question<'_> {
        self.0.fetch_add(1, Relaxed);
        Question(self)
    }

    /// How many are open.
    pub(crate) fn open(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}
