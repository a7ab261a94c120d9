//! Tasks of the background queue as clients see them: what was asked for and what became of it, never what was answered.

use serde_json::{Map, Value, json};

use super::{Answer, CallError, Engine};
use crate::{
    store::{TaskQuery, TaskSeen, TaskState},
    tools::{Args, StepError},
};

impl Engine {
    /// The answer of `cache_task_get_status`.
    pub(super) async fn task_status(&self, id: &str) -> Result<Answer, CallError> {
        let query = TaskQuery { id: Some(id.to_owned()), limit: 1, ..TaskQuery::default() };
        let hint = "`cache_task_list` shows the tasks there are; completed ones are kept for a while only.";
        let seen = self.ledger.tasks(query).await?.pop();
        let seen = seen.ok_or_else(|| StepError::user("unknown_task", "there is no task of that id", hint))?;
        Ok(Answer::plain(&shown(&seen)))
    }

    /// The answer of `cache_task_list`.
    pub(super) async fn task_list(&self, args: &Args) -> Result<Answer, CallError> {
        let account = args.text("account_id").map(|name| self.accounts.find(name)).transpose()?.map(|row| row.id.clone());
        let state = args.text("status").and_then(|word| STATES.into_iter().find(|state| word_of(*state) == word));
        let limit = args.count("limit");
        // One more tells whether there are more.
        let mut tasks = self.ledger.tasks(TaskQuery { id: None, account, state, limit: limit + 1 }).await?;
        let complete = tasks.len() <= limit;
        tasks.truncate(limit);
        Ok(Answer::plain(&json!({ "tasks": tasks.iter().map(shown).collect::<Vec<_>>(), "complete": complete })))
    }

    /// The answer of `cache_warming_status`: nothing warms the cache yet.
    pub(super) fn warming_status() -> Answer {
        Answer::plain(&json!({
            "is_warming": false,
            "status": "Nothing is fetched ahead of use. Stale answers are renewed in the background when they are used.",
            "operations_total": 0,
            "operations_completed": 0,
            "operations_skipped": 0,
            "operations_failed": 0,
            "progress_percent": 0,
            "started_at": null,
            "completed_at": null,
            "duration_seconds": null,
        }))
    }
}

const STATES: [TaskState; 4] = [TaskState::Queued, TaskState::Running, TaskState::Failed, TaskState::Completed];

fn word_of(state: TaskState) -> &'static str {
    match state {
        TaskState::Queued => "queued",
        TaskState::Running => "running",
        TaskState::Failed => "failed",
        TaskState::Completed => "completed",
    }
}

/// A task under the original's names. The original put the whole answer into `result`; here it stays in the cache, where it is sealed,
/// judged and forgotten.
fn shown(seen: &TaskSeen) -> Value {
    let task = &seen.task;
    let parameters: Map<String, Value> = serde_json::from_str(&task.args).unwrap_or_default();
    let since = |state: TaskState| (seen.state == state).then(|| seen.changed_at.rfc3339());
    let ended = since(TaskState::Completed).or_else(|| since(TaskState::Failed));
    let result = (seen.state == TaskState::Completed).then(|| format!("In the cache: call {} with these parameters.", task.tool));
    json!({
        "task_id": task.id,
        "account_id": task.account.as_str(),
        "operation": task.tool,
        "parameters": parameters.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>(),
        "priority": task.priority,
        "status": word_of(seen.state),
        // A task that failed is not tried again by itself: the next stale hit asks for a new one.
        "retry_count": 0,
        "created_at": task.created_at.rfc3339(),
        // Known for as long as it runs.
        "started_at": since(TaskState::Running),
        "completed_at": ended,
        "result": result,
        "error": Some(&seen.failure).filter(|failure| !failure.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Engine, Remote, testing};
    use super::*;
    use crate::{
        chance::SeededDice,
        clock::{ManualClock, Timestamp},
        ids::{AccountId, Caller, Urgency},
        store::{AccountRow, Ledger as _, Limits, Memory, TaskRow},
        tools::Steps,
    };

    /// No call of these tests gets as far as Microsoft.
    struct Nowhere;

    impl Remote for Nowhere {
        fn steps(&self, _: &AccountRow, _: Option<&str>, _: Urgency, _: Timestamp, _: Timestamp) -> Box<dyn Steps> {
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
        let caller = Caller { client: "test".into(), session: 1 };
        let answer = engine.call(&caller, tool, args.as_object().unwrap()).await?;
        Ok(serde_json::from_str(&answer.text()).unwrap())
    }

    fn task(number: i64) -> TaskRow {
        TaskRow {
            id: format!("id{number}"),
            account: AccountId::new(testing::ACCOUNT),
            kind: "refresh".into(),
            tool: "email_list".into(),
            args: r#"{"limit":5,"folder_id":null}"#.into(),
            dedup: format!("d{number}"),
            priority: 5,
            created_at: Timestamp(number),
        }
    }

    #[tokio::test]
    async fn tasks_are_shown_with_what_became_of_them_and_without_answers() {
        let (engine, memory) = engine().await;
        for number in 1..=4 {
            memory.enqueue(task(number)).await.unwrap();
        }
        for result in [Ok(()), Err("offline".to_owned())] {
            let claimed = memory.claim(Timestamp(60_000)).await.unwrap().unwrap();
            memory.settle_task(&claimed.id, result, Timestamp(61_000)).await.unwrap();
        }
        memory.claim(Timestamp(62_000)).await.unwrap();

        let done = call(&engine, "cache_task_get_status", json!({"task_id": "id1"})).await.unwrap();
        let expected = json!({
            "task_id": "id1", "account_id": testing::ACCOUNT, "operation": "email_list", "parameters": {"limit": 5}, "priority": 5,
            "status": "completed", "retry_count": 0, "created_at": "1970-01-01T00:00:00.001Z", "started_at": null,
            "completed_at": "1970-01-01T00:01:01.000Z", "result": "In the cache: call email_list with these parameters.", "error": null,
        });
        assert_eq!(done, expected);
        let list = call(&engine, "cache_task_list", json!({})).await.unwrap();
        let stands: Vec<&str> = list["tasks"].as_array().unwrap().iter().map(|task| task["status"].as_str().unwrap()).collect();
        assert_eq!((stands, &list["complete"]), (vec!["queued", "running", "failed", "completed"], &json!(true)));
        assert_eq!(list["tasks"][1]["started_at"], "1970-01-01T00:01:02.000Z");
        assert_eq!((&list["tasks"][2]["error"], &list["tasks"][2]["result"]), (&json!("offline"), &Value::Null));

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
