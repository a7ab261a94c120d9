//! Generated histories of reads, writes, lost replies, kills and other people's changes, held against a model of the mailbox.
//!
//! Every answer of the fake Graph names the change number at which it was made (in a sentinel message that is in every folder, and in the
//! message itself), so that the age of an answer can be read from the answer. Held:
//!
//! - no answer hides an own write that had returned before it was asked for: it was made after the write, or (a list) shows the written
//!   message just as the write left it. The second happens when somebody else moved a message into a folder and we moved it out again: a list
//!   from before both is not fetched again, and nobody can tell;
//! - an answer was true at its `_cached_at`, and `_cached_at` is within the tool's contract;
//! - a folder that is asked about often gets a delta token (`walk.rs`), and what it vouches for was true too: a token that has reported a
//!   removal never tells again of a message that comes back, and Graph may forget every token at any time;
//! - after the unsettled time of a write with an unknown outcome, no answer from before that write is served;
//! - a kill at any point of a write loses none of this.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use super::{
    testing::{self, failure},
    *,
};
use crate::{
    chance::SeededDice,
    clock::ManualClock,
    graph::{GraphRequest, Method},
    store::{Limits, Memory},
    tools::{Files, Page, Reply, StepError, Steps},
};

const FOLDERS: [&str; 3] = ["F0", "F1", "F2"];
const MESSAGES: [&str; 4] = ["M0", "M1", "M2", "M3"];
/// A search that finds the first two messages, wherever they are.
const SEARCH: &str = "search";
const FINDS: usize = 2;
const START: Timestamp = Timestamp(1_763_629_200_000);

/// The mailbox as Graph has it.
#[derive(Debug, Clone, Default)]
struct Mailbox {
    /// Rises with every change.
    change: u64,
    /// Where each message is and whether it is read.
    messages: BTreeMap<String, (String, bool)>,
    /// Change number of the last change of each message and folder.
    last: BTreeMap<String, u64>,
    /// When each change happened.
    when: Vec<Timestamp>,
    /// What each change was of.
    things: Vec<Vec<String>>,
    /// Tokens of another generation are not known.
    generation: u64,
    /// Walks and checks that were answered.
    told: (u64, u64),
}

impl Mailbox {
    fn new() -> Self {
        let place = |(nth, id): (usize, &&str)| ((*id).to_owned(), (FOLDERS[nth % 3].to_owned(), false));
        Self { messages: MESSAGES.iter().enumerate().map(place).collect(), when: vec![START], things: vec![Vec::new()], ..Self::default() }
    }

    fn changed(&mut self, things: &[&str], now: Timestamp) {
        self.change += 1;
        self.when.push(now);
        self.things.push(things.iter().map(|thing| (*thing).to_owned()).collect());
        for thing in things {
            self.last.insert((*thing).to_owned(), self.change);
        }
    }

    fn mark(&mut self, id: &str, read: bool, now: Timestamp) {
        let folder = self.messages[id].0.clone();
        self.messages.get_mut(id).unwrap().1 = read;
        self.changed(&[id, &folder, SEARCH], now);
    }

    fn relocate(&mut self, id: &str, to: &str, now: Timestamp) {
        let from = std::mem::replace(&mut self.messages.get_mut(id).unwrap().0, to.to_owned());
        self.changed(&[id, &from, to, SEARCH], now);
    }

    fn message(&self, id: &str) -> Value {
        let (folder, read) = &self.messages[id];
        json!({ "id": id, "subject": format!("@{}", self.change), "isRead": read, "parentFolderId": folder })
    }

    fn list(&self, folder: &str) -> Vec<Value> {
        let sentinel =
            json!({ "id": format!("S{folder}"), "subject": format!("@{}", self.change), "isRead": true, "parentFolderId": folder });
        let inside = self.messages.iter().filter(|(_, (at, _))| at == folder).map(|(id, _)| self.message(id));
        std::iter::once(sentinel).chain(inside).collect()
    }

    fn search(&self) -> Vec<Value> {
        let sentinel = json!({ "id": "SALL", "subject": format!("@{}", self.change), "isRead": true, "parentFolderId": "F0" });
        std::iter::once(sentinel).chain(MESSAGES[..FINDS].iter().map(|id| self.message(id))).collect()
    }

    fn link(&self, folder: &str, gone: &str) -> String {
        format!("https://graph/delta/{}/{folder}/{}/{gone}", self.generation, self.change)
    }

    /// The whole folder, and a link that tells what changes from now on.
    fn walk(&mut self, folder: &str) -> Value {
        self.told.0 += 1;
        json!({ "value": self.list(folder), "@odata.deltaLink": self.link(folder, "") })
    }

