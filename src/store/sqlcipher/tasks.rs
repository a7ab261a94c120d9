//! The rows of the background queue.
//!
//! What somebody was told is on the disk when they are told: that a task is queued, or cancelled. The rest (claims, signs of life, ends)
//! shares transactions that a loss of power may undo: a task whose end is undone is run once more, and all a task does is ask and store.
//! Durable commits would cost the one thread of the store two waits for the disk a task.

use std::time::Duration;

use rusqlite::{Row, ToSql};

use super::{StoreError, db::Db};
use crate::{
    clock::Timestamp,
    ids::AccountId,
    store::{
        Beat, Cancelled, Claim, Claimed, KEPT_FOR, KEPT_TASKS, Lease, Progress, TaskCounts, TaskEnd, TaskKind, TaskQuery, TaskRow,
        TaskSeen, TaskState, TaskTimes,
        task::{ON_REQUEST, PRUNED_AT_ONCE, beyond, mean_with},
    },
};

const ENQUEUE: &str =
    "INSERT INTO cache_tasks (uuid, account, kind, tool, args, dedup, priority, created_at, changed_at, not_before, state)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10) ON CONFLICT DO NOTHING";
/// So many at once come due; the rest with the next claims.
const COME_DUE: &str = "UPDATE cache_tasks SET state = 0 WHERE id IN
    (SELECT id FROM cache_tasks WHERE state = 1 AND not_before <= ?1 ORDER BY not_before LIMIT 64)";
const FAR_DUE: &str =
    "UPDATE cache_tasks SET state = 0 WHERE id IN (SELECT id FROM cache_tasks WHERE state = 1 AND not_before > ?1 LIMIT 64)";
/// As many as there are workers.
const LAPSED: &str =
    "SELECT uuid, attempt, attempt - given_back FROM cache_tasks WHERE state = 2 AND (lease_until <= ?1 OR lease_until > ?2)";
const RUNNING: &str = "SELECT uuid, attempt, attempt - given_back FROM cache_tasks WHERE state = 2";
const NEXT_ACCOUNT: &str = "SELECT account FROM cache_tasks WHERE state = 0 AND account > ?1 ORDER BY account LIMIT 1";
const NEXT_OF: &str = "SELECT priority, id FROM cache_tasks WHERE state = 0 AND account = ?1 ORDER BY priority, id LIMIT 1";
const RUN: &str = "UPDATE cache_tasks SET state = 2, attempt = attempt + 1, changed_at = ?2, started_at = ?2, lease_until = ?3,
    told = 0, done = 0, total = 0, message = '' WHERE id = ?1";
const NEXT_DUE: &str = "SELECT not_before FROM cache_tasks WHERE state = 1 ORDER BY not_before LIMIT 1";
const NEXT_LAPSE: &str = "SELECT min(lease_until) FROM cache_tasks WHERE state = 2";
const BEAT: &str = "UPDATE cache_tasks SET lease_until = ?3 WHERE uuid = ?1 AND attempt = ?2 AND state = 2";
const PROGRESS: &str = "UPDATE cache_tasks SET told = ?3, done = ?4, total = ?5, message = ?6, changed_at = ?7
    WHERE uuid = ?1 AND attempt = ?2 AND state = 2";
const END: &str =
    "UPDATE cache_tasks SET state = ?2, changed_at = ?3, not_before = ?4, retries = ?5, failure = ?6, result = ?7, given_back = ?8,
    lease_until = 0, cancelling = 0 WHERE uuid = ?1";
const TELL: &str = "UPDATE cache_tasks SET cancelling = 1 WHERE uuid = ?1";
const COUNTS: &str = "SELECT state, tasks FROM task_counts";
const COUNT: &str = "SELECT tasks FROM task_counts WHERE state = ?1";
const OLDEST: &str = "SELECT id, changed_at FROM cache_tasks WHERE state = ?1 ORDER BY id LIMIT ?2";
const DROP: &str = "DELETE FROM cache_tasks WHERE id = ?1";
const TIMES: &str = "SELECT runs, mean_ms FROM task_times WHERE account = ?1 AND tool = ?2";
const SET_TIMES: &str = "INSERT INTO task_times (account, tool, runs, mean_ms) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT DO UPDATE SET runs = excluded.runs, mean_ms = excluded.mean_ms";
/// Columns as [`read`] expects them.
const BY_UUID: &str =
    "SELECT uuid, account, kind, tool, args, dedup, priority, created_at, not_before, state, changed_at, started_at, attempt,
    retries, failure, told, done, total, message, result, cancelling, id, given_back FROM cache_tasks WHERE uuid = ?1";
