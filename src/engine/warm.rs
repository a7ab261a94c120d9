//! Warming: what is fetched ahead of use. Everything goes through the queue, as background work that makes way for calls.
//!
//! First the operations that are configured, for every account that is signed in (`round.rs`): the calls are those that clients make without
//! arguments, through the same check of arguments, so that they fill the very keys those clients look up. Then what is really used
//! (`habits.rs`), within a budget for each account and hour: an answer in use is renewed before it is too old to be served, and one that was
//! just used and that a write of ours has overtaken is fetched again at once, for who acts on what a list shows looks at the list again.
//! Nothing is kept for a restart: what was warmed is fresh then and is skipped.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Map, Value, json};
use tokio::sync::{Notify, futures::Notified, watch};

use super::{
    Answer, Call, Engine, find,
    habits::{GAP, Habits, InUse},
    queue::Ask,
    round::{Counts, Outcome, Round, Step},
    warm_up::WarmUp,
};
use crate::{
    auth::TokenState,
    cache::{CacheKey, EntryMeta, Mode, Scope, Verdict, extent, is_overtaken, judge, unsettled},
    clock::Timestamp,
    hint::{Hint, Kind},
    ids::AccountId,
    queue::{TaskEnd, TaskKind},
    store::EntryUse,
    tools::{Args, Effect, comes_along},
};

/// Renewals come after what somebody has asked for (5).
const RENEWAL: u8 = 6;
/// Renewals of what may come along with a list come after the renewal of the list, and have nothing to ask for when it did.
const AFTER_LISTS: Duration = Duration::from_secs(5);
/// Answers in use that are looked at; a budget of an hour is smaller.
const LOOKED_AT: usize = 200;

/// Whether an entry shows certain items, and is not about all of its service, as a search is: any write of the service overtakes that, and
/// fetching it again each time would cost more than it is asked for.
fn is_about_items(meta: &EntryMeta) -> bool {
    !meta.readings.iter().flat_map(|reading| &reading.scopes).any(Scope::is_of_searches)
}

/// `[warming]`, as values.
#[derive(Debug, Clone, Default)]
pub struct Warming {
    /// Whether anything is fetched ahead of use.
    pub enabled: bool,
    /// What each account begins with.
    pub operations: Vec<Operation>,
    /// Renewals of answers in use for each account and hour.
    pub renewals: u64,
}

/// A call to be made for every account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// A tool whose answers are cached.
    pub tool: String,
    /// Its arguments without the account.
    pub args: Map<String, Value>,
    /// 1 (first) to 10 (last).
    pub priority: u8,
    /// Pause between two accounts.
    pub throttle: Duration,
}

impl Operation {
    /// Whether the call can be made.
    ///
    /// # Errors
    ///
    /// Why not, for whoever wrote the settings.
    pub fn check(&self) -> Result<(), String> {
        let tool = find(&self.tool).map_err(|error| error.to_string())?;
        if !matches!(tool.effect, Effect::Read { ttl: Ok(_), .. }) {
            return Err(format!("answers of `{}` are not cached", self.tool));
        }
        let mut args = self.args.clone();
        args.insert("account_id".into(), "any".into());
        Args::check(tool, &args).map(drop).map_err(|error| error.to_string())
    }
}

/// How far a warm-up is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WarmingNow {
    /// Whether anything is fetched ahead of use.
    pub enabled: bool,
    /// The usual answers of each account are being fetched.
    pub running: bool,
    /// So many of them.
    pub total: u64,
    /// Fetched, or found fresh.
    pub done: u64,
    /// Not to be had.
    pub failed: u64,
}

/// The state of warming.
#[derive(Default)]
pub(super) struct Warmth {
    round: Mutex<Round>,
    habits: Mutex<Habits>,
    /// A write has ended since uses were last looked at.
    wrote: AtomicBool,
    stirred: Notify,
    /// Changed whenever a round gets on.
    moved: watch::Sender<()>,
}

