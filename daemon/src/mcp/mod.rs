//! The only place that knows MCP: one rmcp server for each stream of frames, and the splice beside it for cached answers.

mod busy;
mod catalogue;
mod completion;
mod consent;
#[cfg(test)]
mod consent_tests;
mod fixtures;
mod handler;
mod links;
mod lookups;
mod outlet;
mod progress;
mod prompts;
mod resources;
#[cfg(test)]
mod session_tests;
mod signin;
mod splice;
mod subscriptions;
mod transport;

use std::{
    future::{Future as _, poll_fn},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Poll,
};

use bytes::Bytes;
use m365_cached::ids::CallId;
use m365_cached_proto::MAX_LINE_OUT;
use rmcp::{
    ServiceExt,
    model::{ClientJsonRpcMessage, GetExtensions as _},
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::task::JoinSet;

use crate::{core::Answer, daemon::Daemon};

pub(crate) use catalogue::{Manner, read_only};
pub(crate) use fixtures::Fixtures;
pub(crate) use handler::{Origin, Session};
use lookups::Lookups;
pub(crate) use outlet::{Outgoing, Outlet, left};
use transport::{ToRmcp, Unanswered, taken_back};

/// Our name in results of the modern era, as JSON.
const SERVER_INFO: &str = concat!(r#"{"name":"m365-cached","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);

/// One client's side of MCP: takes its lines, sends ours.
pub(crate) struct Conversation {
    daemon: Arc<Daemon>,
    session: Arc<Session>,
    outlet: Outlet,
    to_rmcp: ToRmcp,
    unanswered: Arc<Unanswered>,
    lookups: Lookups,
    /// rmcp itself, which ends with this.
    rmcp: JoinSet<()>,
    /// Lines taken so far.
    lines: u64,
}

impl Conversation {
    /// Begins; rmcp waits for the client's first message.
    pub(crate) fn begin(daemon: Arc<Daemon>, session: Arc<Session>, outlet: Outlet) -> Self {
        let (to_rmcp, frames, unanswered) = transport::channel(outlet.clone(), session.clone());
        let handler = handler::Handler {
            daemon: daemon.clone(),
            session: session.clone(),
            asked: consent::Asked::default(),
            watched: subscriptions::Watched::default(),
            telling: subscriptions::Telling::default(),
        };
        let mut rmcp = JoinSet::new();
        rmcp.spawn(async move {
            match handler.serve(frames).await {
                Ok(running) => drop(running.waiting().await),
                // A client that leaves before it has chosen an era.
                Err(error) => tracing::debug!(error = %error_name(&error), "a session ended before it began"),
            }
        });
        Self { daemon, session, outlet, to_rmcp, unanswered, lookups: Lookups::default(), rmcp, lines: 0 }
    }

    /// Takes one line of the client.
    pub(crate) async fn line(&mut self, line: Bytes) {
        self.lines += 1;
        let id = self.session.id_of(self.lines);
        if let Err(problem) = self.daemon.gate.frame(line.len()) {
            let words = format!("{}. {}", problem.message, problem.hint);
            return self.outlet.send(error_line_with(id_of(&line), -32600, &words, busy::data(&problem))).await;
        }
        let accepted = self.session.accepted.load(Relaxed);
        let Some(call) = splice::read(&line, accepted) else { return self.forward(&line, id).await };
        // A locked daemon's answer is rmcp's to give.
        let Ok(core) = self.daemon.core() else { return self.forward(&line, id).await };
        self.session.introduced(call.client.as_deref());
        if call.era == splice::Era::Modern {
            self.session.modern(call.client.as_deref(), call.version.as_deref());
        }
        // A copy for each line would cost as much as the look itself; the log alone needs the id here.
        let answer = if tracing::enabled!(tracing::Level::DEBUG) {
            core.peek(&self.session.calling(id), &call.name, &call.arguments)
        } else {
            core.peek(&self.session.caller(), &call.name, &call.arguments)
        };
        if let Some(answer) = answer {
            return self.outlet.send(spliced(&call, &answer)).await;
        }
        let (core, session, outlet) = (Arc::clone(core), Arc::clone(&self.session), self.outlet.clone());
        let (to_rmcp, text) = (self.to_rmcp.clone(), line.clone());
        let mut lookup = Box::pin(async move {
            let Some(call) = splice::read(&text, accepted) else { return };
            match core.lookup(&session.calling(id), &call.name, &call.arguments).await {
                Some(answer) => outlet.send(spliced(&call, &answer)).await,
                None => {
                    if let Some(message) = message_in(&text, id, &outlet).await {
                        to_rmcp.pass(message, &outlet).await;
                    }
                }
            }
        });
        // Most look-ups are over without waiting; a task of their own would wake another thread for each.
        if poll_fn(|context| Poll::Ready(lookup.as_mut().poll(context))).await.is_ready() {
            return;
        }
        if self.outlet.holds() >= self.daemon.gate.limits().held_bytes_per_connection {
            // A client that does not read is not heard either: each answer would wait with all its bytes.
            lookup.await;
        } else {
            self.lookups.go_on(serde_json::from_str(call.id).ok(), lookup);
        }
    }

    async fn forward(&mut self, line: &[u8], id: CallId) {
        let Some(message) = message_in(line, id, &self.outlet).await else { return };
        if let Some(request) = taken_back(&message) {
            // rmcp may have it by now.
            self.lookups.give_up(request).await;
        }
        self.to_rmcp.pass(message, &self.outlet).await;
    }

    /// The client sends nothing more: finishes what is in flight.
    pub(crate) async fn finish(mut self) {
        self.lookups.ended().await;
        tokio::select! {
            () = self.unanswered.none() => {}
            // Only by itself.
            _ = self.rmcp.join_next() => {}
        }
        drop(self.to_rmcp);
        while self.rmcp.join_next().await.is_some() {}
    }
}

fn spliced(call: &splice::Call<'_>, answer: &Answer) -> Bytes {
    let line = splice::result(call, answer);
    if line.len() > MAX_LINE_OUT { too_large(call.id, line.len()) } else { line }
}

/// The message in a line, under the line's id; a line that is none is answered.
async fn message_in(line: &[u8], id: CallId, outlet: &Outlet) -> Option<ClientJsonRpcMessage> {
    match serde_json::from_slice::<ClientJsonRpcMessage>(line) {
        Ok(mut message) => {
            if let ClientJsonRpcMessage::Request(request) = &mut message {
                request.request.extensions_mut().insert(id);
            }
            return Some(message);
        }
        Err(error) if error.is_data() => {
            outlet.send(error_line(id_of(line), -32600, "this is JSON, but not a JSON-RPC 2.0 message of MCP")).await;
        }
        Err(_) => outlet.send(error_line("null", -32700, "this line is not JSON")).await,
    }
    None
}

/// The id of a message as its client wrote it; `null` when it has none.
fn id_of(line: &[u8]) -> &str {
    #[derive(Deserialize)]
    struct Peek<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
    }
    serde_json::from_slice::<Peek<'_>>(line).ok().and_then(|peek| peek.id).map_or("null", RawValue::get)
}

/// A JSON-RPC error as a line. `id` is JSON text.
fn error_line(id: &str, code: i32, message: &str) -> Bytes {
    error_line_with(id, code, message, None)
}

/// The same with `data` beside the words.
fn error_line_with(id: &str, code: i32, message: &str, data: Option<Value>) -> Bytes {
    let mut error = json!({ "code": code, "message": message });
    if let Some(data) = data {
        error["data"] = data;
    }
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}\n").into()
}

/// What stands in for an answer over the limit of a line. `id` is JSON text.
fn too_large(id: &str, bytes: usize) -> Bytes {
    let text =
        format!("the answer has {bytes} bytes and a line may have {MAX_LINE_OUT}: ask for less, with a smaller limit or without bodies");
    error_line(id, -32603, &text)
}

/// The kind of rmcp's error without what it quotes: its text holds the client's message.
fn error_name(error: &rmcp::service::ServerInitializeError) -> &'static str {
    match error {
        rmcp::service::ServerInitializeError::ConnectionClosed(_) => "connection closed",
        rmcp::service::ServerInitializeError::Cancelled => "cancelled",
        _ => "handshake failed",
    }
}
