//! Tests of one client's lines: in what order and how often they are answered, whatever comes first and whatever is taken back.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use m365_cached::{config::LimitSettings, tools::Offer};
use m365_cached_proto::v1::server_frame;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

use super::{Conversation, Origin, Outgoing, Outlet, Session, left};
use crate::{
    clients::ClientState,
    core::{Core, Problem},
    daemon::{Daemon, End},
    gate::Held,
    testing::{FakeCore, LARGE, Running, daemon, locked, soon},
};

const DRAIN: Duration = Duration::from_secs(10);

/// A request of a client of 2026-07-28.
fn modern(id: u32, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn cancelled(id: u32) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
}

/// Calls may have been answered from the cache so far, which rmcp has not heard of.
#[tokio::test]
async fn what_is_no_request_may_come_first() {
    let running = Running::start(Ok(Arc::new(FakeCore::default())), DRAIN).await;
    let mut client = running.attach().await;
    client.line(&cancelled(7)).await;
    client.line(&modern(1, "server/discover", json!({}))).await;
    assert_eq!(client.message().await["id"], 1);
    client.line(&cancelled(1)).await;
    client.line(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})).await;
    assert!(client.message().await["error"].is_object(), "of no era");
    client.line(&json!({"jsonrpc": "2.0", "id": 0, "result": {}})).await;
    client.line(&modern(3, "tools/list", json!({}))).await;
    let listed = client.message().await;
    assert!(listed["id"] == 3 && listed["result"]["tools"].is_array(), "{listed}");
}

#[tokio::test]
async fn a_request_of_a_session_that_has_ended_is_answered() {
    let (mut talk, mut conversation) = Talk::begin(Ok(Arc::new(FakeCore::default())), 8);
    conversation.rmcp.shutdown().await;
    say(&mut conversation, &cancelled(7)).await;
    say(&mut conversation, &json!({"jsonrpc": "2.0", "id": "a", "method": "ping"})).await;
    let told = talk.next().await.unwrap();
    assert!(told["id"] == "a" && told["error"]["code"] == -32603, "{told}");
    soon(conversation.finish()).await;
    assert_eq!(talk.next().await, None);
}

/// A conversation without a socket, so that its time can be let pass.
struct Talk {
    daemon: Arc<Daemon>,
    session: Arc<Session>,
    held: Arc<Held>,
    sent: mpsc::Receiver<Outgoing>,
}

impl Talk {
    /// With room for so many frames that the client has not taken.
    fn begin(core: Result<Arc<dyn Core>, Problem>, room: usize) -> (Self, Conversation) {
        let daemon = daemon(core);
        let (frames, sent) = mpsc::channel(room);
        let held = daemon.gate.held();
        let offer = Offer::new(daemon.tools, None);
        let session = Arc::new(Session::new(daemon.clients.join(ClientState::default()), Origin::default(), offer));
        let conversation = Conversation::begin(Arc::clone(&daemon), Arc::clone(&session), Outlet::new(frames, Arc::clone(&held)));
        (Self { daemon, session, held, sent }, conversation)
    }

    /// The next line; `None` when there will be none.
    async fn next(&mut self) -> Option<Value> {
        let frame = soon(self.sent.recv()).await?;
        left(&self.held, &frame);
        match frame.unwrap().frame {
            Some(server_frame::Frame::Line(line)) => Some(serde_json::from_slice(&line).unwrap()),
            other => panic!("{other:?} is no line"),
        }
    }
}

async fn say(conversation: &mut Conversation, line: &Value) {
    conversation.line(line.to_string().into()).await;
}

fn call(id: u32, tool: &str) -> Value {
    modern(id, "tools/call", json!({"name": tool}))
}