impl Warmth {
    fn round(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn habits(&self) -> MutexGuard<'_, Habits> {
        self.habits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody has signed in, or something was used.
    pub(super) fn stir(&self) {
        self.stirred.notify_one();
    }

    /// A write may have overtaken answers.
    pub(super) fn wrote(&self) {
        self.wrote.store(true, Ordering::Relaxed);
        self.stir();
    }

    /// Forgets an account that has signed out.
    pub(super) fn leave(&self, account: &AccountId, now: Timestamp) {
        self.round().leave(account, now);
        self.moved.send_replace(());
        self.habits().leave(account);
    }
}

impl Warmth {
    /// Plans a round for accounts that somebody asks for; gives the steps that are to come.
    pub(super) fn begin_again(&self, accounts: &[AccountId], order: &[(usize, Duration)], now: Timestamp) -> Vec<Step> {
        let mut round = self.round();
        round.again(accounts);
        round.plan(accounts, order, now);
        round.to_come(accounts)
    }

    /// How the round of these accounts stands.
    pub(super) fn warmed_up(&self, accounts: &[AccountId]) -> WarmUp {
        let (counts, failure) = self.round().counts_for(accounts);
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        WarmUp {
            accounts: number(accounts.len()),
            total: number(counts.total),
            fetched: number(counts.completed),
            fresh: number(counts.skipped),
            failed: number(counts.failed),
            failure,
        }
    }

    /// Changes whenever a round gets on.
    pub(super) fn moves(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }
}

impl Engine {
    /// Ends when there may be something to warm that was not there before this was called.
    pub fn stirred(&self) -> Notified<'_> {
        self.warmth.stirred.notified()
    }

    /// Asks for what is due, and tells how long nothing else is.
    pub async fn warm(self: &Arc<Self>) -> Option<Duration> {
        let policy = self.policy();
        if !policy.caching {
            return None;
        }
        let by_itself = policy.warming.enabled;
        if by_itself {
            if self.warmth.wrote.swap(false, Ordering::Relaxed) {
                // What was used before a write tells which answers it has overtaken in the middle of a conversation.
                self.flush_uses().await;
            }
            self.plan_round();
        }
        let due = self.warmth.round().due(self.clock.now());
        for step in due {
            self.warm_step(&step).await;
        }
        let ended = self.warmth.round().give_up(self.clock.now());
        self.note_round(ended);
        let renewal = if by_itself { self.renew().await } else { None };
        let step = self.warmth.round().next();
        step.into_iter().chain(renewal).min().map(|at| at.since(self.clock.now()))
    }

    /// Other settings hold. With other operations every account gets its warm-up again, which skips what is fresh.
    pub(super) fn warming_changed(&self, operations: bool) {
        if operations {
            *self.warmth.round() = Round::default();
            self.warmth.moved.send_replace(());
        }
        self.warmth.stir();
    }

    fn plan_round(&self) {
        let (accounts, order) = (self.warmable(), self.in_order());
        let new = self.warmth.round().plan(&accounts, &order, self.clock.now());
        if new > 0 {
            tracing::info!(accounts = new, operations = order.len(), "warming the cache");
        }
    }

    /// The accounts for which answers can be fetched and kept.
    pub(super) fn warmable(&self) -> Vec<AccountId> {
        let signed_in = |account: &super::Account| account.caching && !matches!(account.token, TokenState::SignInRequired(_));
        self.accounts().iter().filter(|account| signed_in(account)).map(|account| account.row.id.clone()).collect()
    }

    /// Numbers and throttles of the operations, the most urgent first.
    pub(super) fn in_order(&self) -> Vec<(usize, Duration)> {
        let policy = self.policy();
        let operations = &policy.warming.operations;
        let mut order: Vec<usize> = (0..operations.len()).collect();
        order.sort_by_key(|number| operations[*number].priority);
        order.into_iter().map(|number| (number, operations[number].throttle)).collect()
    }

