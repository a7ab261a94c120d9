//! No account is ever shown another's: generated calls of twenty accounts whose items have the same ids, over one store.
//!
//! Everything Graph says of an account names it in a member that answers show. Reads, writes, invalidations, background refreshes,
//! failures, sign-outs and returns, and a clock that goes on are mixed by chance. Each answer has to name its own account and no other; an
//! invalidation or a sign-out of one account has to leave what another has, and calls that name an account that has left are refused. At the
//! end every row of the store opens under its own account's key alone.
//!
//! `cargo test` makes some thousand of them; the full size is
//! `cargo test --release -p m365-cached --lib engine::crossing -- --ignored --nocapture`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    testing::{self, failure, reply, run_queue},
    *,
};
use crate::{
    chance::{Dice as _, OsDice, SeededDice},
    clock::ManualClock,
    graph::{GraphRequest, Hurry},
    hint::{Hint as _, Kind},
    ids::AccountId,
    secret::Secret,
    store::{
        AccountRow, Limits, StoreKeys,
        sqlcipher::{OpenOptions, Sqlcipher},
    },
    tools::{Files, Page, Reply, StepError, Steps},
};

const ACCOUNTS: usize = 20;
/// Items of each kind; every account has the same.
const ITEMS: usize = 12;

fn row(number: usize) -> AccountRow {
    AccountRow {
        id: AccountId::new(format!("o{number}.t")),
        username: format!("user{number}@contoso.example"),
        object_id: format!("o{number}"),
        tenant_id: "t".into(),
        drive_id: None,
        ..testing::account()
    }
}

fn mark(account: &str) -> String {
    format!("<{account}>")
}

/// Graph, as it answers this account.
struct Own {
    mark: String,
    offline: bool,
    now: Timestamp,
}

impl Own {
    fn answer(&self, request: &GraphRequest) -> Result<Reply, StepError> {
        if self.offline {
            return Err(failure(None, false));
        }
        let item = |id: &str| {
            json!({ "id": id, "subject": self.mark, "displayName": self.mark, "name": self.mark, "isRead": true, "parentFolderId": "F",
                "parentReference": { "id": "P", "path": "/drive/root:" }, "folder": { "childCount": 0 },
                "start": { "dateTime": "2026-11-20T09:00:00", "timeZone": "UTC" }, "end": { "dateTime": "2026-11-20T10:00:00", "timeZone": "UTC" } })
        };
        let path: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        let last = path.last().copied().unwrap_or_default();
        let one = path.get(2).copied().unwrap_or_default();
        let many =
            matches!(last, "messages" | "contacts" | "mailFolders" | "calendarView" | "children" | "delta" | "events" | "childFolders");
        if last == "query" {
            let hits: Vec<Value> =
                (0..ITEMS).map(|nth| json!({ "hitId": format!("i{nth}"), "resource": item(&format!("i{nth}")) })).collect();
            return reply(json!({ "value": [{ "hitsContainers": [{ "hits": hits, "moreResultsAvailable": false }] }] }));
        }
        if many && request.body.is_none() {
            let items: Vec<Value> = (0..ITEMS).map(|nth| item(&format!("i{nth}"))).collect();
            return reply(json!({ "value": items, "@odata.deltaLink": format!("https://graph.microsoft.com/v1.0/delta?{}", self.mark) }));
        }
        if last == "timeZone" {
            return reply(json!({ "value": "UTC" }));
        }
        reply(item(if one.is_empty() { "root" } else { one }))
    }
}

#[async_trait::async_trait]
impl Steps for Own {
    async fn send(&self, request: GraphRequest) -> Result<Reply, StepError> {
        self.answer(&request)
    }

    async fn pages(&self, request: GraphRequest, _: &(dyn for<'a> Fn(&'a [Value]) -> bool + Send + Sync)) -> Result<Page, StepError> {
        let body = self.answer(&request)?.body;
        let delta = body["@odata.deltaLink"].as_str().filter(|_| request.path.ends_with("delta")).map(str::to_owned);
        Ok(Page { items: body["value"].as_array().cloned().unwrap_or_default(), before: 0, next: None, delta })
    }

    async fn batch(&self, requests: Vec<GraphRequest>) -> Result<Vec<Result<Reply, StepError>>, StepError> {
        Ok(requests.iter().map(|request| self.answer(request)).collect())
    }

    fn files(&self) -> &dyn Files {
        unreachable!("no tool of this test moves files")
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn personal(&self) -> bool {
        false
    }
}

