//! What a day came to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde::Serialize;

use super::{
    day::{Played, What},
    judge::CONTRACT,
};

/// Wrong answers that are named; more are only counted.
const NAMED: usize = 20;

/// The figures of a day.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// The share of cached reads that were answered from the cache, 0 to 1.
    pub hit_rate: f64,
    /// Requests to Graph with the cache, background ones and writes included.
    pub graph_calls: u64,
    /// Requests to Graph when every read goes past it.
    pub graph_calls_without_cache: u64,
    /// Answers older than their contract, or untrue at the moment they claim.
    pub contract_violations: u64,
    /// Answers from before a write of ours that changed them.
    pub contradictions: u64,
    /// Of the answers from the cache: half are no older than this, in seconds.
    pub age_p50_s: f64,
    /// And 99 of 100 no older than this.
    pub age_p99_s: f64,
    /// Calls of all kinds.
    pub calls: u64,
    /// Writes of the agents.
    pub writes: u64,
    /// Changes by others.
    pub changes_by_others: u64,
    /// By tool.
    pub tools: BTreeMap<String, ToolFigures>,
    /// Requests to Graph with the cache, by route.
    pub routes: BTreeMap<String, u64>,
    /// The same by what they were for: `write`, `miss`, `refresh` (of what was stale when it was served), `ahead` (all that nobody asked for).
    pub purposes: BTreeMap<&'static str, u64>,
    /// Those that nobody asked for, by route.
    pub routes_ahead: BTreeMap<String, u64>,
    /// The first wrong answers.
    pub wrong: Vec<Wrong>,
}

/// Of one tool.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub struct ToolFigures {
    /// Within the fresh time.
    pub fresh: u64,
    /// Past it, and refreshed.
    pub stale: u64,
    /// Fetched while the agent waited.
    pub misses: u64,
    /// Of these: nobody had asked it before, or not at this length.
    pub misses_first: u64,
    /// Of these: what was answered last had become too old to be served, whatever was written.
    pub misses_expired: u64,
    /// Of the others: a write of the agents to the same service of the account came since it was asked last.
    pub misses_after_write: u64,
}

/// A wrong answer.
#[derive(Debug, Serialize)]
pub struct Wrong {
    /// What was asked.
    pub question: String,
    /// When, in milliseconds after the day's beginning.
    pub at_ms: i64,
    /// Since when it claimed to be true.
    pub since_ms: i64,
    /// What is wrong with it.
    pub what: String,
}

#[expect(clippy::cast_precision_loss, reason = "shares and seconds, for people")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 10_000.0).round() / 10_000.0 }
}

/// The age below which `percent` of a hundred lie, in seconds.
#[expect(clippy::cast_precision_loss, reason = "seconds, for people")]
fn age(ages: &[i64], percent: usize) -> f64 {
    let at = (ages.len().saturating_sub(1)) * percent / 100;
    ages.get(at).map_or(0.0, |age| *age as f64 / 1000.0)
}

/// What a tool of the script is about.
fn service(tool: &str) -> &'static str {
    match tool.split('_').next() {
        Some("calendar") => "calendar",
        Some("contact") => "contacts",
        Some("file" | "folder") => "files",
        _ if tool == "search_files" => "files",
        _ if tool == "search_contacts" => "contacts",
        _ => "mail",
    }
}

/// Whether the account wrote to what `tool` reads after the step `before`.
fn is_later(wrote: &BTreeMap<(usize, &str), usize>, account: usize, tool: &str, before: usize) -> bool {
    let services = if tool == "search_unified" { vec!["mail", "calendar", "files"] } else { vec![service(tool)] };
    services.iter().any(|service| wrote.get(&(account, *service)).is_some_and(|wrote| *wrote > before))
}

/// How long an answer of `tool` is served, in milliseconds.
fn stale_ms(tool: &str) -> i64 {
    CONTRACT.iter().find(|contract| contract.tool == tool).map_or(i64::MAX, |contract| contract.stale * 1000)
}