    /// The answer that a step asks for, or how the step ends without asking.
    pub(super) async fn to_be_asked(&self, step: &Step) -> Result<(CacheKey, Timestamp), Outcome> {
        let policy = self.policy();
        // No longer among them: a reload has exchanged them.
        let operation = policy.warming.operations.get(step.operation).ok_or(Outcome::Skipped)?;
        // Signed out this moment, or not cached for this account.
        let call = self.call_ahead(&operation.tool, &step.account, operation.args.clone()).ok_or(Outcome::Skipped)?;
        if !self.caching(call.tool, &call.account) {
            return Err(Outcome::Skipped);
        }
        let key = self.key(&call).ok_or(Outcome::Failed(Kind::Internal))?;
        let fresh = self.stale_at(&call, &key).await.is_some_and(|at| at > call.now);
        if fresh { Err(Outcome::Skipped) } else { Ok((key, call.now)) }
    }

    /// Makes the call of a step, unless its answer is fresh.
    async fn warm_step(self: &Arc<Self>, step: &Step) {
        let (key, now) = match self.to_be_asked(step).await {
            Ok(found) => found,
            Err(outcome) => return self.step_ended(step, outcome),
        };
        let priority = self.policy().warming.operations.get(step.operation).map_or(RENEWAL, |operation| operation.priority);
        // First noted, then asked: it may end at once.
        self.warmth.round().asked(step, &format!("{:?}", key.hash), now);
        if let Err(error) = self.enqueue_task(self.ask_for(&key, priority)).await {
            tracing::debug!(tool = %key.tool, code = error.code(), "an answer could not be asked for ahead of use");
            self.step_ended(step, Outcome::Failed(error.kind()));
        }
    }

    fn ask_for(&self, key: &CacheKey, priority: u8) -> Ask {
        Ask {
            kind: TaskKind::Warm,
            account: key.account.as_str().to_owned(),
            tool: key.tool.to_string(),
            args: key.args.clone().into_iter().collect(),
            priority,
            not_before: None,
        }
    }

    pub(super) fn step_ended(&self, step: &Step, outcome: Outcome) {
        let ended = self.warmth.round().ended(step, outcome, self.clock.now());
        self.note_round(ended);
    }

    /// A task of the queue has ended, or waits for its next attempt. `kind`: who would have to act on what it failed of.
    pub(super) fn task_ended(&self, dedup: &str, end: &TaskEnd, kind: Option<Kind>) {
        let outcome = match end {
            TaskEnd::Completed { .. } => Outcome::Completed,
            TaskEnd::Failed { .. } | TaskEnd::Cancelled { .. } => Outcome::Failed(kind.unwrap_or(Kind::Internal)),
            TaskEnd::Again { .. } | TaskEnd::Released | TaskEnd::Lost => return,
        };
        let ended = self.warmth.round().task_ended(dedup, outcome, self.clock.now());
        self.note_round(ended);
    }

    fn note_round(&self, ended: bool) {
        self.warmth.moved.send_replace(());
        if ended {
            let Counts { total, completed, skipped, failed } = self.warmth.round().counts(None);
            tracing::info!(total, completed, skipped, failed, "the cache is warm");
        }
    }

    /// A call that nobody waits for.
    fn call_ahead(&self, tool: &str, account: &AccountId, mut args: Map<String, Value>) -> Option<Call> {
        let account = self.accounts.find(account.as_str()).ok()?;
        let tool = find(tool).ok()?;
        args.insert("account_id".into(), account.id.as_str().into());
        Some(self.begin(tool, Args::check(tool, &args).ok()?, account))
    }

