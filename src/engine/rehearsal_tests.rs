//! Rehearsed writes: what they show, and that Microsoft hears questions only.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{CallError, Engine, Remote, testing};
use crate::{
    chance::SeededDice,
    clock::{ManualClock, Timestamp},
    graph::{Content, GraphRequest, Method, Upload},
    hint::Hint as _,
    store::{AccountRow, Ledger as _, Limits, Memory, TaskQuery},
    tools::{Files, LocalFile, Page, Reply, Saved, StepError, Steps},
};

/// Microsoft, which is asked and never told to do anything.
#[derive(Default)]
struct Graph(Mutex<Vec<String>>);

struct Way(Arc<Graph>);

#[async_trait]
impl Steps for Way {
    async fn send(&self, request: GraphRequest) -> Result<Reply, StepError> {
        assert_eq!(request.method, Method::Get, "{request:?} was sent");
        self.0.0.lock().unwrap().push(request.path.clone());
        let body = match request.path.as_str() {
            "/me/events/meeting" => {
                json!({"id": "meeting", "isOrganizer": true, "attendees": [{"emailAddress": {"address": "b@c.example"}}]})
            }
            "/me/events/gone" => return Err(StepError { status: Some(404), ..StepError::user("not_found", "it is gone", "Look.") }),
            _ => json!({"id": "known", "value": []}),
        };
        Ok(Reply { status: 200, body, etag: None, location: None })
    }
    async fn pages(&self, request: GraphRequest, _: &(dyn for<'a> Fn(&'a [Value]) -> bool + Send + Sync)) -> Result<Page, StepError> {
        self.send(request).await?;
        Ok(Page {
            items: vec![json!({"id": "m1", "isRead": false}), json!({"id": "m2", "isRead": false})],
            before: 0,
            next: None,
            delta: None,
        })
    }
    async fn batch(&self, requests: Vec<GraphRequest>) -> Result<Vec<Result<Reply, StepError>>, StepError> {
        panic!("{requests:?} were sent")
    }
    fn files(&self) -> &dyn Files {
        self
    }
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000)
    }
    fn personal(&self) -> bool {
        false
    }
}

#[async_trait]
impl Files for Way {
    async fn save(&self, _: Content, to: &str, _: u64) -> Result<Saved, StepError> {
        panic!("{to} was written")
    }
    async fn bytes(&self, what: GraphRequest, _: usize) -> Result<Vec<u8>, StepError> {
        panic!("{what:?} was sent")
    }
    async fn open_local(&self, path: &str, _: u64) -> Result<LocalFile, StepError> {
        Ok(LocalFile { name: path.into(), size: 9 << 20, content_type: "text/plain".into(), number: 0 })
    }
    async fn read_local(&self, _: &LocalFile) -> Result<bytes::Bytes, StepError> {
        Ok(bytes::Bytes::new())
    }
    async fn upload(&self, _: Upload, file: &LocalFile) -> Result<Reply, StepError> {
        panic!("{file:?} was sent")
    }
    async fn follow(&self, monitor: &str, _: Duration) -> Result<Reply, StepError> {
        panic!("{monitor} was asked")
    }
}

struct Ways(Arc<Graph>);

impl Remote for Ways {
    fn steps(&self, _: &AccountRow, _: Option<&str>, _: &crate::graph::Hurry, _: Timestamp, _: Timestamp) -> Box<dyn Steps> {
        Box::new(Way(self.0.clone()))
    }
}

struct World {
    engine: Arc<Engine>,
    memory: Arc<Memory>,
    graph: Arc<Graph>,
}

impl World {
    async fn new() -> Self {
        let memory = Arc::new(Memory::new(Arc::new(SeededDice::new(3)), Limits::default()));
        memory.save_account(testing::account()).await.unwrap();
        let (graph, clock) = (Arc::new(Graph::default()), Arc::new(ManualClock::at(Timestamp(1_000_000))));
        let remote = Arc::new(Ways(graph.clone()));
        let engine = testing::engine(memory.clone(), memory.clone(), remote, clock, Arc::new(SeededDice::new(7))).await;
        Self { engine, memory, graph }
    }

    async fn rehearse(&self, tool: &str, more: Value) -> Result<Value, CallError> {
        let mut given = json!({"account_id": testing::ACCOUNT});
        given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.engine.rehearse(tool, given.as_object().unwrap()).await?;
        Ok(serde_json::from_str(&answer.text()).unwrap())
    }
}

