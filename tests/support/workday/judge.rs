//! The day without the cache: what it costs, and what was true when.
//!
//! - A *contract violation* is an answer older than its tool's times allow for what it calls itself, or one that says anything else than a call
//!   past the cache said at the moment since which it claims to be true. At a moment at which something changed, both sides of it are true.
//! - A *contradiction* is an answer from before a write of ours that had been answered when it was given, although that write changed what the
//!   answer is about: past the cache, the same question had another answer after the write than before it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Context as _;
use serde_json::Value;

use super::{
    day::{Heard, Played, Question, Step, What, heard},
    figures::{Figures, ToolFigures, Wrong},
    world,
};
use crate::support::{
    mcp::{Era, Mcp},
    world::World,
};

/// A tool's times, as the catalogue states them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contract {
    /// The tool.
    pub tool: &'static str,
    /// Fresh until then, in seconds.
    pub fresh: i64,
    /// Served until then, in seconds.
    pub stale: i64,
}

const fn contract(tool: &'static str, fresh: i64, stale: i64) -> Contract {
    Contract { tool, fresh, stale }
}

/// The cached reads of the script. Written down a second time on purpose; a test holds it to the catalogue.
pub const CONTRACT: [Contract; 16] = [
    contract("email_list", 120, 600),
    contract("email_get", 900, 3600),
    contract("emailfolders_list", 900, 3600),
    contract("emailfolders_get", 900, 3600),
    contract("emailfolders_get_tree", 900, 3600),
    contract("calendar_list_events", 300, 1800),
    contract("calendar_get_event", 600, 3600),
    contract("contact_list", 1200, 7200),
    contract("contact_get", 1800, 14_400),
    contract("file_list", 600, 3600),
    contract("folder_get_tree", 1800, 7200),
    contract("search_emails", 60, 300),
    contract("search_contacts", 60, 300),
    contract("search_files", 60, 300),
    contract("search_unified", 60, 300),
    contract("search_events", 60, 300),
];

/// What is asked of a mailbox itself, its time zone above all. A call past our cache asks for it each time; a program without a cache would
/// remember it, so the day without the cache is not charged for it. The day with the cache is.
const FACTS: &str = "GET /me/mailboxSettings";

/// What is to be asked at one step, and by which answers.
#[derive(Default)]
struct Wanted {
    /// Of answers that claim to be true since then: the numbers of their steps.
    truth: BTreeMap<Question, Vec<usize>>,
    /// Of answers from before this write, given after it.
    older: BTreeMap<Question, Vec<usize>>,
}

/// Plays the day again past the cache, and judges.
pub(super) fn judge(played: &Played) -> anyhow::Result<Figures> {
    let mut figures = Figures::of(played);
    let wanted = wanted(played, &mut figures)?;
    let world = world(false)?;
    anyhow::ensure!(world.ids == played.ids, "the second tenant is another one");
    let mut asker = Asker { client: world.client(Era::Legacy)?, played, world };
    for (number, step) in played.steps.iter().enumerate() {
        let ahead = step.at - asker.world.control().clock().ms;
        asker.world.advance(Duration::from_millis(u64::try_from(ahead)?))?;
        let none = Wanted::default();
        let wanted = wanted.get(&number).unwrap_or(&none);
        match &step.what {
            What::Read { .. } | What::Nothing => {
                if let What::Read { question, .. } = &step.what {
                    figures.graph_calls_without_cache += asker.counted(|asker| asker.truth(question).map(drop))?;
                }
                let wrong = asker.untrue(&wanted.truth, &BTreeMap::new())?;
                figures.untrue(played, &wrong);
            }
            What::Write { .. } | What::Others(_) => {
                let before = asker.answers(wanted.truth.keys().chain(wanted.older.keys()))?;
                let cost = asker.counted(|asker| asker.again(&step.what))?;
                if matches!(step.what, What::Write { .. }) {
                    figures.graph_calls_without_cache += cost;
                }
                let wrong = asker.untrue(&wanted.truth, &before)?;
                figures.untrue(played, &wrong);
                let after = asker.answers(wanted.older.keys())?;
                let changed = wanted.older.iter().filter(|(question, _)| before.get(question) != after.get(question));
                let steps: BTreeSet<usize> = changed.flat_map(|(_, steps)| steps.iter().copied()).collect();
                figures.contradicted(played, &steps);
            }
        }
    }
    Ok(figures)
}

