//! A whole session whose user is asked: by question in the older eras, by result in the modern one; and all the ways not to answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use m365_cached::{
    chance::SeededDice,
    clock::{ManualClock, Timestamp},
    ids::ToolProfile,
    tools::Offer,
};
use m365_cached_proto::v1::server_frame::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Conversation, Origin, Outgoing, Outlet, Session, consent::PATIENCE};
use crate::{
    clients::ClientState,
    daemon::{Daemon, End},
    testing::{FakeCore, parts, soon},
};

struct Client {
    daemon: Arc<Daemon>,
    core: Arc<FakeCore>,
    clock: Arc<ManualClock>,
    conversation: Conversation,
    lines: mpsc::Receiver<Outgoing>,
}

impl Client {
    fn new() -> Self {
        let (core, clock) = (Arc::new(FakeCore::default()), Arc::new(ManualClock::at(Timestamp(1_000))));
        let parts = parts(Ok(Arc::clone(&core) as _), Duration::from_secs(1), Arc::clone(&clock));
        let daemon = Arc::new(Daemon::new(parts, Arc::new(AtomicU64::new(0)), &SeededDice::new(1)));
        let (frames, lines) = mpsc::channel(64);
        let seat = daemon.clients.join(ClientState::default());
        let session = Arc::new(Session::new(seat, Origin::default(), Offer::new(ToolProfile::Full, None)));
        let held = daemon.gate.held();
        let conversation = Conversation::begin(Arc::clone(&daemon), session, Outlet::new(frames, held));
        Self { daemon, core, clock, conversation, lines }
    }

    /// One of 2025-11-25 that can ask.
    async fn legacy() -> Self {
        let mut client = Self::new();
        let about =
            json!({"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}, "clientInfo": {"name": "t", "version": "1"}});
        client.say(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": about})).await;
        assert_eq!(client.hear().await["id"], 0);
        client.say(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        client
    }

    async fn say(&mut self, line: Value) {
        self.conversation.line(line.to_string().into()).await;
    }

    async fn hear(&mut self) -> Value {
        match soon(self.lines.recv()).await.unwrap().unwrap().frame.unwrap() {
            Frame::Line(line) => serde_json::from_slice(&line).unwrap(),
            other => panic!("no line: {other:?}"),
        }
    }

    /// Calls the tool that asks, and hears the question.
    async fn asked(&mut self, id: u64) -> Value {
        self.say(json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "ask", "arguments": {"to": "bea"}}})).await;
        let question = self.hear().await;
        assert_eq!(question["method"], "elicitation/create", "{question}");
        question
    }

    async fn answer(&mut self, question: &Value, result: Value) {
        self.say(json!({"jsonrpc": "2.0", "id": question["id"], "result": result})).await;
    }

    fn done(&self) -> u64 {
        self.core.calls.load(SeqCst)
    }
}

/// What a tool answered, and whether it failed.
fn told(reply: &Value) -> (Value, bool) {
    let text = reply["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{reply}"));
    (serde_json::from_str(text).unwrap(), reply["result"]["isError"] == true)
}

#[tokio::test]
async fn a_yes_does_it_and_nothing_else_does() {
    let mut client = Client::legacy().await;
    let question = client.asked(1).await;
    assert_eq!(question["params"]["message"], "Ask (ask, dangerous)?\nto: bea");
    client.answer(&question, json!({"action": "accept", "content": {"agree": true}})).await;
    let (answer, failed) = told(&client.hear().await);
    assert_eq!((failed, &answer["args"]), (false, &json!({"to": "bea", "confirm": true})));
    assert_eq!(client.done(), 1);

    for (number, (result, code)) in [
        (json!({"action": "decline"}), "declined"),
        (json!({"action": "accept", "content": {"agree": false}}), "declined"),
        (json!({"action": "cancel"}), "confirmation_required"),
        (json!({"odd": true}), "confirmation_required"),
    ]
    .into_iter()
    .enumerate()
    {
        let question = client.asked(10 + number as u64).await;
        client.answer(&question, result).await;
        let (answer, failed) = told(&client.hear().await);
        assert_eq!((failed, &answer["error"]["code"]), (true, &json!(code)));
    }
    let question = client.asked(20).await;
    client.say(json!({"jsonrpc": "2.0", "id": question["id"], "error": {"code": -1, "message": "no form here"}})).await;
    assert_eq!(told(&client.hear().await).0["error"]["preview"]["arguments"], json!({"to": "bea"}));
    assert_eq!(client.done(), 1, "nothing was done without a yes");
}

