//! Lists and bodies within a budget, through a whole engine: read to the end they are whole, and nothing is asked twice.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    chance::SeededDice,
    clock::{ManualClock, Timestamp},
    engine::{
        Engine,
        testing::{self, Scripted, call, reply},
    },
    ids::Caller,
    store::{Ledger, Limits, Memory},
};

/// Messages in the folder, and characters of a body: letters of one to four bytes, quotes and line breaks.
const HELD: usize = 40;
const LETTERS: [char; 8] = ['a', 'b', ' ', '"', '\\', '\n', 'ä', '😀'];

/// Most bytes of an answer for a token of its budget.
const BYTES: usize = 3;

fn text(length: usize) -> String {
    (0..length).map(|at| LETTERS[at * 7 % LETTERS.len()]).collect()
}

async fn world() -> (Arc<Engine>, Arc<Scripted>) {
    let graph = Scripted::new(|request| {
        let body = |length| json!({ "contentType": "text", "content": text(length) });
        let one = |at: usize| json!({ "id": format!("m{at}"), "subject": text(at * 5), "parentFolderId": "F", "body": body(300) });
        if request.path.ends_with("/messages/long") {
            let mut long = one(1);
            (long["id"], long["body"]) = ("long".into(), body(9_000));
            return reply(long);
        }
        let top = request.query.iter().find(|(name, _)| *name == "$top").map_or(HELD, |(_, top)| top.parse().unwrap());
        let from = request.path.split_once("?from=").map_or(0, |(_, from)| from.parse::<usize>().unwrap());
        let to = (from + top).min(HELD);
        let mut page = json!({ "value": (from..to).map(one).collect::<Vec<_>>(), "id": "F" });
        if to < HELD {
            page["@odata.nextLink"] = format!("{}?from={to}", request.path.split('?').next().unwrap()).into();
        }
        reply(page)
    });
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000_000)));
    let memory = Arc::new(Memory::new(Arc::new(SeededDice::new(3)), Limits::default()));
    memory.save_account(testing::account()).await.unwrap();
    let engine = testing::engine(memory.clone(), memory, graph.remote(), clock, Arc::new(SeededDice::new(7))).await;
    (engine, graph)
}

