//! How long a transfer may take: waits between attempts, silence, and the whole.

use std::{future::Future, time::Duration};

use tokio::sync::watch;

use super::{
    TRIES, Transfer,
    error::{Cause, TransferError},
};

/// The longest wait between two attempts that nobody asked for.
const LONGEST: Duration = Duration::from_secs(16);

/// Failures in a row since a byte last moved.
#[derive(Debug, Default)]
pub(super) struct Failures(u32);

impl Failures {
    /// A byte has moved.
    pub(super) fn forget(&mut self) {
        self.0 = 0;
    }
}

/// Beats whenever bytes move.
pub(super) struct Pulse(watch::Sender<()>);

impl Pulse {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    pub(super) fn beat(&self) {
        self.0.send_replace(());
    }
}

impl Transfer {
    /// Counts a failure and waits before the next attempt: as long as the host `asked`, else longer each time, with jitter. False when there
    /// have been enough, or the wait is longer than the whole may take.
    pub(super) async fn again(&self, failures: &mut Failures, asked: Option<Duration>) -> bool {
        failures.0 += 1;
        if failures.0 >= TRIES || asked.is_some_and(|asked| asked >= self.settings.total) {
            return false;
        }
        let bound = self.base.saturating_mul(1 << (failures.0 - 1)).min(LONGEST);
        self.clock.sleep(asked.unwrap_or_default() + self.dice.jitter(bound)).await;
        true
    }

    /// Awaits `work`, unless nothing has beaten for too long.
    pub(super) async fn lively<T>(&self, pulse: &Pulse, work: impl Future<Output = T>) -> Result<T, Cause> {
        let mut beats = pulse.0.subscribe();
        let idle = self.settings.idle;
        let silence = async {
            loop {
                tokio::select! {
                    biased;
                    // The sender outlives this wait, so it cannot fail.
                    _ = beats.changed() => {}
                    () = self.clock.sleep(idle) => return,
                }
            }
        };
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = silence => Err(Cause::Stalled(idle)),
        }
    }

    /// Awaits `work`, and gives it up when the whole has taken too long.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = Result<T, TransferError>>) -> Result<T, TransferError> {
        let total = self.settings.total;
        tokio::select! {
            biased;
            done = work => done,
            () = self.clock.sleep(total) => Err(Cause::Deadline(total).into()),
        }
    }
}
