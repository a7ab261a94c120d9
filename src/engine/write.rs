//! A write: journalled, sent once, what it touched bumped, and only then answered.
//!
//! A write whose journal row cannot be committed is sent all the same, as `doubt.rs` says, with `_cache_status: bypass`.
//!
//! The act runs by itself: a client that dies meanwhile does not leave a write half recorded.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::{Answer, Call, CallError, Engine, facts::Trust, trail};
use crate::{
    audit::{Event, Kind},
    cache::{Scope, Service, SourceId, Touch, Touched},
    ids::Caller,
    store::{NewWrite, Outcome, StoreError, WriteId},
    tools::{Does, Effect, StepError, Written},
};

/// Writes under way; shutdown waits for them.
pub(super) struct Acts(watch::Sender<usize>);

impl Default for Acts {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

struct Act<'a>(&'a Acts);

impl Acts {
    fn begin(&self) -> Act<'_> {
        self.0.send_modify(|running| *running += 1);
        Act(self)
    }

    /// Whether one is under way.
    pub(super) fn is_one_running(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Waits until none is under way.
    pub(super) async fn drain(&self) {
        // The sender lives as long as `self`, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|running| *running == 0).await;
    }
}

impl Drop for Act<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|running| *running = running.saturating_sub(1));
    }
}

impl Engine {
    /// Does a write.
    pub(super) async fn write(self: &Arc<Self>, caller: &Caller, call: Call) -> Result<Answer, CallError> {
        let (engine, caller) = (self.clone(), caller.clone());
        let act = tokio::spawn(async move {
            let _running = engine.acts.begin();
            engine.act(&caller, call).await
        });
        act.await.map_err(|_| CallError::Broken)?
    }

    async fn act(self: &Arc<Self>, caller: &Caller, mut call: Call) -> Result<Answer, CallError> {
        let Effect::Write { service } = call.tool.effect else { return Err(CallError::Broken) };
        let Does::Write { touches, act } = call.tool.does else { return Err(CallError::Broken) };
        if let Err(refused) = self.consented(&mut call) {
            self.record_later(self.write_event(caller, &call).ended("not_confirmed"));
            return Err(refused);
        }
        self.fence_act(&mut call);
        let call = self.with_source(call).await?;
        let source = self.source(&call).ok_or(CallError::Broken)?;
        let touched = Touched { source: source.clone(), service, touches: touches(&call.args) };
        let row = match self.journal(caller, &call, touched).await {
            Ok(id) => Some(id),
            Err(error) => {
                self.send_unjournalled(&source, error).await?;
                None
            }
        };

        let steps = self.steps(&call);
        let mut result = act(&self.knowing(steps.as_ref(), &call, Trust::Shown), &call.args).await;
        match row {
            Some(id) => self.close(id, &source, service, &result).await,
            None => {
                self.record_later(self.write_event(caller, &call).ended("not_journalled"));
                self.sent_unjournalled(&source).await;
            }
        }
        match &mut result {
            Ok(written) => self.shorten(call.tool.name, &call.account.id, &mut written.answer).await,
            Err(error) => {
                if outcome_of(error) == Outcome::Refused {
                    self.learn_of_absence(&call, None, &source, error).await;
                }
                self.shorten_left(&call, error).await;
            }
        }
        match result {
            Ok(written) if row.is_none() => Ok(Answer::bypassed(&written.answer)),
            Ok(written) => Ok(Answer::plain(&written.answer)),
            Err(error) if error.is_unconfirmed() => Err(self.fenced_from_others(&call).unwrap_or_else(|| self.ask(&call))),
            Err(error) if error.is_partly() => Err(error.into()),
            Err(error) if outcome_of(&error) == Outcome::Unknown => Err(CallError::UnknownOutcome(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// A write for the trail, where the journal's transactions cannot tell of it.
    fn write_event(&self, caller: &Caller, call: &Call) -> Event {
        let event = self.event(Kind::Write, caller).of(&call.account.id).with(call.tool.name);
        Event { targets: trail::targets(call), ..event }
    }

    async fn journal(&self, caller: &Caller, call: &Call, touched: Touched) -> Result<WriteId, StoreError> {
        let canonical = serde_json::Value::from_iter(call.args.all().clone()).to_string();
        let write = NewWrite {
            call_key: format!("{}:{}", caller.session, self.uuid()),
            account: call.account.id.clone(),
            tool: call.tool.name.into(),
            args_hash: Sha256::digest(canonical.as_bytes()).into(),
            touched,
            at: call.now,
            client: caller.client.clone(),
            targets: trail::targets(call),
        };
        self.ledger.open_write(write).await.inspect_err(|error| self.note_store(Some(error)))
    }

    /// Bumps what the write touched, in the ledger and then in memory. Until this has returned nobody is answered.
    async fn close(&self, id: WriteId, source: &SourceId, service: Service, result: &Result<Written, StepError>) {
        let (outcome, extra, learned) = match result {
            Ok(written) => {
                let extra = Touched { source: source.clone(), service, touches: written.touches.clone() };
                (Outcome::Done { late: written.late }, vec![extra], written.learned_in(source))
            }
            Err(error) => {
                // A draft that is left may have been looked at while the call went on.
                let left = error.left.iter().map(|left| Touch::Scope(Scope::item(&left.draft))).collect();
                let extra = Touched { source: source.clone(), service, touches: left };
                (outcome_of(error), vec![extra], Vec::new())
            }
        };
        let now = self.clock.now();
        // At the least the searches of the service are unsettled.
        let wakes_settler = outcome != Outcome::Refused;
        match self.ledger.close_write(id, outcome, extra, learned, now.plus(self.policy().unsettled), now).await {
            Ok(bumps) => {
                self.truth.apply(&bumps);
                self.chores.stir();
                // Lists in use that it overtook are asked for again while whoever wrote still thinks.
                self.warmth.wrote();
                if wakes_settler {
                    self.unsettled.notify_one();
                }
            }
            Err(error) => {
                // The row stays open, so the next start bumps what it touched; until then nothing from before is served.
                self.left_open(source).await;
                self.note_store(Some(&error));
            }
        }
    }

    /// Bumps scopes whose unsettled time has ended, and begins sources in doubt anew, for as long as the daemon runs.
    pub async fn settle_for_ever(self: Arc<Self>) {
        loop {
            // Registered before the ledger is asked, so that no wake-up is lost.
            let woken = self.unsettled.notified();
            let now = self.clock.now();
            let next = match self.ledger.settle(now).await {
                Ok((bumps, next)) => {
                    self.truth.apply(&bumps);
                    if !bumps.is_empty() {
                        // Answers in use that could not be kept meanwhile can be now.
                        self.warmth.stir();
                    }
                    next
                }
                Err(error) => {
                    self.note_store(Some(&error));
                    Some(now.plus(self.policy().unsettled))
                }
            };
            let next = [next, self.heal(now).await].into_iter().flatten().min();
            match next {
                None => woken.await,
                Some(next) => {
                    tokio::select! {
                        () = woken => {}
                        () = self.clock.sleep(next.since(now)) => {}
                    }
                }
            }
        }
    }
}

/// What a failed act means for the truth. Only a plain refusal leaves everything as it was; in doubt the outcome is unknown.
fn outcome_of(error: &StepError) -> Outcome {
    if error.is_refusal() { Outcome::Refused } else { Outcome::Unknown }
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
