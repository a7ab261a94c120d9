//! The warmer: asks for what is due, then sleeps until something else is, or somebody has signed in, or something is used.

use std::sync::Arc;

use crate::engine::Engine;

/// Warms for as long as the daemon runs. Only asks; the workers fetch.
pub async fn run(engine: Arc<Engine>) {
    loop {
        let stirred = engine.stirred();
        match engine.warm().await {
            Some(wait) => {
                tokio::select! {
                    () = stirred => {}
                    () = engine.sleep(wait) => {}
                }
            }
            None => stirred.await,
        }
    }
}
