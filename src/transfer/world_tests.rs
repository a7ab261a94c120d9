//! What tests of this room share: a Graph that wants a token, a host of files that must never see one, and a folder.

use async_trait::async_trait;
use serde_json::json;

use super::*;
use crate::{
    auth::{
        AuthError, Bearer, Http, HttpSettings, Refused,
        testing::{Act, Seen, Server},
    },
    chance::SeededDice,
    clock::SystemClock,
    cloud::Cloud,
    graph::{Budget, Context, OUTLOOK_LIMIT},
    ids::{AccountId, Urgency},
    secret::Secret,
};

struct OneToken;

#[async_trait]
impl Bearer for OneToken {
    async fn bearer(&self, _: &AccountId, _: Option<&Refused>) -> Result<Secret<String>, AuthError> {
        Ok(Secret::new("token".into()))
    }
}

pub(super) struct World {
    pub(super) graph: Server,
    pub(super) files: Server,
    pub(super) transfer: Transfer,
    pub(super) home: tempfile::TempDir,
}

impl World {
    /// `graph` and `files` answer; the first is given the address of the second.
    pub(super) async fn new(
        graph: impl Fn(usize, Seen, &str) -> Act + Send + Sync + 'static,
        files: impl Fn(usize, Seen) -> Act + Send + Sync + 'static,
    ) -> Self {
        let files = Server::start(move |number, seen| std::future::ready(files(number, seen))).await;
        Self::around(graph, files).await
    }

    pub(super) async fn around(graph: impl Fn(usize, Seen, &str) -> Act + Send + Sync + 'static, files: Server) -> Self {
        let root = files.root.to_string();
        let graph = Server::start(move |number, seen| std::future::ready(graph(number, seen, &root))).await;
        let downloads = vec![files.root.as_str().trim_start_matches("http://").trim_end_matches('/').to_owned()];
        let cloud = Cloud { downloads, ..graph.cloud() };
        let http = || Http::new(cloud.clone(), HttpSettings::default());
        let (clock, dice): (Arc<dyn Clock>, Arc<dyn Dice>) = (Arc::new(SystemClock), Arc::new(SeededDice::new(4)));
        let settings = crate::graph::Settings { request_timeout: Duration::from_secs(60) };
        let budget = Budget::new(clock.clone(), OUTLOOK_LIMIT);
        let client = Client::new(Arc::new(http()), Arc::new(OneToken), settings, budget, clock.clone(), dice.clone());
        let home = tempfile::tempdir().unwrap();
        let roots = Roots::new(vec![home.path().to_owned()], dice.clone());
        let mut transfer = Transfer::new(Arc::new(client), Bare::new(http()), roots, Settings::default(), clock, dice);
        transfer.base = Duration::from_millis(1);
        Self { graph, files, transfer, home }
    }

    /// A Graph that leads to the host of files, for reads and for uploads.
    pub(super) async fn leading(files: impl Fn(usize, Seen) -> Act + Send + Sync + 'static) -> Self {
        Self::new(lead, files).await
    }

    pub(super) fn context(&self) -> Context {
        let deadline = self.transfer.clock.now().plus(Duration::from_secs(120));
        Context { account: AccountId::new("oid.tid"), urgency: Urgency::Foreground.into(), deadline, mailbox: "drive:oid".into() }
    }

    /// Names in the folder.
    pub(super) fn names(&self) -> Vec<String> {
        std::fs::read_dir(self.home.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// What the host of files saw, as `METHOD range`.
    pub(super) fn asked(&self) -> Vec<String> {
        let range = |seen: &Seen| format!("{}{}", seen.header("range"), seen.header("content-range"));
        self.files.seen().iter().map(|seen| format!("{} {}", seen.method, range(seen)).trim().to_owned()).collect()
    }
}

pub(super) fn lead(_: usize, seen: Seen, files: &str) -> Act {
    match seen.method.as_str() {
        "GET" => Act::Reply(302, vec![("location", format!("{files}file?tempauth=rights"))], Vec::new()),
        _ => Act::json(200, &json!({"uploadUrl": format!("{files}session?tempauth=rights"), "nextExpectedRanges": ["0-"]})),
    }
}

/// Holds in every test: Graph was asked with the token, the other host never.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.graph.seen().iter().all(|seen| seen.header("authorization") == "Bearer token"));
            assert!(self.files.seen().iter().all(|seen| seen.header("authorization").is_empty()), "a token left for another host");
        }
    }
}