    /// What the link tells: what came or changed, and once what left. What has left under this link is not told when it comes back.
    fn changes(&mut self, link: &str) -> Result<Value, StepError> {
        let parts: Vec<&str> = link.split('/').collect();
        let [generation, folder, from, gone] = parts.as_slice() else { panic!("{link}") };
        if *generation != self.generation.to_string() {
            return Err(failure(Some(410), false));
        }
        self.told.1 += 1;
        let mut gone: BTreeSet<String> = gone.split('+').filter(|id| !id.is_empty()).map(str::to_owned).collect();
        let from: usize = from.parse().unwrap();
        let changed: BTreeSet<&String> = self.things[from + 1..]
            .iter()
            .filter(|things| things.iter().any(|thing| thing == folder))
            .filter_map(|things| things.first())
            .collect();
        let mut rows = Vec::new();
        for id in changed {
            let here = self.messages[id].0 == *folder;
            if here && !gone.contains(id) {
                rows.push(self.message(id));
            } else if !here && gone.insert(id.clone()) {
                rows.push(json!({ "id": id, "@removed": { "reason": "deleted" } }));
            }
        }
        let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
        Ok(json!({ "value": rows, "@odata.deltaLink": self.link(folder, &gone.join("+")) }))
    }

    /// The number of the last change of `thing` before `when`.
    fn last_before(&self, thing: &str, when: Timestamp) -> u64 {
        let of = |at: &usize| self.when[*at] < when && self.things[*at].iter().any(|changed| changed == thing);
        (0..self.when.len()).rev().find(of).unwrap_or(0) as u64
    }
}

/// What the next write meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    LostAfter,
    LostBefore,
    Refused,
}

/// Graph, for one mailbox.
struct FakeGraph {
    mailbox: Mutex<Mailbox>,
    fate: Mutex<Fate>,
    clock: Arc<ManualClock>,
    /// Reads wait here *after* Graph has done its part, so that replies can be slow.
    replies: Semaphore,
    /// Writes wait here.
    acks: Semaphore,
    requests: AtomicU64,
    offline: Mutex<bool>,
}

struct FakeSteps(Arc<FakeGraph>, Timestamp);

impl FakeGraph {
    fn answer(&self, request: &GraphRequest) -> Result<Value, StepError> {
        // No history is about the zone.
        if request.path.ends_with("/timeZone") {
            return Err(failure(Some(404), false));
        }
        self.requests.fetch_add(1, SeqCst);
        if *self.offline.lock().unwrap() {
            return Err(failure(None, request.method != Method::Get));
        }
        let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        let mut mailbox = self.mailbox.lock().unwrap();
        if let Some(link) = request.path.strip_prefix("https://graph/delta/") {
            return mailbox.changes(link);
        }
        if request.method == Method::Get {
            return Ok(match parts.as_slice() {
                ["me", "mailFolders", folder, "messages", "delta"] => mailbox.walk(folder),
                ["me", "mailFolders", folder, "messages"] => json!({ "value": mailbox.list(folder) }),
                ["me", "messages"] => json!({ "value": mailbox.search() }),
                ["me", "messages", id] => mailbox.message(id),
                other => panic!("the fake does not know {other:?}"),
            });
        }
        let fate = *self.fate.lock().unwrap();
        match fate {
            Fate::Refused => return Err(failure(Some(403), false)),
            Fate::LostBefore => return Err(failure(None, true)),
            Fate::Done | Fate::LostAfter => {}
        }
        let body = request.body.clone().unwrap_or_default();
        let now = self.clock.now();
        let id = match parts.as_slice() {
            ["me", "messages", id] => {
                mailbox.mark(id, body["isRead"].as_bool().unwrap(), now);
                *id
            }
            ["me", "messages", id, "move"] => {
                mailbox.relocate(id, body["destinationId"].as_str().unwrap(), now);
                *id
            }
            other => panic!("the fake does not know {other:?}"),
        };
        if fate == Fate::LostAfter { Err(failure(None, true)) } else { Ok(mailbox.message(id)) }
    }
}

#[async_trait]
impl Steps for FakeSteps {
    async fn send(&self, request: GraphRequest) -> Result<Reply, StepError> {
        // A move looks whether it is a deletion; no history is about that.
        if request.path.ends_with("/mailFolders/deleteditems") {
            return Ok(Reply { status: 200, body: json!({ "id": "BIN=" }), etag: None, location: None });
        }
        let answer = self.0.answer(&request);
        if request.path.ends_with("/timeZone") {
            return answer.map(|_| unreachable!("it is refused"));
        }
        let gate = if request.method == Method::Get { &self.0.replies } else { &self.0.acks };
        drop(gate.acquire().await.unwrap());
        answer.map(|body| Reply { status: 200, body, etag: None, location: None })
    }