impl Figures {
    /// What can be said without the second day.
    pub(super) fn of(played: &Played) -> Self {
        let (mut tools, mut ages) = (BTreeMap::<String, ToolFigures>::new(), Vec::new());
        let (mut calls, mut writes, mut others) = (0, 0, 0);
        let (mut asked, mut wrote) = (BTreeMap::new(), BTreeMap::new());
        for (number, step) in played.steps.iter().enumerate() {
            match &step.what {
                What::Read { question, heard } => {
                    calls += 1;
                    let tool = tools.entry(question.tool.to_owned()).or_default();
                    tool.hear(heard, step.at, &mut ages);
                    let before = asked.insert(question, (number, heard.since));
                    if heard.status.as_deref() == Some("miss") {
                        match before {
                            None => tool.misses_first += 1,
                            Some((_, since)) if step.at - since > stale_ms(question.tool) => tool.misses_expired += 1,
                            Some((before, _)) if is_later(&wrote, question.account, question.tool, before) => tool.misses_after_write += 1,
                            Some(_) => {}
                        }
                    }
                }
                What::Write { account, tool, .. } => {
                    (calls, writes) = (calls + 1, writes + 1);
                    wrote.insert((*account, service(tool)), number);
                }
                What::Others(_) => others += 1,
                What::Nothing => {}
            }
        }
        ages.sort_unstable();
        let (hits, misses) = tools.values().fold((0, 0), |(hits, misses), tool| (hits + tool.fresh + tool.stale, misses + tool.misses));
        Self {
            hit_rate: share(hits, hits + misses),
            graph_calls: played.graph.requests,
            graph_calls_without_cache: 0,
            contract_violations: 0,
            contradictions: 0,
            age_p50_s: age(&ages, 50),
            age_p99_s: age(&ages, 99),
            calls,
            writes,
            changes_by_others: others,
            tools,
            routes: played.graph.routes.clone(),
            purposes: played.purposes.clone(),
            routes_ahead: played.ahead.clone(),
            wrong: Vec::new(),
        }
    }

    pub(super) fn wrong(&mut self, played: &Played, steps: &BTreeSet<usize>, what: &str) {
        self.contract_violations += u64::try_from(steps.len()).unwrap_or(u64::MAX);
        self.name(played, steps, what);
    }

    /// Answers that say something else than was true, and where.
    pub(super) fn untrue(&mut self, played: &Played, steps: &BTreeMap<usize, String>) {
        for (step, difference) in steps {
            self.wrong(played, &BTreeSet::from([*step]), &format!("was not so ({difference})"));
        }
    }

    pub(super) fn contradicted(&mut self, played: &Played, steps: &BTreeSet<usize>) {
        self.contradictions += u64::try_from(steps.len()).unwrap_or(u64::MAX);
        self.name(played, steps, "is from before a write that changed it");
    }

    fn name(&mut self, played: &Played, steps: &BTreeSet<usize>, what: &str) {
        let start = played.steps.first().map_or(0, |step| step.at);
        for step in steps.iter().filter_map(|number| played.steps.get(*number)) {
            if self.wrong.len() < NAMED {
                self.wrong.push(Wrong::of(step, start, what));
            }
        }
    }

    /// The share of Graph calls that the cache spares, 0 to 1.
    #[must_use]
    pub fn spared(&self) -> f64 {
        share(self.graph_calls_without_cache.saturating_sub(self.graph_calls), self.graph_calls_without_cache)
    }

    /// For people.
    ///
    /// # Errors
    /// None that can happen.
    pub fn table(&self) -> anyhow::Result<String> {
        let mut out = String::new();
        writeln!(
            out,
            "{} calls of four agents, {} of them writes; {} changes by others\n",
            self.calls, self.writes, self.changes_by_others
        )?;
        writeln!(
            out,
            "{:<24} {:>7} {:>7} {:>7} {:>7}  of the misses: {:>7} {:>7} {:>11}",
            "tool", "fresh", "stale", "misses", "hits", "first", "too old", "after write"
        )?;
        for (name, tool) in &self.tools {
            let hits = tool.fresh + tool.stale;
            if hits + tool.misses > 0 {
                let rate = share(hits, hits + tool.misses) * 100.0;
                writeln!(
                    out,
                    "{name:<24} {:>7} {:>7} {:>7} {rate:>6.1}%                 {:>7} {:>7} {:>11}",
                    tool.fresh, tool.stale, tool.misses, tool.misses_first, tool.misses_expired, tool.misses_after_write
                )?;
            }
        }
        writeln!(out)?;
        writeln!(out, "hit rate               {:>8.2} %   (goal > 90)", self.hit_rate * 100.0)?;
        writeln!(
            out,
            "Graph calls            {:>8}     without the cache {}: {:.2} % fewer (goal > 85)",
            self.graph_calls,
            self.graph_calls_without_cache,
            self.spared() * 100.0
        )?;
        let by = self.purposes.iter().map(|(purpose, requests)| format!("{purpose} {requests}")).collect::<Vec<_>>().join(", ");
        writeln!(out, "  of them for          {by}")?;
        writeln!(out, "contract violations    {:>8}     (goal 0)", self.contract_violations)?;
        writeln!(out, "contradictions         {:>8}     (goal 0)", self.contradictions)?;
        write!(out, "age of cached answers  {:>8.1} s at the median, {:.1} s at the 99th percentile", self.age_p50_s, self.age_p99_s)?;
        for wrong in &self.wrong {
            write!(out, "\nwrong: {} at {} ms, since {} ms: {}", wrong.what, wrong.at_ms, wrong.since_ms, wrong.question)?;
        }
        Ok(out)
    }
}