    /// When the answer of `key` grows old; a moment that has passed when it has, or when it may not be served; `None` when there is none.
    async fn stale_at(&self, call: &Call, key: &CacheKey) -> Option<Timestamp> {
        let (entry, ttl) = (self.entry(key).await?, self.ttl_for(call)?);
        Some(match self.truth.look(|view| judge(&entry.meta, view, ttl, Mode::Normal, call.now)) {
            Verdict::Serve { age } => call.now.plus(ttl.fresh.saturating_sub(age)).plus(Duration::from_millis(1)),
            Verdict::ServeThenRefresh { .. } | Verdict::Fetch { .. } => call.now,
        })
    }

    /// When the answer of `key` is to be renewed: shortly before it cannot be served any more, and at once when a write has overtaken it. Not
    /// when it grows old, for a stale hit renews it by itself, and renewing for nobody cost five times the requests: 465 more in a working day
    /// of 1,118. Never for nobody: see [`InUse::is_worth_renewing`] and [`InUse::unused`]. `None` when it is not kept.
    async fn renew_at(&self, call: &Call, used: &InUse) -> Option<Option<Timestamp>> {
        let (entry, ttl) = (self.entry(&used.key).await?, self.ttl_for(call)?);
        let (verdict, overtaken, unsettled) = self.truth.look(|view| {
            let verdict = judge(&entry.meta, view, ttl, Mode::Normal, call.now);
            (verdict, is_overtaken(&entry.meta, view), unsettled(&entry.meta, view))
        });
        if used.unused {
            return Some(None);
        }
        if overtaken {
            // What is fetched before it has settled is not kept. When it does, this is looked at again.
            let due = unsettled.map_or(call.now, |until| until.max(call.now).plus(GAP));
            return Some(is_about_items(&entry.meta).then_some(due));
        }
        let due = match verdict {
            Verdict::Serve { age } | Verdict::ServeThenRefresh { age } => call.now.plus(ttl.stale.saturating_sub(age).saturating_sub(GAP)),
            Verdict::Fetch { .. } => call.now,
        };
        Some(used.is_worth_renewing(ttl.stale).then_some(due))
    }

    /// Whether a write has overtaken the list of `key` by what it is about. What a get showed comes along with the list.
    async fn list_overtaken(&self, key: &CacheKey) -> bool {
        let Some(entry) = self.entry(key).await else { return false };
        is_about_items(&entry.meta) && extent(&entry.body).is_some() && self.truth.look(|view| is_overtaken(&entry.meta, view))
    }

    /// Takes in recorded uses, so that what is used is renewed. Of an answer that is not in memory nothing is learnt.
    pub(super) fn learn(&self, uses: &[EntryUse]) {
        if uses.is_empty() || !self.policy().warming.enabled || self.policy().warming.renewals == 0 {
            return;
        }
        let mut habits = self.warmth.habits();
        for one in uses {
            if let Some(entry) = self.hot.get(one.key) {
                habits.used(&entry.meta.key, one.hits, one.at);
            }
        }
        drop(habits);
        self.warmth.stir();
    }

    /// Somebody has been given a fetched answer, and may ask for it again in the same conversation.
    pub(super) fn looked_at(&self, key: &CacheKey, now: Timestamp) {
        if self.policy().warming.enabled && self.policy().warming.renewals > 0 {
            self.warmth.habits().used(key, 0, now);
        }
    }

