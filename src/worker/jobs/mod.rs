//! What each kind of task does; one file for each kind.

mod refresh;
mod warm;

use std::sync::Arc;

use crate::{
    engine::{Engine, TaskRun},
    queue::{Failure, TaskKind},
};

/// Runs a task. Gives the key of the entry that came of it.
pub(super) async fn run(engine: &Arc<Engine>, run: &TaskRun) -> Result<Option<String>, Failure> {
    match run.task().kind {
        TaskKind::Refresh => refresh::run(engine, run).await,
        TaskKind::Warm => warm::run(engine, run).await,
    }
}
