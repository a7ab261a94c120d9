//! Who does it later: claims queued tasks, runs them through the engine, settles them; and keeps the buffers moving.
//!
//! Leases, retries and several workers come with the whole queue; until then one worker takes one task after the other, and a task that
//! fails is asked for again by the next stale hit.

mod limits;

use std::{sync::Arc, time::Duration};

use crate::engine::Engine;

pub use limits::{clean, sweep};

/// How long uses of entries are gathered before they are written in one batch.
const GATHER: Duration = Duration::from_secs(5);

/// How long after the first change the store is tidied; more changes within it are tidied with it.
const QUIET: Duration = Duration::from_secs(10);

/// Runs queued tasks for as long as the daemon runs. Sleeps until a task is queued; never polls.
pub async fn run(engine: Arc<Engine>) {
    loop {
        let queued = engine.queued();
        match engine.claim().await {
            Some(task) => {
                let result = engine.refresh(&task).await;
                if let Err(reason) = &result {
                    tracing::debug!(tool = %task.tool, %reason, "a refresh failed; the next stale hit asks again");
                }
                engine.settle(&task, result).await;
            }
            None => queued.await,
        }
    }
}

/// Writes buffered uses a while after the first of them, for as long as the daemon runs. Idle when nothing is used.
pub async fn flush(engine: Arc<Engine>) {
    loop {
        engine.used_after(GATHER).await;
    }
}

/// Writes what calls came to a while after the first of them, for as long as the daemon runs. Idle when nothing is called.
pub async fn count(engine: Arc<Engine>) {
    engine.recall_costs().await;
    loop {
        engine.count_on().await;
    }
}

/// Forgets what is beyond its bounds and compares totals a while after something was stored or changed, for as long as the daemon runs.
pub async fn tidy(engine: Arc<Engine>) {
    loop {
        engine.tidy_after(QUIET).await;
    }
}