    async fn pages(&self, request: GraphRequest, _enough: &(dyn for<'a> Fn(&'a [Value]) -> bool + Send + Sync)) -> Result<Page, StepError> {
        let reply = self.send(request).await?;
        let delta = reply.body["@odata.deltaLink"].as_str().map(str::to_owned);
        Ok(Page { items: reply.body["value"].as_array().unwrap().clone(), before: 0, next: None, delta })
    }

    async fn batch(&self, _requests: Vec<GraphRequest>) -> Result<Vec<Result<Reply, StepError>>, StepError> {
        unreachable!("no tool of this test sends a batch")
    }

    fn files(&self) -> &dyn Files {
        unreachable!("no tool of this test moves files")
    }

    fn now(&self) -> Timestamp {
        self.1
    }

    fn personal(&self) -> bool {
        false
    }
}

struct FakeRemote(Arc<FakeGraph>);

impl Remote for FakeRemote {
    fn steps(
        &self,
        _account: &AccountRow,
        _mailbox: Option<&str>,
        _urgency: &graph::Hurry,
        _deadline: Timestamp,
        now: Timestamp,
    ) -> Box<dyn Steps> {
        Box::new(FakeSteps(self.0.clone(), now))
    }
}

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    List {
        folder: usize,
        force: bool,
    },
    Get {
        message: usize,
    },
    Search,
    Mark {
        message: usize,
        read: bool,
        fate: Fate,
    },
    Move {
        message: usize,
        to: usize,
        fate: Fate,
    },
    /// A read whose reply is slow: a write happens and returns before it.
    SlowListDuringMark {
        folder: usize,
        message: usize,
        read: bool,
    },
    /// A read whose reply is slow; a write happens and returns; the same is read again before the first reply has come.
    JoinAfterMark {
        folder: usize,
        message: usize,
        read: bool,
    },
    /// A get whose reply is slow: a move happens and returns before it.
    SlowGetDuringMove {
        message: usize,
        to: usize,
    },
    Others {
        message: usize,
        to: Option<usize>,
    },
    Advance {
        seconds: u64,
    },
    Offline(bool),
    /// Somebody looks at a folder in several ways for a while, so that it gets a token when it has none, and goes on looking while others
    /// mark and move messages.
    Busy {
        folder: usize,
        others: Vec<(usize, Option<usize>)>,
    },
    /// Graph forgets every token it gave.
    Expire,
    /// The daemon is killed while a write waits for its reply, and starts again.
    KilledWrite {
        message: usize,
        read: bool,
    },
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![6 => Just(Fate::Done), 1 => Just(Fate::LostAfter), 1 => Just(Fate::LostBefore), 1 => Just(Fate::Refused)];
    let message = 0..MESSAGES.len();
    let folder = 0..FOLDERS.len();
    prop_oneof![
        8 => (folder.clone(), prop::bool::weighted(0.1)).prop_map(|(folder, force)| Step::List { folder, force }),
        6 => message.clone().prop_map(|message| Step::Get { message }),
        4 => Just(Step::Search),
        3 => (message.clone(), any::<bool>(), fate.clone()).prop_map(|(message, read, fate)| Step::Mark { message, read, fate }),
        3 => (message.clone(), folder.clone(), fate).prop_map(|(message, to, fate)| Step::Move { message, to, fate }),
        2 => (folder.clone(), message.clone(), any::<bool>()).prop_map(|(folder, message, read)| Step::SlowListDuringMark { folder, message, read }),
        2 => (folder.clone(), message.clone(), any::<bool>()).prop_map(|(folder, message, read)| Step::JoinAfterMark { folder, message, read }),
        2 => (message.clone(), folder.clone()).prop_map(|(message, to)| Step::SlowGetDuringMove { message, to }),
        3 => (message.clone(), prop::option::of(folder.clone())).prop_map(|(message, to)| Step::Others { message, to }),
        4 => (1_u64..2000).prop_map(|seconds| Step::Advance { seconds }),
        1 => prop::bool::weighted(0.3).prop_map(Step::Offline),
        2 => (folder.clone(), prop::collection::vec((message.clone(), prop::option::weighted(0.8, folder.clone())), 0..5))
            .prop_map(|(folder, others)| Step::Busy { folder, others }),
        1 => Just(Step::Expire),
        1 => (message, any::<bool>()).prop_map(|(message, read)| Step::KilledWrite { message, read }),
        1 => Just(Step::Forget),
    ]
}

