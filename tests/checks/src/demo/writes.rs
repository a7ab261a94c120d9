//! Changes something through one client and looks at it through the others: the cache must never contradict a write.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::support::mcp::Mcp;

/// What contradicted a write, in words; empty when nothing did.
pub(super) fn check(clients: &mut [Mcp], account: &str) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    let inbox = json!({"account_id": account, "folder": "inbox", "limit": 50});
    let before = clients[0].call("email_list", &inbox)?.json()?;
    let message = before["messages"][0].clone();
    let id = message["id"].as_str().context("an empty inbox")?.to_owned();
    let was_read = message["isRead"].as_bool().context("a message without isRead")?;

    let mark = json!({"account_id": account, "email_id": id, "is_read": !was_read});
    clients[0].call("email_mark_read", &mark)?.json()?;
    for (index, client) in clients.iter_mut().enumerate().skip(1) {
        let list = client.call("email_list", &inbox)?.json()?;
        let shown = find(&list, &id).map(|message| message["isRead"].clone());
        if shown != Some(json!(!was_read)) {
            wrong.push(format!("email_mark_read: client {index} still sees isRead {shown:?} in the list"));
        }
        let one = client.call("email_get", &json!({"account_id": account, "email_id": id}))?.json()?;
        if one["isRead"] != json!(!was_read) && one["message"]["isRead"] != json!(!was_read) {
            wrong.push(format!("email_mark_read: client {index} still sees the old message"));
        }
    }

    // Everybody has the archive's list in the cache before the move.
    let archive = json!({"account_id": account, "folder": "archive", "limit": 50});
    for client in clients.iter_mut() {
        client.call("email_list", &archive)?.json()?;
    }
    let last = clients.len() - 1;
    let moved =
        clients[last].call("email_move", &json!({"account_id": account, "email_id": id, "destination_folder": "archive"}))?.json()?;
    let new_id = moved["new_id"].as_str().with_context(|| format!("email_move gives no new_id: {moved}"))?.to_owned();
    for (index, client) in clients.iter_mut().enumerate() {
        if find(&client.call("email_list", &inbox)?.json()?, &id).is_some() {
            wrong.push(format!("email_move: client {index} still sees the message in the inbox"));
        }
        // Sorted by date: in a large archive it need not be among the newest, so it is asked for itself as well.
        let one = client.call("email_get", &json!({"account_id": account, "email_id": new_id}))?;
        if one.is_error {
            wrong.push(format!("email_move: client {index} cannot get the message by its new id: {}", one.text));
        }
        let list = client.call("email_list", &archive)?.json()?;
        if list["complete"] == true && find(&list, &new_id).is_none() {
            wrong.push(format!("email_move: client {index} does not see the message in the archive"));
        }
    }
    Ok(wrong)
}

fn find<'a>(list: &'a Value, id: &str) -> Option<&'a Value> {
    list["messages"].as_array()?.iter().find(|message| message["id"] == id)
}
