//! Keeps the cache within its limits, and removes what is past its use.

use std::{sync::Arc, time::Duration};

use crate::engine::Engine;

/// How long after something was stored its limits are looked at; more that is stored within it is looked at with it.
const PAUSE: Duration = Duration::from_secs(1);

/// Makes room whenever more is kept than may be, for as long as the daemon runs. Idle when nothing is stored.
pub async fn clean(engine: Arc<Engine>) {
    loop {
        engine.clean_after(PAUSE).await;
    }
}

/// Removes what may not even stand in for a failed fetch any more, for as long as the daemon runs.
pub async fn sweep(engine: Arc<Engine>) {
    loop {
        engine.sweep_after().await;
    }
}
