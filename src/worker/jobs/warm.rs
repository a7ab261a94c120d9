//! Fetches an answer ahead of its use. One that is fresh is left as it is.

use std::sync::Arc;

use crate::{
    engine::{Engine, TaskRun},
    queue::Failure,
};

pub(super) async fn run(engine: &Arc<Engine>, run: &TaskRun) -> Result<Option<String>, Failure> {
    match engine.fresh_entry(run).await? {
        Some(key) => Ok(Some(key)),
        None => engine.refresh(run).await,
    }
}
