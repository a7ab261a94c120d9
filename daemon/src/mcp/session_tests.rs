//! Tests of one client's lines: in what order and how often they are answered, whatever comes first and whatever is taken back.

use std::{sync::Arc, time::Duration};

use m365_cached::ids::CallId;
use m365_cached_proto::v1::{ServerFrame, server_frame};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Outlet, forward};
use crate::testing::{FakeCore, Running, daemon, soon};

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
    let daemon = daemon(Ok(Arc::new(FakeCore::default())));
    let (frames, mut sent) = mpsc::channel(1);
    let (to_rmcp, _) = mpsc::channel(1);
    let outlet = Outlet::new(frames, daemon.gate.held());
    forward(cancelled(7).to_string().as_bytes(), CallId::default(), &to_rmcp, &outlet).await;
    forward(br#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#, CallId::default(), &to_rmcp, &outlet).await;
    let Some(Ok(ServerFrame { frame: Some(server_frame::Frame::Line(line)) })) = soon(sent.recv()).await else {
        panic!("nothing was said")
    };
    let line: Value = serde_json::from_slice(&line).unwrap();
    assert!(line["id"] == "a" && line["error"]["code"] == -32603, "{line}");
}
