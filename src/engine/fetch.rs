//! Asking Microsoft for a read: one flight for each key, however many clients wait for it.
//!
//! A flight runs by itself: a client that goes away takes nothing from the others, and what it asked for lands in the cache. When the last
//! one who waited has said that they do not want it any more, what it asks of Microsoft is cut short (`stop.rs`): a cancelled call takes none
//! of the mailbox's few places. A flight reads the source's position *before* it asks, and what it brings is stored only when no write has
//! overtaken it since; the answer is given in any case. A later read joins it only when no write of the service came after that position,
//! because otherwise it would be shown the time before that write; and only while what the flight brings is young enough for it: for one that
//! wants Microsoft to be asked now (`force_refresh`), when the flight began no earlier than the call.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use super::{
    Call, CallError, Engine, TaskRun,
    answer::encode,
    facts::Trust,
    stop::{Stop, Why, is_stopped},
    watch::{Seen, Watch},
};
use crate::{
    cache::{Body, CacheKey, Entry, EntryMeta, Epoch, KeyHash, Mode, Reading, Scope, Seq, Service, Shown, SourceId},
    clock::Timestamp,
    graph::{self, Hurry},
    hint::Kind,
    ids::{Urgency, Work},
    queue::Failure,
    store::{FeedKey, Put},
    tools::{Along, Effect, Fetched, StepError, Tool},
};

/// A fetched answer.
#[derive(Debug, Clone)]
pub(super) struct Fetch {
    /// The answer.
    pub(super) body: Body,
    /// When the fetch began.
    pub(super) at: Timestamp,
    /// Whether it was kept.
    pub(super) kept: Kept,
}

/// What became of an answer that should be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is, or something newer is.
    Yes,
    /// The store could not take it.
    Unusable,
    /// It is larger than an entry may be.
    TooLarge,
    /// Too little room is left on the disk.
    NoRoom,
    /// It shows what the settings say is never kept.
    Excluded,
}

impl Kept {
    /// What the answer says of it.
    pub(super) fn problem(self) -> Option<&'static str> {
        match self {
            Self::Yes | Self::Unusable | Self::Excluded => None,
            Self::TooLarge => Some("The answer is larger than the cache keeps (10 MB), so it was not kept; ask for less at once."),
            Self::NoRoom => Some("The disk that holds the cache is nearly full, so the answer was not kept."),
        }
    }
}

/// A call's part in a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It began it.
    Began,
    /// It joined it.
    Joined,
    /// It is waited for and joined one that nobody waited for when it began.
    Raised,
}

impl Part {
    /// Whether a failure is the flight's and not the call's: the flight's task was stopped, or its time had run before somebody waited.
    fn has_nothing(self, error: &StepError) -> bool {
        (self != Self::Began && is_stopped(error)) || (self == Self::Raised && error.code == graph::TIMEOUT)
    }
}

type Landed = Option<Result<Fetch, CallError>>;

/// Who waits for a flight.
struct Waiters {
    count: AtomicUsize,
    stop: Arc<Stop>,
}

impl Default for Waiters {
    fn default() -> Self {
        Self { count: AtomicUsize::new(0), stop: Arc::new(Stop::new()) }
    }
}

/// One who waits. When the last one gives it up the flight is stopped; one that has landed has nothing left to stop.
struct Waiting(Arc<Waiters>, Option<Work>);

impl Waiting {
    fn of(call: &Call, waiters: &Arc<Waiters>) -> Self {
        waiters.count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(waiters), call.urgency.work().cloned())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let last = self.0.count.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && self.1.as_ref().is_some_and(Work::is_given_up) {
            self.0.stop.tell(Why::Cancelled);
        }
    }
}

/// Fetches under way, by key.
#[derive(Default)]
pub(super) struct Flights {
    flying: Mutex<BTreeMap<KeyHash, Flight>>,
}

