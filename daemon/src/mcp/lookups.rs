//! Look-ups in the store that have to wait, each in a task of its own, so that the lines behind them do not.

use std::future::Future;

use rmcp::model::RequestId;
use tokio::task::JoinHandle;

/// The look-ups of one session; they end with it.
#[derive(Default)]
pub(super) struct Lookups(Vec<Lookup>);

struct Lookup {
    /// Of the request that is looked up.
    id: Option<RequestId>,
    task: JoinHandle<()>,
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Lookups {
    /// Lets `lookup` go on by itself.
    pub(super) fn go_on(&mut self, id: Option<RequestId>, lookup: impl Future<Output = ()> + Send + 'static) {
        // So that a long session does not gather them.
        self.0.retain(|lookup| !lookup.task.is_finished());
        self.0.push(Lookup { id, task: tokio::spawn(lookup) });
    }

    /// Gives the look-up of a request up. Afterwards it does nothing more; what it has handed on by then stays so.
    pub(super) async fn give_up(&mut self, id: &RequestId) {
        while let Some(at) = self.0.iter().position(|lookup| lookup.id.as_ref() == Some(id)) {
            let mut lookup = self.0.swap_remove(at);
            lookup.task.abort();
            // It is over, however it ended.
            let _ = (&mut lookup.task).await;
        }
    }

    /// Ends when all have ended.
    pub(super) async fn ended(&mut self) {
        while let Some(mut lookup) = self.0.pop() {
            // It is over, however it ended.
            let _ = (&mut lookup.task).await;
        }
    }
}
