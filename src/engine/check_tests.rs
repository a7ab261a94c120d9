//! Checks of a drive by delta: one small request in place of many, and generated histories against a model.
//!
//! The drive of this test reports less than the real one does: a folder is not reported for what changes below it. Held:
//!
//! - an answer is exactly what the drive held at its `_cached_at`, which is within the tool's contract;
//! - unless an own write came after that and had returned before the answer was asked for, and changed the place: such an answer is never given;
//! - two accounts on one drive, tokens that Graph forgets, removals, forgetting, kills, changes and own writes in the middle of a walk or a
//!   check change none of this.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::Ordering::SeqCst},
    time::Duration,
};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    testing::{self, REPLIES, Scripted, call, engine_with, failure, reply, run_queue},
    *,
};
use crate::{
    cache::{Learned, Scope, Service, SourceId, Touch, Touched},
    chance::SeededDice,
    clock::ManualClock,
    graph::GraphRequest,
    ids::AccountId,
    store::{Entries as _, Ledger as _, Limits, Memory, NewWrite, Outcome},
    tools::{Reply, StepError},
};

const START: Timestamp = Timestamp(1_763_629_200_000);
const WHO: [&str; 2] = ["o1.tid", "o2.tid"];
const MINUTE: u64 = 60;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    name: String,
    parent: String,
    folder: bool,
    /// Number of the last change of it; shown as the time of that.
    change: u64,
    /// Its own bytes; a folder shows those of all below it.
    size: u64,
}

/// What the drive holds; the root is `R`.
type Held = BTreeMap<String, Item>;

struct Drive {
    now: Held,
    /// Every state there was, with the time from which it held.
    past: Vec<(Timestamp, Held)>,
    /// Ids in the order in which they changed.
    log: Vec<String>,
    /// Tokens of another generation are not known.
    generation: u64,
    clock: Arc<ManualClock>,
}

impl Drive {
    fn new(clock: Arc<ManualClock>) -> Self {
        let item = |name: &str, parent: &str, folder| Item { name: name.into(), parent: parent.into(), folder, change: 0, size: 1 };
        let now = Held::from([
            ("A".into(), item("a", "R", true)),
            ("B".into(), item("b", "R", true)),
            ("C".into(), item("c", "A", true)),
            ("x".into(), item("x", "A", false)),
            ("y".into(), item("y", "C", false)),
            ("z".into(), item("z", "R", false)),
        ]);
        Self { past: vec![(clock.now(), now.clone())], now, log: Vec::new(), generation: 1, clock }
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Item)) {
        let number = u64::try_from(self.log.len()).unwrap() + 1;
        if let Some(item) = self.now.get_mut(id) {
            change(item);
            item.change = number;
        }
        self.note(id);
    }

    fn note(&mut self, id: &str) {
        self.log.push(id.to_owned());
        // No two states share a time, so that an answer's time names one.
        self.clock.advance(Duration::from_millis(2));
        self.past.push((self.clock.now(), self.now.clone()));
        self.clock.advance(Duration::from_millis(2));
    }

    /// The bytes that are shown of an item.
    fn size(held: &Held, id: &str) -> u64 {
        let Some(item) = held.get(id) else { return 0 };
        let below = held.iter().filter(|(_, other)| item.folder && other.parent == id);
        if item.folder { below.map(|(id, _)| Self::size(held, id)).sum() } else { item.size }
    }

    /// `/a/c`; empty for the top.
    fn path(held: &Held, id: &str) -> String {
        held.get(id).map_or_else(String::new, |item| format!("{}/{}", Self::path(held, &item.parent), item.name))
    }

    fn at(&self, when: Timestamp) -> &Held {
        &self.past.iter().rev().find(|(from, _)| *from <= when).unwrap_or(&self.past[0]).1
    }

    fn row(held: &Held, id: &str) -> Value {
        match held.get(id) {
            None => json!({ "id": id, "deleted": { "state": "deleted" } }),
            Some(item) => {
                let above = format!("/drive/root:{}", Self::path(held, &item.parent));
                let (size, parent) = (Self::size(held, id), json!({ "id": item.parent, "path": above }));
                let mut row =
                    json!({ "id": id, "name": item.name, "size": size, "lastModifiedDateTime": item.change, "parentReference": parent });
                if item.folder {
                    let children = held.values().filter(|other| other.parent == id).count();
                    row["folder"] = json!({ "childCount": children });
                }
                row
            }
        }
    }

    fn root() -> Value {
        json!({ "id": "R", "name": "root", "root": {}, "folder": { "childCount": 9 } })
    }

    fn answer(&self, request: &GraphRequest) -> Result<Reply, StepError> {
        if let Some(token) = request.path.strip_prefix("https://graph/delta/") {
            let (generation, from) = token.split_once('/').unwrap();
            if generation != self.generation.to_string() {
                return Err(failure(Some(410), false));
            }
            let changed = &self.log[from.parse::<usize>().unwrap()..];
            let rows: Vec<Value> = std::iter::once(Self::root()).chain(changed.iter().map(|id| Self::row(&self.now, id))).collect();
            return reply(json!({ "value": rows, "@odata.deltaLink": self.link() }));
        }
        let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        let children = |folder: &str| {
            let mut inside: Vec<Value> =
                self.now.iter().filter(|(_, item)| item.parent == folder).map(|(id, _)| Self::row(&self.now, id)).collect();
            inside.sort_by_key(|row| row["name"].as_str().unwrap().to_owned());
            reply(json!({ "value": inside }))
        };
        match parts.as_slice() {
            ["me", "drive"] => reply(json!({ "id": "D" })),
            ["me", "drive", "root", "delta"] => {
                let rows: Vec<Value> = std::iter::once(Self::root()).chain(self.now.keys().map(|id| Self::row(&self.now, id))).collect();
                reply(json!({ "value": rows, "@odata.deltaLink": self.link() }))
            }
            ["me", "drive", "root"] => reply(Self::root()),
            ["me", "drive", "root", "children"] => children("R"),
            ["me", "drive", "items", folder, "children"] => match *folder == "R" || self.now.contains_key(*folder) {
                true => children(folder),
                false => Err(failure(Some(404), false)),
            },
            other => panic!("the drive of this test does not know {other:?}"),
        }
    }

    fn link(&self) -> String {
        format!("https://graph/delta/{}/{}", self.generation, self.log.len())
    }
}

