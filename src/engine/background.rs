//! What the worker needs of the engine besides tasks: time, and buffers to write.

use std::{sync::Arc, time::Duration};

use super::Engine;

impl Engine {
    /// Ends after `wait` of the engine's time.
    pub async fn sleep(&self, wait: Duration) {
        self.clock.sleep(wait).await;
    }

    /// Waits for the first use of an entry, gathers more for a while, then writes them all.
    pub async fn used_after(self: &Arc<Self>, gather: Duration) {
        self.used.notified().await;
        self.clock.sleep(gather).await;
        self.flush_uses().await;
    }
}
