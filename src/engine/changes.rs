//! Telling those who watch that something is not as it was: a write of ours, somebody else's change that was learnt of, an account that came
//! or went. Nothing of content: sources and scopes.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::Engine;
use crate::cache::{Bumped, Scope, SourceId};

/// Changes that a watcher may be behind by; one that is further behind is told that anything may have changed.
const BACKLOG: usize = 256;

/// Something is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Pieces of a mailbox or drive.
    Pieces {
        /// The mailbox or drive.
        source: SourceId,
        /// Which of its pieces.
        scopes: Arc<[Scope]>,
    },
    /// Who is signed in.
    Accounts,
}

/// Where changes are told.
pub(super) struct Changes(broadcast::Sender<Change>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Changes {
    /// Tells of what a transaction of the ledger bumped; costs nothing while nobody watches.
    pub(super) fn bumped(&self, bumps: &[Bumped]) {
        if self.0.receiver_count() == 0 {
            return;
        }
        for bumped in bumps {
            let scopes = bumped.scopes.iter().map(|(scope, _)| scope.clone()).collect();
            self.tell(Change::Pieces { source: bumped.source.clone(), scopes });
        }
    }

    /// Tells of one change.
    pub(super) fn tell(&self, change: Change) {
        // Nobody watching is no failure.
        let _ = self.0.send(change);
    }
}

impl Engine {
    /// What changes from now on.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.truth.changes().0.subscribe()
    }
}
