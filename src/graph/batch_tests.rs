//! Batches against a scripted Graph.

use std::sync::atomic::Ordering;

use super::*;
use crate::{
    auth::testing::{Act, Seen, until, within},
    graph::client::tests::{World, fine},
    hint::Hint,
    ids::Urgency,
};

fn reads(count: usize) -> Vec<GraphRequest> {
    (0..count).map(|number| GraphRequest::get(&["me", "messages", &number.to_string()])).collect()
}

/// Answers each item with `answer(how often it was asked before, its url)`, in reverse order.
fn answers(seen: &Seen, asked: &std::sync::Mutex<std::collections::BTreeMap<String, usize>>, answer: fn(usize, &str) -> Value) -> Act {
    let body = seen.json();
    let requests = body["requests"].as_array().unwrap();
    assert!(!requests.is_empty() && requests.len() <= 20);
    let mut responses: Vec<Value> = requests
        .iter()
        .map(|request| {
            let url = request["url"].as_str().unwrap();
            let before = {
                let mut asked = asked.lock().unwrap();
                let times = asked.entry(url.to_owned()).or_default();
                *times += 1;
                *times - 1
            };
            let mut response = answer(before, url);
            response["id"] = request["id"].clone();
            response
        })
        .collect();
    responses.reverse();
    Act::json(200, &json!({ "responses": responses }))
}

async fn world(answer: fn(usize, &str) -> Value) -> World {
    let asked = std::sync::Arc::new(std::sync::Mutex::new(std::collections::BTreeMap::new()));
    World::quick(move |_, seen| {
        let act = answers(&seen, &asked, answer);
        async move { act }
    })
    .await
}

async fn batch(world: &World, requests: &[GraphRequest]) -> Result<Vec<Answer>, GraphError> {
    within(world.client.batch(&world.context(Urgency::Foreground), requests)).await
}

fn sizes(world: &World) -> Vec<usize> {
    world.server.seen().iter().map(|seen| seen.json()["requests"].as_array().unwrap().len()).collect()
}

#[tokio::test]
async fn fifty_requests_are_three_batches_and_come_back_in_order() {
    let world =
        world(|_, url| json!({"status": 200, "headers": {"Content-Type": "application/json", "ETag": "e"}, "body": {"url": url}})).await;
    let answers = batch(&world, &reads(50)).await.unwrap();
    assert_eq!(sizes(&world), [20, 20, 10]);
    for (number, answer) in answers.into_iter().enumerate() {
        let reply = answer.unwrap();
        assert_eq!(
            (reply.json().unwrap()["url"].as_str(), reply.etag.as_deref()),
            (Some(format!("/me/messages/{number}").as_str()), Some("e"))
        );
    }
    let item = &world.server.seen()[0].json()["requests"][0];
    assert_eq!(*item, json!({"id": "1", "method": "GET", "url": "/me/messages/0", "headers": {"Prefer": "IdType=\"ImmutableId\""}}));
    assert_eq!(batch(&world, &[]).await.unwrap().len(), 0);
}

#[tokio::test]
async fn only_what_failed_in_passing_is_sent_again() {
    let world = world(|before, url| match (url.ends_with('3') || url.ends_with('7'), before) {
        (true, 0) => json!({"status": 429, "headers": {"retry-AFTER": "0"}, "body": {"error": {"code": "ApplicationThrottled"}}}),
        (true, 1) => json!({"status": 503, "body": {"error": {"code": "x"}}}),
        _ if url.ends_with('5') => json!({"status": 404, "body": {"error": {"code": "ErrorItemNotFound"}}}),
        _ => json!({"status": 200, "body": {"url": url}}),
    })
    .await;
    let answers = batch(&world, &reads(10)).await.unwrap();
    assert_eq!(sizes(&world), [10, 2, 2]);
    for (number, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(reply) => assert_eq!(reply.json().unwrap()["url"], format!("/me/messages/{number}")),
            Err(error) => assert_eq!((number, error.code(), error.graph_code()), (5, "not_found", Some("ErrorItemNotFound"))),
        }
    }
    assert_eq!(world.client.gauges().throttled, 2);
}

#[tokio::test]
async fn a_write_inside_is_repeated_only_when_it_was_refused() {
    let world = world(|before, url| match (url, before) {
        ("/me/a/move", 0) => json!({"status": 429, "headers": {"Retry-After": "0"}}),
        ("/me/b/move", _) => json!({"status": 500}),
        _ => json!({"status": 201, "body": {}}),
    })
    .await;
    let requests =
        [GraphRequest::post(&["me", "a", "move"], json!({"destinationId": "x"})), GraphRequest::post(&["me", "b", "move"], json!({}))];
    let answers = batch(&world, &requests).await.unwrap();
    assert_eq!(sizes(&world), [2, 1]);
    assert_eq!(answers[0].as_ref().unwrap().status, 201);
    let error = answers[1].as_ref().unwrap_err();
    assert!(error.unknown_outcome() && !error.never_sent());
    let item = &world.server.seen()[0].json()["requests"][0];
    assert_eq!((&item["body"], &item["headers"]["Content-Type"]), (&json!({"destinationId": "x"}), &json!("application/json")));
}