/// What an own write did to a thing that can be read: a folder, or the message itself.
#[derive(Debug, Clone)]
struct Floor {
    place: String,
    message: String,
    /// Number of the change.
    change: u64,
    did: Did,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Did {
    BroughtIn,
    TookOut,
    Marked(bool),
}

impl Floor {
    /// Whether an answer made at change `made` may be served after this write has returned. `inside` is what a list says of the message:
    /// not there, or there and read or not; `None` for an answer that is no list.
    ///
    /// A list from before the write passes only when it shows no trace of the write's undoing. It may lack a message that was marked: then
    /// somebody else had moved the message in after the list was made, and learning of that is a matter of time, not of our write.
    fn reflected(&self, made: u64, inside: Option<Option<bool>>) -> bool {
        made >= self.change
            || match (self.did, inside) {
                (_, None) => false,
                (Did::BroughtIn, Some(inside)) => inside.is_some(),
                (Did::TookOut, Some(inside)) => inside.is_none(),
                (Did::Marked(read), Some(inside)) => inside.is_none_or(|shown| shown == read),
            }
    }
}

type Floors = Vec<Floor>;

struct World {
    clock: Arc<ManualClock>,
    graph: Arc<FakeGraph>,
    memory: Arc<Memory>,
    engine: Arc<Engine>,
    seed: u64,
    /// What every read has to show, because an own write of it returned; oldest first.
    floors: Floors,
    /// The same for writes whose outcome is unknown: holds from the end of the unsettled time on.
    late_floors: Vec<(Timestamp, Floors)>,
    bounds: Bounds,
    reads: u64,
    fetches: u64,
}

/// So few rows that histories of this size have to forget.
const TIGHT: Bounds = Bounds { per_source: 4, total: 4 };

impl World {
    async fn new(seed: u64, bounds: Bounds) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let graph = Arc::new(FakeGraph {
            mailbox: Mutex::new(Mailbox::new()),
            fate: Mutex::new(Fate::Done),
            clock: clock.clone(),
            replies: Semaphore::new(1000),
            acks: Semaphore::new(1000),
            requests: AtomicU64::new(0),
            offline: Mutex::new(false),
        });
        let memory = Arc::new(Memory::new(Arc::new(SeededDice::new(seed)), Limits::default()));
        memory.save_account(testing::account()).await.unwrap();
        let engine = start(&memory, &graph, &clock, seed, bounds).await;
        Self { clock, graph, memory, engine, seed, floors: Floors::new(), late_floors: Vec::new(), bounds, reads: 0, fetches: 0 }
    }

    async fn call(&self, tool: &str, args: Value) -> Result<Value, CallError> {
        let Value::Object(mut args) = args else { unreachable!() };
        args.insert("account_id".into(), testing::ACCOUNT.into());
        let answer = self.engine.call(&Caller::default(), tool, &args as &Map<String, Value>).await?;
        Ok(serde_json::from_str(&answer.text()).unwrap())
    }

    /// Checks an answer about `thing`, asked for when `floors` stood as given.
    fn check(&self, answer: &Value, thing: &str, floors: &Floors, asked: Timestamp, stale: Duration) {
        let list = answer["messages"].as_array();
        let shown = list.map_or(answer, |messages| &messages[0]);
        let made: u64 = shown["subject"].as_str().unwrap().trim_start_matches('@').parse().unwrap();
        let ended = self.late_floors.iter().filter(|(from, _)| asked > *from).map(|(_, late)| late);
        for floor in std::iter::once(floors).chain(ended).flatten().filter(|floor| floor.place == thing) {
            let inside =
                list.map(|messages| messages.iter().find(|shown| shown["id"] == *floor.message).map(|shown| shown["isRead"] == true));
            assert!(floor.reflected(made, inside), "an answer of change {made} hides an own write that had returned, {floor:?}: {answer}");
        }
        let cached_at: jiff::Timestamp = answer["_cached_at"].as_str().unwrap().parse().unwrap();
        let cached_at = Timestamp(cached_at.as_millisecond());
        let mailbox = self.graph.mailbox.lock().unwrap();
        let at_that_time = mailbox.last_before(thing, cached_at);
        assert!(made >= at_that_time, "an answer of change {made} claims to have been true after change {at_that_time}: {answer}");
        if answer["_cache_status"] != "stale_if_error" {
            assert!(asked.since(cached_at) <= stale, "older than its contract: {answer}");
        }
    }