const BY_ID: &str =
    "SELECT uuid, account, kind, tool, args, dedup, priority, created_at, not_before, state, changed_at, started_at, attempt,
    retries, failure, told, done, total, message, result, cancelling, id, given_back FROM cache_tasks WHERE id = ?1";
const BY_STATE: &str =
    "SELECT uuid, account, kind, tool, args, dedup, priority, created_at, not_before, state, changed_at, started_at, attempt,
    retries, failure, told, done, total, message, result, cancelling, id, given_back FROM cache_tasks WHERE state = ?1 ORDER BY id DESC LIMIT ?2";
const BY_ACCOUNT: &str =
    "SELECT uuid, account, kind, tool, args, dedup, priority, created_at, not_before, state, changed_at, started_at, attempt,
    retries, failure, told, done, total, message, result, cancelling, id, given_back FROM cache_tasks
    WHERE state = ?1 AND account = ?3 ORDER BY id DESC LIMIT ?2";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[
    ENQUEUE,
    COME_DUE,
    FAR_DUE,
    LAPSED,
    RUNNING,
    NEXT_ACCOUNT,
    NEXT_OF,
    RUN,
    NEXT_DUE,
    NEXT_LAPSE,
    BEAT,
    PROGRESS,
    END,
    TELL,
    COUNTS,
    COUNT,
    OLDEST,
    DROP,
    TIMES,
    SET_TIMES,
    BY_UUID,
    BY_ID,
    BY_STATE,
    BY_ACCOUNT,
];

/// Queued tasks that may run now, and those that may not yet, are apart: so the most urgent one is found without walking past the others.
const DUE: i64 = 0;
const WAITING: i64 = 1;

/// How the table spells a state; a queued task that may not run before `not_before` is waiting.
fn number(state: TaskState, waits: bool) -> i64 {
    match state {
        TaskState::Queued => {
            if waits {
                WAITING
            } else {
                DUE
            }
        }
        TaskState::Running => 2,
        TaskState::Completed => 3,
        TaskState::Failed => 4,
        TaskState::Cancelled => 5,
    }
}

/// What the table's number means.
fn state(number: i64) -> Option<TaskState> {
    Some(match number {
        DUE | WAITING => TaskState::Queued,
        2 => TaskState::Running,
        3 => TaskState::Completed,
        4 => TaskState::Failed,
        5 => TaskState::Cancelled,
        _ => return None,
    })
}

/// A task and the number of its row; `None` for a word that is not known.
fn read(row: &Row<'_>) -> rusqlite::Result<Option<(i64, TaskSeen)>> {
    let kind: String = row.get(2)?;
    let (Some(kind), Some(state)) = (TaskKind::ALL.into_iter().find(|known| known.word() == kind), state(row.get(9)?)) else {
        return Ok(None);
    };
    let task = TaskRow {
        id: row.get(0)?,
        account: AccountId::new(row.get::<_, String>(1)?),
        kind,
        tool: row.get(3)?,
        args: row.get(4)?,
        dedup: row.get(5)?,
        priority: row.get(6)?,
        created_at: Timestamp(row.get(7)?),
        not_before: Timestamp(row.get(8)?),
    };
    let (done, total) = (row.get::<_, i64>(16)?.cast_unsigned(), row.get::<_, i64>(17)?.cast_unsigned());
    let progress = if row.get(15)? { Some(Progress { done, total, message: row.get(18)? }) } else { None };
    let seen = TaskSeen {
        task,
        state,
        changed_at: Timestamp(row.get(10)?),
        started_at: Some(Timestamp(row.get(11)?)).filter(|at| at.0 != 0),
        attempt: row.get(12)?,
        given_back: row.get(22)?,
        retries: row.get(13)?,
        failure: row.get(14)?,
        progress,
        result: Some(row.get(19)?).filter(|key: &String| !key.is_empty()),
        cancelling: row.get(20)?,
    };
    Ok(Some((row.get(21)?, seen)))
}