#[tokio::test]
async fn an_item_that_keeps_failing_is_given_up() {
    let world = world(|_, url| if url.ends_with('1') { json!({"status": 503}) } else { json!({"status": 200, "body": {}}) }).await;
    let answers = batch(&world, &reads(2)).await.unwrap();
    assert_eq!((sizes(&world), answers[1].as_ref().unwrap_err().code()), (vec![2, 1, 1, 1], "graph_failed"));
}

#[tokio::test]
async fn a_retry_after_inside_holds_back_the_mailbox() {
    let world = World::still(|number, seen| async move {
        if seen.method == "POST" && number == 0 {
            Act::json(200, &json!({"responses": [{"id": "1", "status": 200, "body": {}}, {"id": "2", "status": 429, "headers": {"Retry-After": "30"}}]}))
        } else if seen.method == "POST" {
            Act::json(200, &json!({"responses": [{"id": "2", "status": 200, "body": {}}]}))
        } else {
            fine()
        }
    })
    .await;
    let (client, context) = (world.client.clone(), world.context(Urgency::Foreground));
    let batch = tokio::spawn(async move { client.batch(&context, &reads(2)).await });
    until(|| world.client.gauges().budget.waiting == 1).await;
    world.clock.advance(Duration::from_secs(29));
    tokio::task::yield_now().await;
    assert_eq!(world.server.count(), 1);
    world.clock.advance(Duration::from_secs(2));
    assert!(within(batch).await.unwrap().unwrap().iter().all(Result::is_ok));
}

#[tokio::test]
async fn bytes_come_as_base64_and_text_stays_text() {
    let world = world(|_, url| match url {
        "/me/photo/$value" => json!({"status": 200, "headers": {"Content-Type": "image/jpeg"}, "body": "AAEC/w=="}),
        "/bad/$value" => json!({"status": 200, "headers": {"Content-Type": "image/jpeg"}, "body": "***"}),
        _ => json!({"status": 200, "headers": {"Content-Type": "application/json"}, "body": "text"}),
    })
    .await;
    let requests = ["/me/photo/$value", "/me/x", "/bad/$value"].map(|path| GraphRequest::get_path(path.into()));
    let answers = batch(&world, &requests).await.unwrap();
    assert_eq!(&answers[0].as_ref().unwrap().body[..], [0, 1, 2, 255]);
    assert_eq!(answers[1].as_ref().unwrap().json().unwrap(), "text");
    assert_eq!(answers[2].as_ref().unwrap_err().code(), "unexpected_reply");
}

#[tokio::test]
async fn links_are_made_relative_and_foreign_ones_stay_here() {
    let world = world(|_, _| json!({"status": 200, "body": {}})).await;
    let root = world.server.root.clone();
    let requests = [
        format!("{root}v1.0/me/messages?$skip=2"),
        "https://evil.example/v1.0/me".into(),
        format!("{root}beta/me"),
        "/me/messages/%2e%2e".into(),
    ]
    .map(GraphRequest::get_path);
    let answers = batch(&world, &requests).await.unwrap();
    assert!(answers[0].is_ok());
    let codes: Vec<_> = answers[1..].iter().map(|answer| answer.as_ref().unwrap_err().code()).collect();
    assert_eq!(codes, ["foreign_host", "foreign_host", "invalid_id"]);
    let sent = world.server.seen()[0].json();
    assert_eq!((sent["requests"].as_array().unwrap().len(), &sent["requests"][0]["url"]), (1, &json!("/me/messages?$skip=2")));
}

