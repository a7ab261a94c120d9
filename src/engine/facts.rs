//! Facts: what is asked beside many calls of a mailbox and hardly ever changes, the owner's time zone and the id of the default calendar.
//!
//! Kept in memory for an hour. An answer that was made with an older fact is not wrong: it says which zone its local times are in. A read that
//! goes past the cache or is forced asks anew, and so renews it for the others. That there is none, or that it may not be read, is a fact too.
//! Of the 1,118 requests of a working day without a cache 133 were these. Reads that want the same fact at the same time wait for one request
//! and have its outcome, whatever it is: the mail of a morning would otherwise ask for the zone once with every message, and without a network
//! each would wait for the failure of the one before.
//!
//! A write that has to know a fact asks for it, for what it does with an older one would be wrong; what it only shows times by may be older.
//! And nobody waits for long for what is only shown ([`Steps::aside`]): a drive answers while its owner's mailbox is throttled or gone.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::{Either, select};
use serde_json::Value;

use super::{Call, Engine, stop::is_stopped};
use crate::{
    clock::{Clock, Timestamp},
    graph::{GraphRequest, Method},
    ids::AccountId,
    tools::{Args, Files, Page, Reply, StepError, Steps},
};

/// How long a fact stands.
const GOOD_FOR: Duration = Duration::from_secs(3600);
/// How long it stands that a fact may not be read: an administrator may agree to it at any time, and nothing tells of that.
const REFUSED_FOR: Duration = Duration::from_secs(300);
/// How long a call waits for a fact that it can do without.
const PATIENCE: Duration = Duration::from_secs(1);
/// Facts that are kept; beyond them all are asked again.
const MOST: usize = 1000;

/// Whose fact it is, and what was asked for it.
type Key = (AccountId, String);
/// A reply, or the refusal that says there is none.
type Fact = Result<Reply, StepError>;

/// Whoever asks for a fact holds its turn, and leaves in it how asking failed for those who waited.
type Turn = Arc<tokio::sync::Mutex<Option<StepError>>>;

/// What is known.
#[derive(Default)]
pub(super) struct Facts {
    known: Mutex<BTreeMap<Key, (Timestamp, Fact)>>,
    turns: Mutex<BTreeMap<Key, Turn>>,
}

impl Facts {
    fn known(&self) -> MutexGuard<'_, BTreeMap<Key, (Timestamp, Fact)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, account: &AccountId, request: &GraphRequest) -> Turn {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= MOST {
            // Whoever waits keeps the turn he waits for.
            turns.clear();
        }
        turns.entry((account.clone(), request.target())).or_default().clone()
    }

    fn get(&self, account: &AccountId, request: &GraphRequest, now: Timestamp) -> Option<Fact> {
        let known = self.known();
        let (at, reply) = known.get(&(account.clone(), request.target()))?;
        let refused = reply.as_ref().is_err_and(|error| error.status == Some(403));
        // Also when the clock was set back.
        (*at <= now && now.since(*at) < if refused { REFUSED_FOR } else { GOOD_FOR }).then(|| reply.clone())
    }

    fn learn(&self, account: &AccountId, request: &GraphRequest, fact: &Fact, now: Timestamp) {
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert((account.clone(), request.target()), (now, fact.clone()));
    }

    /// Forgets what is known of an account: it has signed out, or anew and may read more.
    pub(super) fn leave(&self, account: &AccountId) {
        self.known().retain(|(whose, _), _| whose != account);
    }
}

/// Whether the answer is a fact.
fn is_fact(request: &GraphRequest) -> bool {
    let below = request.path.strip_prefix("/me/").or_else(|| request.path.strip_prefix("/users/")?.split_once('/').map(|(_, below)| below));
    request.method == Method::Get && matches!(below, Some("mailboxSettings/timeZone" | "calendar"))
}

/// For what a fact that is known already is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// For everything: a read.
    All,
    /// For what is only shown: a write.
    Shown,
    /// For nothing: a read that is to see what is true now.
    Nothing,
}

impl Trust {
    /// That of a read with these arguments.
    pub(super) fn of_read(args: &Args) -> Self {
        if args.flag("force_refresh") || !args.flag("use_cache") { Self::Nothing } else { Self::All }
    }
}

