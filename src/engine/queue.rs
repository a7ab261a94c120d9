//! The queue as the engine keeps it in memory: who runs what, who waits for Microsoft, and how a worker is woken.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool, atomic::Ordering},
    time::Duration,
};

use serde_json::{Map, Value};
use tokio::sync::{Notify, futures::Notified};

use super::{
    CallError, Engine, find,
    stop::{Stop, Why},
};
use crate::{
    cache::CacheKey,
    clock::Timestamp,
    hint::{Hint, Kind},
    ids::{AccountId, Work},
    queue::{self, Failure, LEASE, Progress, TaskEnd, TaskKind, TaskRow},
    store::{Beat, Cancelled, Claim, Claimed, StoreError, TaskQuery},
    tools::Args,
};

/// The queue in memory.
#[derive(Default)]
pub(super) struct Queue {
    /// Wakes a worker: something may be run now, or sooner than thought.
    woken: Notify,
    /// Keys of tasks that are known to be queued or running, so that the table is not asked again for each stale hit; with the task that
    /// the last such hit would have queued, for an answer may be stale again before the task that brought it has been settled.
    asked: Mutex<BTreeMap<String, Option<Box<TaskRow>>>>,
    runs: Mutex<BTreeMap<String, Under>>,
    /// Accounts whose tasks wait because Microsoft asked for it, and until when.
    held: Mutex<BTreeMap<AccountId, Timestamp>>,
    /// Held while a task is taken up, so that a stop knows when no more is.
    claiming: tokio::sync::Mutex<()>,
    stopping: AtomicBool,
    /// Wakes those who wait for a run to end.
    ended: Notify,
}

/// A run under way.
struct Under {
    stop: Arc<Stop>,
    account: AccountId,
}

/// A task to be queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// What for.
    pub kind: TaskKind,
    /// Whose, by id or name.
    pub account: String,
    /// Which tool; one whose answers are cached.
    pub tool: String,
    /// Its arguments, as a client would give them; the account may be left out.
    pub args: Map<String, Value>,
    /// 1 (first) to 10 (last).
    pub priority: u8,
    /// Not run before this; `None`: at once.
    pub not_before: Option<Timestamp>,
}

/// What a worker does next.
pub enum Next {
    /// Runs this.
    Run(TaskRun),
    /// Waits to be woken, for this long at most; `None`: for as long as it takes.
    Wait(Option<Duration>),
    /// Nothing any more.
    End,
}

/// A run of a task, in the hands of a worker. While it exists, no other run of its task begins in this process.
pub struct TaskRun {
    engine: Arc<Engine>,
    claimed: Claimed,
    started: Timestamp,
    pub(super) stop: Arc<Stop>,
    work: Work,
}

impl TaskRun {
    /// What was asked for.
    pub fn task(&self) -> &TaskRow {
        &self.claimed.task
    }

    /// Where it is counted how far it is.
    pub(super) fn work(&self) -> Work {
        self.work.clone()
    }
}

impl Drop for TaskRun {
    fn drop(&mut self) {
        self.engine.queue.runs().remove(&self.claimed.lease.id);
        self.engine.queue.ended.notify_waiters();
    }
}

impl Queue {
    fn runs(&self) -> MutexGuard<'_, BTreeMap<String, Under>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> MutexGuard<'_, BTreeMap<String, Option<Box<TaskRow>>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes every worker that waits, to look again.
    pub(super) fn wake_all(&self) {
        self.woken.notify_waiters();
    }

    /// Whether the caller is the one to queue a task of that key.
    pub(super) fn begin(&self, dedup: &str) -> bool {
        let mut asked = self.asked();
        if asked.contains_key(dedup) {
            return false;
        }
        asked.insert(dedup.to_owned(), None);
        true
    }

    /// The same for a refresh; one that is not to be queued now is kept for the end of the task that is.
    fn begin_refresh(&self, task: &TaskRow) -> bool {
        if let Some(again) = self.asked().get_mut(&task.dedup) {
            *again = Some(Box::new(task.clone()));
            return false;
        }
        self.begin(&task.dedup)
    }

    /// Forgets an account that has signed out: its runs end.
    pub(super) fn leave(&self, account: &AccountId) {
        self.held().remove(account);
        self.runs().values().filter(|run| run.account == *account).for_each(|run| run.stop.tell(Why::Cancelled));
        // Which of the keys are its own is not known; others are merely asked for once more.
        self.asked().clear();
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<AccountId, Timestamp>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The accounts that still wait, and when the first of them need not any more. A moment further away than any rule puts it was
    /// written by a clock that has been set back since.
    fn still_held(&self, now: Timestamp) -> (Vec<AccountId>, Option<Timestamp>) {
        let mut held = self.held();
        held.retain(|_, until| *until > now && until.since(now) <= crate::store::LONGEST_WAIT);
        (held.keys().cloned().collect(), held.values().min().copied())
    }

    /// Waits until the run of that task has ended.
    async fn gone(&self, id: &str) {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if !self.runs().contains_key(id) {
                return;
            }
            ended.await;
        }
    }
}

