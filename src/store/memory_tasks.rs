//! The queue of [`super::Memory`]: the plainest form of the rules that both ledgers follow.

use std::collections::BTreeMap;

use super::{
    Beat, Cancelled, Claim, Claimed, KEPT_FOR, KEPT_TASKS, Lease, Progress, TaskCounts, TaskEnd, TaskQuery, TaskRow, TaskSeen, TaskState,
    TaskTimes,
    task::{ON_REQUEST, PRUNED_AT_ONCE, beyond, mean_with},
};
use crate::{clock::Timestamp, ids::AccountId};

/// Every task, oldest first.
#[derive(Default)]
pub(super) struct Tasks {
    rows: Vec<Row>,
    times: BTreeMap<(AccountId, String), TaskTimes>,
}

struct Row {
    seen: TaskSeen,
    /// Queued, and not to be run before its time; one whose time has come once is due for good.
    waits: bool,
    until: Timestamp,
}

impl Row {
    fn ends(&mut self, end: TaskEnd, now: Timestamp) {
        self.seen.ends(end, now);
        self.waits = self.seen.task.not_before > now;
    }
}

/// Whether that moment has come, or lies where no rule puts it: the clock was set back.
fn due(at: Timestamp, now: Timestamp) -> bool {
    at <= now || at > beyond(now)
}

impl Tasks {
    pub(super) fn enqueue(&mut self, task: TaskRow) -> bool {
        let same = |seen: &TaskSeen| seen.task.id == task.id || (seen.task.dedup == task.dedup && !seen.state.ended());
        if self.rows.iter().any(|row| same(&row.seen)) {
            return false;
        }
        let seen = TaskSeen {
            state: TaskState::Queued,
            changed_at: task.created_at,
            started_at: None,
            attempt: 0,
            given_back: 0,
            retries: 0,
            failure: String::new(),
            progress: None,
            result: None,
            cancelling: false,
            task,
        };
        self.rows.push(Row { waits: seen.task.not_before > seen.task.created_at, seen, until: Timestamp(0) });
        true
    }

    pub(super) fn claim(&mut self, now: Timestamp, until: Timestamp, held: &[AccountId]) -> Claim {
        self.put_back(now, |row| due(row.until, now));
        self.rows.iter_mut().for_each(|row| row.waits &= !due(row.seen.task.not_before, now));
        let queued = self.rows.iter_mut().filter(|row| row.seen.state == TaskState::Queued && !row.waits);
        let free = queued.filter(|row| !held.contains(&row.seen.task.account));
        // `min_by_key` takes the first of equals, which was queued first.
        let Some(row) = free.min_by_key(|row| row.seen.task.priority) else { return Claim::Nothing(self.next()) };
        let seen = &mut row.seen;
        seen.state = TaskState::Running;
        (seen.changed_at, seen.started_at) = (now, Some(now));
        seen.attempt += 1;
        seen.progress = None;
        row.until = until;
        let lease = Lease { id: seen.task.id.clone(), attempt: seen.attempt };
        Claim::Task(Claimed { task: seen.task.clone(), lease, tries: seen.tries(), retries: seen.retries })
    }

    /// When the next task may run or the next lease ends.
    fn next(&self) -> Option<Timestamp> {
        let moments = self.rows.iter().filter_map(|row| match row.seen.state {
            TaskState::Queued => Some(row.seen.task.not_before).filter(|_| row.waits),
            TaskState::Running => Some(row.until),
            _ => None,
        });
        moments.min()
    }

    fn running(&mut self, lease: &Lease) -> Option<&mut Row> {
        let of = |seen: &TaskSeen| seen.task.id == lease.id && seen.attempt == lease.attempt && seen.state == TaskState::Running;
        self.rows.iter_mut().find(|row| of(&row.seen))
    }

    pub(super) fn beat(&mut self, beat: Beat, now: Timestamp) -> bool {
        let Some(row) = self.running(&beat.lease) else { return false };
        row.until = beat.until;
        if let Some(progress) = beat.progress {
            row.seen.progress = Some(progress).filter(|progress| *progress != Progress::default());
            row.seen.changed_at = now;
        }
        true
    }

    pub(super) fn settle(&mut self, lease: &Lease, end: TaskEnd, now: Timestamp) -> bool {
        let Some(row) = self.running(lease) else { return false };
        let end = end.of(row.seen.cancelling);
        if let TaskEnd::Completed { took, .. } = &end {
            let key = (row.seen.task.account.clone(), row.seen.task.tool.clone());
            let times = mean_with(self.times.get(&key).copied(), *took);
            self.times.insert(key, times);
        }
        let Some(row) = self.running(lease) else { return false };
        row.ends(end, now);
        self.prune(now);
        true
    }

    pub(super) fn cancel(&mut self, id: &str, now: Timestamp) -> Cancelled {
        let Some(row) = self.rows.iter_mut().find(|row| row.seen.task.id == id) else { return Cancelled::Unknown };
        match row.seen.state {
            TaskState::Queued => {
                row.ends(TaskEnd::Cancelled { failure: ON_REQUEST.into() }, now);
                self.prune(now);
                Cancelled::Ended
            }
            TaskState::Running => {
                row.seen.cancelling = true;
                Cancelled::Running
            }
            ended => Cancelled::Already(ended),
        }
    }

    /// Ends the leases of an earlier process.
    pub(super) fn requeue(&mut self, now: Timestamp) -> u64 {
        self.put_back(now, |_| true)
    }

    /// Ends the leases of runs that `lost` names.
    fn put_back(&mut self, now: Timestamp, lost: impl Fn(&Row) -> bool) -> u64 {
        let mut requeued = 0;
        for row in self.rows.iter_mut().filter(|row| row.seen.state == TaskState::Running && lost(row)) {
            let end = TaskEnd::lost(row.seen.tries()).of(row.seen.cancelling);
            row.ends(end, now);
            requeued += 1;
        }
        requeued
    }

    pub(super) fn seen(&self, query: &TaskQuery) -> Vec<TaskSeen> {
        let all = self.rows.iter().rev().map(|row| &row.seen);
        all.filter(|seen| query.asks_for(seen)).take(query.limit).cloned().collect()
    }

    pub(super) fn times(&self, account: &AccountId, tool: &str) -> Option<TaskTimes> {
        self.times.get(&(account.clone(), tool.to_owned())).copied()
    }

    pub(super) fn counts(&self) -> TaskCounts {
        let mut counts = TaskCounts::default();
        for row in &self.rows {
            *counts.of(row.seen.state) += 1;
        }
        counts
    }

    /// Forgets an account.
    pub(super) fn leave(&mut self, account: &AccountId) {
        self.rows.retain(|row| row.seen.task.account != *account);
        self.times.retain(|(whose, _), _| whose != account);
    }

    /// Of each ending the oldest few: those beyond the number, and those beyond the age.
    fn prune(&mut self, now: Timestamp) {
        for state in TaskState::ALL.into_iter().filter(|state| state.ended()) {
            let count = u64::try_from(self.rows.iter().filter(|row| row.seen.state == state).count()).unwrap_or(u64::MAX);
            let mut over = count.saturating_sub(KEPT_TASKS);
            let mut looked = 0;
            self.rows.retain(|row| {
                if row.seen.state != state || looked == PRUNED_AT_ONCE {
                    return true;
                }
                looked += 1;
                if over > 0 {
                    over -= 1;
                    return false;
                }
                row.seen.changed_at > now.minus(KEPT_FOR)
            });
        }
    }
}
