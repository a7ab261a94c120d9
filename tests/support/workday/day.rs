//! The day with the cache: agents and others take their turns, and everything is written down.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use anyhow::Context as _;
use m365_cached_tenant::Stats;
use serde_json::{Value, json};

use super::{
    Plan,
    script::{AGENTS, Chance, Deed, Move, Style, conversation, deeds},
    world,
};
use crate::support::{
    mcp::{Era, Mcp},
    stopwatch,
    world::{ALEX, BEA, CASEY, World},
};

/// Names of the accounts, in the order in which scripts number them.
pub(super) const USERS: [&str; 3] = [ALEX, BEA, CASEY];
/// So many looks in a row that find nothing to do: what the daemon decides after a call, it decides within them.
const IDLE: usize = 10;
/// How long a refresh may take before the day goes on without it.
const REFRESHED: Duration = Duration::from_secs(5);

/// A day as it was.
#[derive(Debug)]
pub(super) struct Played {
    /// Ids of the accounts.
    pub(super) ids: Vec<String>,
    /// In order; no two at one moment.
    pub(super) steps: Vec<Step>,
    /// Requests to Graph.
    pub(super) graph: Stats,
    /// The same by what they were for.
    pub(super) purposes: BTreeMap<&'static str, u64>,
    /// By route, those that nobody asked for.
    pub(super) ahead: BTreeMap<String, u64>,
}

/// What requests are for: writes, reads that were waited for, refreshes of what was stale when it was served, and all that nobody asked for.
const PURPOSES: [&str; 4] = ["write", "miss", "refresh", "ahead"];

/// One thing that happened.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Milliseconds since 1970.
    pub(super) at: i64,
    pub(super) what: What,
}

/// What happened.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// An agent asked.
    Read { question: Question, heard: Heard },
    /// An agent changed something; the account by number.
    Write { account: usize, tool: &'static str, args: Value },
    /// Somebody else did.
    Others(Value),
    /// Only time went on: what was to be done had no object.
    Nothing,
}

/// A question; equal ones are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question {
    pub(super) tool: &'static str,
    /// Canonical JSON text of the arguments, `account_id` among them.
    pub(super) args: String,
    pub(super) account: usize,
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    /// `_cache_status`; none of a tool that is never cached, or of a failure.
    pub(super) status: Option<String>,
    /// `_cached_at`, in milliseconds.
    pub(super) since: i64,
    /// Without what says how it came about.
    pub(super) content: Value,
}

/// What an answer says, without how it came about: a cursor names a snapshot, which each fetch makes anew.
pub(super) fn content(mut answer: Value) -> Value {
    if let Some(members) = answer.as_object_mut() {
        members
            .retain(|name, _| !["_cache_status", "_cached_at", "_warning", "next_cursor", "_untrusted", "_end"].contains(&name.as_str()));
    }
    answer
}

struct Agent {
    style: Style,
    client: Mcp,
    chance: Chance,
    /// When it does its next move, in milliseconds after the day's beginning.
    wakes: i64,
    account: usize,
    moves: VecDeque<Move>,
    begun: bool,
    /// Ids of what it has seen in this conversation, by list.
    seen: BTreeMap<&'static str, Vec<String>>,
    asked: Vec<(&'static str, Value)>,
}

/// Words the day is about, the most popular first.
const TOPICS: [&str; 8] = ["budget", "report", "meeting", "project", "invoice", "the", "plan", "offer"];

impl Agent {
    /// The next call, unless what it is about was never seen.
    fn next(&mut self) -> Option<(&'static str, Value)> {
        let call = match self.moves.pop_front()? {
            Move::Ask(tool, args) => (tool, args),
            Move::Search(tool, mut args) => {
                args["query"] = TOPICS[self.chance.popular(TOPICS.len())].into();
                (tool, args)
            }
            Move::Of { tool, argument, list, number, more } => {
                let seen = self.seen.get(list).filter(|seen| !seen.is_empty())?;
                let mut args = more;
                args[argument] = seen[number % seen.len()].clone().into();
                (tool, args)
            }
            Move::Again(back) => {
                let at = self.asked.len().checked_sub(back)?;
                self.asked[at].clone()
            }
        };
        Some(call)
    }