#[tokio::test]
async fn a_question_that_nobody_answers_holds_no_call() {
    let mut client = Client::legacy().await;
    client.asked(1).await;
    let withdrawn = loop {
        client.clock.advance(PATIENCE);
        tokio::task::yield_now().await;
        match client.lines.try_recv() {
            Ok(frame) => break frame.unwrap().frame.unwrap(),
            Err(mpsc::error::TryRecvError::Empty) => {}
            Err(end) => panic!("{end}"),
        }
    };
    let Frame::Line(withdrawn) = withdrawn else { panic!("no line") };
    assert_eq!(serde_json::from_slice::<Value>(&withdrawn).unwrap()["method"], "notifications/cancelled");
    let (answer, failed) = told(&client.hear().await);
    assert_eq!((failed, &answer["error"]["code"]), (true, &json!("confirmation_required")));

    // The client gives the call up: the question is withdrawn, and the session goes on.
    client.asked(2).await;
    client.say(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}})).await;
    assert_eq!(client.hear().await["method"], "notifications/cancelled");

    // The daemon stops.
    client.asked(3).await;
    client.daemon.stop(End::Stopped, "a test");
    assert_eq!(client.hear().await["method"], "notifications/cancelled");
    assert_eq!(told(&client.hear().await).0["error"]["code"], "confirmation_required");
    assert_eq!(client.done(), 0);
    soon(client.conversation.finish()).await;
}

#[tokio::test]
async fn the_modern_era_is_asked_by_a_result() {
    let mut client = Client::new();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
    });
    let call = |id: u64, to: &str, more: Value| {
        let mut params = json!({"name": "ask", "arguments": {"to": to}, "_meta": meta});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
    };
    let yes = json!({"agree": {"action": "accept", "content": {"agree": true}}});
    client.say(call(1, "bea", json!({}))).await;
    let asked = client.hear().await["result"].clone();
    assert_eq!(
        (&asked["resultType"], &asked["inputRequests"]["agree"]["method"]),
        (&json!("input_required"), &json!("elicitation/create"))
    );
    assert_eq!(asked["inputRequests"]["agree"]["params"]["message"], "Ask (ask, dangerous)?\nto: bea");

    // For another call the answer says nothing, and it is asked anew.
    client.say(call(2, "eve", json!({"inputResponses": yes, "requestState": asked["requestState"]}))).await;
    assert_eq!(client.hear().await["result"]["resultType"], "input_required");
    client.say(call(3, "bea", json!({"inputResponses": yes, "requestState": asked["requestState"]}))).await;
    let (answer, failed) = told(&client.hear().await);
    assert_eq!((failed, &answer["args"]), (false, &json!({"to": "bea", "confirm": true})));
    client.say(call(4, "bea", json!({"inputResponses": yes, "requestState": asked["requestState"]}))).await;
    let again = client.hear().await["result"].clone();
    assert_eq!(again["resultType"], "input_required", "used up");
    client.say(call(5, "bea", json!({"inputResponses": {"agree": {"action": "decline"}}, "requestState": again["requestState"]}))).await;
    assert_eq!(told(&client.hear().await).0["error"]["code"], "declined");
    client.say(call(6, "bea", json!({}))).await;
    let state = client.hear().await["result"]["requestState"].clone();
    client.say(call(7, "bea", json!({"inputResponses": {"agree": {"action": "cancel"}}, "requestState": state}))).await;
    assert_eq!(told(&client.hear().await).0["error"]["code"], "confirmation_required", "asked once is enough");
    assert_eq!(client.done(), 1);
}
