//! The way out, on a clock that moves while a file does.

use async_trait::async_trait;
use serde_json::json;

use super::*;
use crate::{
    auth::{
        AuthError, Bearer, Http, HttpSettings, Refused,
        testing::{Act, Server, within},
    },
    chance::{Dice, SeededDice},
    clock::ManualClock,
    cloud::Cloud,
    engine::testing,
    graph::{Bare, Budget, Client, OUTLOOK_LIMIT},
    ids::{AccountId, Urgency},
    secret::Secret,
    transfer::{Roots, Settings},
};

struct OneToken;

#[async_trait]
impl Bearer for OneToken {
    async fn bearer(&self, _: &AccountId, _: Option<&Refused>) -> Result<Secret<String>, AuthError> {
        Ok(Secret::new("token".into()))
    }
}

const UPLOAD: Duration = Duration::from_secs(121);

/// Microsoft, where an upload takes longer than a call may.
async fn remote(clock: &Arc<ManualClock>, home: &tempfile::TempDir) -> (GraphRemote, Server) {
    let moved = clock.clone();
    let files = Server::start(move |_, _| {
        moved.advance(UPLOAD);
        std::future::ready(Act::json(201, &json!({})))
    })
    .await;
    let session = json!({ "uploadUrl": format!("{}session", files.root), "nextExpectedRanges": ["0-"] });
    let graph = Server::start(move |_, seen| {
        let uploads = seen.target.ends_with("/createUploadSession");
        std::future::ready(if uploads { Act::json(200, &session) } else { Act::Reply(202, Vec::new(), Vec::new()) })
    })
    .await;
    let downloads = vec![files.root.as_str().trim_start_matches("http://").trim_end_matches('/').to_owned()];
    let cloud = Cloud { downloads, ..graph.cloud() };
    let http = || Http::new(cloud.clone(), HttpSettings::default());
    let (clock, dice): (Arc<dyn Clock>, Arc<dyn Dice>) = (clock.clone(), Arc::new(SeededDice::new(4)));
    let settings = graph::Settings { request_timeout: Duration::from_secs(60) };
    let budget = Budget::new(clock.clone(), OUTLOOK_LIMIT);
    let client = Arc::new(Client::new(Arc::new(http()), Arc::new(OneToken), settings, budget, clock.clone(), dice.clone()));
    let roots = Roots::new(vec![home.path().to_owned()], dice.clone());
    // The whole of it is one silence by this clock.
    let settings = Settings { idle: 2 * UPLOAD, ..Settings::default() };
    let transfer = Transfer::new(client.clone(), Bare::new(http()), roots, settings, clock.clone(), dice);
    (GraphRemote::new(client, Arc::new(transfer), clock), graph)
}

#[tokio::test]
async fn the_time_that_a_file_takes_is_not_the_calls() {
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a.pdf");
    std::fs::write(&path, "content").unwrap();
    let (remote, graph) = remote(&clock, &home).await;
    let (now, limit) = (clock.now(), Duration::from_secs(120));
    let steps = remote.steps(&testing::account(), None, &Urgency::Foreground.into(), now.plus(limit), now);
    let file = steps.files().open_local(path.to_str().unwrap(), 100).await.unwrap();
    let to = Upload::to_attachment(&["me", "messages", "d"], &file.name, &file.content_type, file.size);
    within(steps.files().upload(to, &file)).await.unwrap();
    assert_eq!(clock.now(), now.plus(UPLOAD));
    let send = || GraphRequest::post(&["me", "messages", "d", "send"], Value::Null);
    assert_eq!(within(steps.send(send())).await.unwrap().status, 202);
    // All other time is.
    clock.advance(limit);
    assert_eq!(within(steps.send(send())).await.unwrap_err().code, "timeout");
    assert_eq!(graph.count(), 2, "a session, and the letter once");
}
