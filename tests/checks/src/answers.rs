//! What answers cost a model: ten questions of a working day, each beside what the same answer takes in the shapes of the original.
//!
//! Both come from the same daemon on the same mailbox; the second run has `compat = "m365-mcp"`: lists bare, the words of the cache in each
//! item, the original's limits, and bodies whole and in HTML, as the original sent them. Three things are left out in its favour: the original
//! sent everything twice (as text and as structured content), passed on whole objects of Graph where ours names fields, and had the tracking
//! images and styles still in its HTML. Tokens are those of OpenAI's `o200k_base`.

use std::fmt::Write as _;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use crate::support::{
    mcp::{Era, Mcp},
    world::{ALEX, Setup, World},
};

/// What the count can be told.
#[derive(Debug, Args)]
pub struct Options {
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// One question and what its answers cost.
#[derive(Debug, Serialize)]
pub struct Row {
    /// As a person asks it.
    question: &'static str,
    tool: &'static str,
    bytes: usize,
    /// Ours.
    pub tokens: usize,
    original_bytes: usize,
    original_tokens: usize,
    /// The original's tokens for one of ours.
    pub ratio: f64,
}

/// All questions.
#[derive(Debug, Serialize)]
pub struct Costs {
    /// One for each.
    pub rows: Vec<Row>,
    /// All together.
    pub ratio: f64,
}

/// Counts and prints; always good, the figures are for people and for the test that holds them.
///
/// # Errors
/// When it could not be carried through.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let costs = count()?;
    let text = if options.json { format!("{}\n", serde_json::to_string(&costs)?) } else { costs.table()? };
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())?;
    Ok(true)
}

/// A question, its tool, and its arguments besides the account.
type Question = (&'static str, &'static str, Value);

fn questions(message: &Value, event: &Value) -> [Question; 10] {
    [
        ("What is new in my inbox?", "email_list", json!({})),
        ("An overview of my last 50 messages", "email_list", json!({"limit": 50, "include_body": false})),
        ("Read this message to me", "email_get", json!({"email_id": message})),
        ("Find mail about the budget", "search_emails", json!({"query": "budget"})),
        ("Which mail folders have I?", "emailfolders_list", json!({})),
        ("What is on this week?", "calendar_list_events", json!({})),
        ("What is this meeting about?", "calendar_get_event", json!({"event_id": event})),
        ("What is Bea's number?", "search_contacts", json!({"query": "bea"})),
        ("What lies in my files?", "file_list", json!({})),
        ("Find the reports", "search_files", json!({"query": "report"})),
    ]
}

/// Asks everything in both shapes and counts.
///
/// # Errors
/// When a world cannot be set up or a call fails.
pub fn count() -> anyhow::Result<Costs> {
    // The tenant's calendar begins where its clock stands, whatever day it is here.
    let mut world = World::with(Setup { accounts: &[ALEX], stopped_clock: true, ..Setup::default() })?;
    let mut client = world.client(Era::Legacy)?;
    let account = world.ids[0].clone();
    let mut first = |tool: &str, list: &str| -> anyhow::Result<Value> {
        let answer: Value = serde_json::from_str(&ask(&mut client, &account, tool, &json!({"limit": 10}))?)?;
        let longest = answer[list].as_array().and_then(|items| items.iter().max_by_key(|item| item.to_string().len()));
        Ok(longest.with_context(|| format!("{tool} shows nothing"))?["id"].clone())
    };
    let (message, event) = (first("email_list", "messages")?, first("calendar_list_events", "events")?);
    let questions = questions(&message, &event);
    let ours = questions.each_ref().map(|(_, tool, given)| ask(&mut client, &account, tool, given));
    drop(client);
    world.stop_daemon()?;
    world.words.extend(["--set".to_owned(), "compat=m365-mcp".to_owned()]);
    world.start_daemon()?;
    let mut client = world.client(Era::Legacy)?;
    let mut rows = Vec::new();
    for ((question, tool, given), ours) in questions.iter().zip(ours) {
        let mut given = given.clone();
        if ["email_list", "email_get", "calendar_get_event"].contains(tool) && given.get("include_body") != Some(&false.into()) {
            given["body_format"] = "html".into();
            given["body_max_length"] = 50_000.into();
        }
        let (ours, theirs) = (ours?, ask(&mut client, &account, tool, &given)?);
        let (tokens, original_tokens) = (tokens(&ours), tokens(&theirs));
        let (bytes, original_bytes) = (ours.len(), theirs.len());
        rows.push(Row { question, tool, bytes, tokens, original_bytes, original_tokens, ratio: ratio(original_tokens, tokens) });
    }
    let sum = |of: fn(&Row) -> usize| rows.iter().map(of).sum();
    let ratio = ratio(sum(|row| row.original_tokens), sum(|row| row.tokens));
    Ok(Costs { rows, ratio })
}

fn ask(client: &mut Mcp, account: &str, tool: &str, given: &Value) -> anyhow::Result<String> {
    let mut given = given.clone();
    given["account_id"] = account.into();
    let answer = client.call(tool, &given)?;
    anyhow::ensure!(!answer.is_error, "{tool}: {}", answer.text);
    Ok(answer.text)
}

fn tokens(text: &str) -> usize {
    tiktoken_rs::o200k_base_singleton().encode_ordinary(text).len()
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of two digits")]
fn ratio(theirs: usize, ours: usize) -> f64 {
    (theirs as f64 / ours.max(1) as f64 * 100.0).round() / 100.0
}

impl Costs {
    fn table(&self) -> anyhow::Result<String> {
        let mut text = String::from(
            "| Question | Tool | Bytes | Tokens | Bytes, original's shape | Tokens | Ratio |\n|---|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let Row { question, tool, bytes, tokens, original_bytes, original_tokens, ratio } = row;
            writeln!(text, "| {question} | `{tool}` | {bytes} | {tokens} | {original_bytes} | {original_tokens} | {ratio:.2} |")?;
        }
        let sum = |of: fn(&Row) -> usize| self.rows.iter().map(of).sum::<usize>();
        let (ours, theirs) = (sum(|row| row.tokens), sum(|row| row.original_tokens));
        let (bytes, their_bytes) = (sum(|row| row.bytes), sum(|row| row.original_bytes));
        writeln!(text, "| all ten | | {bytes} | {ours} | {their_bytes} | {theirs} | {:.2} |", self.ratio)?;
        Ok(text)
    }
}