struct Flight {
    number: u64,
    /// How urgent it was when it began.
    began: Urgency,
    /// How urgent it is.
    urgency: Hurry,
    /// When it began.
    at: Timestamp,
    /// Where its sources stood when it began.
    from: Vec<Position>,
    /// Who waits for it; `None` for one that a background task began, which has a way of its own to end it.
    waiters: Option<Arc<Waiters>>,
    landed: watch::Receiver<Landed>,
}

impl Engine {
    /// Joins the flight for `key`, or begins one. A flight that nobody waited for becomes as urgent as the call that joins it. One that ends
    /// for reasons of its own has nothing for those who joined it: they begin another.
    pub(super) async fn fetch(self: &Arc<Self>, call: &Call, key: &CacheKey) -> Result<Fetch, CallError> {
        loop {
            let from = self.positions(call).await?;
            let (mut landed, part, _waiting) = self.join_or_begin(call, key, from)?;
            if part != Part::Began {
                self.counters.coalesced(call);
                if let Some(work) = call.urgency.work() {
                    work.share();
                }
            }
            let result = landed.wait_for(Option::is_some).await.map_err(|_| CallError::Broken)?;
            match &*result {
                Some(Err(CallError::Step(error))) if part.has_nothing(error) => {}
                Some(result) => return result.clone(),
                None => return Err(CallError::Broken),
            }
        }
    }

    fn join_or_begin(
        self: &Arc<Self>,
        call: &Call,
        key: &CacheKey,
        from: Vec<Position>,
    ) -> Result<(watch::Receiver<Landed>, Part, Option<Waiting>), CallError> {
        let any = |position: &Position| {
            let marks = self.truth.marks(&position.source, &Scope::any(position.service));
            marks.map(|marks| marks.written_at).ok_or(CallError::Broken)
        };
        let written = from.iter().map(any).collect::<Result<Vec<_>, _>>()?;
        let young = match Self::mode(call) {
            Mode::Normal => self.ttl_for(call).map(|ttl| ttl.fresh).unwrap_or_default(),
            Mode::ForceRefresh => Duration::ZERO,
        };
        let mut flying = self.flights.flying.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flying.get(&key.hash)
            // What it brings is as old as its beginning.
            && call.now.since(flight.at) <= young
            && flight.from.len() == from.len()
            && flight.from.iter().zip(&from).zip(&written).all(|((flown, now), written)| {
                flown.source == now.source && flown.epoch == now.epoch && *written <= flown.read_seq
            })
            // One that has landed and is not swept away yet answered somebody who may have asked again since.
            && flight.landed.borrow().is_none()
        {
            let part = if call.urgency.now() == Urgency::Foreground {
                flight.urgency.raise();
                if flight.began == Urgency::Background { Part::Raised } else { Part::Joined }
            } else {
                Part::Joined
            };
            return Ok((flight.landed.clone(), part, flight.waiters.as_ref().map(|waiters| Waiting::of(call, waiters))));
        }
        let (land, landed) = watch::channel(None);
        let number = self.dice.number();
        let urgency = call.urgency.clone();
        let mut call = call.clone();
        let waiters = call.stop.is_none().then(Arc::<Waiters>::default);
        let waiting = waiters.as_ref().map(|waiters| Waiting::of(&call, waiters));
        if let Some(waiters) = &waiters {
            call.stop = Some(Arc::clone(&waiters.stop));
        }
        let at = self.clock.now();
        flying.insert(key.hash, Flight { number, began: urgency.now(), urgency, at, from: from.clone(), waiters, landed: landed.clone() });
        drop(flying);

        let engine = self.clone();
        let key = key.clone();
        tokio::spawn(async move {
            let arrival = Arrival { engine, hash: key.hash, number, land };
            let result = arrival.engine.fly(&call, key, from).await;
            arrival.land.send_replace(Some(result));
        });
        Ok((landed, Part::Began, waiting))
    }