    async fn read(&mut self, tool: &str, args: Value, thing: &str, stale: Duration) {
        let (floors, asked) = (self.floors.clone(), self.clock.now());
        let before = self.graph.requests.load(SeqCst);
        let answer = self.call(tool, args).await;
        self.reads += 1;
        self.fetches += u64::from(self.graph.requests.load(SeqCst) > before);
        match answer {
            Ok(answer) => self.check(&answer, thing, &floors, asked, stale),
            Err(error) => assert!(*self.graph.offline.lock().unwrap(), "only an unreachable Graph may fail a read: {error}"),
        }
    }

    async fn list(&mut self, folder: usize, force: bool) {
        let args = json!({ "folder_id": FOLDERS[folder], "include_body": false, "force_refresh": force });
        self.read("email_list", args, FOLDERS[folder], Duration::from_secs(600)).await;
    }

    fn others(&self, message: usize, to: Option<usize>) {
        let now = self.clock.now();
        let mut mailbox = self.graph.mailbox.lock().unwrap();
        match to {
            Some(to) => mailbox.relocate(MESSAGES[message], FOLDERS[to], now),
            None => mailbox.mark(MESSAGES[message], true, now),
        }
    }

    async fn busy(&mut self, folder: usize) {
        for _ in 0..4 {
            // Three questions of which none holds another's answer.
            for length in [10, 11, 12] {
                let args = json!({ "folder_id": FOLDERS[folder], "include_body": false, "limit": 10, "body_max_length": length });
                self.read("email_list", args, FOLDERS[folder], Duration::from_secs(600)).await;
            }
            testing::run_queue(&self.engine).await;
            self.advance(Duration::from_secs(130)).await;
        }
    }

    async fn get(&mut self, message: usize) {
        let args = json!({ "email_id": MESSAGES[message], "include_attachments": false });
        self.read("email_get", args, MESSAGES[message], Duration::from_secs(3600)).await;
    }

    async fn search(&mut self) {
        self.read("search_emails", json!({ "query": "plan" }), SEARCH, Duration::from_secs(300)).await;
    }

    async fn write(&mut self, tool: &str, args: Value, fate: Fate) {
        *self.graph.fate.lock().unwrap() = fate;
        let before = self.graph.mailbox.lock().unwrap().clone();
        let answer = self.call(tool, args).await;
        *self.graph.fate.lock().unwrap() = Fate::Done;
        let after = self.graph.mailbox.lock().unwrap().clone();
        let offline = *self.graph.offline.lock().unwrap();
        assert_eq!(answer.is_ok(), fate == Fate::Done && !offline, "{fate:?}: {answer:?}");
        self.returned(&before, &after, answer.is_ok());
    }

    /// An own write has returned: what it changed must be seen from now on, or from the end of the unsettled time.
    fn returned(&mut self, before: &Mailbox, after: &Mailbox, known: bool) {
        let changed: Vec<&String> =
            after.last.iter().filter(|(thing, change)| before.last.get(*thing) != Some(change)).map(|(thing, _)| thing).collect();
        let Some(message) = changed.iter().find(|thing| MESSAGES.contains(&thing.as_str())) else { return };
        let (was, _) = &before.messages[*message];
        let (is, read) = &after.messages[*message];
        let floors = changed.iter().map(|place| Floor {
            place: (*place).clone(),
            message: (*message).clone(),
            change: after.last[*place],
            did: match () {
                () if was == is => Did::Marked(*read),
                () if *place == is => Did::BroughtIn,
                () => Did::TookOut,
            },
        });
        if known {
            self.floors.extend(floors);
        } else {
            self.late_floors.push((self.clock.now(), floors.collect()));
        }
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        let (bumps, _) = self.memory.settle(self.clock.now()).await.unwrap();
        self.engine.truth.apply(&bumps);
    }

    async fn hold_replies(&self) {
        self.graph.replies.acquire_many(1000).await.unwrap().forget();
        self.graph.acks.acquire_many(1000).await.unwrap().forget();
    }

    fn release_replies(&self) {
        self.graph.replies.add_permits(1000);
        self.graph.acks.add_permits(1000);
    }