/// Sorts the answers by the steps they are to be compared at; what can be said of their age is said at once.
fn wanted(played: &Played, figures: &mut Figures) -> anyhow::Result<BTreeMap<usize, Wanted>> {
    let at: BTreeMap<i64, usize> = played.steps.iter().enumerate().map(|(number, step)| (step.at, number)).collect();
    anyhow::ensure!(at.len() == played.steps.len(), "two things happened at one moment");
    let mut wanted: BTreeMap<usize, Wanted> = BTreeMap::new();
    for (number, step) in played.steps.iter().enumerate() {
        let What::Read { question, heard } = &step.what else { continue };
        let Some(status) = heard.status.as_deref() else { continue };
        let contract = CONTRACT
            .iter()
            .find(|contract| contract.tool == question.tool)
            .with_context(|| format!("no contract for {}", question.tool))?;
        let age = step.at - heard.since;
        let allowed = match status {
            "fresh" => contract.fresh * 1000,
            "stale" => contract.stale * 1000,
            _ => 0,
        };
        if age < 0 || age > allowed {
            figures.wrong(played, &BTreeSet::from([number]), "is older than its contract allows");
        }
        // The clock of both stands still between the steps: nothing can be fetched at another time than one of theirs, but for what was warmed
        // before the first, when all was as it is then.
        let early = played.steps.first().is_some_and(|first| heard.since < first.at).then_some(&0);
        let Some(since) = at.get(&heard.since).or(early) else {
            figures.wrong(played, &BTreeSet::from([number]), "claims a moment that was none");
            continue;
        };
        wanted.entry(*since).or_default().truth.entry(question.clone()).or_default().push(number);
        for (write, other) in played.steps.iter().enumerate().take(number).skip(since + 1) {
            if matches!(&other.what, What::Write { account, .. } if *account == question.account) {
                wanted.entry(write).or_default().older.entry(question.clone()).or_default().push(number);
            }
        }
    }
    Ok(wanted)
}

struct Asker<'a> {
    /// Dropped before its world, which wants nobody left behind.
    client: Mcp,
    world: World,
    played: &'a Played,
}

impl Asker<'_> {
    /// What a question is answered past the cache, now.
    fn truth(&mut self, question: &Question) -> anyhow::Result<Value> {
        let mut args: Value = serde_json::from_str(&question.args)?;
        if CONTRACT.iter().any(|contract| contract.tool == question.tool) {
            args["use_cache"] = false.into();
        }
        Ok(heard(&mut self.client, question.tool, &args)?.content)
    }

    fn answers<'q>(&mut self, questions: impl Iterator<Item = &'q Question>) -> anyhow::Result<BTreeMap<Question, Value>> {
        let questions: BTreeSet<&Question> = questions.collect();
        questions.into_iter().map(|question| Ok((question.clone(), self.truth(question)?))).collect()
    }

    /// The steps whose answers are neither what is true now nor what `before` has.
    fn untrue(
        &mut self,
        wanted: &BTreeMap<Question, Vec<usize>>,
        before: &BTreeMap<Question, Value>,
    ) -> anyhow::Result<BTreeMap<usize, String>> {
        let mut untrue = BTreeMap::new();
        for (question, steps) in wanted {
            let said = |number: &usize| match self.played.steps.get(*number) {
                Some(Step { what: What::Read { heard: Heard { content, .. }, .. }, .. }) => Some(content),
                _ => None,
            };
            let left: Vec<usize> = steps.iter().filter(|number| said(number) != before.get(question)).copied().collect();
            if left.is_empty() {
                continue;
            }
            let truth = self.truth(question)?;
            for number in left {
                if let Some(difference) = said(&number).and_then(|said| difference(said, &truth)) {
                    untrue.insert(number, difference);
                }
            }
        }
        Ok(untrue)
    }

    /// Does what was done then.
    fn again(&mut self, what: &What) -> anyhow::Result<()> {
        match what {
            What::Write { tool, args, .. } => self.client.call(tool, args).map(drop),
            What::Others(change) => self.world.control().change(change).map(drop),
            What::Read { .. } | What::Nothing => Ok(()),
        }
    }

    /// Requests to Graph that `work` takes.
    fn counted(&mut self, work: impl FnOnce(&mut Self) -> anyhow::Result<()>) -> anyhow::Result<u64> {
        let requests = |asker: &Self| {
            let stats = asker.world.control().stats();
            stats.requests - stats.count(FACTS)
        };
        let before = requests(self);
        work(self)?;
        Ok(requests(self) - before)
    }
}

