//! Two clients of one account, and the tenant's own data to hold their answers to.

use std::{collections::BTreeMap, time::Duration};

use m365_cached_checks::support::{
    answer::Answer,
    mcp::{Era, Mcp},
    world::{ALEX, BEA, Setup, World},
};
use m365_cached_tenant::Options;
use serde_json::{Map, Value, json};

/// A place to work at.
pub(super) struct Desk {
    /// The client that does what is tried.
    one: Mcp,
    /// One that only looks.
    other: Mcp,
    /// What each tool takes.
    params: BTreeMap<String, Map<String, Value>>,
    /// The account that is worked in.
    account: String,
    /// Ids that later rows work on, by a word.
    kept: BTreeMap<&'static str, String>,
    /// Kinds of things, as the tenant names them.
    kinds: &'static [&'static str],
    /// The second account.
    pub(super) bea: String,
    // Last, so that it ends after its clients.
    pub(super) world: World,
}

impl Desk {
    /// Alex's, with Bea signed in beside, to work on these kinds of things.
    pub(super) fn new(kinds: &'static [&'static str]) -> Self {
        let tenant = Options { device_interval: Duration::from_millis(1), ..Options::default() };
        let world = World::with(Setup { tenant, accounts: &[ALEX, BEA], graph_ids: true, ..Setup::default() }).unwrap();
        std::fs::create_dir_all(world.home.path().join("downloads")).unwrap();
        let (mut one, other) = (world.client_of(Era::Legacy, "full").unwrap(), world.client(Era::Modern).unwrap());
        let listed = one.request("tools/list", json!({})).unwrap();
        let tools = listed["result"]["tools"].as_array().unwrap().iter();
        let params = tools.map(|tool| {
            let params = tool["inputSchema"]["properties"].as_object().cloned().unwrap_or_default();
            (tool["name"].as_str().unwrap().to_owned(), params)
        });
        let params = params.collect();
        let (account, bea) = (world.ids[0].clone(), world.ids[1].clone());
        Self { one, other, params, account, kept: BTreeMap::new(), kinds, bea, world }
    }

    /// Whether a tool has a parameter of that name.
    pub(super) fn takes(&self, tool: &str, param: &str) -> bool {
        self.params[tool].contains_key(param)
    }

    fn with_account(&self, tool: &str, given: &Value) -> Value {
        let mut given = given.clone();
        if self.takes(tool, "account_id") && given.get("account_id").is_none() && tool != "cache_task_list" && tool != "cache_invalidate" {
            given["account_id"] = self.account.clone().into();
        }
        given
    }

    /// A call as it is, without consent.
    pub(super) fn call(&mut self, tool: &str, given: &Value) -> Answer {
        let given = self.with_account(tool, given);
        self.one.call(tool, &given).unwrap()
    }

    /// A call with the consent it asks for, if any. Asking for it changes nothing.
    pub(super) fn agreed(&mut self, tool: &str, given: &Value) -> Answer {
        let before = self.changes();
        let answer = self.call(tool, given);
        let Ok(asked) = serde_json::from_str::<Value>(&answer.text) else { return answer };
        let mut given = given.clone();
        if asked["status"] == "confirmation_required" {
            given["confirm_token"] = asked["confirm_token"].clone();
        } else if asked["error"]["code"] == "confirmation_required" {
            given["confirm"] = true.into();
        } else {
            return answer;
        }
        assert_eq!(self.changes(), before, "{tool} {given} changed something before anybody had agreed");
        self.call(tool, &given)
    }

    /// What a call gives that has to succeed.
    pub(super) fn done(&mut self, tool: &str, given: Value) -> Value {
        self.agreed(tool, &given).json().unwrap_or_else(|error| panic!("{tool} {given}: {error}"))
    }

    /// The code with which a call fails that has to fail.
    pub(super) fn refused(&mut self, tool: &str, given: &Value) -> String {
        let answer = self.agreed(tool, given);
        let (code, message, _) = answer.fault().unwrap_or_else(|error| panic!("{tool} {given}: {error}"));
        assert!(code != "internal", "{tool} {given}: {message}");
        code
    }

    /// What the other client sees.
    pub(super) fn seen(&mut self, tool: &str, given: Value) -> Value {
        let given = self.with_account(tool, &given);
        self.other.call(tool, &given).unwrap().json().unwrap_or_else(|error| panic!("{tool} {given}: {error}"))
    }

    /// Remembers an id.
    pub(super) fn keep(&mut self, word: &'static str, id: &Value) -> String {
        let id = id.as_str().unwrap_or_else(|| panic!("no id for {word}: {id}")).to_owned();
        self.kept.insert(word, id.clone());
        id
    }

    /// An id that an earlier row has kept.
    pub(super) fn kept(&self, word: &str) -> String {
        self.kept.get(word).unwrap_or_else(|| panic!("no earlier row has kept {word}")).clone()
    }

    /// Things of one kind that the tenant holds for Alex.
    pub(super) fn truth(&self, kind: &str) -> Vec<Value> {
        self.truth_of(ALEX, kind)
    }

    /// Things of one kind that the tenant holds for somebody.
    pub(super) fn truth_of(&self, user: &str, kind: &str) -> Vec<Value> {
        self.world.control().dump(Some(user), Some(kind)).unwrap()["users"][0][kind].as_array().unwrap().clone()
    }

    /// The thing of that id, in either form, if the tenant holds it.
    pub(super) fn find(&self, kind: &str, id: &str) -> Option<Value> {
        self.truth(kind).into_iter().find(|thing| thing["id"] == id || thing["immutableId"] == id)
    }

    /// The thing of that id.
    pub(super) fn one(&self, kind: &str, id: &str) -> Value {
        self.find(kind, id).unwrap_or_else(|| panic!("{id} is not among the {kind}"))
    }

    /// What the tenant holds for Alex and for Bea of what is worked on.
    pub(super) fn state(&self) -> Vec<Vec<Value>> {
        [ALEX, BEA].into_iter().flat_map(|user| self.kinds.iter().map(move |kind| self.truth_of(user, kind))).collect()
    }

    /// How many changes the tenant was asked for.
    pub(super) fn changes(&self) -> u64 {
        let stats = self.world.control().stats();
        let questions = ["GET ", "POST /$batch", "POST /search/query", "getSchedule"];
        let change = |route: &str| !questions.iter().any(|question| route.contains(question));
        stats.routes.iter().chain(&stats.batched).filter(|(route, _)| change(route)).map(|(_, count)| count).sum()
    }

    /// How many requests a route has had.
    pub(super) fn count(&self, route: &str) -> u64 {
        self.world.control().stats().count(route)
    }

    /// A file among the downloads; its path.
    pub(super) fn local(&self, name: &str, content: &[u8]) -> String {
        let path = self.world.home.path().join("downloads").join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// The ids of a list.
pub(super) fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap_or_else(|| panic!("no list: {list}")).iter().map(|item| item["id"].as_str().unwrap()).collect()
}

/// The texts at one member of each of a list.
pub(super) fn each<'a>(list: &'a [Value], member: &str) -> Vec<&'a str> {
    list.iter().map(|item| item[member].as_str().unwrap_or_default()).collect()
}
