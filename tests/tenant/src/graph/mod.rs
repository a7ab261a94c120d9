//! Stand-in for the data behind Graph: a list of messages per user, enough to test the plumbing with.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::seed::{Kind, Size, User};
use crate::wire::{Reply, Request};

/// Reads the tenant's clock.
pub type ReadClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The data.
pub struct Graph {
    users: Vec<User>,
    messages: Mutex<BTreeMap<String, Vec<Value>>>,
}

impl Graph {
    /// Seeds the data.
    pub fn new(_size: Size, _seed: u64, _clock: ReadClock) -> Self {
        let user = |n: u8, name: &str, kind: Kind, tenant: &str| User {
            id: format!("00000000-0000-4000-a000-00000000000{n}"),
            tenant_id: tenant.to_owned(),
            username: name.to_owned(),
            display_name: name.split('@').next().unwrap_or_default().to_owned(),
            kind,
            mailbox_id: format!("mailbox-{n}"),
            drive_id: format!("drive-{n}"),
        };
        let work = "11111111-1111-4111-a111-111111111111";
        let users = vec![
            user(1, "alex@contoso.example", Kind::Work, work),
            user(2, "bea@contoso.example", Kind::Work, work),
            user(3, "casey@outlook.example", Kind::Personal, "9188040d-6c67-4c5b-b112-36a304b66dad"),
            user(4, "support@contoso.example", Kind::Shared, work),
        ];
        Self { users, messages: Mutex::default() }
    }

    /// All users.
    pub fn users(&self) -> Vec<User> {
        self.users.clone()
    }

    /// Answers a request.
    pub fn handle(&self, request: &Request, gate: &dyn Fn(&Request) -> Option<Reply>) -> Reply {
        let reply = |status, body: &Value| Reply { status, headers: HeaderMap::new(), body: Bytes::from(body.to_string()) };
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        match (&request.method, request.path.as_str()) {
            (&Method::GET, "/me") => reply(StatusCode::OK, &json!({"id": request.user})),
            (&Method::GET, "/me/messages") => {
                let list = messages.get(&request.user).cloned().unwrap_or_default();
                reply(StatusCode::OK, &json!({"value": list}))
            }
            (&Method::POST, "/me/messages") => {
                let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                messages.entry(request.user.clone()).or_default().push(message.clone());
                reply(StatusCode::CREATED, &message)
            }
            (&Method::POST, "/$batch") => {
                drop(messages);
                let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                let answers = body["requests"].as_array().into_iter().flatten().map(|item| {
                    let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
                    let inner = Request { method: text("method").parse().unwrap_or(Method::GET), path: text("url"), ..request.clone() };
                    let answer = gate(&inner).unwrap_or_else(|| self.handle(&inner, gate));
                    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                    json!({"id": item["id"], "status": answer.status.as_u16(), "body": body})
                });
                let answers: Vec<Value> = answers.collect();
                reply(StatusCode::OK, &json!({"responses": answers}))
            }
            _ => reply(StatusCode::NOT_FOUND, &json!({"error": {"code": "ErrorItemNotFound", "message": "no"}})),
        }
    }

    /// Content behind a pre-authenticated URL.
    pub fn download(&self, path_and_query: &str) -> Option<(String, Bytes)> {
        (path_and_query == "/hello?k=1").then(|| ("text/plain".to_owned(), Bytes::from_static(b"hello world")))
    }

    /// Applies a change.
    pub fn apply(&self, change: &Value) -> Result<Value, String> {
        Ok(change.clone())
    }

    /// The state.
    pub fn dump(&self, user: Option<&str>, _kind: Option<&str>) -> Value {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let list: Vec<_> = messages.iter().filter(|(id, _)| user.is_none_or(|user| user == *id)).collect();
        json!({"messages": list})
    }

    /// Whose place a request takes.
    pub fn owner(&self, request: &Request) -> Option<String> {
        let user = self.users.iter().find(|user| user.id == request.user)?;
        request.path.starts_with("/me/messages").then(|| format!("mailbox:{}", user.mailbox_id))
    }

    /// A route label.
    pub fn route(&self, request: &Request) -> String {
        format!("{} {}", request.method, request.path)
    }

    /// Sets the lag.
    pub fn set_lag(&self, _lag: Duration) {}
}
