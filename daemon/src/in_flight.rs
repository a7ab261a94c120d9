//! What is under way besides calls and lasts longer than a moment: a sign-in or an export for a person, a backup, a change of keys. It is counted, so that
//! the daemon does not end by itself meanwhile, and can wait for what must not be cut.

use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use tokio::sync::watch;

/// How much is.
#[derive(Debug, Clone)]
pub(crate) struct InFlight(Arc<watch::Sender<u64>>);

/// One thing that is under way until this is dropped.
pub(crate) struct Flight(InFlight);

impl Default for InFlight {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl InFlight {
    /// Something begins.
    pub(crate) fn begin(&self) -> Flight {
        self.0.send_modify(|count| *count += 1);
        Flight(self.clone())
    }

    /// How much is under way.
    pub(crate) fn count(&self) -> u64 {
        *self.0.borrow()
    }

    /// Ends when nothing is.
    pub(crate) async fn landed(&self) {
        // The sender lives as long as `self`, so an error cannot come.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Flight {
    /// `stream`, under way until it is dropped: by its end, or by a client that has gone.
    pub(crate) fn of<S: Stream>(self, stream: S) -> impl Stream<Item = S::Item> {
        stream.inspect(move |_| {
            let _ = &self;
        })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, stream};

    use super::*;

    #[tokio::test]
    async fn a_stream_is_under_way_until_it_is_dropped() {
        let all = InFlight::default();
        let (one, mut other) = (all.begin(), Box::pin(all.begin().of(stream::iter([1]))));
        assert_eq!((all.count(), all.landed().now_or_never()), (2, None));
        drop(one);
        assert_eq!((other.next().await, other.next().await, all.count()), (Some(1), None, 1));
        drop(other);
        all.landed().await;
    }
}
