//! What answers and schemas cost a model: every list, asked for as a client does that gives no more than it must, in a large mailbox and
//! drive; and the catalogue, which stands before a model in every conversation.
//!
//! Counted as OpenAI's `o200k_base` counts; the vocabulary lies in the test's program. The tables are printed by
//! `cargo test -p m365-cached-checks --test main tokens -- --nocapture`.
#![expect(clippy::print_stdout, reason = "the tables are for people")]

use m365_cached_checks::support::{
    mcp::{Era, Mcp},
    world::{ALEX, BEA, Setup, World},
};
use m365_cached_tenant::{Options, seed::Size};
use serde_json::{Map, Value, json};

/// Most that a list may cost with default arguments.
const MOST: usize = 8_000;

/// Reads that are not lists: one item, one file, figures.
const SINGLE: [&str; 13] = [
    "cache_get_stats",
    "cache_task_get_status",
    "cache_warming_status",
    "calendar_get_event",
    "contact_export",
    "contact_get",
    "email_get",
    "emailfolders_get",
    "emailrules_get",
    "file_download_url",
    "file_get",
    "folder_get",
    "server_get_version",
];

/// Whole trees: as large as what is asked for.
const TREES: [&str; 2] = ["emailfolders_get_tree", "folder_get_tree"];

fn tokens(text: &str) -> usize {
    tiktoken_rs::o200k_base_singleton().encode_ordinary(text).len()
}

fn ask(client: &mut Mcp, tool: &str, given: &Value) -> String {
    let answer = client.call(tool, given).unwrap();
    assert!(!answer.is_error, "{tool} {given}: {}", answer.text);
    answer.text
}

/// What a client has to give, and nothing more.
fn needed(tool: &Value, world: &World, message: &str) -> Value {
    let names = tool["inputSchema"]["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let given = names.map(|name| {
        let value: Value = match name {
            "account_id" => world.ids[0].as_str().into(),
            // Found in nearly every text, so that a list is as long as it may be.
            "query" => "a".into(),
            "email_id" => message.into(),
            // Free and busy times are as many as the window has: a working day.
            "start" => "2026-11-23T08:00Z".into(),
            "end" => "2026-11-23T18:00Z".into(),
            "attendees" => json!([ALEX, BEA]),
            other => panic!("{} needs {other}: say what to give, or that it is no list", tool["name"]),
        };
        (name.to_owned(), value)
    });
    Value::from(given.collect::<Map<_, _>>())
}

#[test]
fn a_list_of_default_size_costs_at_most_8000_tokens() {
    let tenant = Options { size: Size::Large, ..Options::default() };
    // The next days are those of the tenant's calendar, whatever day it is here.
    let world = World::with(Setup { tenant, accounts: &[ALEX], stopped_clock: true, ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let listed = client.request("tools/list", json!({})).unwrap();
    let account = world.ids[0].as_str();
    let mail: Value = serde_json::from_str(&ask(&mut client, "email_list", &json!({"account_id": account, "limit": 50}))).unwrap();
    let with_files = mail["messages"].as_array().unwrap().iter().find(|message| message["hasAttachments"] == true).unwrap();
    let message = with_files["id"].as_str().unwrap();

    let reads = listed["result"]["tools"].as_array().unwrap().iter().filter(|tool| tool["annotations"]["readOnlyHint"] == true);
    let named = reads.map(|tool| (tool["name"].as_str().unwrap(), tool));
    let mut asked: Vec<(&str, Value)> = named
        .filter(|(name, _)| !SINGLE.contains(name) && !TREES.contains(name))
        .map(|(name, tool)| (name, needed(tool, &world, message)))
        .collect();
    // The top level of this mailbox has fewer folders than a list takes.
    asked.push(("emailfolders_list", json!({"account_id": account, "parent_folder_id": "inbox"})));
    assert!(asked.len() > 15, "{asked:?}");

    println!("{:<30} {:>6} {:>8} {:>7} {:>6}", "tool", "items", "bytes", "tokens", "each");
    let mut over = Vec::new();
    for (tool, given) in asked {
        let text = ask(&mut client, tool, &given);
        let answer: Value = serde_json::from_str(&text).unwrap();
        let items: usize = answer.as_object().unwrap().values().filter_map(Value::as_array).map(Vec::len).sum();
        let cost = tokens(&text);
        println!("{tool:<30} {items:>6} {:>8} {cost:>7} {:>6}", text.len(), cost.checked_div(items).unwrap_or_default());
        if cost > MOST {
            over.push((tool, cost));
        }
    }
    assert!(over.is_empty(), "over {MOST} tokens: {over:?}");
}

/// `m365-cachectl tools` estimates by bytes, so that it needs no vocabulary.
#[test]
fn the_estimate_of_what_schemas_cost_is_near() {
    let world = World::start().unwrap();
    let all = world.ctl_json(&["tools"]).unwrap();
    let text = |tool: &Value| {
        let word = |name: &str| tool[name].as_str().unwrap().to_owned();
        format!("{}{}{}", word("name"), word("description"), tool["input_schema"])
    };
    let cost: usize = all["tools"].as_array().unwrap().iter().map(|tool| tokens(&text(tool))).sum();
    let (bytes, estimated) = (all["schemas"]["bytes"].as_u64().unwrap(), all["schemas"]["tokens_estimated"].as_u64().unwrap());
    println!("schemas: {bytes} bytes, {cost} tokens, {estimated} estimated");
    let cost = u64::try_from(cost).unwrap();
    assert!(estimated.abs_diff(cost) * 10 < cost, "{estimated} is not near {cost}");
}