/// Queues a task unless one like it is queued or running.
pub(super) fn enqueue(db: &mut Db, task: &TaskRow) -> Result<bool, StoreError> {
    let state = number(TaskState::Queued, task.not_before > task.created_at);
    let row: [&dyn ToSql; 10] = [
        &task.id,
        &task.account.as_str(),
        &task.kind.word(),
        &task.tool,
        &task.args,
        &task.dedup,
        &task.priority,
        &task.created_at.0,
        &task.not_before.0,
        &state,
    ];
    Ok(db.run(ENQUEUE, row.as_slice())? > 0)
}

/// Takes up the most urgent task that may run now.
pub(super) fn claim(db: &mut Db, now: Timestamp, until: Timestamp, held: &[AccountId]) -> Result<Claim, StoreError> {
    let lapsed = db.all(LAPSED, (now.0, beyond(now).0), lease)?;
    put_back(db, &lapsed, now)?;
    db.run(COME_DUE, [now.0])?;
    db.run(FAR_DUE, [beyond(now).0])?;
    loop {
        let Some(id) = most_urgent(db, held)? else {
            let due = db.one(NEXT_DUE, (), |row| row.get::<_, i64>(0))?;
            let lapse = db.one(NEXT_LAPSE, (), |row| row.get::<_, Option<i64>>(0))?.flatten();
            return Ok(Claim::Nothing(due.into_iter().chain(lapse).min().map(Timestamp)));
        };
        db.run(RUN, (id, now.0, until.0))?;
        if let Some((_, seen)) = db.one(BY_ID, [id], read)?.flatten() {
            let lease = Lease { id: seen.task.id.clone(), attempt: seen.attempt };
            return Ok(Claim::Task(Claimed { lease, tries: seen.tries(), retries: seen.retries, task: seen.task }));
        }
        // Damaged, or of a kind that this program does not know.
        db.run(DROP, [id])?;
    }
}

/// The row of the most urgent task that may run now, of the accounts that are not held.
fn most_urgent(db: &Db, held: &[AccountId]) -> Result<Option<i64>, StoreError> {
    let mut first: Option<(u8, i64)> = None;
    let mut account = String::new();
    while let Some(next) = db.one(NEXT_ACCOUNT, [&account], |row| row.get::<_, String>(0))? {
        account = next;
        if held.iter().any(|held| held.as_str() == account) {
            continue;
        }
        let best = db.one(NEXT_OF, [&account], |row| Ok((row.get(0)?, row.get(1)?)))?;
        first = first.into_iter().chain(best).min();
    }
    Ok(first.map(|(_, id)| id))
}

/// A run, and which of the tries of its task it is.
fn lease(row: &Row<'_>) -> rusqlite::Result<(Lease, u32)> {
    Ok((Lease { id: row.get(0)?, attempt: row.get(1)? }, row.get(2)?))
}

/// Ends the leases of runs that are gone.
fn put_back(db: &mut Db, lost: &[(Lease, u32)], now: Timestamp) -> Result<u64, StoreError> {
    for (lease, tries) in lost {
        settle(db, lease, &TaskEnd::lost(*tries), now)?;
    }
    Ok(u64::try_from(lost.len()).unwrap_or(u64::MAX))
}

/// Renews a lease and records progress.
pub(super) fn beat(db: &mut Db, beat: &Beat, now: Timestamp) -> Result<bool, StoreError> {
    let Beat { lease, progress, until } = beat;
    let held = db.run(BEAT, (&lease.id, lease.attempt, until.0))? > 0;
    if let Some(Progress { done, total, message }) = progress.as_ref().filter(|_| held) {
        let told = *progress != Some(Progress::default());
        db.run(PROGRESS, (&lease.id, lease.attempt, told, done.cast_signed(), total.cast_signed(), message, now.0))?;
    }
    Ok(held)
}

/// Ends a run, unless its lease was lost.
pub(super) fn settle(db: &mut Db, lease: &Lease, end: &TaskEnd, now: Timestamp) -> Result<bool, StoreError> {
    let found = db.one(BY_UUID, [&lease.id], read)?.flatten().map(|(_, seen)| seen);
    let Some(seen) = found.filter(|seen| seen.state == TaskState::Running && seen.attempt == lease.attempt) else { return Ok(false) };
    let end = end.clone().of(seen.cancelling);
    if let TaskEnd::Completed { took, .. } = &end {
        let TaskTimes { runs, mean } = mean_with(times(db, &seen.task.account, &seen.task.tool)?, *took);
        let mean = i64::try_from(mean.as_millis()).unwrap_or(i64::MAX);
        db.run(SET_TIMES, (seen.task.account.as_str(), &seen.task.tool, runs.cast_signed(), mean))?;
    }
    ends(db, seen, end, now)?;
    Ok(true)
}

