//! The urgency that all requests of one piece of work share: it rises when somebody begins to wait for what was begun in the background.
//! It also knows whose call the work was begun for, so that Microsoft's logs and ours name it alike.

use std::sync::Arc;

use tokio::sync::watch;

use crate::ids::{CallId, Urgency, Work};

/// An urgency that can rise, and never falls. Clones are one.
#[derive(Debug, Clone)]
pub struct Hurry(Arc<watch::Sender<Urgency>>, Option<CallId>, Option<Work>);

impl From<Urgency> for Hurry {
    fn from(urgency: Urgency) -> Self {
        Self(Arc::new(watch::Sender::new(urgency)), None, None)
    }
}

impl Hurry {
    /// The same urgency, for the work of `call`.
    #[must_use]
    pub fn of(self, call: Option<CallId>) -> Self {
        Self(self.0, call, self.2)
    }

    /// The same urgency, for work that is counted.
    #[must_use]
    pub fn counted(self, work: Option<Work>) -> Self {
        Self(self.0, self.1, work)
    }

    /// Where it is counted how far the work is.
    pub fn work(&self) -> Option<&Work> {
        self.2.as_ref()
    }

    /// The call that the work was begun for; `None` for what nobody asked for.
    pub fn call(&self) -> Option<CallId> {
        self.1
    }

    /// How urgent it is now.
    pub fn now(&self) -> Urgency {
        *self.0.borrow()
    }

    /// Somebody waits for it from now on.
    pub fn raise(&self) {
        self.0.send_if_modified(|urgency| std::mem::replace(urgency, Urgency::Foreground) == Urgency::Background);
    }

    /// Ends when somebody waits for it.
    pub async fn raised(&self) {
        // The sender lives as long as `self`, so the channel is never closed here.
        let _ = self.0.subscribe().wait_for(|urgency| *urgency == Urgency::Foreground).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rises_for_all_who_share_it_and_never_falls() {
        let hurry = Hurry::from(Urgency::Background);
        let (shared, other) = (hurry.clone(), Hurry::from(Urgency::Background));
        let waiting = tokio::spawn({
            let hurry = hurry.clone();
            async move { hurry.raised().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        shared.raise();
        waiting.await.unwrap();
        shared.raise();
        hurry.raised().await;
        assert_eq!((hurry.now(), other.now()), (Urgency::Foreground, Urgency::Background));
    }
}
