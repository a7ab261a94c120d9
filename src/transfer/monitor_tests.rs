//! Copies that end well, fail, hang or lead elsewhere.

use serde_json::json;

use super::{super::world_tests::*, *};
use crate::{
    auth::testing::{Act, within},
    hint::{Hint, Kind},
};

const LONG: Duration = Duration::from_secs(60);

impl World {
    async fn follow(&self, patience: Duration) -> Result<Job, TransferError> {
        within(self.transfer.follow(&format!("{}monitor", self.files.root), patience)).await
    }
}

fn going_on() -> Act {
    Act::json(202, &json!({"status": "inProgress", "percentageComplete": 12.5}))
}

#[tokio::test]
async fn a_copy_is_followed_to_its_end() {
    let done = json!({"status": "completed", "percentageComplete": 100.0, "resourceId": "new"});
    let last = done.clone();
    let world = World::leading(move |number, _| match number {
        0 => going_on(),
        1 => Act::Hangup,
        _ => Act::json(200, &last),
    })
    .await;
    assert_eq!(world.follow(LONG).await.unwrap(), Job { done: true, body: done, location: None });
    assert_eq!(world.files.count(), 3);
}

#[tokio::test]
async fn a_personal_drive_leads_to_the_item() {
    let world = World::leading(|_, _| Act::Reply(303, vec![("location", "https://api.onedrive.com/x".into())], Vec::new())).await;
    let job = world.follow(LONG).await.unwrap();
    assert_eq!((job.done, job.location.as_deref()), (true, Some("https://api.onedrive.com/x")));
}

#[tokio::test]
async fn what_somebody_on_the_way_says_is_no_end_of_a_copy() {
    for status in [301, 302, 307, 308] {
        let world = World::leading(move |_, _| Act::Reply(status, vec![("location", "https://proxy.example/".into())], Vec::new())).await;
        assert!(world.follow(LONG).await.unwrap_err().unknown_outcome, "{status}");
    }
    let world = World::leading(|_, _| Act::Reply(200, Vec::new(), b"<html>Sign in to the wifi</html>".to_vec())).await;
    assert!(world.follow(LONG).await.unwrap_err().unknown_outcome);
}

#[tokio::test]
async fn a_copy_that_failed_says_why() {
    let failed = |code: &str| json!({"status": "failed", "error": {"code": code, "message": "secret"}});
    for (code, ours, kind) in [("nameAlreadyExists", "already_exists", Kind::User), ("quotaLimitReached", "not_finished", Kind::Denied)] {
        let body = failed(code);
        let world = World::leading(move |_, _| Act::json(200, &body)).await;
        let error = world.follow(LONG).await.unwrap_err();
        assert_eq!((error.code(), error.kind(), error.graph_code(), error.unknown_outcome), (ours, kind, Some(code), false));
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}

#[tokio::test]
async fn patience_ends_and_the_copy_goes_on() {
    let world = World::leading(|_, _| going_on()).await;
    let job = world.follow(Duration::from_millis(300)).await.unwrap();
    assert!(!job.done && job.body["status"] == "inProgress");
    assert!(world.files.count() <= 2, "the pause grows");
    let world = World::leading(|_, _| going_on().with("retry-after", "99")).await;
    assert!(!world.follow(LONG).await.unwrap().done, "nobody waits longer than asked");
}

#[tokio::test]
async fn a_monitor_that_cannot_be_asked_leaves_the_outcome_open() {
    let world = World::leading(|_, _| Act::Reply(404, Vec::new(), Vec::new())).await;
    assert!(world.follow(LONG).await.unwrap_err().unknown_outcome);
    let world = World::leading(|_, _| Act::Hangup).await;
    assert!(world.follow(LONG).await.unwrap_err().unknown_outcome);
    let error = within(world.transfer.follow("https://evil.example/monitor", LONG)).await.unwrap_err();
    assert!(matches!(error.cause, Cause::ForeignHost) && error.unknown_outcome);
}