    /// Asks, and stores what may be stored.
    async fn fly(&self, call: &Call, key: CacheKey, from: Vec<Position>) -> Result<Fetch, CallError> {
        let at = self.clock.now();
        // Only files have tags that can be asked by.
        let files = from.first().is_some_and(|from| from.service == Service::Files);
        let known = if files { self.entry(&key).await.filter(|entry| entry.meta.etag.is_some()) } else { None };
        let (result, seen) = self.run(call, known.as_ref().and_then(|entry| entry.meta.etag.clone())).await;
        let mut fetched = match (result, known) {
            (Ok(fetched), _) => fetched,
            (Err(_), Some(known)) if seen.unchanged => return Ok(self.keep_unchanged(&known, &from, at).await),
            (Err(error), _) => {
                if let Some(from) = from.first() {
                    self.learn_of_absence(call, Some(&key), &from.source, &error).await;
                }
                return Err(error.into());
            }
        };
        self.leave_cursor(call, &key, 0, &from, &mut fetched, at).await;
        let excluded = self.is_excluded(call, &fetched).await;
        if !excluded {
            self.shorten_fetched(call, &mut fetched).await;
        }
        let answer = fetched.answer.as_object().ok_or(CallError::Broken)?;
        let body = encode(answer, fetched.list);
        if !fetched.whole {
            return Ok(Fetch { body, at, kept: Kept::Yes });
        }
        let kept = if excluded { Kept::Excluded } else { self.keep(key, &from, &fetched, seen, body.clone(), at).await };
        for along in std::mem::take(&mut fetched.along) {
            if self.is_excluded(call, &along.fetched).await {
                continue;
            }
            self.keep_along(call, &from, along, at).await;
        }
        Ok(Fetch { body, at, kept })
    }

    /// Stores an answer to another call that came along; what hinders it hinders only that.
    async fn keep_along(&self, call: &Call, from: &[Position], along: Along, at: Timestamp) {
        let Ok(tool) = super::find(along.tool) else { return };
        let other = self.begin(tool, along.args, call.account.clone());
        let mut fetched = along.fetched;
        let (Some(key), Some(from)) = (self.key(&other), of_service(from, tool)) else { return };
        if fetched.whole && self.caching(tool, &other.account) {
            self.leave_cursor(&other, &key, 0, &from, &mut fetched, at).await;
            self.shorten_fetched(&other, &mut fetched).await;
            let Some(answer) = fetched.answer.as_object() else { return };
            let body = encode(answer, fetched.list);
            self.keep(key, &from, &fetched, Seen::default(), body, at).await;
        }
    }

    /// Stores an answer; false when the store could not.
    async fn keep(&self, key: CacheKey, from: &[Position], fetched: &Fetched, seen: Seen, body: Body, at: Timestamp) -> Kept {
        let _staying = self.leaving.read().await;
        if self.accounts.find(key.account.as_str()).is_err() {
            // Signed out meanwhile: its data key is gone, and must not be made anew for an answer nobody may see again.
            return Kept::Yes;
        }
        let Some(main) = from.first() else { return Kept::Unusable };
        let mut readings = readings(from, &fetched.scopes);
        // A walk is the whole of an answer from one source.
        if let (Some((feed, link)), [reading]) = (seen.walk, readings.as_mut_slice()) {
            let feed = FeedKey { account: key.account.clone(), source: main.source.clone(), feed };
            let shown = fetched.shown.iter().map(|(item, _)| Scope::item(item)).collect();
            self.base(&feed, link, reading, shown, at).await;
        }
        let meta = EntryMeta { key, readings, fetch_started: at, etag: fetched.etag.clone(), revision: 0 };
        self.put(Entry { meta, body }, fetched.shown_in(&main.source)).await
    }

    /// Graph says that what the entry's tag stands for has not changed: the entry is as if fetched now (`truth.md`, *Checks*).
    async fn keep_unchanged(&self, known: &Entry, from: &[Position], at: Timestamp) -> Fetch {
        let mut entry = known.clone();
        entry.meta.fetch_started = at;
        // An answer of two sources was not looked at whole.
        let whole = entry.meta.readings.len() == 1 && from.len() == 1;
        for (reading, from) in entry.meta.readings.iter_mut().zip(from) {
            (reading.epoch, reading.read_seq) = (from.epoch, from.read_seq);
        }
        let body = entry.body.clone();
        let _staying = self.leaving.read().await;
        let gone = self.accounts.find(entry.meta.key.account.as_str()).is_err();
        let kept = if gone || !whole { Kept::Yes } else { self.put(entry, Vec::new()).await };
        Fetch { body, at, kept }
    }