/// rmcp gives what is under way five seconds when its input ends.
#[tokio::test(start_paused = true)]
async fn a_call_under_way_is_answered_however_long_it_takes() {
    let core = Arc::new(FakeCore::default());
    let (mut talk, mut conversation) = Talk::begin(Ok(Arc::clone(&core) as Arc<dyn Core>), 8);
    say(&mut conversation, &call(1, "hold")).await;
    soon(core.held.notified()).await;
    let finished = tokio::spawn(conversation.finish());
    tokio::time::sleep(Duration::from_secs(7)).await;
    core.release.notify_one();
    let answer = talk.next().await.unwrap();
    assert!(answer["id"] == 1 && answer["result"]["isError"] == false, "{answer}");
    soon(finished).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_while_it_is_looked_up_is_neither_answered_nor_made() {
    for tool in ["look", "look_in_vain"] {
        let core = Arc::new(FakeCore::default());
        let (mut talk, mut conversation) = Talk::begin(Ok(Arc::clone(&core) as Arc<dyn Core>), 8);
        say(&mut conversation, &call(5, tool)).await;
        soon(core.held.notified()).await;
        say(&mut conversation, &cancelled(5)).await;
        core.release.notify_one();
        say(&mut conversation, &modern(6, "tools/list", json!({}))).await;
        soon(conversation.finish()).await;
        assert_eq!(talk.next().await.unwrap()["id"], 6, "{tool}");
        assert_eq!((talk.next().await, core.calls.load(Ordering::SeqCst)), (None, 0), "{tool}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_not_heard_when_much_is_held_for_it() {
    const MOST: u64 = 10 * LARGE as u64;
    let (mut talk, mut conversation) = Talk::begin(Ok(Arc::new(FakeCore::default())), 1);
    talk.daemon.gate.hold_to(LimitSettings { held_bytes_per_connection: MOST, ..LimitSettings::default() });
    let mut taken = 0;
    while taken < 50 && timeout(Duration::from_secs(1), say(&mut conversation, &call(taken, "large"))).await.is_ok() {
        taken += 1;
        // What was begun goes as far as it can.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(talk.held.bytes() < MOST + 2 * LARGE as u64, "{} bytes after {taken} calls", talk.held.bytes());
    for _ in 0..taken {
        talk.next().await.unwrap();
    }
    assert_eq!(talk.held.bytes(), 0, "the one that waited was let go of");
    soon(say(&mut conversation, &call(100, "large"))).await;
    assert_eq!(talk.next().await.unwrap()["id"], 100);
}

/// Its client has closed its side, or the daemon stops: the next one is asked for the same.
#[tokio::test(start_paused = true)]
async fn a_subscription_ends_at_once_and_without_a_word() {
    for (locked_up, stops) in [(false, false), (false, true), (true, false), (true, true)] {
        let core = if locked_up { Err(locked()) } else { Ok(Arc::new(FakeCore::default()) as Arc<dyn Core>) };
        let (mut talk, mut conversation) = Talk::begin(core, 8);
        say(&mut conversation, &modern(1, "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}))).await;
        let acknowledged = talk.next().await.unwrap();
        assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged", "{acknowledged}");
        if stops {
            talk.daemon.stop(End::Stopped, "test");
        } else {
            talk.session.leaves();
        }
        let ended = timeout(Duration::from_secs(1), conversation.finish()).await;
        assert!(ended.is_ok(), "it goes on ({locked_up}, {stops})");
        assert_eq!(talk.next().await, None, "({locked_up}, {stops})");
    }
}

/// Until it is answered: the daemon does not give way meanwhile.
#[tokio::test(start_paused = true)]
async fn a_question_is_open_while_its_user_thinks() {
    let (mut talk, mut conversation) = Talk::begin(Ok(Arc::new(FakeCore::default())), 8);
    let opening =
        json!({"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}, "clientInfo": {"name": "t", "version": "1"}});
    say(&mut conversation, &json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": opening})).await;
    assert_eq!(talk.next().await.unwrap()["id"], 1);
    say(&mut conversation, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    say(&mut conversation, &json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "ask"}})).await;
    let question = talk.next().await.unwrap();
    assert_eq!((&question["method"], talk.daemon.questions.open()), (&json!("elicitation/create"), 1));
    let agreed = json!({"action": "accept", "content": {"agree": true}});
    say(&mut conversation, &json!({"jsonrpc": "2.0", "id": question["id"], "result": agreed})).await;
    assert_eq!(talk.next().await.unwrap()["id"], 2);
    assert_eq!(talk.daemon.questions.open(), 0);
    soon(conversation.finish()).await;
}
