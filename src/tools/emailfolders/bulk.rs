//! One thing done to all messages of a folder, 20 in a `$batch`, with every failure told.
//!
//! A call does at most [`MOST`] messages, so that it ends within its deadline: a batch of 20 takes Exchange about a second. What is left is
//! said (`complete: false`), and the same call goes on with it. Which messages are touched is known only after they were listed, so both
//! writes touch all of the mailbox's mail; that keeps the promise even when the replies are lost.

use serde_json::{Value, json};

use super::{FOLDER, as_graph_names_it, one_folder};
use crate::{
    cache::{Service, Touch},
    graph::GraphRequest,
    ids::ToolProfile::Mail,
    tools::{
        Args, Asks, Does, Effect, Risk, StepError, Steps, Tool, Written,
        mailbox::at,
        shape::id,
        tool::{ACCOUNT, CONFIRM, MAILBOX},
    },
};

/// Messages done in one call.
const MOST: usize = 1_000;
/// Failures told one by one; beyond them only their number.
const TOLD: usize = 20;

const EFFECT: Effect = Effect::Write { service: Service::Mail };

pub(in crate::tools) const TOOLS: &[Tool] = &[
    Tool {
        name: "emailfolders_mark_all_as_read",
        title: "Mark a mail folder as read",
        profiles: &[Mail],
        help: "Marks the unread messages of one folder as read, up to 1,000 in a call. Returns status (completed, or partial when some \
               failed), messages_marked_read, failed with reasons, and complete=false when unread ones are left: then call again. \
               Folders inside it are not touched.",
        params: &[FOLDER, ACCOUNT, MAILBOX],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: true,
        asks: Asks::Never,
        canonical: Some(one_folder),
        does: Does::Write { touches: |_| vec![Touch::All], act: |steps, args| Box::pin(mark_all(steps, args)) },
    },
    Tool {
        name: "emailfolders_empty",
        title: "Empty a mail folder",
        profiles: &[Mail],
        help: "Deletes the messages of one folder, up to 1,000 in a call; not the folders inside it. They go to Deleted Items; from there \
               and from Junk they are gone. Returns status (completed, or partial when some failed), messages_deleted, failed with reasons, \
               and complete=false when some are left: then call again. Ask the user first.",
        params: &[FOLDER, ACCOUNT, CONFIRM, MAILBOX],
        effect: EFFECT,
        risk: Risk::Critical,
        idempotent: false,
        asks: Asks::Always,
        canonical: Some(one_folder),
        does: Does::Write { touches: |_| vec![Touch::All], act: |steps, args| Box::pin(empty(steps, args)) },
    },
];

async fn mark_all(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let mark = |message: &str| GraphRequest::patch(&at(args, &["messages", message]), json!({ "isRead": true })).repeatable();
    each(steps, args, Some("isRead eq false"), "messages_marked_read", &mark).await
}

async fn empty(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    // Sent once: with immutable ids a second deletion would find the message in Deleted Items, and destroy it there.
    let delete = |message: &str| GraphRequest::delete(&at(args, &["messages", message]));
    each(steps, args, None, "messages_deleted", &delete).await
}

/// Lists the messages and acts on each.
async fn each(
    steps: &dyn Steps,
    args: &Args,
    filter: Option<&str>,
    counted: &str,
    act: &(dyn Fn(&str) -> GraphRequest + Send + Sync),
) -> Result<Written, StepError> {
    let folder = args.text("folder_id").unwrap_or_default();
    let mut list = GraphRequest::get(&at(args, &["mailFolders", as_graph_names_it(folder), "messages"]))
        .with("$select", "id")
        .with("$top", MOST.to_string());
    if let Some(filter) = filter {
        list = list.with("$filter", filter);
    }
    let page = steps.pages(list, &|items| items.len() >= MOST).await.map_err(StepError::before)?;
    let more = page.next.is_some() || page.items.len() > MOST;
    let messages = page.items.iter().take(MOST).map(id).collect::<Result<Vec<_>, _>>().map_err(StepError::before)?;

    let results = steps.batch(messages.iter().map(|message| act(message)).collect()).await?;
    let mut done = 0usize;
    let mut failed: Vec<(&str, StepError)> = Vec::new();
    for (message, result) in messages.iter().zip(results) {
        match result {
            Ok(_) => done += 1,
            // Deleted by somebody else: there is nothing left to do.
            Err(error) if error.status == Some(404) => done += 1,
            Err(error) => failed.push((message, error)),
        }
    }
    // None was done, and all for one reason: an error, not a partial success.
    if done == 0
        && let Some((_, first)) = failed.first()
        && failed.iter().all(|(_, error)| told_code(error) == told_code(first))
    {
        return Err(failed.iter().map(|(_, error)| error).find(|error| !error.is_refusal()).unwrap_or(first).clone());
    }
    let told: Vec<Value> = failed
        .iter()
        .take(TOLD)
        .map(|(message, error)| json!({ "id": message, "code": told_code(error), "message": error.message }))
        .collect();
    let answer = json!({
        "status": if failed.is_empty() { "completed" } else { "partial" },
        "folder_id": folder,
        counted: done,
        "failed_count": failed.len(),
        "failed": told,
        "complete": !more && failed.is_empty(),
    });
    // What nobody knows of may still take effect.
    let late = failed.iter().any(|(_, error)| error.unknown_outcome);
    Ok(Written { answer, touches: Vec::new(), learned: Vec::new(), late })
}

/// Why a message was not done, in one word.
fn told_code(error: &StepError) -> &'static str {
    if error.unknown_outcome { "outcome_unknown" } else { error.code }
}

#[cfg(test)]
#[path = "bulk_tests.rs"]
mod tests;
