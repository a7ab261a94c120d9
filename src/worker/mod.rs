//! Who does it later: claims queued tasks, runs them through the engine, settles them; and keeps the buffers moving.
//!
//! Workers sleep until something is queued, a wait or a lease ends; they never poll. What they ask of Microsoft goes as background work
//! through the one budget, so that calls come first however many tasks there are. Two are enough: a mailbox lets background work have
//! three places of four, and with two a slow tenant of one account does not stop the others'.

mod jobs;
mod limits;
mod warmer;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;

use crate::{
    engine::{Engine, Next},
    hint::Kind,
    queue::Failure,
};

pub use self::warmer::run as warm;
pub use limits::{clean, sweep};

/// How long uses of entries are gathered before they are written in one batch.
const GATHER: Duration = Duration::from_secs(5);

/// How long after the first change the store is tidied; more changes within it are tidied with it.
const QUIET: Duration = Duration::from_secs(10);

/// Runs queued tasks, one after the other, until the engine stops. Several may run beside each other.
pub async fn run(engine: Arc<Engine>) {
    loop {
        let woken = engine.woken();
        match engine.next_task().await {
            Next::Run(run) => {
                // A task that panics must not take the worker with it.
                let job = AssertUnwindSafe(jobs::run(&engine, &run)).catch_unwind();
                let result = tokio::select! {
                    result = job => result,
                    never = engine.attend(&run) => match never {},
                };
                let broken = |_| Err(Failure { code: "panicked".into(), kind: Kind::Internal, retry_after: None });
                engine.settle(run, result.unwrap_or_else(broken)).await;
            }
            Next::Wait(None) => woken.await,
            Next::Wait(Some(wait)) => {
                tokio::select! {
                    () = woken => {}
                    () = engine.sleep(wait) => {}
                }
            }
            Next::End => return,
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

/// Writes what is recorded of reads a while after the first of them, for as long as the daemon runs. Idle when nothing is read.
pub async fn witness(engine: Arc<Engine>) {
    loop {
        engine.witness_on().await;
    }
}

/// Forgets what is beyond its bounds and compares totals a while after something was stored or changed, for as long as the daemon runs.
pub async fn tidy(engine: Arc<Engine>) {
    loop {
        engine.tidy_after(QUIET).await;
    }
}