/// Whether both are times and name one moment: where the mailbox's zone does not come in time, an answer has it in UTC.
fn same_moment(left: &Value, right: &Value) -> bool {
    let moment = |value: &Value| value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    moment(left).is_some() && moment(left) == moment(right)
}

/// Where the two differ first, and what stands there.
fn difference(said: &Value, truth: &Value) -> Option<String> {
    match (said, truth) {
        (Value::Object(left), Value::Object(right)) => {
            let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            let inner = |name: &String| difference(left.get(name).unwrap_or(&Value::Null), right.get(name).unwrap_or(&Value::Null));
            names.into_iter().find_map(|name| inner(name).map(|inner| format!("/{name}{inner}")))
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let mut pairs = left.iter().zip(right).enumerate();
            pairs.find_map(|(at, (left, right))| difference(left, right).map(|inner| format!("/{at}{inner}")))
        }
        (Value::Array(left), Value::Array(right)) => Some(format!(" has {} and not {}", left.len(), right.len())),
        (left, right) if left == right || same_moment(left, right) => None,
        (left, right) => Some(format!(" is {left:.80} and not {right:.80}")),
    }
}

impl ToolFigures {
    /// Takes in one answer.
    pub(super) fn hear(&mut self, heard: &Heard, at: i64, ages: &mut Vec<i64>) {
        match heard.status.as_deref() {
            Some("fresh") => self.fresh += 1,
            Some("stale") => self.stale += 1,
            Some(_) => self.misses += 1,
            None => return,
        }
        if matches!(heard.status.as_deref(), Some("fresh" | "stale")) {
            ages.push(at - heard.since);
        }
    }
}

impl Wrong {
    /// For people who look for the reason.
    pub(super) fn of(step: &Step, start: i64, what: &str) -> Self {
        let (question, since) = match &step.what {
            What::Read { question, heard } => (format!("{} {}", question.tool, question.args), heard.since - start),
            _ => (String::new(), 0),
        };
        Self { question, at_ms: step.at - start, since_ms: since, what: what.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_differ_by_their_moment_and_all_else_by_its_letters() {
        let said = |at: &str| json!({"a": [{"modified": at}]});
        for (left, right, differ) in [
            ("2026-10-16T05:57:08Z", "2026-10-16T06:57:08+01:00", false),
            ("2026-10-16T05:57:08Z", "2026-10-16T05:57:08+01:00", true),
            ("one", "one", false),
            ("one", "One", true),
        ] {
            assert_eq!(difference(&said(left), &said(right)).is_some(), differ, "{left} {right}");
        }
        assert_eq!(difference(&json!([1]), &json!([1, 2])), Some(" has 1 and not 2".into()));
    }
}