    /// Whether a message that is being marked may be missing from a search: the end of that write overtakes only searches that show it.
    pub(super) fn may_miss_a_mark(&self, meta: &EntryMeta) -> bool {
        self.acts.is_one_running() && meta.readings.iter().any(|reading| reading.scopes.contains(&Scope::found()))
    }

    /// Stores an entry. While the account stays.
    async fn put(&self, mut entry: Entry, shown: Vec<Shown>) -> Kept {
        let hash = entry.meta.key.hash;
        if self.may_miss_a_mark(&entry.meta) {
            self.counters.overtaken();
            return Kept::Yes;
        }
        let now = self.clock.now();
        match self.entries.put(entry.clone(), shown, now).await {
            Ok(Put::Stored { revision }) => {
                entry.meta.revision = revision;
                self.limits.stored(entry.meta.fetch_started, self.ttl_named(&entry.meta.key.tool));
                self.lists.note(&entry);
                self.hot.insert(Arc::new(entry), now);
                self.note_store(None);
                self.chores.stir();
                Kept::Yes
            }
            Ok(Put::Overtaken) => {
                self.counters.overtaken();
                Kept::Yes
            }
            Ok(Put::Older) => Kept::Yes,
            Ok(Put::TooLarge) => {
                self.hot.remove(hash);
                Kept::TooLarge
            }
            Ok(Put::NoRoom) => Kept::NoRoom,
            Err(error) => {
                self.note_store(Some(&error));
                Kept::Unusable
            }
        }
    }

    /// A read that neither looks into the cache nor leaves anything there.
    pub(super) async fn fetch_uncached(self: &Arc<Self>, call: Call) -> Result<super::Answer, CallError> {
        let at = call.now;
        let mut fetched = match self.run(&call, None).await.0 {
            Ok(fetched) => fetched,
            Err(error) => {
                if let Some(source) = self.source(&call) {
                    self.learn_of_absence(&call, self.key(&call).as_ref(), &source, &error).await;
                }
                return Err(error.into());
            }
        };
        if !self.is_excluded(&call, &fetched).await {
            self.shorten_fetched(&call, &mut fetched).await;
        }
        let body = encode(fetched.answer.as_object().ok_or(CallError::Broken)?, fetched.list);
        self.counters.fetched(&call);
        Ok(Self::unkept(&call, super::CacheStatus::Bypass, at, &body, None))
    }

    /// Runs the row of a read, and tells what was seen on the way. `etag` is the tag of the answer it is to replace.
    async fn run(&self, call: &Call, etag: Option<String>) -> (Result<Fetched, StepError>, Seen) {
        let Some(fetch) = call.tool.does.fetch() else { return (Err(StepError::unexpected("a read")), Seen::default()) };
        let watch = Watch::new(self.steps(call), etag);
        let knowing = self.knowing(&watch, call, Trust::of_read(&call.args));
        let fetched = fetch(&knowing, &call.args).await;
        let facts = knowing.made.into_inner();
        let seen = watch.seen();
        self.counters.asked(call, seen.requests.saturating_sub(facts), fetched.is_ok());
        self.counters.checked(call, facts);
        (fetched, seen)
    }

    /// The call that a task makes.
    fn call_of(&self, run: &TaskRun) -> Result<(Call, CacheKey), Failure> {
        let task = run.task();
        let damaged = |what: &str| Failure { code: what.to_owned(), kind: Kind::Internal, retry_after: None };
        let tool = super::find(&task.tool)?;
        let args = serde_json::from_str(&task.args).map_err(|_| damaged("damaged_arguments"))?;
        let account = self.accounts.find(task.account.as_str())?;
        let args = crate::tools::Args::from_canonical(args);
        let mut call = self.begin(tool, args, account);
        let urgency = Hurry::from(Urgency::Background).counted(Some(run.work()));
        (call.urgency, call.stop, call.who) = (urgency, Some(run.stop.clone()), self.counters.worker());
        let key = self.key(&call).ok_or_else(|| damaged("not_cached"))?;
        Ok((call, key))
    }