    fn learn(&mut self, answer: &Value) {
        for list in ["messages", "events", "contacts", "folders", "items"] {
            let Some(found) = answer[list].as_array() else { continue };
            let ids = |items: &mut dyn Iterator<Item = &Value>| {
                items.filter_map(|item| item["id"].as_str()).map(str::to_owned).collect::<Vec<_>>()
            };
            self.seen.insert(list, ids(&mut found.iter()));
            if list == "items" {
                let folders = ids(&mut found.iter().filter(|item| item["type"] == "folder"));
                if !folders.is_empty() {
                    self.seen.insert("folders_seen", folders);
                }
            }
        }
    }
}

/// Whether a tool of the script changes something.
fn writes(tool: &str) -> bool {
    ["email_mark_read", "email_move", "email_reply", "calendar_create_event", "folder_create"].contains(&tool)
}

/// Plays it.
pub(super) fn play(plan: Plan) -> anyhow::Result<Played> {
    let world = world(true)?;
    let start = world.control().clock().ms;
    let length = i64::try_from(plan.length.as_millis())?;
    let mut agents = Vec::new();
    for (number, style) in AGENTS.into_iter().enumerate() {
        let mut chance = Chance::new(plan.seed, u64::try_from(number)?);
        // The first one begins the day, the others come within half an hour.
        let wakes = if number == 0 { 60_000 } else { chance.between(60_000, 1_800_000) };
        agents.push(Agent {
            style,
            client: world.client(Era::Legacy)?,
            chance,
            wakes,
            account: style.accounts[0],
            moves: VecDeque::new(),
            begun: false,
            seen: BTreeMap::new(),
            asked: Vec::new(),
        });
    }
    let mut others: VecDeque<Deed> = deeds(plan.seed, length).into();
    let mut steps: Vec<Step> = Vec::new();
    let mut watcher = world.client(Era::Legacy)?;
    world.control().reset_stats();
    let (mut purposes, mut asked) = (BTreeMap::new(), BTreeMap::<String, u64>::new());
    let mut now = 0;
    loop {
        let next = agents.iter().enumerate().min_by_key(|(_, agent)| agent.wakes).map(|(number, agent)| (agent.wakes, number));
        let (wakes, number) = next.context("nobody is there")?;
        let deed = others.front().map(|deed| deed.at).filter(|at| *at <= wakes);
        let at = deed.unwrap_or(wakes).max(now + 1000);
        if at >= length {
            break;
        }
        now = at;
        world.advance(Duration::from_millis(u64::try_from(start + at - world.control().clock().ms)?))?;
        // What the clock woke is done before anything else happens.
        quiet(&world, &mut watcher)?;
        if deed.is_some() {
            let what = match others.pop_front().map(|deed| change(&world, &deed)).transpose()?.flatten() {
                Some(change) => {
                    world.control().change(&change)?;
                    What::Others(change)
                }
                None => What::Nothing,
            };
            steps.push(Step { at: start + at, what });
            quiet(&world, &mut watcher)?;
            continue;
        }
        let agent = &mut agents[number];
        if agent.moves.is_empty() {
            converse(agent);
        }
        let before = world.control().stats();
        let what = match agent.next() {
            Some((tool, args)) => act(&world, agent, tool, args)?,
            None => What::Nothing,
        };
        let purpose = match &what {
            What::Write { .. } => PURPOSES[0],
            What::Read { heard, .. } if heard.status.as_deref() == Some("stale") => PURPOSES[2],
            _ => PURPOSES[1],
        };
        let after = world.control().stats();
        *purposes.entry(purpose).or_default() += after.requests - before.requests;
        for (route, count) in after.routes {
            *asked.entry(route.clone()).or_default() += count - before.routes.get(&route).copied().unwrap_or_default();
        }
        steps.push(Step { at: start + at, what });
        quiet(&world, &mut watcher)?;
        agent.wakes = now
            + match agent.moves.is_empty() {
                false => agent.chance.between(4_000, 30_000),
                true => pause(agent, now, plan.pace),
            };
    }
    let graph = world.control().stats();
    purposes.insert(PURPOSES[3], graph.requests - purposes.values().sum::<u64>());
    let mut ahead = graph.routes.clone();
    ahead.iter_mut().for_each(|(route, count)| *count -= asked.get(route).copied().unwrap_or_default());
    ahead.retain(|_, count| *count > 0);
    Ok(Played { ids: world.ids.clone(), steps, graph, purposes, ahead })
}

/// Begins a conversation: nothing is known from the last one.
fn converse(agent: &mut Agent) {
    agent.account = agent.style.accounts[agent.chance.popular(agent.style.accounts.len())];
    agent.moves = conversation(agent.style, !agent.begun, &mut agent.chance);
    agent.begun = true;
    agent.seen.clear();
    agent.asked.clear();
}

/// Until the next conversation: 4 to 25 minutes; an hour at noon, which is three hours and a half after the day's beginning.
fn pause(agent: &mut Agent, now: i64, pace: f64) -> i64 {
    const NOON: std::ops::Range<i64> = 12_600_000..16_200_000;
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "minutes in milliseconds")]
    let pause = (agent.chance.between(240_000, 1_500_000) as f64 / pace) as i64;
    if NOON.contains(&(now + pause)) { NOON.end - now + agent.chance.between(0, 600_000) } else { pause }
}

