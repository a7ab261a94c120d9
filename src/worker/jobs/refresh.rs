//! Renews an answer that was served stale, through the same path a call takes.

use std::sync::Arc;

use crate::{
    engine::{Engine, TaskRun},
    queue::Failure,
};

pub(super) async fn run(engine: &Arc<Engine>, run: &TaskRun) -> Result<Option<String>, Failure> {
    engine.refresh(run).await
}