/// Puts a task where `end` leads, and drops what is kept no longer.
fn ends(db: &mut Db, mut seen: TaskSeen, end: TaskEnd, now: Timestamp) -> Result<(), StoreError> {
    seen.ends(end, now);
    let state = number(seen.state, seen.task.not_before > now);
    let result = seen.result.as_deref().unwrap_or_default();
    db.run(END, (&seen.task.id, state, now.0, seen.task.not_before.0, seen.retries, &seen.failure, result, seen.given_back))?;
    if seen.state.ended() { prune(db, now) } else { Ok(()) }
}

/// Of each ending the oldest few: those beyond the number, and those beyond the age.
fn prune(db: &mut Db, now: Timestamp) -> Result<(), StoreError> {
    let limit = i64::try_from(PRUNED_AT_ONCE).unwrap_or(i64::MAX);
    for state in TaskState::ALL.into_iter().filter(|state| state.ended()) {
        let state = number(state, false);
        let count = db.one(COUNT, [state], |row| row.get::<_, i64>(0))?.unwrap_or(0).cast_unsigned();
        let mut over = count.saturating_sub(KEPT_TASKS);
        for (id, changed) in db.all(OLDEST, (state, limit), |row| Ok((row.get::<_, i64>(0)?, Timestamp(row.get(1)?))))? {
            if over > 0 || changed <= now.minus(KEPT_FOR) {
                db.run(DROP, [id])?;
                over = over.saturating_sub(1);
            }
        }
    }
    Ok(())
}

/// Cancels a queued task, marks a running one.
pub(super) fn cancel(db: &mut Db, id: &str, now: Timestamp) -> Result<Cancelled, StoreError> {
    let Some((_, seen)) = db.one(BY_UUID, [id], read)?.flatten() else { return Ok(Cancelled::Unknown) };
    Ok(match seen.state {
        TaskState::Queued => {
            ends(db, seen, TaskEnd::Cancelled { failure: ON_REQUEST.into() }, now)?;
            Cancelled::Ended
        }
        TaskState::Running => {
            db.run(TELL, [id])?;
            Cancelled::Running
        }
        ended => Cancelled::Already(ended),
    })
}

/// Ends the leases of an earlier process.
pub(super) fn requeue(db: &mut Db, now: Timestamp) -> Result<u64, StoreError> {
    let lost = db.all(RUNNING, (), lease)?;
    put_back(db, &lost, now)
}

/// Tasks as they stand, the newest first: of each state as many as are asked for at most.
pub(super) fn seen(db: &mut Db, query: &TaskQuery) -> Result<Vec<TaskSeen>, StoreError> {
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let mut rows = Vec::new();
    if let Some(id) = &query.id {
        rows.extend(db.all(BY_UUID, [id], read)?);
    } else {
        for number in 0..=5 {
            if query.state.is_some() && query.state != state(number) {
                continue;
            }
            rows.extend(match &query.account {
                Some(account) => db.all(BY_ACCOUNT, (number, limit, account.as_str()), read)?,
                None => db.all(BY_STATE, (number, limit), read)?,
            });
        }
    }
    let mut rows: Vec<(i64, TaskSeen)> = rows.into_iter().flatten().filter(|(_, seen)| query.asks_for(seen)).collect();
    rows.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
    Ok(rows.into_iter().map(|(_, seen)| seen).take(query.limit).collect())
}

/// How long an account's tasks of a tool took.
pub(super) fn times(db: &mut Db, account: &AccountId, tool: &str) -> Result<Option<TaskTimes>, StoreError> {
    db.one(TIMES, (account.as_str(), tool), |row| {
        let (runs, mean) = (row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned());
        Ok(TaskTimes { runs, mean: Duration::from_millis(mean) })
    })
}

/// Tasks by state.
pub(super) fn counts(db: &mut Db) -> Result<TaskCounts, StoreError> {
    let mut counts = TaskCounts::default();
    for (number, tasks) in db.all(COUNTS, (), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))? {
        if let Some(state) = state(number) {
            *counts.of(state) += tasks.cast_unsigned();
        }
    }
    Ok(counts)
}
