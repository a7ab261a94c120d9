//! What the clients ask: the tools of the first step, each with the arguments a model would give it.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::support::mcp::Mcp;

/// One question.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) tool: &'static str,
    pub(super) arguments: Value,
    /// What a cached answer may take at most, in milliseconds.
    pub(super) limit_ms: Option<f64>,
}

/// All questions. Ids are looked up first, with calls of their own that leave nothing in the cache.
pub(super) fn all(client: &mut Mcp, alex: &str, bea: &str) -> anyhow::Result<Vec<Question>> {
    let mut first = |tool: &str, list: &str| -> anyhow::Result<String> {
        let arguments = json!({"account_id": alex, "limit": 1, "use_cache": false});
        let answer = client.call(tool, &arguments)?.json()?;
        Ok(answer[list][0]["id"].as_str().with_context(|| format!("{tool} shows nothing: {answer}"))?.to_owned())
    };
    let message = first("email_list", "messages")?;
    let contact = first("contact_list", "contacts")?;
    let ask = |tool, arguments, limit_ms| Question { tool, arguments, limit_ms };
    Ok(vec![
        ask("folder_get_tree", json!({"account_id": alex, "path": "/", "max_depth": 25}), Some(100.0)),
        ask("folder_list", json!({"account_id": alex, "path": "/", "limit": 100}), None),
        ask("file_list", json!({"account_id": alex, "path": "/", "limit": 100}), Some(30.0)),
        ask("email_list", json!({"account_id": alex, "folder": "inbox", "limit": 50}), Some(50.0)),
        ask("email_get", json!({"account_id": alex, "email_id": message}), None),
        ask("emailfolders_list", json!({"account_id": alex}), None),
        ask("contact_list", json!({"account_id": alex, "limit": 100}), None),
        ask("contact_get", json!({"account_id": alex, "contact_id": contact}), None),
        ask("calendar_list_events", json!({"account_id": alex, "days_ahead": 14}), None),
        // The other account asks the same as the first did: its answer must be its own.
        ask("email_list", json!({"account_id": bea, "folder": "inbox", "limit": 50}), Some(50.0)),
    ])
}
