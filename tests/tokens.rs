//! What answers and schemas cost a model: every list, asked for as a client does that gives no more than it must, in a large mailbox and
//! drive; and the catalogue, which stands before a model in every conversation.
//!
//! Counted as OpenAI's `o200k_base` counts; the vocabulary lies in the test's program. The tables are printed by
//! `cargo test -p m365-cached-checks --test main tokens -- --nocapture`.
#![expect(clippy::print_stdout, reason = "the tables are for people")]

use m365_cached::{
    ids::ToolProfile,
    tools::{self, Offer},
};
use m365_cached_checks::answers;
use m365_cached_checks::support::{
    mcp::{Era, Mcp},
    world::{ALEX, BEA, Setup, World},
};
use m365_cached_proto::TOOL_PROFILES;
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
    let mut client = world.client_of(Era::Legacy, "full").unwrap();
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

/// Bytes and tokens of the ids of messages, events, contacts and files, in the middle, as answers show them.
fn ids(graph_ids: bool) -> Vec<(usize, usize)> {
    let world = World::with(Setup { accounts: &[ALEX], graph_ids, ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let lists = [("email_list", "messages"), ("calendar_list_events", "events"), ("contact_list", "contacts"), ("file_list", "items")];
    let middle = lists.map(|(tool, list)| {
        let answer: Value = serde_json::from_str(&ask(&mut client, tool, &json!({"account_id": world.ids[0]}))).unwrap();
        let mut costs: Vec<_> = answer[list].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
        costs.sort_by_key(|id| tokens(id));
        let id = costs[costs.len() / 2];
        (id.len(), tokens(id))
    });
    middle.into()
}

#[test]
fn a_handle_costs_a_fraction_of_an_id() {
    let (handles, graphs) = (ids(false), ids(true));
    println!("{:<10} {:>18} {:>18}", "", "handle", "Microsoft's id");
    println!("{:<10} {:>8} {:>9} {:>8} {:>9}", "", "bytes", "tokens", "bytes", "tokens");
    for ((name, ours), theirs) in ["message", "event", "contact", "file"].into_iter().zip(&handles).zip(&graphs) {
        println!("{name:<10} {:>8} {:>9} {:>8} {:>9}", ours.0, ours.1, theirs.0, theirs.1);
        assert!(ours.1 <= 5 && ours.1 * 4 <= theirs.1, "{name}: {ours:?} {theirs:?}");
    }
}

/// What a host puts before its model: name, description and schema, as compact JSON.
fn cost(tool: &Value) -> usize {
    let shown: Map<String, Value> =
        ["name", "description", "inputSchema"].into_iter().map(|name| (name.to_owned(), tool[name].clone())).collect();
    tokens(&Value::from(shown).to_string())
}

/// The counts that the programs show: no program carries the vocabulary. `UPDATE=1` writes them.
#[test]
fn the_table_of_tokens_is_true() {
    let made: String = tools::all()
        .map(|tool| {
            let [whole, short] = [ToolProfile::Full, ToolProfile::Essential].map(|profile| {
                let schema = Offer::new(profile, None).schema(tool, false);
                cost(&json!({"name": tool.name, "description": tool.description(), "inputSchema": schema}))
            });
            format!("{}\t{whole}\t{short}\n", tool.name)
        })
        .collect();
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../../src/tools/data/tokens.tsv");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(table, &made).unwrap();
    }
    let found = std::fs::read_to_string(table).unwrap();
    assert!(found == made, "src/tools/data/tokens.tsv is out of date: `UPDATE=1 cargo test -p m365-cached-checks --test main tokens`");
}

/// Most that the list of the usual profile may cost.
const ESSENTIAL: usize = 6_000;

#[test]
fn the_essential_tools_cost_at_most_6000_tokens() {
    let world = World::with(Setup::default()).unwrap();
    println!("{:<12} {:>5} {:>7} {:>7}", "profile", "tools", "tokens", "bytes");
    for profile in TOOL_PROFILES {
        let listed = world.client_of(Era::Modern, profile).unwrap().request("tools/list", json!({})).unwrap();
        let listed = listed["result"]["tools"].as_array().unwrap();
        let counted: usize = listed.iter().map(cost).sum();
        let told = world.ctl_json(&["tools", "--profile", profile, "--tokens"]).unwrap();
        let (tools, tokens, bytes) = (listed.len(), &told["tokens"], &told["bytes"]);
        println!("{profile:<12} {tools:>5} {tokens:>7} {bytes:>7}");
        assert_eq!((tokens, &told["profile"]), (&json!(counted), &json!(profile)), "what is told is what a client is shown");
        assert_eq!(told["tools"].as_array().unwrap().len(), tools);
        assert!(profile != TOOL_PROFILES[0] || counted <= ESSENTIAL, "essential: {counted} tokens");
    }
    let all = world.ctl_json(&["tools", "--tokens"]).unwrap();
    assert_eq!((all["profiles"].as_array().unwrap().len(), &all["configured"]), (TOOL_PROFILES.len(), &json!("essential")));
}

#[test]
fn answers_cost_less_than_in_the_shapes_of_the_original() {
    let costs = answers::count().unwrap();
    println!("{costs:#?}");
    assert_eq!(costs.rows.len(), 10);
    for row in &costs.rows {
        assert!(row.ratio >= 1.0, "{row:?}: what is around the answer costs more than is saved in it");
        assert!(row.tokens > 90, "{row:?}: nothing was found");
    }
    assert!(costs.ratio >= 3.0, "{}", costs.ratio);
}

/// What stands around an answer: how it came about, and the fence.
#[test]
fn provenance_costs_at_most_40_tokens() {
    let world = World::start().unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    for status in ["miss", "fresh"] {
        let text = ask(&mut client, "email_list", &json!({"account_id": world.ids[0], "limit": 1}));
        let (front, rest) = text.split_once("\"_untrusted\"").unwrap();
        assert!(front.contains(&format!("\"{status}\"")), "{front}");
        let (fence, rest) = rest.split_once("\"messages\"").unwrap();
        let (_, end) = rest.split_once("\"_end\"").unwrap();
        let (provenance, fence) = (tokens(front), tokens(&format!("\"_untrusted\"{fence}")) + tokens(&format!("\"_end\"{end}")));
        println!("{status}: provenance {provenance} tokens, fence {fence}");
        assert!(provenance <= 40 && fence <= 90, "provenance {provenance} tokens, fence and cursor {fence}: {text}");
    }
}

/// A budget is an estimate; it may be passed by a tenth.
#[test]
fn answers_keep_to_their_budget() {
    let tenant = Options { size: Size::Large, ..Options::default() };
    let world = World::with(Setup { tenant, accounts: &[ALEX], stopped_clock: true, ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let account = world.ids[0].as_str();
    for (tool, limit) in [
        ("email_list", 100),
        ("emailfolders_list", 250),
        ("calendar_list_events", 200),
        ("contact_list", 200),
        ("file_list", 500),
        ("search_emails", 100),
        ("search_files", 100),
        ("search_events", 100),
        ("search_contacts", 100),
        ("search_unified", 100),
        ("folder_get_tree", 0),
        ("emailfolders_get_tree", 0),
    ] {
        for budget in [800, 3_000] {
            let mut given = json!({"account_id": account, "max_tokens": budget});
            if limit > 0 {
                given["limit"] = limit.into();
            }
            if tool.starts_with("search") {
                given["query"] = "a".into();
            }
            let text = ask(&mut client, tool, &given);
            let answer: Value = serde_json::from_str(&text).unwrap();
            let cost = tokens(&text);
            let told = answer["next_cursor"].is_string() || answer["left_out"].as_object().is_some_and(|lists| !lists.is_empty());
            println!("{tool:<22} {budget:>5} {cost:>5} tokens, {} bytes", text.len());
            assert!(cost * 10 <= budget * 11, "{tool}: {cost} tokens for {budget}");
            assert!(answer["complete"] == true || told || limit == 0, "{tool}: cut without a word: {}", &text[..400.min(text.len())]);
        }
    }
}
