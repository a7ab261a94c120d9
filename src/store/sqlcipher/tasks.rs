//! The rows of the background queue.

use rusqlite::Row;

use super::{StoreError, db::Db};
use crate::{
    clock::Timestamp,
    ids::AccountId,
    store::{
        TaskCounts, TaskQuery, TaskRow, TaskSeen, TaskState,
        rules::{KEPT_DONE, KEPT_ROWS},
    },
};

const ENQUEUE: &str = "INSERT INTO cache_tasks (uuid, account, kind, tool, args, dedup, priority, created_at, changed_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) ON CONFLICT DO NOTHING";
const NEXT: &str = "SELECT uuid, account, kind, tool, args, dedup, priority, created_at, id FROM cache_tasks
    WHERE state = 0 ORDER BY priority, created_at, id LIMIT 1";
const RUN: &str = "UPDATE cache_tasks SET state = 1, changed_at = ?2 WHERE id = ?1";
const DONE: &str = "UPDATE cache_tasks SET state = 3, changed_at = ?2 WHERE uuid = ?1 AND state = 1 RETURNING id";
const FAILED: &str = "UPDATE cache_tasks SET state = 2, failure = ?2, changed_at = ?3 WHERE uuid = ?1 AND state = 1 RETURNING id";
const PRUNE: &str = "DELETE FROM cache_tasks WHERE id <= ?1 AND state = ?2";
const REQUEUE: &str = "UPDATE cache_tasks SET state = 0 WHERE state = 1";
const COUNT: &str = "SELECT count(*) FROM cache_tasks WHERE state = ?1";
/// Ended tasks are pruned, so that those kept are few enough to be looked through.
const SEEN: &str = "SELECT uuid, account, kind, tool, args, dedup, priority, created_at, id, state, changed_at, failure FROM cache_tasks
    WHERE id > 0 AND (?1 IS NULL OR account = ?1) AND (?2 IS NULL OR state = ?2) ORDER BY id DESC LIMIT ?3";
const ONE: &str = "SELECT uuid, account, kind, tool, args, dedup, priority, created_at, id, state, changed_at, failure FROM cache_tasks
    WHERE uuid = ?1";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[ENQUEUE, NEXT, RUN, DONE, FAILED, PRUNE, REQUEUE, COUNT, SEEN, ONE];

/// Queues a task unless one like it is queued or running.
pub(super) fn enqueue(db: &mut Db, task: &TaskRow) -> Result<bool, StoreError> {
    let row = (&task.id, task.account.as_str(), &task.kind, &task.tool, &task.args, &task.dedup, task.priority, task.created_at.0);
    Ok(db.run(ENQUEUE, row)? > 0)
}

fn read(row: &Row<'_>) -> rusqlite::Result<(i64, TaskRow)> {
    let task = TaskRow {
        id: row.get(0)?,
        account: AccountId::new(row.get::<_, String>(1)?),
        kind: row.get(2)?,
        tool: row.get(3)?,
        args: row.get(4)?,
        dedup: row.get(5)?,
        priority: row.get(6)?,
        created_at: Timestamp(row.get(7)?),
    };
    Ok((row.get(8)?, task))
}

/// Takes the most urgent queued task.
pub(super) fn claim(db: &mut Db, now: Timestamp) -> Result<Option<TaskRow>, StoreError> {
    let Some((id, task)) = db.one(NEXT, (), read)? else { return Ok(None) };
    db.run(RUN, (id, now.0))?;
    Ok(Some(task))
}

/// Ends a running task. One that is gone (its account was removed meanwhile) is none's business any more.
pub(super) fn settle(db: &mut Db, id: &str, result: &Result<(), String>, now: Timestamp) -> Result<(), StoreError> {
    match result {
        Ok(()) => {
            let row = db.one(DONE, (id, now.0), |row| row.get::<_, i64>(0))?;
            prune(db, row, KEPT_DONE, TaskState::Completed)
        }
        Err(reason) => {
            let row = db.one(FAILED, (id, reason, now.0), |row| row.get::<_, i64>(0))?;
            prune(db, row, KEPT_ROWS, TaskState::Failed)
        }
    }
}

/// Drops tasks that ended so and are far behind `row`.
fn prune(db: &mut Db, row: Option<i64>, keep: usize, ended: TaskState) -> Result<(), StoreError> {
    let Some(row) = row else { return Ok(()) };
    db.run(PRUNE, (row - i64::try_from(keep).unwrap_or(i64::MAX), number(ended))).map(drop)
}

/// How the table spells a state.
fn number(state: TaskState) -> i64 {
    match state {
        TaskState::Queued => 0,
        TaskState::Running => 1,
        TaskState::Failed => 2,
        TaskState::Completed => 3,
    }
}

/// Tasks as they stand.
pub(super) fn seen(db: &mut Db, query: &TaskQuery) -> Result<Vec<TaskSeen>, StoreError> {
    let all = [TaskState::Queued, TaskState::Running, TaskState::Failed, TaskState::Completed];
    let read = |row: &Row<'_>| {
        let (_, task) = read(row)?;
        let stands = row.get::<_, i64>(9)?;
        let Some(state) = all.into_iter().find(|known| number(*known) == stands) else { return Ok(None) };
        Ok(Some(TaskSeen { task, state, changed_at: Timestamp(row.get(10)?), failure: row.get(11)? }))
    };
    let rows = match &query.id {
        Some(id) => db.all(ONE, [id], read)?,
        None => {
            let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
            db.all(SEEN, (query.account.as_ref().map(AccountId::as_str), query.state.map(number), limit), read)?
        }
    };
    Ok(rows.into_iter().flatten().filter(|seen| query.asks_for(seen)).take(query.limit).collect())
}

/// Puts running tasks back.
pub(super) fn requeue(db: &mut Db) -> Result<u64, StoreError> {
    Ok(u64::try_from(db.run(REQUEUE, ())?).unwrap_or(u64::MAX))
}

/// Tasks by state.
pub(super) fn counts(db: &mut Db) -> Result<TaskCounts, StoreError> {
    let count = |state: i64| Ok::<_, StoreError>(db.one(COUNT, [state], |row| row.get::<_, i64>(0))?.unwrap_or(0).cast_unsigned());
    Ok(TaskCounts { queued: count(0)?, running: count(1)?, failed: count(2)? })
}