    async fn join_after_mark(&mut self, folder: usize, message: usize, read: bool) {
        if *self.graph.offline.lock().unwrap() {
            return;
        }
        let args = json!({ "folder_id": FOLDERS[folder], "include_body": false, "force_refresh": true, "account_id": testing::ACCOUNT });
        let ask = |engine: Arc<Engine>| {
            let args = args.as_object().unwrap().clone();
            tokio::spawn(async move { engine.call(&Caller::default(), "email_list", &args).await })
        };
        self.graph.replies.acquire_many(1000).await.unwrap().forget();
        let base = self.graph.requests.load(SeqCst);
        let slow = ask(self.engine.clone());
        self.asked(base + 1).await;
        self.write("email_mark_read", json!({ "email_id": MESSAGES[message], "is_read": read }), Fate::Done).await;
        let (floors, asked) = (self.floors.clone(), self.clock.now());
        let again = ask(self.engine.clone());
        // It may ask for itself or wait for the first; either way nothing comes before the replies are let go.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.graph.replies.add_permits(1000);
        slow.await.unwrap().unwrap();
        let answer = again.await.unwrap().unwrap();
        let answer: Value = serde_json::from_str(&answer.text()).unwrap();
        self.check(&answer, FOLDERS[folder], &floors, asked, Duration::from_secs(600));
    }

    /// Waits until Graph has been asked `count` times in all.
    async fn asked(&self, count: u64) {
        while self.graph.requests.load(SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::List { folder, force } => self.list(folder, force).await,
            Step::Get { message } => self.get(message).await,
            Step::Search => self.search().await,
            Step::Mark { message, read, fate } => {
                self.write("email_mark_read", json!({ "email_id": MESSAGES[message], "is_read": read }), fate).await;
            }
            Step::Move { message, to, fate } => {
                self.write("email_move", json!({ "email_id": MESSAGES[message], "destination_folder": FOLDERS[to] }), fate).await;
            }
            Step::SlowListDuringMark { folder, message, read } => {
                let args = json!({ "folder_id": FOLDERS[folder], "include_body": false, "force_refresh": true });
                self.overlap("email_list", args, "email_mark_read", json!({ "email_id": MESSAGES[message], "is_read": read })).await;
                self.list(folder, false).await;
            }
            Step::JoinAfterMark { folder, message, read } => self.join_after_mark(folder, message, read).await,
            Step::SlowGetDuringMove { message, to } => {
                let args = json!({ "email_id": MESSAGES[message], "include_attachments": false, "force_refresh": true });
                let write = json!({ "email_id": MESSAGES[message], "destination_folder": FOLDERS[to] });
                self.overlap("email_get", args, "email_move", write).await;
                self.get(message).await;
                self.list(to, false).await;
            }
            Step::Others { message, to } => self.others(message, to),
            Step::Advance { seconds } => self.advance(Duration::from_secs(seconds)).await,
            Step::Busy { folder, others } => {
                self.busy(folder).await;
                for (message, to) in others {
                    self.others(message, to);
                    self.advance(Duration::from_secs(130)).await;
                    // The first is served as it is and checked afterwards; the second shows what the check said.
                    for _ in 0..2 {
                        self.list(folder, false).await;
                        testing::run_queue(&self.engine).await;
                        self.get(message).await;
                    }
                }
            }
            Step::Expire => self.graph.mailbox.lock().unwrap().generation += 1,
            Step::Offline(offline) => *self.graph.offline.lock().unwrap() = offline,
            Step::KilledWrite { message, read } => self.killed_write(message, read).await,
            Step::Forget => {
                self.engine.tidy().await;
                let sizes = self.memory.sources().await.unwrap();
                for size in &sizes {
                    let state = self.memory.source(&size.id).await.unwrap();
                    let unsettled = state.scopes.values().filter(|marks| marks.unsettled_until.is_some()).count() as u64;
                    assert!(size.items <= self.bounds.per_source, "{size:?}");
                    assert!(size.scopes <= self.bounds.per_source.max(unsettled), "{size:?}, {unsettled} unsettled");
                }
                assert!(
                    self.engine.truth.rows() as u64 <= sizes.iter().map(|size| size.scopes).sum(),
                    "memory holds what the ledger forgot"
                );
            }
        }
    }

    /// A read that began before a write and lands after it.
    async fn overlap(&mut self, read: &'static str, read_args: Value, write: &str, write_args: Value) {
        if *self.graph.offline.lock().unwrap() {
            return;
        }
        self.hold_replies().await;
        let base = self.graph.requests.load(SeqCst);
        let (engine, Value::Object(mut args)) = (self.engine.clone(), read_args) else { unreachable!() };
        args.insert("account_id".into(), testing::ACCOUNT.into());
        let slow = tokio::spawn(async move { engine.call(&Caller::default(), read, &args).await });
        // Graph has answered the read; its reply is on the way.
        self.asked(base + 1).await;
        let before = self.graph.mailbox.lock().unwrap().clone();
        let (engine, Value::Object(mut args)) = (self.engine.clone(), write_args) else { unreachable!() };
        args.insert("account_id".into(), testing::ACCOUNT.into());
        let tool = write.to_owned();
        let writing = tokio::spawn(async move { engine.call(&Caller::default(), &tool, &args).await });
        self.asked(base + 2).await;
        // Both replies come now. Which lands first is the scheduler's choice; either must be right.
        self.release_replies();
        let written = writing.await.unwrap();
        let after = self.graph.mailbox.lock().unwrap().clone();
        self.returned(&before, &after, written.is_ok());
        slow.await.unwrap().unwrap();
    }