/// Steps that answer what is known by themselves.
pub(super) struct Knowing<'a> {
    steps: &'a dyn Steps,
    facts: &'a Facts,
    account: &'a AccountId,
    clock: &'a dyn Clock,
    trust: Trust,
    /// Requests made for facts. What a read costs beside them is what a stored answer saves.
    pub(super) made: AtomicU64,
}

impl Engine {
    /// `steps` for `call`, with what is known of its account.
    pub(super) fn knowing<'a>(&'a self, steps: &'a dyn Steps, call: &'a Call, trust: Trust) -> Knowing<'a> {
        Knowing { steps, facts: &self.facts, account: &call.account.id, clock: self.clock.as_ref(), trust, made: AtomicU64::new(0) }
    }
}

impl Knowing<'_> {
    fn known(&self, request: &GraphRequest) -> Option<Fact> {
        is_fact(request).then(|| self.facts.get(self.account, request, self.steps.now()))?
    }

    fn learn(&self, request: &GraphRequest, reply: &Fact) {
        self.made.fetch_add(u64::from(is_fact(request)), Relaxed);
        let says = reply.as_ref().err().is_none_or(|error| matches!(error.status, Some(403 | 404)));
        if says && is_fact(request) {
            self.facts.learn(self.account, request, reply, self.steps.now());
        }
    }

    async fn asked(&self, request: GraphRequest) -> Fact {
        let asked = request.clone();
        let reply = self.steps.send(request).await;
        self.learn(&asked, &reply);
        reply
    }

    /// The fact as it is known, else by one request for all who want it now.
    async fn known_or_asked(&self, request: GraphRequest) -> Fact {
        if let Some(fact) = self.known(&request) {
            return fact;
        }
        let turn = self.facts.turn(self.account, &request);
        let mut failed = match turn.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                let turn = turn.lock().await;
                if let Some(fact) = self.known(&request).or_else(|| turn.clone().map(Err)) {
                    return fact;
                }
                // Whoever asked was called off.
                turn
            }
        };
        *failed = None;
        let fact = self.asked(request).await;
        // That this call was stopped is no outcome for others.
        *failed = fact.as_ref().err().filter(|error| !is_stopped(error)).cloned();
        fact
    }
}