fn sent(answer: &Value) -> Vec<String> {
    let line = |request: &Value| format!("{} {}", request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
    answer["requests"].as_array().unwrap().iter().map(line).collect()
}

#[tokio::test]
async fn the_requests_of_a_write_are_shown_and_not_sent() {
    let world = World::new().await;
    let read = world.rehearse("email_mark_read", json!({"email_id": "a/b"})).await.unwrap();
    assert_eq!((&read["dry_run"], &read["asks"], sent(&read)), (&json!(true), &json!(false), vec!["PATCH /me/messages/a%2Fb".into()]));
    assert_eq!(read["requests"][0]["body"], json!({"isRead": true}));

    let event = json!({"subject": "s", "start": "2027-06-08T09:00Z", "end": "2027-06-08T10:00Z", "attendees": "b@c.example",
                       "body": "x".repeat(5_000)});
    let event = world.rehearse("calendar_create_event", event).await.unwrap();
    assert_eq!((&event["asks"], sent(&event)), (&json!(true), vec!["POST /me/events".into()]));
    let shown = event["requests"][0]["body"]["body"]["content"].as_str().unwrap();
    assert!(shown.ends_with("… (5000 characters)") && shown.len() < 300, "{shown}");

    // Whom it tells shows at Microsoft: it is looked at, and what would follow an agreement is shown.
    let moved = json!({"event_id": "meeting", "updates": {"start": "2027-06-08T09:00Z", "end": "2027-06-08T10:00Z"}});
    let moved = world.rehearse("calendar_update_event", moved).await.unwrap();
    assert_eq!((&moved["asks"], sent(&moved)), (&json!(true), vec!["PATCH /me/events/meeting".into()]));
    assert!(!world.graph.0.lock().unwrap().is_empty(), "questions are asked");
}

#[tokio::test]
async fn many_changes_files_and_what_follows_them_are_shown() {
    let world = World::new().await;
    let marked = world.rehearse("emailfolders_mark_all_as_read", json!({"folder_id": "f"})).await.unwrap();
    assert_eq!(sent(&marked), ["PATCH /me/messages/m1", "PATCH /me/messages/m2"]);
    let upload = world.rehearse("file_create", json!({"onedrive_path": "/a.txt", "local_file_path": "/tmp/a.txt"})).await.unwrap();
    assert_eq!(upload["local_files"][0]["read"], "/tmp/a.txt");
    let request = &upload["requests"][0];
    assert!(request["path"].as_str().unwrap().contains("createUploadSession") && request["content"]["bytes"] == 9 << 20, "{upload}");
}

#[tokio::test]
async fn nothing_is_left_behind() {
    let world = World::new().await;
    world.rehearse("email_mark_read", json!({"email_id": "a"})).await.unwrap();
    world.rehearse("account_remove", json!({})).await.unwrap();
    assert_eq!(world.engine.accounts().len(), 1);
    assert!(world.memory.recover_writes(Timestamp(0), Timestamp(0)).await.unwrap().is_empty());
    assert_eq!(world.memory.tasks(TaskQuery { limit: 9, ..TaskQuery::default() }).await.unwrap(), vec![]);
    // A read changes nothing, so there is nothing to show.
    let read = world.rehearse("email_list", json!({})).await.unwrap();
    assert_eq!((&read["requests"], world.graph.0.lock().unwrap().len()), (&json!([]), 0));
}

#[tokio::test]
async fn mistakes_are_told_as_ever() {
    let world = World::new().await;
    for (tool, given, code) in [
        ("email_lst", json!({}), "unknown_tool"),
        ("email_mark_read", json!({}), "missing_argument"),
        (
            "calendar_update_event",
            json!({"event_id": "gone", "updates": {"start": "2027-06-08T09:00Z", "end": "2027-06-08T10:00Z"}}),
            "not_found",
        ),
    ] {
        assert_eq!(world.rehearse(tool, given).await.unwrap_err().code(), code, "{tool}");
    }
    let other = world.engine.rehearse("email_mark_read", json!({"account_id": "nobody", "email_id": "a"}).as_object().unwrap()).await;
    assert_eq!(other.unwrap_err().code(), "unknown_account");
}