    /// The daemon dies while a write waits for its reply. The next one must not serve anything from before it.
    async fn killed_write(&mut self, message: usize, read: bool) {
        if *self.graph.offline.lock().unwrap() {
            return;
        }
        let before = self.graph.mailbox.lock().unwrap().clone();
        self.hold_replies().await;
        let base = self.graph.requests.load(SeqCst);
        let engine = self.engine.clone();
        let Value::Object(args) = json!({ "email_id": MESSAGES[message], "is_read": read, "account_id": testing::ACCOUNT }) else {
            unreachable!()
        };
        let doomed = tokio::spawn(async move { engine.call(&Caller::default(), "email_mark_read", &args).await });
        self.asked(base + 1).await;
        doomed.abort();
        // The old engine's act stays blocked for ever on a gate of its own: nothing of it reaches the ledger again.
        let mailbox = self.graph.mailbox.lock().unwrap().clone();
        let stuck = std::mem::replace(
            &mut self.graph,
            Arc::new(FakeGraph {
                mailbox: Mutex::new(mailbox),
                fate: Mutex::new(Fate::Done),
                clock: self.clock.clone(),
                replies: Semaphore::new(1000),
                acks: Semaphore::new(1000),
                requests: AtomicU64::new(0),
                offline: Mutex::new(false),
            }),
        );
        std::mem::forget(stuck);
        self.seed += 1;
        self.engine = start(&self.memory, &self.graph, &self.clock, self.seed, self.bounds).await;
        let after = self.graph.mailbox.lock().unwrap().clone();
        self.returned(&before, &after, false);
    }
}

async fn start(memory: &Arc<Memory>, graph: &Arc<FakeGraph>, clock: &Arc<ManualClock>, seed: u64, bounds: Bounds) -> Arc<Engine> {
    let (remote, dice) = (Arc::new(FakeRemote(graph.clone())), Arc::new(SeededDice::new(seed ^ 0xA5A5)));
    testing::engine_with(memory.clone(), memory.clone(), remote, clock.clone(), dice, |parts| parts.policy.bounds = bounds).await
}

fn run_with(seed: u64, steps: Vec<Step>, bounds: Bounds) -> (u64, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed, bounds).await;
        for step in steps {
            world.step(step).await;
            testing::run_queue(&world.engine).await;
        }
        (world.reads, world.fetches)
    })
}

fn run(seed: u64, steps: Vec<Step>) -> (u64, u64) {
    run_with(seed, steps, TIGHT)
}

proptest! {
    #![proptest_config(crate::chance::cases(250))]

    #[test]
    fn no_history_shows_what_a_returned_write_has_overtaken(seed: u64, steps in prop::collection::vec(step(), 1..60)) {
        run(seed, steps);
    }
}

#[test]
fn a_reply_lost_after_the_write_happened_is_not_hidden_by_an_older_answer() {
    run(
        1,
        vec![
            Step::List { folder: 0, force: false },
            Step::Mark { message: 0, read: true, fate: Fate::LostAfter },
            Step::List { folder: 0, force: false },
            Step::Advance { seconds: 61 },
            Step::List { folder: 0, force: false },
        ],
    );
}

/// What forgetting costs: the same histories with few rows and with all of them. The numbers are printed by `--nocapture`.
#[test]
#[expect(clippy::print_stdout, reason = "the number is for people")]
fn forgetting_costs_fetches_and_nothing_else() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let histories = prop::collection::vec(step(), 40..60);
    let (mut reads, mut kept, mut forgot) = (0, 0, 0);
    for seed in 0..100 {
        let steps = histories.new_tree(&mut runner).unwrap().current();
        let all = run_with(seed, steps.clone(), Bounds::default());
        let few = run_with(seed, steps, TIGHT);
        assert_eq!(all.0, few.0);
        (reads, kept, forgot) = (reads + all.0, kept + all.1, forgot + few.1);
    }
    println!("fetches in {reads} reads: {kept} with every row kept, {forgot} with at most {} rows of each kind", TIGHT.per_source);
    // Too much bumping shows here first; too little shows as a wrong answer above.
    assert!(kept <= forgot && (forgot - kept) * 10 <= reads, "{kept} and {forgot} of {reads}");
}

