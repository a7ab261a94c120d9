//! What the worker needs of the engine: tasks to run, buffers to write.

use std::{sync::Arc, time::Duration};

use tokio::sync::futures::Notified;

use super::Engine;
use crate::store::TaskRow;

impl Engine {
    /// Ends when a task is queued after this was called.
    pub fn queued(&self) -> Notified<'_> {
        self.queued.notified()
    }

    /// Takes the most urgent task, or `None` when there is none.
    pub async fn claim(&self) -> Option<TaskRow> {
        match self.ledger.claim(self.clock.now()).await {
            Ok(task) => task,
            Err(error) => {
                self.note_store(Some(error.to_string()));
                None
            }
        }
    }

    /// Records how a task ended.
    pub async fn settle(&self, task: &TaskRow, result: Result<(), String>) {
        if let Err(error) = self.ledger.settle_task(&task.id, result, self.clock.now()).await {
            self.note_store(Some(error.to_string()));
        }
    }

    /// Waits for the first use of an entry, gathers more for a while, then writes them all.
    pub async fn used_after(self: &Arc<Self>, gather: Duration) {
        self.used.notified().await;
        self.clock.sleep(gather).await;
        self.flush_uses().await;
    }
}
