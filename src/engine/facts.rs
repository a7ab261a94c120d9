//! Facts: what is asked beside many reads of a mailbox and hardly ever changes, the owner's time zone and the id of the default calendar.
//!
//! Kept in memory for an hour. An answer that was made with an older fact is not wrong: it says which zone its local times are in. A read that
//! goes past the cache or is forced asks anew, and so renews it for the others. That there is none, or that it may not be read, is a fact too.
//! Of the 1,118 requests of a working day without a cache 133 were these. Reads that want the same fact at the same time wait for one request
//! and have its outcome, whatever it is: the mail of a morning would otherwise ask for the zone once with every message, and without a network
//! each would wait for the failure of the one before.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    clock::Timestamp,
    graph::{GraphRequest, Method},
    ids::AccountId,
    tools::{Files, Page, Reply, StepError, Steps},
};

/// How long a fact stands.
const GOOD_FOR: Duration = Duration::from_secs(3600);
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
        // Also when the clock was set back.
        (*at <= now && now.since(*at) < GOOD_FOR).then(|| reply.clone())
    }

    fn learn(&self, account: &AccountId, request: &GraphRequest, fact: &Fact, now: Timestamp) {
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert((account.clone(), request.target()), (now, fact.clone()));
    }

    /// Forgets an account that has signed out.
    pub(super) fn leave(&self, account: &AccountId) {
        self.known().retain(|(whose, _), _| whose != account);
    }
}

/// Whether the answer is a fact.
fn is_fact(request: &GraphRequest) -> bool {
    let below = request.path.strip_prefix("/me/").or_else(|| request.path.strip_prefix("/users/")?.split_once('/').map(|(_, below)| below));
    request.method == Method::Get && matches!(below, Some("mailboxSettings/timeZone" | "calendar"))
}

/// Steps that answer what is known by themselves.
pub(super) struct Knowing<'a> {
    pub(super) steps: &'a dyn Steps,
    pub(super) facts: &'a Facts,
    pub(super) account: &'a AccountId,
    /// Whether everything is asked anew.
    pub(super) anew: bool,
    /// Requests made for facts. What a read costs beside them is what a stored answer saves.
    pub(super) made: AtomicU64,
}

impl Knowing<'_> {
    fn known(&self, request: &GraphRequest) -> Option<Fact> {
        (!self.anew && is_fact(request)).then(|| self.facts.get(self.account, request, self.steps.now()))?
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
}

#[async_trait]
impl Steps for Knowing<'_> {
    async fn send(&self, request: GraphRequest) -> Result<Reply, StepError> {
        if self.anew || !is_fact(&request) {
            return self.asked(request).await;
        }
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
        *failed = fact.as_ref().err().cloned();
        fact
    }

    async fn pages(&self, request: GraphRequest, enough: &(dyn for<'a> Fn(&'a [Value]) -> bool + Send + Sync)) -> Result<Page, StepError> {
        self.steps.pages(request, enough).await
    }

    async fn batch(&self, requests: Vec<GraphRequest>) -> Result<Vec<Result<Reply, StepError>>, StepError> {
        let known: Vec<Option<Fact>> = requests.iter().map(|request| self.known(request)).collect();
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
        engine::testing::{self, Scripted, reply},
        ids::Urgency,
    };
    use futures_util::future::{join, join_all};
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
        let knowing = |anew| Knowing { steps: steps.as_ref(), facts: &facts, account: &account, anew, made: AtomicU64::new(0) };
        for _ in 0..3 {
            let asked = vec![calendar(&["me"]), GraphRequest::get(&["me", "calendarView"]), zone()];
            let replies = knowing(false).batch(asked.clone()).await.unwrap();
            let bodies: Vec<Value> = replies.into_iter().map(|reply| reply.unwrap().body).collect();
            let expected: Vec<Value> = asked.iter().map(|request| json!({ "is": request.path })).collect();
            assert_eq!(bodies, expected, "in the order asked");
        }
        let other = knowing(false).send(calendar(&["users", "bea"])).await.unwrap();
        assert_eq!(other.body["is"], "/users/bea/calendar", "another mailbox has another calendar");
        let asked = |path: &str| graph.asked().iter().filter(|request| request.path == path).count();
        assert_eq!((asked("/me/calendar"), asked("/me/mailboxSettings/timeZone"), asked("/me/calendarView")), (1, 1, 3));
        knowing(true).send(zone()).await.unwrap();
        assert_eq!(asked("/me/mailboxSettings/timeZone"), 2, "a forced read asks anew");
        facts.leave(&account);
        knowing(false).send(zone()).await.unwrap();
        assert_eq!(asked("/me/mailboxSettings/timeZone"), 3);
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
            let knowing = Knowing { steps: steps.as_ref(), facts: &facts, account: &account, anew: false, made: AtomicU64::new(0) };
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

    #[test]
    fn a_fact_of_one_account_is_none_of_another_and_ends_after_an_hour() {
        let (facts, now) = (Facts::default(), Timestamp(10_000_000));
        facts.learn(&AccountId::new("a"), &zone(), &reply(json!({"value": "UTC"})), now);
        let known = |account: &str, at| facts.get(&AccountId::new(account), &zone(), at).is_some();
        assert!(known("a", now) && known("a", now.plus(GOOD_FOR.saturating_sub(Duration::from_millis(1)))));
        assert!(!known("b", now) && !known("a", now.plus(GOOD_FOR)) && !known("a", Timestamp(now.0 - 1)));
    }
}