    /// Asks for answers in use that can soon not be served any more; when the next one will be due.
    async fn renew(self: &Arc<Self>) -> Option<Timestamp> {
        let now = self.clock.now();
        let mut in_use = self.warmth.habits().in_use(now);
        let just_used = self.warmth.habits().just_used(now);
        for used in just_used {
            if in_use.iter().all(|known| known.key.hash != used.key.hash) && self.list_overtaken(&used.key).await {
                in_use.push(used);
            }
        }
        let mut next: Option<Timestamp> = None;
        let mut seen = BTreeSet::new();
        for used in in_use.into_iter().take(LOOKED_AT) {
            // All lengths at which a list is asked for are one.
            let key = self.longest(&used.key, now).unwrap_or_else(|| used.key.clone());
            if !seen.insert(key.hash) {
                continue;
            }
            let used = InUse { key, ..used };
            let call = self.call_ahead(&used.key.tool, &used.key.account, used.key.args.clone().into_iter().collect());
            let Some(call) = call.filter(|call| self.key(call).is_some_and(|own| own.hash == used.key.hash)) else {
                self.warmth.habits().forget(&used.key);
                continue;
            };
            let Some(due) = self.renew_at(&call, &used).await else {
                self.warmth.habits().forget(&used.key);
                continue;
            };
            let Some(due) = due else { continue };
            let mut due = due.max(used.not_before);
            if due <= now {
                let spent = self.warmth.habits().spend(&used.key, self.policy().warming.renewals, now);
                due = match spent {
                    Ok(()) => {
                        let mut ask = self.ask_for(&used.key, RENEWAL);
                        ask.not_before = comes_along(&used.key.tool, &used.key.args).then(|| now.plus(AFTER_LISTS));
                        if let Err(error) = self.enqueue_task(ask).await {
                            tracing::debug!(tool = %used.key.tool, code = error.code(), "an answer could not be renewed ahead of use");
                        }
                        // Looked at again when it may be asked for again; what has become of it shows then.
                        now.plus(GAP)
                    }
                    Err(until) => until,
                };
            }
            next = Some(next.map_or(due, |next| next.min(due)));
        }
        next
    }

    /// How far the warm-up is.
    pub(super) fn warming_now(&self) -> WarmingNow {
        let round = self.warmth.round();
        let counts = round.counts(None);
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let policy = self.policy();
        WarmingNow {
            enabled: policy.warming.enabled && policy.caching,
            running: round.runs(),
            total: number(counts.total),
            done: number(counts.completed + counts.skipped),
            failed: number(counts.failed),
        }
    }

    /// The answer of `cache_warming_status`.
    pub(super) fn warming_status(&self) -> Answer {
        let now = self.clock.now();
        let policy = self.policy();
        let warming = &policy.warming;
        let round = self.warmth.round();
        let (started, ended) = round.times();
        let all = round.counts(None);
        let (warmed, accounts) = round.accounts();
        let by_type: Map<String, Value> = warming
            .operations
            .iter()
            .enumerate()
            .map(|(number, operation)| {
                let of = round.counts(Some(number));
                let counts = json!({ "total": of.total, "completed": of.completed, "skipped": of.skipped, "failed": of.failed });
                (operation.tool.clone(), counts)
            })
            .collect();
        let status = match (warming.enabled && policy.caching, round.runs(), started) {
            (false, false, _) => "Warming is off. Stale answers are renewed in the background when they are used.",
            (_, true, _) => "The usual answers of each account are being fetched ahead of use.",
            (true, false, Some(_)) => "The usual answers were fetched; answers in use are renewed before they are too old to be served.",
            (true, false, None) => "No account has been warmed yet.",
        };
        let duration = started.map(|since| ended.unwrap_or(now).since(since).as_millis() as f64 / 1000.0);
        let mut habits = self.warmth.habits();
        Answer::plain(&json!({
            "is_warming": round.runs(),
            "status": status,
            "operations_total": all.total,
            "operations_completed": all.completed,
            "operations_skipped": all.skipped,
            "operations_failed": all.failed,
            "progress_percent": (all.ended() * 100).checked_div(all.total).unwrap_or(0),
            "started_at": started.map(Timestamp::rfc3339),
            "completed_at": ended.map(Timestamp::rfc3339),
            "duration_seconds": duration,
            "estimated_completion": round.estimate(now).map(Timestamp::rfc3339),
            "accounts_warmed": warmed,
            "accounts_total": accounts,
            "operations_by_type": by_type,
            "answers_in_use": habits.in_use(now).len(),
            "renewals_this_hour": habits.spent(now),
            "renewals_per_hour": warming.renewals,
        }))
    }
}

#[cfg(test)]
#[path = "warm_tests.rs"]
mod tests;