#[tokio::test]
async fn an_answer_that_leaves_items_out_is_asked_again() {
    let world = World::quick(|number, seen| async move {
        let requests = seen.json()["requests"].as_array().unwrap().clone();
        let said = requests.iter().skip(usize::from(number == 0));
        Act::json(200, &json!({"responses": said.map(|one| json!({"id": one["id"], "status": 200, "body": {}})).collect::<Vec<_>>()}))
    })
    .await;
    assert!(batch(&world, &reads(3)).await.unwrap().iter().all(Result::is_ok));
    assert_eq!(sizes(&world), [3, 1]);

    let world = World::quick(|_, _| async { Act::json(200, &json!({"answers": []})) }).await;
    assert_eq!(batch(&world, &reads(1)).await.unwrap_err().code(), "unexpected_reply");
    assert_eq!(world.tokens.renewed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_lost_batch_of_reads_changed_nothing_and_one_of_writes_may_have() {
    let world = World::quick(|_, _| async { Act::Hangup }).await;
    assert!(!batch(&world, &reads(2)).await.unwrap_err().unknown_outcome());
    let world = World::quick(|_, _| async { Act::Hangup }).await;
    let mut requests = reads(2);
    requests.push(GraphRequest::question(&["me", "calendar", "getSchedule"], json!({})));
    assert!(!batch(&world, &requests).await.unwrap_err().unknown_outcome());
    let world = World::quick(|_, _| async { Act::Hangup }).await;
    requests.push(GraphRequest::post(&["me", "a", "move"], json!({})));
    let before = world.server.count();
    assert!(batch(&world, &requests).await.unwrap_err().unknown_outcome());
    assert_eq!(world.server.count(), before + 1, "not repeated");
}

fn deletions(count: usize) -> Vec<GraphRequest> {
    (1..=count).map(|number| GraphRequest::delete(&["me", "messages", &number.to_string()])).collect()
}

/// What is known of each: `ok`, or the error's code, with `?` where it may have happened.
fn told(answers: &[Answer]) -> Vec<String> {
    let one = |answer: &Answer| match answer {
        Ok(_) => "ok".to_owned(),
        Err(error) => format!("{}{}", error.code(), if error.unknown_outcome() { "?" } else { "" }),
    };
    answers.iter().map(one).collect()
}

#[tokio::test]
async fn what_was_done_is_told_though_the_rest_cannot_be_sent_again() {
    // The third asks for more time than there is, so nobody gets a place for the second.
    let world = world(|_, url| match url {
        "/me/messages/2" => json!({"status": 429, "headers": {"Retry-After": "1"}}),
        "/me/messages/3" => json!({"status": 429, "headers": {"Retry-After": "3600"}}),
        _ => json!({"status": 204}),
    })
    .await;
    let answers = batch(&world, &deletions(3)).await.unwrap();
    assert_eq!((told(&answers), sizes(&world)), (["ok", "throttled", "throttled"].map(str::to_owned).to_vec(), vec![3]));
    assert!(answers[1].as_ref().unwrap_err().never_sent(), "it was refused before it acted");
}

#[tokio::test]
async fn a_redirect_says_nothing_of_what_became_of_a_write() {
    let world = world(|_, url| match url {
        "/me/messages/1" => json!({"status": 302, "headers": {"Location": "https://proxy.example/"}}),
        "/me/messages/2" => json!({"status": 304}),
        "/me/messages/3" => json!({"status": 307}),
        _ => json!({"status": 302, "headers": {"Location": "https://files.example/"}}),
    })
    .await;
    let mut requests = deletions(3);
    requests.push(GraphRequest::get(&["me", "drive", "items", "1", "content"]));
    let answers = batch(&world, &requests).await.unwrap();
    assert_eq!(told(&answers), ["unexpected_reply?", "unexpected_reply?", "unexpected_reply?", "ok"]);
    assert_eq!(sizes(&world), [4], "no write is sent again");
    assert_eq!(answers[3].as_ref().unwrap().location.as_deref(), Some("https://files.example/"));
}

#[tokio::test]
async fn what_is_not_answered_the_second_time_may_have_happened_only_where_it_acts() {
    let world = World::quick(|number, _| async move {
        match number {
            0 => Act::json(
                200,
                &json!({"responses": [{"id": "1", "status": 204}, {"id": "2", "status": 503}, {"id": "3", "status": 429}, {"id": "4", "status": 429}]}),
            ),
            _ => Act::json(200, &json!({"answers": []})),
        }
    })
    .await;
    let mut requests = deletions(3);
    requests[1].idempotent = true;
    requests.push(GraphRequest::get(&["me"]));
    let answers = batch(&world, &requests).await.unwrap();
    assert_eq!(told(&answers), ["ok", "unexpected_reply?", "unexpected_reply?", "unexpected_reply"]);
    assert_eq!(told(&[batch(&world, &deletions(1)).await.map(|_| unreachable!())]), ["unexpected_reply?"]);
}

#[tokio::test]
async fn what_the_first_batch_did_is_told_though_a_later_one_comes_to_nothing() {
    let world = World::quick(|number, seen| async move {
        let responses = |seen: &Seen| {
            seen.json()["requests"].as_array().unwrap().iter().map(|one| json!({"id": one["id"], "status": 204})).collect::<Vec<_>>()
        };
        if number == 0 { Act::json(200, &json!({"responses": responses(&seen)})) } else { Act::Hangup }
    })
    .await;
    let told = told(&batch(&world, &deletions(45)).await.unwrap());
    assert_eq!((sizes(&world), &told[..20]), (vec![20, 20], vec!["ok".to_owned(); 20].as_slice()));
    assert_eq!((&told[20], &told[39], &told[40]), (&"unreachable?".to_owned(), &"unreachable?".to_owned(), &"unreachable".to_owned()));
}
