//! Tasks of the background queue as clients see them: what was asked for and what became of it, never what was answered.

use serde_json::{Map, Value, json};

use super::{Answer, CallError, Engine};
use crate::{
    clock::Timestamp,
    queue::Progress,
    store::{Cancelled, TaskQuery, TaskSeen, TaskState, TaskTimes},
    tools::{Args, StepError},
};

impl Engine {
    /// The answer of `cache_task_get_status`.
    pub(super) async fn task_status(&self, id: &str) -> Result<Answer, CallError> {
        let query = TaskQuery { id: Some(id.to_owned()), limit: 1, ..TaskQuery::default() };
        let hint =
            "`cache_task_list`, at the shell `m365-cachectl tasks`, shows the tasks there are; completed ones are kept for a while only.";
        let seen = self.ledger.tasks(query).await?.pop();
        let seen = seen.ok_or_else(|| StepError::user("unknown_task", "there is no task of that id", hint))?;
        Ok(Answer::plain(&self.shown(&seen).await))
    }

    /// The answer of `cache_task_list`.
    pub(super) async fn task_list(&self, args: &Args) -> Result<Answer, CallError> {
        let account = args.text("account_id").map(|name| self.accounts.find(name)).transpose()?.map(|row| row.id.clone());
        let state = args.text("status").and_then(|word| TaskState::ALL.into_iter().find(|state| state.word() == word));
        let limit = args.count("limit");
        // One more tells whether there are more.
        let mut tasks = self.ledger.tasks(TaskQuery { id: None, account, state, limit: limit + 1 }).await?;
        let complete = tasks.len() <= limit;
        tasks.truncate(limit);
        let mut shown = Vec::with_capacity(tasks.len());
        for task in &tasks {
            shown.push(self.shown(task).await);
        }
        Ok(Answer::plain(&json!({ "tasks": shown, "complete": complete })))
    }

    /// Cancels a task, and shows how it stands then: one that was queued is cancelled; one that runs has been told, and its request to
    /// Microsoft ends.
    ///
    /// # Errors
    ///
    /// No task of that id, one that has ended, or a store that does not do its work.
    pub async fn cancel_task(&self, id: &str) -> Result<Answer, CallError> {
        match self.cancel(id).await? {
            Cancelled::Ended | Cancelled::Running | Cancelled::Unknown => {}
            Cancelled::Already(state) => {
                let message = format!("the task has ended: it is {}", state.word());
                return Err(StepError::user("task_ended", message, "Nothing is left to cancel.").into());
            }
        }
        self.task_status(id).await
    }

    /// A task as it is shown, with what the queue knows of its like. Without an estimate when the store does not tell.
    async fn shown(&self, seen: &TaskSeen) -> Value {
        let times = self.ledger.task_times(&seen.task.account, &seen.task.tool).await.unwrap_or_default();
        shown(seen, times, self.clock.now())
    }
}

/// A task under the original's names. The original put the whole answer into `result`; here it stays in the cache, where it is sealed,
/// judged and forgotten. What it promised and did not give (progress, when it was updated) is here, and an estimate.
fn shown(seen: &TaskSeen, times: Option<TaskTimes>, now: Timestamp) -> Value {
    let task = &seen.task;
    let parameters: Map<String, Value> = serde_json::from_str(&task.args).unwrap_or_default();
    let runs = seen.state == TaskState::Running;
    let result = (seen.state == TaskState::Completed).then(|| format!("In the cache: call {} with these parameters.", task.tool));
    let progress = seen.progress.as_ref().map(|progress| {
        let Progress { done, total, message } = progress;
        json!({ "done": done, "total": (*total > 0).then_some(*total), "percent": percent(*done, *total), "message": message })
    });
    let waits = seen.state == TaskState::Queued && task.not_before > now;
    json!({
        "task_id": task.id,
        "account_id": task.account.as_str(),
        "operation": task.tool,
        "kind": task.kind.word(),
        "parameters": parameters.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>(),
        "priority": task.priority,
        "status": seen.state.word(),
        "cancel_requested": seen.cancelling,
        "retry_count": seen.retries,
        "created_at": task.created_at.rfc3339(),
        "not_before": waits.then(|| task.not_before.rfc3339()),
        "started_at": seen.started_at.map(Timestamp::rfc3339),
        "updated_at": seen.changed_at.rfc3339(),
        "completed_at": seen.state.ended().then(|| seen.changed_at.rfc3339()),
        "progress": progress,
        "estimated_duration_seconds": times.map(|times| times.mean.as_secs_f64()),
        "estimated_completion": expected(seen, times, now).filter(|_| runs).map(Timestamp::rfc3339),
        "result": result,
        "result_entry": seen.result,
        "error": Some(&seen.failure).filter(|failure| !failure.is_empty()),
    })
}

