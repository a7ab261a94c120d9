//! `tasks`: what the daemon does in the background. With `--json` the answer is printed as the daemon wrote it.

use m365_cached_proto::v1::{CallToolRequest, CancelTaskRequest, Fault, Kind};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::context::{Context, answered, promptly};
use crate::output::{Paint, View};

/// Which background tasks.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  m365-cachectl tasks --status failed
  m365-cachectl tasks show 5f0c3c9e-7f7b-4f0e-a1d2-6a2d8a5b0c11
  m365-cachectl tasks cancel 5f0c3c9e-7f7b-4f0e-a1d2-6a2d8a5b0c11"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
    /// Only of this account: id, username or alias
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// Only those that are queued, running, completed, failed or cancelled
    #[arg(long)]
    pub(crate) status: Option<String>,
    /// Most tasks to list
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
}

/// What to do with one task.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Show one task
    #[command(after_help = "\
Example:
  m365-cachectl tasks show 5f0c3c9e-7f7b-4f0e-a1d2-6a2d8a5b0c11")]
    Show {
        /// Its id, as the list shows it
        id: String,
    },
    /// Cancel a task: a queued one at once; one that runs is told to end
    #[command(after_help = "\
Example:
  m365-cachectl tasks cancel 5f0c3c9e-7f7b-4f0e-a1d2-6a2d8a5b0c11")]
    Cancel {
        /// Its id, as the list shows it
        id: String,
    },
}

/// The answer of `cache_task_list`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct List(Value);

/// One task, as `cache_task_get_status` shows it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Task(Value);

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Fault> {
    match args.verb {
        None => {
            let arguments = json!({ "account_id": args.account, "status": args.status, "limit": args.limit });
            let list = ask(context, "cache_task_list", arguments).await?;
            context.output.show(&List(list));
        }
        Some(Verb::Show { id }) => {
            let task = ask(context, "cache_task_get_status", json!({ "task_id": id })).await?;
            context.output.show(&Task(task));
        }
        Some(Verb::Cancel { id }) => {
            let reply = promptly(context.admin().await?.cancel_task(CancelTaskRequest { task_id: id })).await?;
            context.output.show(&Task(read(&reply.task)?));
        }
    }
    Ok(())
}

async fn ask(context: &Context, tool: &str, arguments: Value) -> Result<Value, Fault> {
    let given: Map<String, Value> = arguments
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let request = CallToolRequest { name: tool.into(), arguments: Value::Object(given).to_string().into(), dry_run: false };
    read(&answered(context.tools().await?.call_tool(request).await)?.text)
}

fn read(text: &[u8]) -> Result<Value, Fault> {
    let broken = |error| Fault::new(Kind::Internal, "bad_answer", format!("the daemon's answer cannot be read: {error}"), "Report it.");
    serde_json::from_slice(text).map_err(broken)
}

/// A field in words; lists and numbers as JSON.
fn word(task: &Value, name: &str) -> String {
    match &task[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl View for List {
    fn text(&self, _paint: Paint) -> String {
        let tasks = self.0["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut text = String::new();
        for task in tasks {
            let line =
                [word(task, "task_id"), word(task, "status"), word(task, "operation"), word(task, "created_at"), word(task, "error")];
            text.push_str(line.join("  ").trim_end());
            text.push('\n');
        }
        match (tasks.is_empty(), self.0["complete"].as_bool()) {
            (true, _) => "no tasks\n".into(),
            (false, Some(false)) => text + "there are more: --limit\n",
            (false, _) => text,
        }
    }
}

impl View for Task {
    fn text(&self, _paint: Paint) -> String {
        let fields = self.0.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        fields.map(|(name, _)| format!("{name:<28}{}\n", word(&self.0, name))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_well() {
        let task = json!({
            "task_id": "t1", "status": "failed", "operation": "email_list", "created_at": "2026-11-20T09:00:00.000Z", "error": "throttled",
            "priority": 5, "started_at": null,
        });
        let list = List(json!({ "tasks": [task], "complete": false }));
        assert_eq!(list.text(Paint::OFF), "t1  failed  email_list  2026-11-20T09:00:00.000Z  throttled\nthere are more: --limit\n");
        assert_eq!(List(json!({ "tasks": [], "complete": true })).text(Paint::OFF), "no tasks\n");
        let one = Task(task).text(Paint::OFF);
        assert!(one.contains("status                      failed\n") && one.contains("priority                    5\n"), "{one}");
        assert!(!one.contains("started_at"), "{one}");
    }
}