/// Graph for all of them; offline when told so.
#[derive(Default)]
struct Graph {
    offline: AtomicBool,
}

impl Remote for Graph {
    fn steps(&self, account: &AccountRow, _: Option<&str>, _: &Hurry, _: Timestamp, now: Timestamp) -> Box<dyn Steps> {
        let offline = self.offline.load(std::sync::atomic::Ordering::SeqCst);
        Box::new(Own { mark: mark(account.id.as_str()), offline, now })
    }
}

/// What was done.
#[derive(Debug, Default)]
struct Done {
    answers: u64,
    from_cache: u64,
    stand_ins: u64,
    writes: u64,
    invalidations: u64,
    sign_outs: u64,
    refusals: u64,
}

struct World {
    engine: Arc<Engine>,
    store: Arc<Sqlcipher>,
    graph: Arc<Graph>,
    clock: Arc<ManualClock>,
    dice: SeededDice,
    here: BTreeSet<usize>,
    /// What those who left had asked last.
    asked: BTreeMap<usize, (&'static str, Value)>,
    done: Done,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = StoreKeys { database: Secret::new([3; 32]), wrapping: Secret::new([4; 32]) };
        let path = folder.path().join("store.db");
        let options = OpenOptions { path, keys, dice: Arc::new(OsDice), new_epochs: false, limits: Limits::default() };
        let store = Arc::new(Sqlcipher::open(options).unwrap());
        for number in 0..ACCOUNTS {
            store.save_account(row(number)).await.unwrap();
        }
        let (graph, clock) = (Arc::new(Graph::default()), Arc::new(ManualClock::at(Timestamp(1_763_629_200_000))));
        let dice = Arc::new(SeededDice::new(seed));
        // So small that most answers are read from the file.
        let change = |parts: &mut Parts| parts.hot = HotTier::new(64 << 10);
        let engine = testing::engine_with(store.clone(), store.clone(), graph.clone(), clock.clone(), dice, change).await;
        let here = (0..ACCOUNTS).collect();
        Self {
            engine,
            store,
            graph,
            clock,
            dice: SeededDice::new(seed + 1),
            here,
            asked: BTreeMap::new(),
            done: Done::default(),
            _folder: folder,
        }
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.dice.number() % u64::try_from(bound).unwrap()).unwrap()
    }

    /// A question, the same for all accounts but for their name.
    fn question(&self) -> (&'static str, Value) {
        let id = format!("i{}", self.below(ITEMS));
        match self.below(10) {
            0 | 1 => ("email_list", json!({ "limit": 5 + 10 * self.below(3) })),
            2 | 3 => ("email_get", json!({ "email_id": id })),
            4 => ("contact_list", json!({})),
            5 => ("contact_get", json!({ "contact_id": id })),
            6 => ("search_emails", json!({ "query": if self.below(2) == 0 { "budget" } else { "plan" } })),
            7 => ("search_files", json!({ "query": "plan" })),
            8 => ("emailfolders_list", json!({})),
            _ => ("file_list", json!({ "folder_id": id })),
        }
    }

    /// Asks for an account; its answer has to be its own. The status.
    async fn ask(&mut self, account: usize, tool: &str, mut args: Value) -> String {
        args["account_id"] = row(account).id.as_str().into();
        let Value::Object(args) = args else { unreachable!() };
        let answer = match self.engine.call(&Caller::default(), tool, &args).await {
            Ok(answer) => answer.text(),
            Err(CallError::UnknownAccount { .. }) => {
                assert!(!self.here.contains(&account), "{tool}: account {account} was refused and is here");
                self.done.refusals += 1;
                return "refused".into();
            }
            Err(error) => {
                assert_eq!(error.kind(), Kind::Offline, "{tool}: {error}");
                return "offline".into();
            }
        };
        assert!(self.here.contains(&account), "{tool}: account {account} has left and was answered");
        let (own, mut rest) = (mark(row(account).id.as_str()), answer.as_str());
        let mut marks = 0;
        while let Some(at) = rest.find("<o") {
            assert!(rest[at..].starts_with(&own), "{tool} for {own}: {}", &rest[at..rest.len().min(at + 20)]);
            (marks, rest) = (marks + 1, &rest[at + 2..]);
        }
        assert!(marks > 0, "{tool} names nobody: {answer}");
        self.done.answers += 1;
        let status = serde_json::from_str::<Value>(&answer).unwrap()["_cache_status"].as_str().unwrap_or_default().to_owned();
        match status.as_str() {
            "fresh" | "stale" => self.done.from_cache += 1,
            "stale_if_error" => self.done.stand_ins += 1,
            _ => {}
        }
        status
    }

    /// Another account that is here, when there is one.
    fn another(&self, account: usize) -> Option<usize> {
        let others: Vec<usize> = self.here.iter().copied().filter(|other| *other != account).collect();
        (!others.is_empty()).then(|| others[self.below(others.len())])
    }

    async fn step(&mut self) {
        let account = self.below(ACCOUNTS);
        let (tool, args) = self.question();
        match self.below(100) {
            0..=84 => drop(self.ask(account, tool, args).await),
            85..=90 => {
                let id = format!("i{}", self.below(ITEMS));
                let args = json!({ "email_id": id, "is_read": true, "account_id": row(account).id.as_str() });
                let Value::Object(args) = args else { unreachable!() };
                if self.engine.call(&Caller::default(), "email_mark_read", &args).await.is_ok() {
                    self.done.writes += 1;
                }
            }
            91..=94 => {
                let Some(other) = self.another(account) else { return };
                self.ask(other, tool, args.clone()).await;
                let had = self.ask(other, tool, args.clone()).await;
                if self.below(2) == 0 {
                    let pattern = json!({ "pattern": "*", "account_id": row(account).id.as_str(), "reason": "test" });
                    let Value::Object(pattern) = pattern else { unreachable!() };
                    drop(self.engine.call(&Caller::default(), "cache_invalidate", &pattern).await);
                    self.done.invalidations += 1;
                } else if self.here.contains(&account) {
                    // Something of it is in memory when it leaves.
                    self.ask(account, tool, args.clone()).await;
                    self.asked.insert(account, (tool, args.clone()));
                    self.here.remove(&account);
                    self.engine.logout(row(account).id.as_str(), &Caller::default()).await.unwrap();
                    self.done.sign_outs += 1;
                }
                let has = self.ask(other, tool, args).await;
                assert!(had != "fresh" || has == "fresh", "{tool}: what {other} had went with {account}: {had}, then {has}");
            }
            95 => {
                if self.here.insert(account) {
                    self.store.save_account(row(account)).await.unwrap();
                    self.engine.accounts.add(row(account));
                    let (tool, args) = self.asked.remove(&account).unwrap_or((tool, args));
                    let status = self.ask(account, tool, args).await;
                    assert!(["miss", "bypass", "offline"].contains(&status.as_str()), "{tool}: who comes back has nothing yet: {status}");
                }
            }
            96 => {
                let offline = self.below(4) == 0;
                self.graph.offline.store(offline, std::sync::atomic::Ordering::SeqCst);
            }
            97 => run_queue(&self.engine).await,
            _ => self.clock.advance(Duration::from_secs(u64::try_from(self.below(400)).unwrap())),
        }
    }
}

async fn generated(steps: u64) -> Done {
    let mut world = World::new(7).await;
    for step in 1..=steps {
        world.step().await;
        if step % 10_000 == 0 {
            crate::figure::tell("crossings", usize::try_from(step).unwrap(), 0);
        }
    }
    assert_eq!(world.store.health_check().await.damaged, 0, "a row opened under another account's key");
    world.done
}

#[tokio::test]
async fn no_account_is_shown_another_s() {
    let done = generated(3000).await;
    assert!(done.answers > 1500 && done.from_cache > 500 && done.stand_ins > 0, "{done:?}");
    assert!(done.writes > 50 && done.invalidations > 10 && done.sign_outs > 10 && done.refusals > 10, "{done:?}");
}

#[tokio::test]
#[ignore = "a million steps: cargo campaign safety --only crossings"]
async fn no_account_is_shown_another_s_in_a_million_steps() {
    let steps = crate::figure::size(1_000_000);
    let done = generated(u64::try_from(steps).unwrap()).await;
    let part = |of: u64| usize::try_from(of).unwrap();
    assert!(part(done.answers) * 4 > steps && part(done.from_cache) * 8 > steps, "{done:?}");
    crate::figure::tell("crossings", steps, 0);
}