#[async_trait]
impl Steps for Knowing<'_> {
    async fn send(&self, request: GraphRequest) -> Result<Reply, StepError> {
        if self.trust != Trust::All || !is_fact(&request) {
            return self.asked(request).await;
        }
        self.known_or_asked(request).await
    }

    async fn aside(&self, request: GraphRequest) -> Option<Reply> {
        let known = self.trust != Trust::Nothing && is_fact(&request);
        let asked = async { if known { self.known_or_asked(request).await } else { self.asked(request).await } };
        match select(Box::pin(asked), self.clock.sleep(PATIENCE)).await {
            Either::Left((reply, _)) => reply.ok(),
            Either::Right(_) => None,
        }
    }

    async fn pages(&self, request: GraphRequest, enough: &(dyn for<'a> Fn(&'a [Value]) -> bool + Send + Sync)) -> Result<Page, StepError> {
        self.steps.pages(request, enough).await
    }

    async fn batch(&self, requests: Vec<GraphRequest>) -> Result<Vec<Result<Reply, StepError>>, StepError> {
        let known: Vec<Option<Fact>> =
            requests.iter().map(|request| if self.trust == Trust::All { self.known(request) } else { None }).collect();
        let unknown: Vec<GraphRequest> =
            requests.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(request, _)| request.clone()).collect();
        let asked = match unknown.as_slice() {
            [] => Vec::new(),
            // One by itself needs no envelope.
            [one] => vec![self.steps.send(one.clone()).await],
            _ => self.steps.batch(unknown).await?,
        };
        let mut asked = asked.into_iter();
        let mut replies = Vec::with_capacity(requests.len());
        for (request, known) in requests.iter().zip(known) {
            replies.push(match known {
                Some(fact) => fact,
                None => {
                    let reply = asked.next().unwrap_or_else(|| Err(StepError::unexpected("as many replies as were asked for")));
                    self.learn(request, &reply);
                    reply
                }
            });
        }
        Ok(replies)
    }

    fn files(&self) -> &dyn Files {
        self.steps.files()
    }

    fn now(&self) -> Timestamp {
        self.steps.now()
    }

    fn personal(&self) -> bool {
        self.steps.personal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::testing::within,
        clock::ManualClock,
        engine::{
            stop::{Stop, Stoppable, Why},
            testing::{self, Scripted, reply},
        },
        ids::Urgency,
    };
    use futures_util::future::{join, join_all, join3};
    use serde_json::json;

    fn zone() -> GraphRequest {
        GraphRequest::get(&["me", "mailboxSettings", "timeZone"])
    }

    fn calendar(of: &[&str]) -> GraphRequest {
        GraphRequest::get(&[of, &["calendar"]].concat()).with("$select", "id")
    }

    #[tokio::test]
    async fn a_fact_is_asked_once_and_everything_else_each_time() {
        let graph: Arc<Scripted> = Scripted::with_zone(|request| reply(json!({ "is": request.path })));
        let steps = graph.remote().steps(&testing::account(), None, &Urgency::Foreground.into(), Timestamp(9), Timestamp(1));
        let (facts, account) = (Facts::default(), AccountId::new("a"));
        let clock = ManualClock::at(Timestamp(1));
        let knowing =
            |trust| Knowing { steps: steps.as_ref(), facts: &facts, account: &account, clock: &clock, trust, made: AtomicU64::new(0) };
        for _ in 0..3 {
            let asked = vec![calendar(&["me"]), GraphRequest::get(&["me", "calendarView"]), zone()];
            let replies = knowing(Trust::All).batch(asked.clone()).await.unwrap();
            let bodies: Vec<Value> = replies.into_iter().map(|reply| reply.unwrap().body).collect();
            let expected: Vec<Value> = asked.iter().map(|request| json!({ "is": request.path })).collect();
            assert_eq!(bodies, expected, "in the order asked");
        }
        let other = knowing(Trust::All).send(calendar(&["users", "bea"])).await.unwrap();
        assert_eq!(other.body["is"], "/users/bea/calendar", "another mailbox has another calendar");
        let asked = |path: &str| graph.asked().iter().filter(|request| request.path == path).count();
        assert_eq!((asked("/me/calendar"), asked("/me/mailboxSettings/timeZone"), asked("/me/calendarView")), (1, 1, 3));
        knowing(Trust::Nothing).send(zone()).await.unwrap();
        knowing(Trust::Nothing).aside(zone()).await.unwrap();
        assert_eq!(asked("/me/mailboxSettings/timeZone"), 3, "a forced read asks anew");
        knowing(Trust::Shown).aside(zone()).await.unwrap();
        assert_eq!(asked("/me/mailboxSettings/timeZone"), 3, "to show times by it is known well enough");
        knowing(Trust::Shown).send(zone()).await.unwrap();
        knowing(Trust::Shown).batch(vec![zone(), calendar(&["me"])]).await.unwrap();
        assert_eq!(asked("/me/mailboxSettings/timeZone"), 5, "a write that needs it asks");
        facts.leave(&account);
        knowing(Trust::All).send(zone()).await.unwrap();
        assert_eq!(asked("/me/mailboxSettings/timeZone"), 6);
    }

    #[tokio::test]
    async fn nobody_waits_for_long_for_what_is_only_shown() {
        let graph: Arc<Scripted> = Scripted::with_zone(|_| reply(json!({"value": "UTC"})));
        let steps = graph.remote().steps(&testing::account(), None, &Urgency::Foreground.into(), Timestamp(9), Timestamp(1));
        let (facts, account, clock) = (Facts::default(), AccountId::new("a"), ManualClock::at(Timestamp(1)));
        let knowing =
            |trust| Knowing { steps: steps.as_ref(), facts: &facts, account: &account, clock: &clock, trust, made: AtomicU64::new(0) };
        let held = graph.replies.acquire_many(testing::REPLIES).await.unwrap();
        let (reader, writer, forced) = (knowing(Trust::All), knowing(Trust::Shown), knowing(Trust::Nothing));
        let waiting = join_all([reader.aside(zone()), writer.aside(zone()), forced.aside(zone())]);
        let (replies, ()) = join(waiting, async {
            graph.until_asked(2).await;
            clock.advance(PATIENCE);
        })
        .await;
        assert_eq!(replies, [None, None, None]);
        drop(held);
        let asked = graph.count();
        assert!(writer.aside(zone()).await.is_some() && reader.aside(zone()).await.is_some());
        assert_eq!(graph.count(), asked + 1, "it is known from then on");
    }

    #[tokio::test]
    async fn reads_at_the_same_time_ask_for_a_fact_once_and_a_refusal_is_one() {
        for refused in [None, Some(403), Some(404), Some(503)] {
            let graph: Arc<Scripted> = Scripted::with_zone(move |_| match refused {
                None => reply(json!({"value": "UTC"})),
                Some(status) => Err(testing::failure(Some(status), false)),
            });
            let steps = graph.remote().steps(&testing::account(), None, &Urgency::Foreground.into(), Timestamp(9), Timestamp(1));
            let (facts, account) = (Facts::default(), AccountId::new("a"));
            let clock = ManualClock::at(Timestamp(1));
            let trust = Trust::All;
            let knowing =
                Knowing { steps: steps.as_ref(), facts: &facts, account: &account, clock: &clock, trust, made: AtomicU64::new(0) };
            let held = graph.replies.acquire_many(testing::REPLIES).await.unwrap();
            let called_off = tokio::time::timeout(Duration::ZERO, knowing.send(zone())).await;
            assert!(called_off.is_err());
            let reads = join_all((0..20).map(|_| knowing.send(zone())));
            let (replies, ()) = join(reads, async {
                graph.until_asked(2).await;
                drop(held);
            })
            .await;
            let statuses: Vec<Option<u16>> = replies.into_iter().map(|reply| reply.err().and_then(|error| error.status)).collect();
            assert_eq!((statuses, graph.count()), (vec![refused; 20], 2), "one for all, beside the one that was called off");
            let later = knowing.send(zone()).await.err().and_then(|error| error.status);
            let asked = if refused == Some(503) { 3 } else { 2 };
            assert_eq!((later, graph.count()), (refused, asked), "what may pass is asked again");
        }
    }

    #[tokio::test]
    async fn a_call_that_is_stopped_while_it_asks_stops_no_other() {
        let graph: Arc<Scripted> = Scripted::with_zone(|_| reply(json!({"value": "UTC"})));
        let steps = || graph.remote().steps(&testing::account(), None, &Urgency::Foreground.into(), Timestamp(9), Timestamp(1));
        let (facts, account, clock) = (Facts::default(), AccountId::new("a"), ManualClock::at(Timestamp(1)));
        let stop = Arc::new(Stop::new());
        let (cut, whole) = (Stoppable { inner: steps(), stop: stop.clone() }, steps());
        let knowing =
            |steps| Knowing { steps, facts: &facts, account: &account, clock: &clock, trust: Trust::All, made: AtomicU64::new(0) };
        let (first, second) = (knowing(&cut as &dyn Steps), knowing(whole.as_ref()));
        let held = graph.replies.acquire_many(testing::REPLIES).await.unwrap();
        let (stopped, answered, ()) = within(join3(first.send(zone()), second.send(zone()), async {
            graph.until_asked(1).await;
            stop.tell(Why::Cancelled);
            graph.until_asked(2).await;
            drop(held);
        }))
        .await;
        assert!(stopped.is_err() && answered.is_ok(), "{answered:?}");
    }

    #[test]
    fn a_fact_of_one_account_is_none_of_another_and_ends_after_an_hour() {
        let (facts, now) = (Facts::default(), Timestamp(10_000_000));
        facts.learn(&AccountId::new("a"), &zone(), &reply(json!({"value": "UTC"})), now);
        let known = |account: &str, at| facts.get(&AccountId::new(account), &zone(), at).is_some();
        assert!(known("a", now) && known("a", now.plus(GOOD_FOR.saturating_sub(Duration::from_millis(1)))));
        assert!(!known("b", now) && !known("a", now.plus(GOOD_FOR)) && !known("a", Timestamp(now.0 - 1)));
        facts.learn(&AccountId::new("a"), &zone(), &Err(testing::failure(Some(403), false)), now);
        let shortly = REFUSED_FOR.saturating_sub(Duration::from_millis(1));
        assert!(known("a", now.plus(shortly)) && !known("a", now.plus(REFUSED_FOR)), "an administrator may have agreed");
    }
}
