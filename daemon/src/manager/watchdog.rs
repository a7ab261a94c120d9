//! Signs of life: given while the daemon does its work, and not while it only exists.
//!
//! Decision: each sign is given after the engine has answered a question that goes through the store's own thread. A timer of its own would go on while the
//! store hangs, and the manager would keep a daemon that answers nobody. A locked daemon has no store; it is alive when its runtime runs.

use std::sync::Arc;

use super::Manager;
use crate::daemon::Daemon;

/// So many signs in the time that the manager waits for one: a slow one is no death.
const SIGNS: u32 = 3;

/// Gives signs of life for as long as it is polled. Never ends.
pub(crate) async fn watch(daemon: Arc<Daemon>, manager: Manager) {
    let Some(patience) = manager.watchdog() else { return std::future::pending().await };
    loop {
        daemon.works().await;
        manager.tell("WATCHDOG=1");
        // The manager's time is the system's, also where a test moves ours.
        tokio::time::sleep(patience / SIGNS).await;
    }
}
