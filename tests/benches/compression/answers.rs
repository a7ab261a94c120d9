//! The answers that are measured: what the daemon stores of what three accounts of the demo tenant are asked.

use anyhow::Context as _;
use m365_cached::cache::Escaped;
use m365_cached_checks::support::{
    bins::{For, bins},
    mcp::{Era, Mcp},
    world::{ALEX, BEA, CASEY, Setup, World},
};
use m365_cached_tenant::{Options, seed::Size};
use serde_json::{Value, json};

/// One answer as it is stored.
pub(crate) struct Answer {
    pub(crate) tool: &'static str,
    /// Whether its messages are whole.
    whole: bool,
    pub(crate) text: Escaped,
}

/// What is measured together.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) holds: fn(&Answer) -> bool,
    /// Percent saved, at least.
    pub(crate) goal: Option<f64>,
}

/// Answers up to 4 KB are a kind of their own, with a goal of their own: what is in them does not repeat yet.
const SMALL: usize = 4096;

pub(crate) const KINDS: &[Kind] = &[
    Kind { name: "trees", holds: |answer| large(answer) && answer.tool.ends_with("_get_tree"), goal: Some(84.0) },
    Kind { name: "whole messages, one", holds: |answer| answer.tool == "email_get", goal: None },
    Kind { name: "whole messages, lists", holds: |answer| large(answer) && answer.tool == "email_list" && answer.whole, goal: Some(80.0) },
    Kind { name: "file lists", holds: |answer| large(answer) && ["file_list", "search_files"].contains(&answer.tool), goal: Some(75.0) },
    Kind { name: "text mail", holds: |answer| large(answer) && answer.tool == "email_list" && !answer.whole, goal: Some(70.0) },
    Kind { name: "events and contacts", holds: |answer| answer.tool.starts_with('c'), goal: None },
    Kind { name: "answers up to 4 KB", holds: |answer| !large(answer), goal: Some(60.0) },
];

fn large(answer: &Answer) -> bool {
    answer.text.0.len() > SMALL
}

/// Asks three accounts; `each` items of a kind one by one.
pub(crate) fn collect(each: usize) -> anyhow::Result<Vec<Answer>> {
    bins(For::Bench("compression"))?;
    // A mailbox and a drive of some years: lists are as long as they can be.
    let tenant = Options { size: Size::Large, ..Options::default() };
    let world = World::with(Setup { tenant, accounts: &[ALEX, BEA, CASEY], ..Setup::default() })?;
    let mut client = world.client(Era::Legacy)?;
    let mut found = Vec::new();
    for account in &world.ids {
        let mut ask = |tool: &'static str, more: Value| ask(&mut client, &mut found, account, tool, more);
        ask("folder_get_tree", json!({}))?;
        ask("emailfolders_get_tree", json!({}))?;
        ask("emailfolders_list", json!({}))?;
        for limit in [10, 25, 50, 200] {
            ask("file_list", json!({ "limit": limit }))?;
            ask("email_list", json!({ "limit": limit }))?;
            ask("email_list", json!({ "limit": limit, "folder": "sent" }))?;
            ask("email_list", json!({ "limit": limit, "body_max_length": 50_000 }))?;
            ask("email_list", json!({ "limit": limit, "body_max_length": 50_000, "body_format": "html" }))?;
        }
        for word in ["report", "budget", "plan"] {
            ask("search_files", json!({ "query": word }))?;
            ask("search_emails", json!({ "query": word }))?;
        }
        for days in [1, 7, 30] {
            ask("calendar_list_events", json!({ "days_ahead": days }))?;
        }
        let messages = ask("email_list", json!({ "limit": 200, "include_body": false }))?;
        for message in ids(&messages["messages"], each) {
            ask("email_get", json!({ "email_id": message }))?;
            ask("email_get", json!({ "email_id": message, "body_format": "html" }))?;
        }
        let contacts = ask("contact_list", json!({ "limit": 100 }))?;
        for contact in ids(&contacts["contacts"], each / 3) {
            ask("contact_get", json!({ "contact_id": contact }))?;
        }
        let folders = ask("folder_list", json!({ "limit": 50 }))?;
        for folder in ids(&folders["folders"], each / 3) {
            ask("file_list", json!({ "folder_id": folder }))?;
        }
    }
    Ok(found)
}

fn ids(list: &Value, most: usize) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|one| one["id"].as_str().map(str::to_owned)).take(most).collect()
}

/// Asks, keeps what is stored of the answer, and gives it.
fn ask(client: &mut Mcp, found: &mut Vec<Answer>, account: &str, tool: &'static str, mut question: Value) -> anyhow::Result<Value> {
    let whole = question.get("body_max_length").is_some();
    question["account_id"] = account.into();
    let answer = client.call(tool, &question)?;
    let value = answer.json()?;
    anyhow::ensure!(
        value["_cache_status"] == "miss" || value["_cache_status"] == "fresh",
        "{tool} was not cached: {}",
        value["_cache_status"]
    );
    // What says how the answer came about is set in front of what is stored.
    let at = answer.text.find("\"_cached_at\":\"").with_context(|| format!("{tool} says no time"))?;
    let stored = answer.text[at..].split_once("\",").with_context(|| format!("{tool} says nothing more"))?.1;
    found.push(Answer { tool, whole, text: Escaped::from_text(stored) });
    Ok(value)
}