/// Whole percents; `None` while the whole is not known.
fn percent(done: u64, total: u64) -> Option<u64> {
    done.min(total).saturating_mul(100).checked_div(total)
}

/// When a running task should be done: by its own pace when it tells one, else by what its like took. Never before now.
fn expected(seen: &TaskSeen, times: Option<TaskTimes>, now: Timestamp) -> Option<Timestamp> {
    let started = seen.started_at?;
    let whole = match &seen.progress {
        Some(Progress { done, total, .. }) if (1..=*total).contains(done) => {
            let factor = u32::try_from(*total).ok()?.checked_div(u32::try_from(*done).ok()?.max(1))?;
            now.since(started).saturating_mul(factor)
        }
        _ => times?.mean,
    };
    Some(started.plus(whole).max(now))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::super::{Engine, Remote, testing};
    use super::*;
    use crate::{
        chance::SeededDice,
        clock::{ManualClock, Timestamp},
        ids::{AccountId, Caller},
        store::{AccountRow, Beat, Claim, Ledger as _, Limits, Memory, TaskEnd, TaskKind, TaskRow},
        tools::Steps,
    };

    /// No call of these tests gets as far as Microsoft.
    struct Nowhere;

    impl Remote for Nowhere {
        fn steps(&self, _: &AccountRow, _: Option<&str>, _: &crate::graph::Hurry, _: Timestamp, _: Timestamp) -> Box<dyn Steps> {
            unreachable!("nothing is sent")
        }
    }

    async fn engine() -> (Arc<Engine>, Arc<Memory>) {
        let memory = Arc::new(Memory::new(Arc::new(SeededDice::new(3)), Limits::default()));
        memory.save_account(testing::account()).await.unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
        let engine = testing::engine(memory.clone(), memory.clone(), Arc::new(Nowhere), clock, Arc::new(SeededDice::new(7))).await;
        (engine, memory)
    }

    async fn call(engine: &Arc<Engine>, tool: &str, args: Value) -> Result<Value, CallError> {
        let caller = Caller { client: "test".into(), session: 1, ..Caller::default() };
        let answer = engine.call(&caller, tool, args.as_object().unwrap()).await?;
        Ok(serde_json::from_str(&answer.text()).unwrap())
    }

    fn task(number: i64) -> TaskRow {
        TaskRow {
            id: format!("id{number}"),
            account: AccountId::new(testing::ACCOUNT),
            kind: TaskKind::Refresh,
            tool: "email_list".into(),
            args: r#"{"limit":5,"folder_id":null}"#.into(),
            dedup: format!("d{number}"),
            priority: 5,
            created_at: Timestamp(number),
            not_before: Timestamp(0),
        }
    }

    #[tokio::test]
    async fn tasks_are_shown_with_what_became_of_them_and_without_answers() {
        let (engine, memory) = engine().await;
        for number in 1..=4 {
            memory.enqueue(task(number)).await.unwrap();
        }
        let claim = async |at: i64| {
            let Claim::Task(claimed) = memory.claim(Timestamp(at), Timestamp(at + 60_000), vec![]).await.unwrap() else { panic!("none") };
            claimed.lease
        };
        let done = TaskEnd::Completed { result: Some("e1".into()), took: Duration::from_secs(4) };
        for end in [done, TaskEnd::Failed { failure: "offline".into() }] {
            let lease = claim(60_000).await;
            memory.settle_task(lease, end, Timestamp(61_000)).await.unwrap();
        }
        let lease = claim(998_000).await;

        let done = call(&engine, "cache_task_get_status", json!({"task_id": "id1"})).await.unwrap();
        let expected = json!({
            "task_id": "id1", "account_id": testing::ACCOUNT, "operation": "email_list", "kind": "refresh", "parameters": {"limit": 5},
            "priority": 5, "status": "completed", "cancel_requested": false, "retry_count": 0, "created_at": "1970-01-01T00:00:00.001Z",
            "not_before": null, "started_at": "1970-01-01T00:01:00.000Z", "updated_at": "1970-01-01T00:01:01.000Z",
            "completed_at": "1970-01-01T00:01:01.000Z", "progress": null, "estimated_duration_seconds": 4.0, "estimated_completion": null,
            "result": "In the cache: call email_list with these parameters.", "result_entry": "e1", "error": null,
        });
        assert_eq!(done, expected);
        let list = call(&engine, "cache_task_list", json!({})).await.unwrap();
        let stands: Vec<&str> = list["tasks"].as_array().unwrap().iter().map(|task| task["status"].as_str().unwrap()).collect();
        assert_eq!((stands, &list["complete"]), (vec!["queued", "running", "failed", "completed"], &json!(true)));
        assert_eq!(list["tasks"][1]["started_at"], "1970-01-01T00:16:38.000Z");
        assert_eq!(list["tasks"][1]["estimated_completion"], "1970-01-01T00:16:42.000Z", "as long as its like took");
        assert_eq!((&list["tasks"][2]["error"], &list["tasks"][2]["result"]), (&json!("offline"), &Value::Null));
        let progress = Some(Progress { done: 1, total: 4, message: "pages".into() });
        memory.beat(Beat { lease, progress, until: Timestamp(2_000_000) }, Timestamp(999_000)).await.unwrap();
        let told = call(&engine, "cache_task_get_status", json!({"task_id": "id3"})).await.unwrap();
        assert_eq!(told["progress"], json!({"done": 1, "total": 4, "percent": 25, "message": "pages"}));
        assert_eq!(told["estimated_completion"], "1970-01-01T00:16:46.000Z", "a quarter took two seconds");

        let some = call(&engine, "cache_task_list", json!({"status": "failed", "account_id": "alex@contoso.example"})).await.unwrap();
        assert_eq!(some["tasks"].as_array().unwrap().len(), 1);
        let few = call(&engine, "cache_task_list", json!({"limit": 3})).await.unwrap();
        assert_eq!((few["tasks"].as_array().unwrap().len(), &few["complete"]), (3, &json!(false)));
        for (tool, wrong, code) in [
            ("cache_task_get_status", json!({"task_id": "nobody"}), "unknown_task"),
            ("cache_task_get_status", json!({}), "missing_argument"),
            ("cache_task_list", json!({"status": "lost"}), "invalid_argument"),
            ("cache_task_list", json!({"limit": 0}), "invalid_argument"),
            ("cache_task_list", json!({"account_id": "nobody"}), "unknown_account"),
        ] {
            use crate::hint::Hint as _;
            assert_eq!(call(&engine, tool, wrong.clone()).await.unwrap_err().code(), code, "{tool} {wrong}");
        }
    }

    #[tokio::test]
    async fn the_fields_of_the_original_are_there() {
        let (engine, _) = engine().await;
        let warming = call(&engine, "cache_warming_status", json!({})).await.unwrap();
        assert_eq!((&warming["is_warming"], &warming["operations_total"]), (&json!(false), &json!(0)));
        let stats = call(&engine, "cache_get_stats", json!({})).await.unwrap();
        for field in "entry_count total_bytes avg_bytes total_hits max_bytes usage_percent by_account by_resource total_size_bytes \
                      total_size_mb size_percentage miss_count hit_rate cleanup_triggered"
            .split_whitespace()
        {
            assert!(stats.get(field).is_some(), "{field}");
        }
    }

    #[tokio::test]
    async fn an_account_is_removed_with_consent_and_all_its_data() {
        let (engine, memory) = engine().await;
        memory.enqueue(task(1)).await.unwrap();
        let named = json!({"account_id": "Alex@contoso.example"});
        let Err(CallError::Unconfirmed(consent)) = call(&engine, "account_remove", named.clone()).await else { panic!("not asked") };
        assert_eq!((consent.argument, &consent.preview["risk"]), ("confirm", &json!("critical")));
        assert_eq!(engine.accounts().len(), 1);
        let gone = call(&engine, "account_remove", json!({"account_id": "Alex@contoso.example", "confirm": true})).await.unwrap();
        assert_eq!((&gone["status"], &gone["account_id"]), (&json!("removed"), &json!(testing::ACCOUNT)));
        assert!(engine.accounts().is_empty());
        assert_eq!(memory.accounts().await.unwrap(), vec![]);
        assert_eq!(call(&engine, "cache_task_list", json!({})).await.unwrap()["tasks"], json!([]));
        let Err(CallError::UnknownAccount { any: false }) = call(&engine, "account_remove", named).await else {
            panic!("it is still there")
        };
    }
}