    /// Runs a queued refresh, through the same flight a call takes. Gives the key of the entry.
    ///
    /// # Errors
    ///
    /// Why it came to nothing, without content.
    pub async fn refresh(self: &Arc<Self>, run: &TaskRun) -> Result<Option<String>, Failure> {
        let (call, key) = self.call_of(run)?;
        let entry = Some(format!("{:?}", key.hash));
        // One that was asked for while the one before it ended: its answer is here.
        if let (Some(known), Some(ttl)) = (self.entry(&key).await, self.ttl_for(&call))
            && known.meta.fetch_started >= run.task().created_at
            && self.is_fresh(&known.meta, ttl)
        {
            return Ok(entry);
        }
        let mut call = self.with_source(call).await?;
        self.counters.refreshed(&call);
        // A small request may tell that it is still true.
        if self.check(&mut call, &key).await.map_err(CallError::from)? {
            return Ok(entry);
        }
        let fetched = self.fetch(&call, &key).await;
        self.saw_refresh(&call, &key, fetched.is_ok());
        let fetched = fetched?;
        Ok(entry.filter(|_| fetched.kept == Kept::Yes))
    }

    /// Whether the answer that a task was to bring was fetched before `asked`, or is not there.
    pub(super) async fn is_older(&self, run: &TaskRun, asked: Timestamp) -> bool {
        let Ok((_, key)) = self.call_of(run) else { return false };
        self.entry(&key).await.is_none_or(|entry| entry.meta.fetch_started < asked)
    }

    /// The key of the entry that a task is to bring, when it is there and fresh.
    ///
    /// # Errors
    ///
    /// When the task cannot be read.
    pub async fn fresh_entry(&self, run: &TaskRun) -> Result<Option<String>, Failure> {
        let (call, key) = self.call_of(run)?;
        let (Some(entry), Some(ttl)) = (self.entry(&key).await, self.ttl_for(&call)) else { return Ok(None) };
        Ok(self.is_fresh(&entry.meta, ttl).then(|| format!("{:?}", key.hash)))
    }
}

/// What an answer depends on: its scopes in the first source, and all of what was read of a further one.
pub(super) fn readings(from: &[Position], scopes: &[Scope]) -> Vec<Reading> {
    let each = from.iter().enumerate().map(|(at, position)| {
        let mut scopes = if at == 0 { scopes.to_vec() } else { vec![Scope::any(position.service)] };
        scopes.push(Scope::all(position.service));
        Reading { source: position.source.clone(), epoch: position.epoch, read_seq: position.read_seq, scopes }
    });
    each.collect()
}

/// Where the source of `tool` stood, of those that were read; `None` when it was none of them.
fn of_service(from: &[Position], tool: &Tool) -> Option<Vec<Position>> {
    let Effect::Read { service, .. } = tool.effect else { return None };
    let of_a_drive = |service: Service| service == Service::Files;
    let main = from.iter().find(|position| of_a_drive(position.service) == of_a_drive(service))?;
    Some(vec![Position { service, ..main.clone() }])
}

/// Where a source stood when a fetch began.
#[derive(Debug, Clone)]
pub(super) struct Position {
    pub(super) service: Service,
    pub(super) source: SourceId,
    pub(super) epoch: Epoch,
    pub(super) read_seq: Seq,
}

/// Takes the flight off the board when it ends, also by a panic; those who wait then see the channel closed.
struct Arrival {
    engine: Arc<Engine>,
    hash: KeyHash,
    number: u64,
    land: watch::Sender<Landed>,
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut flying = self.engine.flights.flying.lock().unwrap_or_else(PoisonError::into_inner);
        if flying.get(&self.hash).is_some_and(|flight| flight.number == self.number) {
            flying.remove(&self.hash);
        }
    }
}