fn act(world: &World, agent: &mut Agent, tool: &'static str, mut args: Value) -> anyhow::Result<What> {
    if tool != "account_list" {
        args["account_id"] = world.ids[agent.account].clone().into();
    }
    if writes(tool) {
        // A refusal, such as of an item that has gone meanwhile, is part of the day.
        agent.client.call(tool, &args)?;
        return Ok(What::Write { account: agent.account, tool, args });
    }
    let mut bare = args.clone();
    if let Some(members) = bare.as_object_mut() {
        members.remove("account_id");
    }
    agent.asked.push((tool, bare));
    let question = Question { tool, args: args.to_string(), account: agent.account };
    let heard = heard(&mut agent.client, tool, &args)?;
    agent.learn(&heard.content);
    // A stale answer is refreshed in the background, at this very moment of the stopped clock; nobody counts the asking again.
    if heard.status.as_deref() == Some("stale") {
        let deadline = stopwatch::now() + REFRESHED;
        while self::heard(&mut agent.client, tool, &args)?.status.as_deref() == Some("stale") && stopwatch::now() < deadline {}
    }
    Ok(What::Read { question, heard })
}

/// Asks.
pub(super) fn heard(client: &mut Mcp, tool: &str, args: &Value) -> anyhow::Result<Heard> {
    let answer: Value = serde_json::from_str(&client.call(tool, args)?.text)?;
    let status = answer["_cache_status"].as_str().map(str::to_owned);
    let since = answer["_cached_at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok()).map_or(0, jiff::Timestamp::as_millisecond);
    Ok(Heard { status, since, content: content(answer) })
}

/// Waits until nothing is due and nobody asks Graph, several looks in a row, so that a day happens in one order.
fn quiet(world: &World, watcher: &mut Mcp) -> anyhow::Result<()> {
    let deadline = stopwatch::now() + REFRESHED;
    let mut idle = 0;
    while idle < IDLE && stopwatch::now() < deadline {
        let mut due = |status: &str| -> anyhow::Result<bool> {
            let tasks = watcher.call("cache_task_list", &json!({ "status": status, "limit": 500 }))?.json()?;
            // One that waits for its time is woken by the clock.
            Ok(tasks["tasks"].as_array().is_some_and(|tasks| tasks.iter().any(|task| task["not_before"].is_null())))
        };
        let busy = due("running")? || due("queued")? || !world.control().stats().running.is_empty();
        idle = if busy { 0 } else { idle + 1 };
    }
    Ok(())
}

/// What a deed is, in the tenant as it is now; `None` when there is nothing it could be about.
fn change(world: &World, deed: &Deed) -> anyhow::Result<Option<Value>> {
    let user = USERS[deed.account];
    let topic = TOPICS[deed.lot % TOPICS.len()];
    let rows = |kind: &str, fits: &dyn Fn(&Value) -> bool| -> anyhow::Result<Vec<String>> {
        let dump = world.control().dump(Some(user), Some(kind))?;
        let rows = dump["users"][0][kind].as_array().context("no such kind")?;
        Ok(rows.iter().filter(|row| fits(row)).filter_map(|row| row["id"].as_str()).map(str::to_owned).collect())
    };
    // Newest first: people deal with what came last.
    let pick = |ids: Vec<String>, most: usize| ids.get(deed.lot % ids.len().min(most).max(1)).cloned();
    let number = deed.lot % 10_000;
    Ok(match deed.verb {
        "new_message" => Some(json!({
            "verb": "new_message", "user": user, "subject": format!("About the {topic} ({number})"),
            "from": format!("person{}@fabrikam.example", deed.lot % 30), "body": format!("<p>Please look at the {topic}.</p>"),
        })),
        "read" => pick(rows("messages", &|row| row["isRead"] == false)?, 20)
            .map(|id| json!({"verb": "update_message", "user": user, "id": id, "isRead": true})),
        "delete" => {
            pick(rows("messages", &|row| row["isRead"] == true)?, 40).map(|id| json!({"verb": "delete_message", "user": user, "id": id}))
        }
        "new_event" => {
            let (day, hour) = (20 + deed.lot % 9, 8 + deed.lot % 10);
            let time = |minute: usize| json!({"dateTime": format!("2026-11-{day}T{hour:02}:{minute:02}:00"), "timeZone": "UTC"});
            Some(json!({"verb": "new_event", "user": user, "subject": format!("Talk on the {topic}"), "start": time(0), "end": time(30)}))
        }
        "update_event" => pick(rows("events", &|row| row["type"] == "singleInstance")?, 40)
            .map(|id| json!({"verb": "update_event", "user": user, "id": id, "subject": format!("Moved: {topic}")})),
        "new_file" => Some(json!({"verb": "new_file", "user": user, "name": format!("{topic}-{number}.txt"), "content": topic})),
        _ => pick(rows("driveItems", &|row| row["file"].is_object())?, 40)
            .map(|id| json!({"verb": "write_file", "user": user, "id": id, "content": format!("{topic} {number}")})),
    })
}