impl Engine {
    /// Ends when something may be run that could not before this was called.
    pub fn woken(&self) -> Notified<'_> {
        self.queue.woken.notified()
    }

    /// Queues a task unless one for the same answer is queued or running; tells whether it did. Durable when this returns.
    ///
    /// # Errors
    ///
    /// Arguments, a tool or an account that cannot be used, a tool whose answers are not cached, or a store that does not do its work.
    pub async fn enqueue_task(&self, ask: Ask) -> Result<bool, CallError> {
        let tool = find(&ask.tool)?;
        let account = self.accounts.find(&ask.account)?;
        let mut args = ask.args;
        args.insert("account_id".into(), account.id.as_str().into());
        let args = Args::check(tool, &args)?;
        let call = self.begin(tool, args, account);
        let key = self.key(&call).ok_or(CallError::Broken)?;
        let task = self.task(ask.kind, &call.args, &key, ask.priority, call.now, ask.not_before);
        let _staying = self.leaving.read().await;
        // Signed out meanwhile: nothing of it may be written any more.
        self.accounts.find(key.account.as_str())?;
        let dedup = task.dedup.clone();
        self.queue.begin(&dedup);
        let queued = self.ledger.enqueue(task).await.inspect_err(|error| {
            self.note_store(Some(error));
            // Nothing is queued; later hits ask again.
            self.queue.asked().remove(&dedup);
        })?;
        self.queue.woken.notify_one();
        Ok(queued)
    }

    /// The task that asks for the answer of `key`.
    fn task(&self, kind: TaskKind, args: &Args, key: &CacheKey, priority: u8, now: Timestamp, not_before: Option<Timestamp>) -> TaskRow {
        TaskRow {
            id: self.uuid(),
            account: key.account.clone(),
            kind,
            tool: key.tool.to_string(),
            args: Value::from_iter(args.all().clone()).to_string(),
            // Whatever it is for: the answer is asked for once.
            dedup: format!("{:?}", key.hash),
            priority: priority.clamp(1, 10),
            created_at: now,
            not_before: not_before.unwrap_or(Timestamp(0)),
        }
    }

    /// Queues one refresh for however many clients ask: in memory first, so that the queue table is written once, and in the background, so
    /// that the answer does not wait for it.
    pub(super) fn enqueue_refresh(self: &Arc<Self>, args: &Args, key: &CacheKey, now: Timestamp) {
        let task = self.task(TaskKind::Refresh, args, key, 5, now, None);
        if self.queue.begin_refresh(&task) {
            self.enqueue_in_background(task);
        }
    }

    fn enqueue_in_background(self: &Arc<Self>, task: TaskRow) {
        let engine = self.clone();
        tokio::spawn(async move {
            let dedup = task.dedup.clone();
            let _staying = engine.leaving.read().await;
            if engine.accounts.find(task.account.as_str()).is_err() {
                engine.queue.asked().remove(&dedup);
                return;
            }
            match engine.ledger.enqueue(task).await {
                Ok(_) => engine.queue.woken.notify_one(),
                Err(error) => {
                    engine.note_store(Some(&error));
                    engine.queue.asked().remove(&dedup);
                }
            }
        });
    }

    /// What a worker does next.
    pub async fn next_task(self: &Arc<Self>) -> Next {
        let claiming = self.queue.claiming.lock().await;
        if self.queue.stopping.load(Ordering::SeqCst) {
            return Next::End;
        }
        let now = self.clock.now();
        if let Some(wait) = self.rest(now) {
            return Next::Wait(Some(wait));
        }
        let (held, free) = self.queue.still_held(now);
        let claimed = match self.ledger.claim(now, now.plus(LEASE), held).await {
            Ok(Claim::Task(claimed)) => claimed,
            Ok(Claim::Nothing(next)) => return Next::Wait(next.into_iter().chain(free).min().map(|at| at.since(now))),
            Err(error) => {
                self.note_store(Some(&error));
                // Whether it works again shows with the next task that is queued.
                return Next::Wait(None);
            }
        };
        let id = &claimed.lease.id;
        // Another run of it has lost its lease and does not know yet.
        if let Some(old) = self.queue.runs().get(id) {
            old.stop.tell(Why::Lost);
        }
        self.queue.gone(id).await;
        let run = TaskRun { engine: self.clone(), started: now, stop: Arc::new(Stop::new()), work: Work::default(), claimed };
        let under = Under { stop: run.stop.clone(), account: run.task().account.clone() };
        self.queue.runs().insert(run.task().id.clone(), under);
        drop(claiming);
        // There may be more.
        self.queue.woken.notify_one();
        Next::Run(run)
    }

    /// Renews the lease of `run` and writes its progress, for as long as it is polled.
    pub async fn attend(&self, run: &TaskRun) -> Infallible {
        let (mut told, mut beaten) = (0, self.clock.now());
        loop {
            self.clock.sleep(queue::TELL).await;
            let (answers, now) = (run.work.answers(), self.clock.now());
            if answers == told && now.since(beaten) < queue::BEAT {
                continue;
            }
            let progress =
                (answers != told).then(|| Progress { done: answers, total: 0, message: "requests answered by Microsoft".into() });
            (told, beaten) = (answers, now);
            let beat = Beat { lease: run.claimed.lease.clone(), progress, until: now.plus(LEASE) };
            match self.ledger.beat(beat, now).await {
                Ok(true) => {}
                Ok(false) => run.stop.tell(Why::Lost),
                Err(error) => self.note_store(Some(&error)),
            }
        }
    }

    /// Records how a run ended: with the key of the entry that came of it, or with why it failed.
    pub async fn settle(self: &Arc<Self>, run: TaskRun, result: Result<Option<String>, Failure>) {
        let now = self.clock.now();
        let kind = match run.stop.told() {
            Some(Why::Cancelled) => Some(Kind::User),
            _ => result.as_ref().err().map(|failure| failure.kind),
        };
        let end = match (result, run.stop.told()) {
            (Ok(result), _) => TaskEnd::Completed { result, took: now.since(run.started) },
            (Err(failure), Some(Why::Cancelled)) => TaskEnd::Cancelled { failure: failure.code },
            (Err(_), Some(Why::Stopping)) => TaskEnd::Released,
            (Err(_), Some(Why::Lost)) => TaskEnd::Lost,
            (Err(failure), None) => {
                tracing::debug!(tool = %run.task().tool, code = %failure.code, "a task failed");
                if let Some(wait) = failure.retry_after {
                    self.queue.held().insert(run.task().account.clone(), now.plus(wait));
                }
                queue::after(&failure, run.claimed.tries, run.claimed.retries, now, &*self.dice)
            }
        };
        let counts = match self.ledger.settle_task(run.claimed.lease.clone(), end.clone(), now).await {
            Ok(counts) => counts,
            Err(error) => {
                self.note_store(Some(&error));
                true
            }
        };
        // Of a run whose lease was lost nothing counts: its task ends with another one.
        if counts {
            self.task_ended(&run.task().dedup, &end, kind);
        }
        // Only now: a task queued before this would have been taken for the one that ends here.
        let again = self.queue.asked().remove(&run.task().dedup).flatten();
        if let (Some(task), TaskEnd::Completed { .. }) = (again, &end)
            // Most were stale hits from before the answer was fetched.
            && self.is_older(&run, task.created_at).await
            && self.queue.begin_refresh(&task)
        {
            self.enqueue_in_background(*task);
        }
        drop(run);
        self.queue.woken.notify_one();
    }

    /// Cancels a task: a queued one at once; one that runs is told, and what it asks of Microsoft ends.
    ///
    /// # Errors
    ///
    /// A store that does not do its work.
    pub(super) async fn cancel(&self, id: &str) -> Result<Cancelled, StoreError> {
        let cancelled = self.ledger.cancel_task(id, self.clock.now()).await?;
        match cancelled {
            Cancelled::Ended => {
                self.queue.asked().clear();
                let query = TaskQuery { id: Some(id.to_owned()), limit: 1, ..TaskQuery::default() };
                if let Some(seen) = self.ledger.tasks(query).await?.pop() {
                    self.task_ended(&seen.task.dedup, &TaskEnd::Cancelled { failure: seen.failure }, Some(Kind::User));
                }
            }
            Cancelled::Running => {
                if let Some(run) = self.queue.runs().get(id) {
                    run.stop.tell(Why::Cancelled);
                }
            }
            Cancelled::Already(_) | Cancelled::Unknown => {}
        }
        Ok(cancelled)
    }

    /// Gives running tasks back and takes up no more: calls that are still under way have Microsoft for themselves, and the next daemon
    /// begins with these tasks.
    pub async fn release_tasks(&self) {
        self.queue.stopping.store(true, Ordering::SeqCst);
        // Who is taking one up now has it in `runs` afterwards.
        drop(self.queue.claiming.lock().await);
        let ids: Vec<String> = {
            let runs = self.queue.runs();
            runs.values().for_each(|run| run.stop.tell(Why::Stopping));
            runs.keys().cloned().collect()
        };
        self.queue.woken.notify_waiters();
        for id in ids {
            self.queue.gone(&id).await;
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let retry_after = match &error {
            CallError::Step(error) => error.retry_after,
            _ => None,
        };
        Self { code: error.code().to_owned(), kind: error.kind(), retry_after }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