async fn said(engine: &Arc<Engine>, tool: &str, given: &Value) -> (Value, usize) {
    let mut given = given.as_object().unwrap().clone();
    given.insert("account_id".into(), testing::ACCOUNT.into());
    let text = engine.call(&Caller::default(), tool, &given).await.unwrap().text();
    (serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")), text.len())
}

#[tokio::test]
async fn a_list_within_a_budget_is_read_on_to_its_end_from_the_cache() {
    let (engine, graph) = world().await;
    for limit in [40, 25] {
        let whole = call(&engine, "email_list", json!({ "limit": limit })).await.unwrap();
        for tokens in [500, 1_100, 4_000] {
            let asked = graph.count();
            let mut given = json!({ "limit": limit, "max_tokens": tokens });
            let (mut read, mut pages) = (Vec::new(), 0);
            while read.len() < limit {
                let (page, bytes) = said(&engine, "email_list", &given).await;
                let messages = page["messages"].as_array().unwrap();
                assert!(bytes <= tokens * BYTES || messages.len() == 1, "{bytes} bytes for {tokens} tokens");
                read.extend(messages.iter().cloned());
                pages += 1;
                let ended = (page["complete"] == true, page["next_cursor"].is_null());
                assert_eq!(ended, (read.len() == HELD, read.len() == HELD));
                given["cursor"] = page["next_cursor"].clone();
            }
            // Reading on goes past the limit, as it does without a budget.
            assert!(read[..limit] == whole["messages"].as_array().unwrap()[..], "{limit} {tokens}: not the messages of the whole list");
            assert!(pages > 1 && graph.count() == asked, "{pages} pages; asked {} times more", graph.count() - asked);
        }
    }
}

#[tokio::test]
async fn a_page_from_microsoft_is_cut_and_read_on_too() {
    let (engine, graph) = world().await;
    let mut given = json!({ "limit": 15, "max_tokens": 1_000, "include_body": false });
    let (mut read, mut pages) = (0, 0);
    loop {
        let (page, _) = said(&engine, "email_list", &given).await;
        for message in page["messages"].as_array().unwrap() {
            assert_eq!(message["id"], format!("m{read}"));
            read += 1;
        }
        pages += 1;
        if page["next_cursor"].is_null() {
            break;
        }
        given["cursor"] = page["next_cursor"].clone();
    }
    assert!(read == HELD && pages > 3, "{read} messages in {pages} pages");
    assert!(graph.count() <= 3, "{} requests for {HELD} messages in pages of 15", graph.count());
}

#[tokio::test]
async fn a_body_within_a_budget_is_read_on_from_the_cache() {
    let (engine, graph) = world().await;
    for tokens in [600, 1_500] {
        let (mut read, mut parts) = (String::new(), 0);
        let mut given = json!({ "email_id": "long", "max_tokens": tokens });
        loop {
            let (part, bytes) = said(&engine, "email_get", &given).await;
            assert!(bytes <= tokens * BYTES, "{bytes} bytes for {tokens} tokens");
            read.push_str(part["body"]["content"].as_str().unwrap());
            parts += 1;
            let next = part["body"]["next_offset"].clone();
            assert_eq!((next.is_null(), &part["body"]["total_length"]), (part["complete"] == true, &json!(9_000)));
            if next.is_null() {
                break;
            }
            assert_eq!(next, read.chars().count());
            given["body_offset"] = next;
        }
        assert_eq!(read, text(9_000));
        assert!(parts > 2, "{parts}");
    }
    assert_eq!(graph.count(), 1, "all parts are of one answer");
    let (rest, _) = said(&engine, "email_get", &json!({ "email_id": "long", "body_offset": 8_990 })).await;
    assert_eq!((&rest["body"]["content"], &rest["complete"]), (&json!(text(9_000).chars().skip(8_990).collect::<String>()), &json!(true)));
    assert_eq!(graph.count(), 1, "without a budget too");
}

#[tokio::test]
async fn what_is_not_kept_says_that_it_cannot_be_read_on() {
    let (engine, _) = world().await;
    let (page, bytes) = said(&engine, "email_list", &json!({ "limit": 40, "max_tokens": 1_000, "use_cache": false })).await;
    assert!(bytes <= 3_000 + 200 && page["next_cursor"].is_null() && page["complete"] == false, "{page}");
    assert!(page["_warning"].as_str().unwrap().contains("max_tokens"), "{page}");
}

/// A tree of three levels, two folders in each; asked for again with a budget it is answered from what is stored.
#[tokio::test]
async fn a_tree_within_a_budget_loses_its_deepest_level_and_says_so() {
    let below = |path: &str| path.split('/').nth(3).filter(|folder| *folder != "delta").unwrap_or_default().to_owned();
    let graph = Scripted::new(move |request| {
        let parent = below(&request.path);
        let one = |at: usize| {
            let id = format!("{parent}{at}");
            let deepest = usize::from(id.len() < 3) * 2;
            json!({ "id": id, "displayName": text(40), "parentFolderId": parent, "childFolderCount": deepest, "totalItemCount": 1 })
        };
        reply(json!({ "value": (1..3).map(one).collect::<Vec<_>>() }))
    });
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000_000)));
    let memory = testing::memory(testing::account()).await;
    let engine = testing::engine(memory.clone(), memory, graph.remote(), clock, Arc::new(SeededDice::new(7))).await;
    let (whole, bytes) = said(&engine, "emailfolders_get_tree", &json!({})).await;
    assert_eq!((whole["complete"].as_bool(), whole.get("left_out")), (Some(true), None));
    let asked = graph.count();
    let all = |tree: &Value| tree.to_string().matches("displayName").count();
    assert!(all(&whole) == 14 && bytes > 2_400, "{whole}");
    let (cut, bytes) = said(&engine, "emailfolders_get_tree", &json!({ "max_tokens": 500 })).await;
    assert!(bytes <= 500 * BYTES, "{bytes}");
    let missing = cut["left_out"]["folders"].as_u64().unwrap() as usize;
    assert_eq!((all(&cut) + missing, &cut["complete"]), (14, &json!(false)));
    assert_eq!(cut["folders"][0]["childFolderCount"], 2, "what is left out is still counted: {cut}");
    let (again, _) = said(&engine, "emailfolders_get_tree", &json!({ "max_tokens": 100_000 })).await;
    assert_eq!((&again["folders"], graph.count()), (&whole["folders"], asked), "what fits is whole, and nothing is asked again");
    let (past, _) = said(&engine, "emailfolders_get_tree", &json!({ "max_tokens": 500, "use_cache": false })).await;
    assert_eq!(past["left_out"], cut["left_out"], "also what is not kept");
}
