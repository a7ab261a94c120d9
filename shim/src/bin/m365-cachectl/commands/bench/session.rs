//! A session as a client's shim opens one: frames over the daemon's socket, one MCP line in each.

use m365_cached_proto::PROTOCOL_VERSION;
use m365_cached_proto::dirs::Profile;
use m365_cached_proto::endpoint::{health_client, mcp_client};
use m365_cached_proto::health::{HealthCheckRequest, HealthClient};
use m365_cached_proto::v1::{ClientFrame, Fault, Hello, Kind, ServerFrame, client_frame, server_frame};
use m365_cached_shim::reach::reach;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

/// What the daemon calls us.
const NAME: &str = "m365-cachectl bench";
/// A health service that nobody has: to be told so is the answer to an empty question.
const NOBODY: &str = "m365.cached.v1.Nobody";

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answered {
    /// The whole line.
    pub(super) bytes: usize,
    /// The answer's `_cache_status`, where it has one.
    pub(super) status: Option<String>,
}

impl Answered {
    /// That of an answer's own text.
    pub(super) fn of_text(text: &[u8]) -> Self {
        Self { bytes: text.len(), status: status(text, br#""_cache_status":""#) }
    }

    /// Whether Microsoft was asked, or would have been.
    pub(super) fn asked_microsoft(&self) -> bool {
        self.status.as_deref().is_some_and(|status| !["fresh", "stale"].contains(&status))
    }
}

/// A client that has greeted.
pub(super) struct Session {
    lines: mpsc::Sender<ClientFrame>,
    frames: Streaming<ServerFrame>,
    last_id: u64,
}

impl Session {
    /// Connects and greets.
    pub(super) async fn open(profile: &Profile) -> Result<Self, Fault> {
        let channel = reach(profile, None).await?;
        let (lines, outgoing) = mpsc::channel(4);
        let hello = Hello {
            shim_version: env!("CARGO_PKG_VERSION").into(),
            protocol: PROTOCOL_VERSION,
            pid: std::process::id(),
            ..Hello::default()
        };
        let hello = ClientFrame { frame: Some(client_frame::Frame::Hello(hello)) };
        // The stream begins with it.
        drop(lines.send(hello).await);
        let answer = mcp_client(channel).session(ReceiverStream::new(outgoing)).await;
        let frames = answer.map_err(|status| Fault::from_status(&status))?.into_inner();
        let mut session = Self { lines, frames, last_id: 0 };
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": NAME, "version": env!("CARGO_PKG_VERSION") } });
        session.ask("initialize", &params).await?;
        session.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await?;
        Ok(session)
    }

    /// Calls a tool.
    pub(super) async fn call(&mut self, tool: &str, arguments: &Map<String, Value>) -> Result<Answered, Fault> {
        let line = self.ask("tools/call", &json!({ "name": tool, "arguments": arguments })).await?;
        answered(&line)
    }

    /// Asks and waits for the answer; notifications are passed over.
    async fn ask(&mut self, method: &str, params: &Value) -> Result<Vec<u8>, Fault> {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await?;
        let mark = format!("\"id\":{id}");
        loop {
            let frame = self.frames.message().await.map_err(|status| Fault::from_status(&status))?;
            match frame.and_then(|frame| frame.frame) {
                Some(server_frame::Frame::Line(line)) if contains(head(&line), mark.as_bytes()) => return Ok(line.to_vec()),
                Some(server_frame::Frame::Line(_) | server_frame::Frame::Welcome(_)) => {}
                Some(server_frame::Frame::Drain(_)) | None => {
                    let message = "the daemon went away in the middle";
                    return Err(Fault::new(Kind::Offline, "daemon_gone", message, "Run `m365-cachectl bench` once more."));
                }
            }
        }
    }

    async fn send(&mut self, message: &Value) -> Result<(), Fault> {
        let line = client_frame::Frame::Line(format!("{message}\n").into());
        // A stream that has ended says why when it is read.
        drop(self.lines.send(ClientFrame { frame: Some(line) }).await);
        Ok(())
    }
}

/// A connection for empty questions.
pub(super) async fn health(profile: &Profile) -> Result<HealthClient<Channel>, Fault> {
    reach(profile, None).await.map(health_client)
}

/// An empty question: over the same socket to the daemon and back, with nothing asked of its inside.
pub(super) async fn ping(daemon: &mut HealthClient<Channel>) -> Result<(), Fault> {
    match daemon.check(HealthCheckRequest { service: NOBODY.into() }).await {
        Ok(_) => Ok(()),
        Err(status) if status.code() == Code::NotFound => Ok(()),
        Err(status) => Err(Fault::from_status(&status)),
    }
}

/// Reads what matters of an answer without reading all of it, which would be measured.
fn answered(line: &[u8]) -> Result<Answered, Fault> {
    let tail = &line[line.len().saturating_sub(512)..];
    if !contains(tail, br#""isError":false"#) && (contains(head(line), br#""error":"#) || contains(tail, br#""isError":true"#)) {
        return Err(refused(line));
    }
    Ok(Answered { bytes: line.len(), status: status(line, br#"\"_cache_status\":\""#) })
}

/// The word behind `mark` at the beginning of a text.
fn status(text: &[u8], mark: &[u8]) -> Option<String> {
    let head = head(text);
    let at = head.windows(mark.len()).position(|window| window == mark)?;
    let word = head[at + mark.len()..].iter().take_while(|byte| byte.is_ascii_lowercase() || **byte == b'_');
    Some(word.map(|byte| char::from(*byte)).collect())
}

fn head(line: &[u8]) -> &[u8] {
    &line[..line.len().min(512)]
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Why a call was refused, as the daemon put it.
fn refused(line: &[u8]) -> Fault {
    let answer: Value = serde_json::from_slice(line).unwrap_or_default();
    let text = answer["result"]["content"][0]["text"].as_str().or(answer["error"]["message"].as_str()).unwrap_or_default();
    let told: Value = serde_json::from_str(text).unwrap_or_default();
    let told = if told["error"].is_object() { &told["error"] } else { &told };
    let word = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    let message = if word("message").is_empty() { text.to_owned() } else { word("message") };
    let code = if word("code").is_empty() { "call_failed".to_owned() } else { word("code") };
    // MCP has no kinds. The call went well once: what stands against it now is how often it is made.
    let kind = if ["busy", "throttled"].contains(&code.as_str()) { Kind::Throttled } else { Kind::Internal };
    let hint = if word("hint").is_empty() { "`m365-cachectl call` with the same arguments shows more.".to_owned() } else { word("hint") };
    Fault::new(kind, &code, message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, is_error: bool) -> Vec<u8> {
        let result = json!({ "content": [{ "type": "text", "text": text }], "isError": is_error });
        format!("{}\n", json!({ "jsonrpc": "2.0", "id": 7, "result": result })).into_bytes()
    }

    #[test]
    fn how_an_answer_came_about_is_read_from_its_beginning() {
        let of = |text: &str| answered(&line(text, false)).unwrap();
        let fresh = of(&format!("{{\"_cache_status\":\"fresh\",\"messages\":[\"{}\"]}}", "x".repeat(9_000)));
        assert_eq!((fresh.status.as_deref(), fresh.asked_microsoft()), (Some("fresh"), false));
        assert_eq!(of("{\"_cache_status\":\"stale_if_error\"}").status.as_deref(), Some("stale_if_error"));
        assert!(of("{\"_cache_status\":\"miss\"}").asked_microsoft());
        let own = of("{\"accounts\":[]}");
        assert_eq!((own.status.as_deref(), own.asked_microsoft()), (None, false));
    }

    #[test]
    fn a_refusal_is_told_in_the_daemons_words() {
        let text = json!({ "error": { "code": "busy", "message": "The limit is reached.", "hint": "Wait 1 s." } }).to_string();
        let fault = answered(&line(&text, true)).unwrap_err();
        assert_eq!((fault.kind(), fault.code.as_str(), fault.message.as_str()), (Kind::Throttled, "busy", "The limit is reached."));
        let broken = br#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no such tool"}}"#;
        assert_eq!(answered(broken).unwrap_err().message, "no such tool");
    }
}
