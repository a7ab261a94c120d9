//! Tasks of the background queue as the ledger keeps them: what was asked for, the lease of a run, how a run ends.
//!
//! A run is named by task and attempt ([`Lease`]): whoever settles or renews a lease that was lost meanwhile changes nothing. Rules about
//! waiting and giving up are in `queue/`.

use std::time::Duration;

use crate::{clock::Timestamp, ids::AccountId};

/// What a task is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// Renews an answer that was served stale.
    Refresh,
    /// Fetches an answer ahead of its use, unless a fresh one is there.
    Warm,
}

impl TaskKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Refresh, Self::Warm];

    /// How it is spelled, in the table and to people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Warm => "warm",
        }
    }
}

/// A task of the background queue, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// UUID.
    pub id: String,
    /// For whom.
    pub account: AccountId,
    /// What for.
    pub kind: TaskKind,
    /// Which tool.
    pub tool: String,
    /// Canonical arguments, JSON.
    pub args: String,
    /// One task with this key is queued or running at a time.
    pub dedup: String,
    /// 1 (first) to 10 (last).
    pub priority: u8,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Not run before this.
    pub not_before: Timestamp,
}

/// One run of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The task.
    pub id: String,
    /// Number of the run, from 1.
    pub attempt: u32,
}

/// A task that was taken up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// What was asked for.
    pub task: TaskRow,
    /// The run.
    pub lease: Lease,
    /// How often it was taken up, this run included and those that were given back left out.
    pub tries: u32,
    /// How often it has failed before.
    pub retries: u32,
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// This.
    Task(Claimed),
    /// Nothing before that moment, unless something is queued; `None`: nothing at all.
    Nothing(Option<Timestamp>),
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Pieces done.
    pub done: u64,
    /// Pieces in all; 0 while that is not known.
    pub total: u64,
    /// What is being done, without content.
    pub message: String,
}

/// How a run of a task ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEnd {
    /// Done. What came of it lies in the cache under this key, in hexadecimal, if it may be kept.
    Completed {
        /// Key of the entry.
        result: Option<String>,
        /// How long the run took.
        took: Duration,
    },
    /// It failed, and is tried again. Counted as a retry when `counted`.
    Again {
        /// Why, without content.
        failure: String,
        /// When.
        not_before: Timestamp,
        /// Whether it is one of the retries that a task has.
        counted: bool,
    },
    /// It failed for good.
    Failed {
        /// Why, without content.
        failure: String,
    },
    /// Nobody needs it any more.
    Cancelled {
        /// Why, without content.
        failure: String,
    },
    /// Given back undone, to be run at once by whoever comes: at an orderly stop. It was no attempt.
    Released,
    /// Its lease ended, with the daemon or without a sign of life: to be run at once by whoever comes.
    Lost,
}

/// Where a task of the queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// Waiting.
    Queued,
    /// Being worked on.
    Running,
    /// Done.
    Completed,
    /// Given up.
    Failed,
    /// Not needed any more.
    Cancelled,
}

impl TaskState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Completed, Self::Failed, Self::Cancelled];

    /// How it is spelled.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen to it.
    pub fn ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// A task as it stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSeen {
    /// What was asked for. Its `not_before` is that of the next try.
    pub task: TaskRow,
    /// Where it stands.
    pub state: TaskState,
    /// When it came there: queued, taken up, or ended; or when it last told how far it is.
    pub changed_at: Timestamp,
    /// When it was last taken up; `None` when it never was.
    pub started_at: Option<Timestamp>,
    /// How often it was taken up.
    pub attempt: u32,
    /// How often of those it was given back at a stop.
    pub given_back: u32,
    /// How often it failed and was queued again.
    pub retries: u32,
    /// Why it failed last, without content; empty otherwise.
    pub failure: String,
    /// How far it is, if it tells.
    pub progress: Option<Progress>,
    /// Key of the entry that came of it.
    pub result: Option<String>,
    /// It runs, and was told to stop.
    pub cancelling: bool,
}

/// Which tasks to show, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskQuery {
    /// This one.
    pub id: Option<String>,
    /// Those of this account.
    pub account: Option<AccountId>,
    /// Those that stand there.
    pub state: Option<TaskState>,
    /// At most so many.
    pub limit: usize,
}

impl TaskQuery {
    /// Whether it asks for `seen`.
    pub fn asks_for(&self, seen: &TaskSeen) -> bool {
        self.id.as_ref().is_none_or(|id| *id == seen.task.id)
            && self.account.as_ref().is_none_or(|account| *account == seen.task.account)
            && self.state.is_none_or(|state| state == seen.state)
    }
}