#[test]
fn a_folder_in_use_gets_a_token_and_then_one_request_keeps_all_of_it_fresh() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(4, Bounds::default()).await;
        // Two rounds to see that it is worth it; the walk; the answers that the token will vouch for.
        world.busy(0).await;
        world.busy(0).await;
        assert_eq!(world.graph.mailbox.lock().unwrap().told.0, 1, "one walk");
        world.get(0).await;
        let asked = |world: &World| world.graph.requests.load(SeqCst);
        let before = asked(&world);
        world.busy(0).await;
        assert_eq!(asked(&world) - before, 4, "one for each time that three lists had grown old");
        // The message too, long after it was fetched: it is as fresh as the last check.
        world.advance(Duration::from_secs(700)).await;
        let before = asked(&world);
        world.get(0).await;
        assert_eq!(asked(&world), before);
        // A removal ends the token, and what was not touched by it is asked for again.
        world.step(Step::Others { message: 0, to: Some(1) }).await;
        world.advance(Duration::from_secs(3700)).await;
        let before = asked(&world);
        world.get(0).await;
        world.list(0, false).await;
        assert_eq!(asked(&world) - before, 3, "the check, the message, the list");
    });
}

#[test]
fn a_feed_is_believed_for_a_day() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(5, Bounds::default()).await;
        world.busy(0).await;
        world.busy(0).await;
        let fetched = world.clock.now();
        let args = json!({ "folder_id": "F0", "include_body": false, "limit": 10, "body_max_length": 10 });
        while world.clock.now().since(fetched) < Duration::from_secs(25 * 3600) {
            world.advance(Duration::from_secs(500)).await;
            world.call("email_list", args.clone()).await.unwrap();
            testing::run_queue(&world.engine).await;
        }
        // Something that the feed has lost is found after a day at the latest.
        let key = world.engine.cached_read("email_list", &{
            let mut args = args.as_object().unwrap().clone();
            args.insert("account_id".into(), testing::ACCOUNT.into());
            args
        });
        let key = world.engine.key(&key.unwrap()).unwrap();
        let again = world.engine.entry(&key).await.unwrap().meta.fetch_started;
        assert!(again > fetched && again < fetched.plus(crate::cache::VOUCHED + Duration::from_secs(1000)), "{again:?}");
        assert!(world.graph.mailbox.lock().unwrap().told.1 > 100, "it was kept fresh by checks");
    });
}

#[test]
fn a_search_is_asked_anew_when_a_message_it_shows_was_marked_and_not_for_another() {
    let mark = |message| Step::Mark { message, read: true, fate: Fate::Done };
    let known = [Step::List { folder: 0, force: false }, Step::List { folder: 2, force: false }, Step::Search];
    let run = |steps: Vec<Step>| run_with(7, [known.to_vec(), steps].concat(), Bounds::default()).1 - 3;
    assert_eq!(run(vec![mark(2), Step::Search]), 0, "another message was marked");
    assert_eq!(run(vec![mark(0), Step::Search]), 1, "it shows the message");
    assert_eq!(run(vec![Step::Move { message: 2, to: 1, fate: Fate::Done }, Step::Search]), 1, "another message has another place");
    // The index may show the mark late.
    assert_eq!(run(vec![mark(0), Step::Search, Step::Search]), 2);
    assert_eq!(run(vec![mark(0), Step::Search, Step::Advance { seconds: 61 }, Step::Search, Step::Search]), 2);
}

#[test]
fn untouched_answers_stay() {
    let (reads, fetches) = run(
        2,
        vec![
            Step::List { folder: 1, force: false },
            Step::Get { message: 1 },
            Step::Mark { message: 0, read: true, fate: Fate::Done },
            Step::List { folder: 1, force: false },
            Step::Get { message: 1 },
        ],
    );
    // M0 is in F0 and its place was not known: bumping all of mail is allowed once, but not more.
    assert_eq!(reads, 4);
    assert!(fetches <= 4, "{fetches}");
    let (_, fetches) = run(
        3,
        vec![
            Step::List { folder: 0, force: false },
            Step::List { folder: 1, force: false },
            Step::Mark { message: 0, read: true, fate: Fate::Done },
            Step::List { folder: 1, force: false },
            Step::List { folder: 0, force: false },
        ],
    );
    assert_eq!(fetches, 3, "only the folder that holds the message is asked for again");
}