/// A question, as a tool and a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Tree,
    Files(&'static str),
    Folders(&'static str),
}

impl Ask {
    fn call(self, who: usize) -> (&'static str, Value) {
        match self {
            Self::Tree => ("folder_get_tree", json!({ "account_id": WHO[who] })),
            Self::Files(at) => ("file_list", json!({ "account_id": WHO[who], "folder_id": at })),
            Self::Folders(at) => ("folder_list", json!({ "account_id": WHO[who], "folder_id": at })),
        }
    }

    fn stale(self) -> Duration {
        Duration::from_secs(if self == Self::Tree { 7200 } else { 3600 })
    }

    /// What the answer has to show of a state, in a form to compare.
    fn expected(self, held: &Held) -> Vec<String> {
        let children = |id: &str| held.values().filter(|other| other.parent == id).count();
        let mut seen: Vec<String> = match self {
            Self::Files(at) => {
                let inside = held.iter().filter(|(_, item)| item.parent == at);
                inside.map(|(id, item)| format!("{id} {} {} {}", item.name, item.change, Drive::size(held, id))).collect()
            }
            Self::Folders(at) => {
                let inside = held.iter().filter(|(_, item)| item.parent == at && item.folder);
                inside.map(|(id, _)| format!("{id} {} {}", Drive::path(held, id), children(id))).collect()
            }
            Self::Tree => {
                let folders = held.iter().filter(|(_, item)| item.folder);
                folders.map(|(id, item)| format!("{id} {} {} in {}", Drive::path(held, id), children(id), item.parent)).collect()
            }
        };
        seen.sort();
        seen
    }

    fn shown(self, answer: &Value) -> Vec<String> {
        fn walk(nodes: &Value, into: &mut Vec<String>) {
            for node in nodes.as_array().unwrap() {
                into.push(format!(
                    "{} {} {} in {}",
                    node["id"].as_str().unwrap(),
                    node["path"].as_str().unwrap(),
                    node["childCount"],
                    node["parentId"].as_str().unwrap()
                ));
                walk(&node["children"], into);
            }
        }
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut seen: Vec<String> = match self {
            Self::Files(_) => answer["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| format!("{} {} {} {}", text(&row["id"]), text(&row["name"]), row["modified"], row["size"]))
                .collect(),
            Self::Folders(_) => {
                let rows = answer["folders"].as_array().unwrap().iter();
                rows.map(|row| format!("{} {} {}", text(&row["id"]), text(&row["path"]), row["childCount"])).collect()
            }
            Self::Tree => {
                let mut seen = Vec::new();
                walk(&answer["folders"], &mut seen);
                seen
            }
        };
        seen.sort();
        seen
    }
}

/// A change, by somebody else or by us.
#[derive(Debug, Clone)]
enum Change {
    Edit(&'static str),
    Rename(&'static str),
    Move(&'static str, &'static str),
    Create(&'static str),
    Delete(&'static str),
}

struct World {
    clock: Arc<ManualClock>,
    drive: Arc<Mutex<Drive>>,
    graph: Arc<Scripted>,
    memory: Arc<Memory>,
    engine: Arc<Engine>,
    bounds: Bounds,
    writes: usize,
    /// Own writes that have returned: when, and the states before and after.
    own: Vec<(Timestamp, Held, Held)>,
    /// Requests that earlier engines have counted.
    made: u64,
}

async fn start(memory: &Arc<Memory>, graph: &Arc<Scripted>, clock: &Arc<ManualClock>, bounds: Bounds) -> Arc<Engine> {
    let dice = Arc::new(SeededDice::new(5));
    engine_with(memory.clone(), memory.clone(), graph.remote(), clock.clone(), dice, |parts| parts.policy.bounds = bounds).await
}

impl World {
    async fn new(bounds: Bounds) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let drive = Arc::new(Mutex::new(Drive::new(clock.clone())));
        let asked = drive.clone();
        let graph = Scripted::new(move |request| asked.lock().unwrap().answer(request));
        let memory = Arc::new(Memory::new(Arc::new(SeededDice::new(3)), Limits::default()));
        for who in WHO {
            let row = AccountRow { id: AccountId::new(who), username: who.into(), drive_id: Some("D".into()), ..testing::account() };
            memory.save_account(row).await.unwrap();
        }
        let engine = start(&memory, &graph, &clock, bounds).await;
        Self { clock, drive, graph, memory, engine, bounds, writes: 0, own: Vec::new(), made: 0 }
    }

    fn source() -> SourceId {
        SourceId::drive("global", "tid", "D")
    }

    fn check(&self, ask: Ask, answer: &Value, asked: Timestamp, own: &[(Timestamp, Held, Held)]) {
        let cached_at: jiff::Timestamp = answer["_cached_at"].as_str().unwrap().parse().unwrap();
        let cached_at = Timestamp(cached_at.as_millisecond());
        let drive = self.drive.lock().unwrap();
        let shown = ask.shown(answer);
        // A change in the middle of a fetch may be in the answer already.
        let landed = self.clock.now();
        let during = drive.past.iter().filter(|(from, _)| cached_at < *from && *from <= landed).map(|(_, held)| held);
        let held = std::iter::once(drive.at(cached_at)).chain(during.filter(|_| answer["_cache_status"] == "miss"));
        assert!(held.clone().any(|held| ask.expected(held) == shown), "{ask:?} was never so since {}: {answer}", answer["_cached_at"]);
        assert!(asked.since(cached_at) <= ask.stale(), "older than its contract: {answer}");
        for (returned, before, after) in own.iter().filter(|(returned, _, _)| cached_at < *returned && *returned <= asked) {
            let (before, after) = (ask.expected(before), ask.expected(after));
            let hidden = before != after && shown != ask.expected(drive.at(*returned)) && !after.iter().all(|row| shown.contains(row));
            assert!(!hidden, "{ask:?} hides the own write of {returned:?}: {answer}");
        }
    }

    async fn ask(&self, who: usize, ask: Ask) -> Option<Value> {
        let (asked, own) = (self.clock.now(), self.own.clone());
        let (tool, args) = ask.call(who);
        match call(&self.engine, tool, args).await {
            Ok(answer) => {
                self.check(ask, &answer, asked, &own);
                Some(answer)
            }
            // The folder is gone.
            Err(error) => {
                assert!(!matches!(ask, Ask::Tree), "{error}");
                None
            }
        }
    }

    /// Makes a change; `own` through the journal, as a tool would.
    async fn change(&mut self, change: &Change, own: bool) {
        let (touches, learned) = self.touches(change);
        let id = if own { Some(self.open(touches).await) } else { None };
        let before = self.drive.lock().unwrap().now.clone();
        self.make(change);
        let after = self.drive.lock().unwrap().now.clone();
        if let Some(id) = id {
            let now = self.clock.now();
            let bumps = self.memory.close_write(id, Outcome::Done { late: false }, vec![], learned, now, now).await.unwrap();
            self.engine.truth.apply(&bumps);
            self.clock.advance(Duration::from_millis(1));
            self.own.push((self.clock.now(), before, after));
        }
    }

    /// What a tool that does this would touch (`tools/drive.rs`), and what its reply would teach.
    fn touches(&self, change: &Change) -> (Vec<Touch>, Vec<Learned>) {
        let held = self.drive.lock().unwrap().now.clone();
        let folder = |id: &str| {
            let within = held.get(id).map(|item| Touch::Scope(Scope::children(&item.parent)));
            [Touch::Scope(Scope::children(id)), Touch::Scope(Scope::structure()), Touch::Scope(Scope::item(id))].into_iter().chain(within)
        };
        let at = |id: &str| held.get(id).map_or("R", |item| item.parent.as_str());
        let learned = |id: &str, parent: Option<&str>| {
            vec![Learned { source: Self::source(), item: id.into(), containers: parent.map(Scope::children).into_iter().collect() }]
        };
        match change {
            // Every folder above shows the size, and all below a folder shows its name.
            Change::Edit(id) | Change::Rename(id) => (vec![Touch::Item((*id).into()), Touch::All], learned(id, Some(at(id)))),
            Change::Move(id, to) => {
                let places = folder(at(id)).chain(folder(to));
                ([Touch::Item((*id).into()), Touch::All].into_iter().chain(places).collect(), learned(id, Some(to)))
            }
            // It is empty.
            Change::Create(to) => (folder(to).collect(), vec![]),
            Change::Delete(id) => ([Touch::Item((*id).into()), Touch::All].into_iter().chain(folder(at(id))).collect(), learned(id, None)),
        }
    }

    async fn open(&mut self, touches: Vec<Touch>) -> crate::store::WriteId {
        self.writes += 1;
        let touched = Touched { source: Self::source(), service: Service::Files, touches };
        let write = NewWrite {
            call_key: format!("w{}", self.writes),
            account: AccountId::new(WHO[0]),
            tool: "file_move".into(),
            args_hash: [0; 32],
            touched,
            at: self.clock.now(),
            client: String::new(),
            targets: Vec::new(),
        };
        self.memory.open_write(write).await.unwrap()
    }

    fn make(&self, change: &Change) {
        let mut drive = self.drive.lock().unwrap();
        let number = drive.log.len();
        match change {
            Change::Edit(id) => drive.change(id, |item| item.size += 1000 + u64::try_from(number).unwrap()),
            Change::Rename(id) => drive.change(id, |item| item.name = format!("{}{number}", &item.name[..1])),
            // No folder moves into itself in this test: only C and files move.
            Change::Move(id, to) => drive.change(id, |item| item.parent = (*to).into()),
            Change::Create(to) => {
                let id = format!("n{number}");
                if *to == "R" || drive.now.contains_key(*to) {
                    let folder = number.is_multiple_of(3);
                    drive.now.insert(id.clone(), Item { name: id.clone(), parent: (*to).into(), folder, change: 0, size: 0 });
                    drive.change(&id, |_| ());
                }
            }
            Change::Delete(id) => {
                drive.now.remove(*id);
                drive.note(id);
            }
        }
    }

    /// Asks, and lets something happen after Graph has answered and before the answer is here.
    async fn ask_slowly(&mut self, who: usize, ask: Ask, change: &Change, own: bool) {
        let (tool, mut args) = ask.call(who);
        args["force_refresh"] = (own && ask != Ask::Tree).into();
        let (asked, before) = (self.clock.now(), self.own.clone());
        let graph = self.graph.clone();
        let held = graph.replies.acquire_many(REPLIES).await.unwrap();
        let base = self.graph.count();
        let engine = self.engine.clone();
        let slow = tokio::spawn(async move { call(&engine, tool, args).await });
        while self.graph.count() == base && !slow.is_finished() {
            tokio::task::yield_now().await;
        }
        self.change(change, own).await;
        drop(held);
        if let Ok(answer) = slow.await.unwrap() {
            self.check(ask, &answer, asked, &before);
        }
    }

    /// Requests that have been counted.
    fn made(&self) -> usize {
        usize::try_from(self.made + self.engine.stats().total.made()).unwrap()
    }

    async fn restart(&mut self) {
        self.made += self.engine.stats().total.made();
        self.engine = start(&self.memory, &self.graph, &self.clock, self.bounds).await;
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

#[derive(Debug, Clone)]
enum Step {
    Ask(usize, Ask),
    Slow(usize, Ask, Change, bool),
    Change(Change, bool),
    Advance(u64),
    /// Graph forgets every token it gave.
    Expire,
    Forget,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let folder = || prop::sample::select(vec!["R", "A", "B", "C"]);
    let ask = move || prop_oneof![2 => Just(Ask::Tree), 2 => folder().prop_map(Ask::Files), 2 => folder().prop_map(Ask::Folders)];
    let any_item = || prop::sample::select(vec!["A", "B", "C", "x", "y", "z"]);
    let change = move || {
        prop_oneof![
            3 => any_item().prop_map(Change::Edit),
            2 => any_item().prop_map(Change::Rename),
            2 => (prop::sample::select(vec!["x", "y", "z"]), folder()).prop_map(|(id, to)| Change::Move(id, to)),
            1 => prop::sample::select(vec!["R", "A", "B"]).prop_map(|to| Change::Move("C", to)),
            2 => folder().prop_map(Change::Create),
            1 => prop::sample::select(vec!["x", "y", "z"]).prop_map(Change::Delete),
        ]
    };
    prop_oneof![
        10 => (0..2_usize, ask()).prop_map(|(who, ask)| Step::Ask(who, ask)),
        2 => (0..2_usize, ask(), change(), any::<bool>()).prop_map(|(who, ask, change, own)| Step::Slow(who, ask, change, own)),
        3 => (change(), prop::bool::weighted(0.4)).prop_map(|(change, own)| Step::Change(change, own)),
        5 => (1_u64..130 * MINUTE).prop_map(Step::Advance),
        1 => Just(Step::Expire),
        1 => Just(Step::Forget),
        1 => Just(Step::Kill),
    ]
}

/// `seen`: where each item is has been seen before.
fn run(steps: Vec<Step>, bounds: Bounds, seen: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(bounds).await;
        for ask in [Ask::Tree, Ask::Files("R"), Ask::Files("A"), Ask::Files("C")].into_iter().filter(|_| seen) {
            world.ask(0, ask).await.unwrap();
        }
        for step in steps {
            match step {
                Step::Ask(who, ask) => drop(world.ask(who, ask).await),
                Step::Slow(who, ask, change, own) => world.ask_slowly(who, ask, &change, own).await,
                Step::Change(change, own) => world.change(&change, own).await,
                Step::Advance(seconds) => world.advance(seconds),
                Step::Expire => world.drive.lock().unwrap().generation += 1,
                Step::Forget => world.engine.tidy().await,
                Step::Kill => world.restart().await,
            }
            run_queue(&world.engine).await;
        }
        assert_eq!(world.made(), world.graph.count() + world.graph.zones.load(SeqCst), "whatever is asked is counted");
    })
}

proptest! {
    #![proptest_config(crate::chance::cases(400))]

    #[test]
    fn no_history_of_checks_shows_what_was_not_so(steps in prop::collection::vec(step(), 1..60), few in any::<bool>(), seen in any::<bool>()) {
        run(steps, if few { Bounds { per_source: 6, total: 6 } } else { Bounds::default() }, seen);
    }
}

async fn warm() -> World {
    let world = World::new(Bounds::default()).await;
    world.ask(0, Ask::Tree).await.unwrap();
    world.ask(0, Ask::Files("A")).await.unwrap();
    world
}

/// Where a thing was between two checks was never seen, when it has moved on; that it was there was shown by the number of children alone.
#[tokio::test]
async fn a_total_read_between_two_checks_is_read_again_when_anything_has_moved() {
    for back in ["B", "R"] {
        let mut world = warm().await;
        for ask in [Ask::Files("R"), Ask::Files("C")] {
            world.ask(0, ask).await.unwrap();
        }
        world.change(&Change::Move("z", "C"), false).await;
        assert_eq!(world.ask(0, Ask::Folders("A")).await.unwrap()["folders"][0]["childCount"], 2);
        world.change(&Change::Move("z", back), false).await;
        world.advance(31 * MINUTE);
        assert_eq!(world.ask(0, Ask::Folders("A")).await.unwrap()["_cache_status"], "stale");
        run_queue(&world.engine).await;
        assert_eq!(world.ask(0, Ask::Folders("A")).await.unwrap()["folders"][0]["childCount"], 1, "moved on to {back}");
    }
}

#[tokio::test]
async fn a_stale_tree_and_a_stale_list_cost_one_small_request_together() {
    let world = warm().await;
    let asked = world.graph.count();
    world.advance(31 * MINUTE);
    assert_eq!(world.ask(0, Ask::Tree).await.unwrap()["_cache_status"], "stale");
    assert_eq!(world.ask(0, Ask::Files("A")).await.unwrap()["_cache_status"], "stale");
    run_queue(&world.engine).await;
    assert_eq!(world.graph.count(), asked + 1);
    assert!(world.graph.asked().last().unwrap().path.starts_with("https://graph/delta/"));
    for ask in [Ask::Tree, Ask::Files("A")] {
        let answer = world.ask(0, ask).await.unwrap();
        assert_eq!((&answer["_cache_status"], &answer["_cached_at"]), (&json!("fresh"), &json!(world.clock.now().rfc3339())));
    }
    // Also when they are too old to be served unchecked, and after a restart.
    let mut world = world;
    world.advance(150 * MINUTE);
    world.restart().await;
    assert_eq!(world.ask(0, Ask::Tree).await.unwrap()["_cache_status"], "fresh");
    let before = world.engine.stats().total;
    assert_eq!((before.hits, before.checks, before.saved_milli), (1, 1, 0), "what the hit has saved, it has asked");
    assert_eq!(world.ask(0, Ask::Files("A")).await.unwrap()["_cache_status"], "fresh");
    let after = world.engine.stats().total.since(&before);
    assert_eq!((after.hits, after.checks, after.saved_milli), (1, 0, 1000), "another's check is no cost of its own");
    assert_eq!(world.graph.count(), asked + 2);
}

#[tokio::test]
async fn those_who_wait_for_a_check_take_its_outcome() {
    let world = warm().await;
    world.advance(150 * MINUTE);
    let asked = world.graph.count();
    let held = world.graph.replies.acquire_many(REPLIES).await.unwrap();
    let calls: Vec<_> = [Ask::Tree, Ask::Tree, Ask::Files("A")]
        .map(|ask| {
            let (engine, (tool, args)) = (world.engine.clone(), ask.call(0));
            tokio::spawn(async move { call(&engine, tool, args).await })
        })
        .into();
    world.graph.until_asked(asked + 1).await;
    drop(held);
    for one in calls {
        assert_eq!(one.await.unwrap().unwrap()["_cache_status"], "fresh");
    }
    assert_eq!(world.graph.count(), asked + 1);
}

#[tokio::test]
async fn what_a_check_reports_is_fetched_and_the_rest_is_fresh() {
    let mut world = warm().await;
    world.ask(0, Ask::Folders("B")).await.unwrap();
    world.change(&Change::Edit("x"), false).await;
    world.advance(90 * MINUTE);
    let asked = world.graph.count();
    assert_eq!(world.ask(0, Ask::Files("A")).await.unwrap()["_cache_status"], "miss");
    assert_eq!(world.graph.count(), asked + 2, "the check and the fetch");
    assert_eq!(world.ask(0, Ask::Files("A")).await.unwrap()["_cache_status"], "fresh");
    assert_eq!(world.graph.count(), asked + 2);
}

#[tokio::test]
async fn a_change_deep_down_is_seen_in_the_sizes_of_every_folder_above_it() {
    let mut world = warm().await;
    for ask in [Ask::Files("R"), Ask::Files("C"), Ask::Files("B")] {
        world.ask(0, ask).await.unwrap();
    }
    world.change(&Change::Edit("y"), false).await;
    world.advance(90 * MINUTE);
    for (ask, status) in [(Ask::Files("B"), "fresh"), (Ask::Files("C"), "miss"), (Ask::Files("A"), "miss"), (Ask::Files("R"), "miss")] {
        assert_eq!(world.ask(0, ask).await.unwrap()["_cache_status"], status, "{ask:?}");
    }
}

#[tokio::test]
async fn a_token_that_graph_forgot_or_that_reported_a_removal_is_dropped_and_made_anew() {
    for removal in [false, true] {
        let mut world = warm().await;
        if removal {
            world.change(&Change::Delete("z"), false).await;
        } else {
            world.drive.lock().unwrap().generation += 1;
        }
        world.advance(150 * MINUTE);
        let asked = world.graph.count();
        assert_eq!(world.ask(0, Ask::Tree).await.unwrap()["_cache_status"], "miss");
        assert_eq!(world.graph.count(), asked + 2, "the check and the walk, which gives a new token");
        world.advance(150 * MINUTE);
        assert_eq!(world.ask(0, Ask::Tree).await.unwrap()["_cache_status"], "fresh");
        assert_eq!(world.graph.count(), asked + 3, "removal: {removal}");
    }
}

#[tokio::test]
async fn each_account_checks_for_itself() {
    let world = warm().await;
    world.advance(150 * MINUTE);
    let asked = world.graph.count();
    assert_eq!(world.ask(1, Ask::Tree).await.unwrap()["_cache_status"], "miss", "nothing of its own yet");
    assert_eq!(world.ask(0, Ask::Tree).await.unwrap()["_cache_status"], "fresh");
    assert_eq!(world.graph.count(), asked + 2, "its walk, and the other one's check");
}

#[tokio::test]
async fn when_graph_cannot_be_asked_for_a_check_it_is_not_asked_for_the_answer() {
    let world = World::new(Bounds::default()).await;
    let (drive, offline) = (world.drive.clone(), Arc::new(Mutex::new(false)));
    let off = offline.clone();
    let graph =
        Scripted::new(move |request| if *off.lock().unwrap() { Err(failure(None, false)) } else { drive.lock().unwrap().answer(request) });
    let engine = start(&world.memory, &graph, &world.clock, world.bounds).await;
    let (tool, args) = Ask::Tree.call(0);
    call(&engine, tool, args.clone()).await.unwrap();
    world.advance(150 * MINUTE);
    *offline.lock().unwrap() = true;
    let asked = graph.count();
    assert_eq!(call(&engine, tool, args).await.unwrap()["_cache_status"], "stale_if_error");
    assert_eq!(graph.count(), asked + 1);
}

#[tokio::test]
async fn an_unchanged_tag_makes_the_entry_as_if_fetched() {
    let world = World::new(Bounds::default()).await;
    let tag = Arc::new(Mutex::new("\"1\"".to_owned()));
    let current = tag.clone();
    let graph = Scripted::new(move |request| {
        let tag = current.lock().unwrap().clone();
        let given = request.headers.iter().find(|(name, _)| *name == "If-None-Match");
        if given.is_some_and(|(_, given)| *given == tag) {
            return Ok(Reply { status: 304, body: Value::Null, etag: Some(tag), location: None });
        }
        match request.path.ends_with("/children") {
            true => reply(json!({ "value": [] })),
            false => reply(json!({ "id": "N", "parentReference": { "id": "R" } })),
        }
    });
    let engine = start(&world.memory, &graph, &world.clock, world.bounds).await;
    // Its first request reads the folder itself, which is what the tag is for here.
    let args = json!({ "account_id": WHO[0], "path": "/a" });
    call(&engine, "file_list", args.clone()).await.unwrap();
    let key = engine.key(&engine.cached_read("file_list", args.as_object().unwrap()).unwrap()).unwrap();
    let mut entry = engine.entry(&key).await.unwrap().as_ref().clone();
    entry.meta.etag = Some("\"1\"".into());
    world.memory.put(entry.clone(), vec![], world.clock.now()).await.unwrap();
    engine.hot.clear();
    world.advance(90 * MINUTE);
    let answer = call(&engine, "file_list", args.clone()).await.unwrap();
    let now = world.clock.now();
    assert_eq!((&answer["_cache_status"], &answer["_cached_at"], &answer["items"]), (&json!("miss"), &json!(now.rfc3339()), &json!([])));
    let renewed = engine.entry(&key).await.unwrap();
    assert_eq!((renewed.meta.fetch_started, &renewed.body, &renewed.meta.etag), (now, &entry.body, &entry.meta.etag));
    assert_eq!(call(&engine, "file_list", args.clone()).await.unwrap()["_cache_status"], "fresh");
    // Another tag: it is read whole.
    *tag.lock().unwrap() = "\"2\"".into();
    world.advance(90 * MINUTE);
    call(&engine, "file_list", args).await.unwrap();
    assert_eq!(engine.entry(&key).await.unwrap().meta.etag, None);
}