/// Tasks by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TaskCounts {
    /// Waiting.
    pub queued: u64,
    /// Being worked on.
    pub running: u64,
    /// Done, and still remembered.
    pub completed: u64,
    /// Given up, and still remembered.
    pub failed: u64,
    /// Cancelled, and still remembered.
    pub cancelled: u64,
}

impl TaskCounts {
    /// The count of `state`.
    pub(super) fn of(&mut self, state: TaskState) -> &mut u64 {
        match state {
            TaskState::Queued => &mut self.queued,
            TaskState::Running => &mut self.running,
            TaskState::Completed => &mut self.completed,
            TaskState::Failed => &mut self.failed,
            TaskState::Cancelled => &mut self.cancelled,
        }
    }
}

impl TaskEnd {
    /// This end for a task that was told to stop, or was not: one that was done is done.
    pub(super) fn of(self, cancelling: bool) -> Self {
        match self {
            Self::Completed { .. } => self,
            _ if cancelling => Self::Cancelled { failure: ON_REQUEST.into() },
            _ => self,
        }
    }

    /// The end of a run whose lease ended; `tries` as in [`Claimed`].
    pub(super) fn lost(tries: u32) -> Self {
        if tries >= MOST_ATTEMPTS { Self::Failed { failure: TOO_OFTEN.into() } } else { Self::Lost }
    }
}

impl TaskSeen {
    /// How often it was taken up and not given back.
    pub(super) fn tries(&self) -> u32 {
        self.attempt.saturating_sub(self.given_back)
    }

    /// Puts a task where `end` leads.
    pub(super) fn ends(&mut self, end: TaskEnd, now: Timestamp) {
        self.cancelling = false;
        self.changed_at = now;
        match end {
            TaskEnd::Completed { result, .. } => {
                self.state = TaskState::Completed;
                self.failure.clear();
                self.result = result;
            }
            TaskEnd::Again { failure, not_before, counted } => {
                self.state = TaskState::Queued;
                self.failure = failure;
                self.task.not_before = not_before;
                self.retries += u32::from(counted);
            }
            TaskEnd::Failed { failure } => (self.state, self.failure) = (TaskState::Failed, failure),
            TaskEnd::Cancelled { failure } => (self.state, self.failure) = (TaskState::Cancelled, failure),
            TaskEnd::Released => {
                self.state = TaskState::Queued;
                self.given_back += 1;
            }
            TaskEnd::Lost => self.state = TaskState::Queued,
        }
    }
}

/// How long the runs of an account's tasks of one tool took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskTimes {
    /// Completed runs.
    pub runs: u64,
    /// Their mean, the latest counting most.
    pub mean: Duration,
}

/// What the queue remembers of runs of `before`, and one more that took `took`: the mean of the first 16, then of about the last 16.
pub(super) fn mean_with(before: Option<TaskTimes>, took: Duration) -> TaskTimes {
    const MEMORY: u64 = 16;
    let TaskTimes { runs, mean } = before.unwrap_or(TaskTimes { runs: 0, mean: Duration::ZERO });
    let runs = runs.saturating_add(1);
    let weight = u32::try_from(runs.min(MEMORY)).unwrap_or(u32::MAX);
    let mean = if took > mean { mean + (took - mean) / weight } else { mean - (mean - took) / weight };
    TaskTimes { runs, mean: Duration::from_millis(u64::try_from(mean.as_millis()).unwrap_or(u64::MAX)) }
}

/// A moment beyond which a `not_before` or the end of a lease cannot lie by any rule of the queue: the clock was set back since.
pub(super) fn beyond(now: Timestamp) -> Timestamp {
    now.plus(LONGEST_WAIT)
}

/// Longest time that a task is put off: anything further away was written by another clock.
pub const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// How often a task may be taken up, whatever ended its runs but an orderly stop. A task that takes the daemon down with it must not do so for ever.
pub const MOST_ATTEMPTS: u32 = 20;

/// Tasks of each ending that are kept.
pub const KEPT_TASKS: u64 = 10_000;

/// How long a task that has ended is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// Tasks dropped in one step, so that no step takes long.
pub(super) const PRUNED_AT_ONCE: usize = 4;

/// What stands as the failure of a task whose run ended with the daemon too often.
pub(super) const TOO_OFTEN: &str = "too_many_attempts";

/// What stands as the failure of a task that somebody cancelled.
pub(super) const ON_REQUEST: &str = "cancelled";

/// What [`super::Ledger::cancel_task`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It was queued, and has ended.
    Ended,
    /// It runs, and is marked: its run has to be told.
    Running,
    /// It had ended so before.
    Already(TaskState),
    /// There is none of that id.
    Unknown,
}

/// One sign of life of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The run.
    pub lease: Lease,
    /// How far it is; `None` when it does not tell.
    pub progress: Option<Progress>,
    /// The lease holds until then.
    pub until: Timestamp,
}
