//! The catalogue as MCP tools: made once for each offer, in the order of the rows, the same for every client of that offer and in both eras.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use m365_cached::tools::{self, Offer};
use rmcp::model::{ListToolsResult, Tool};
use serde_json::{Map, Value, json};

/// What decides how the rows are shown besides the offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Manner {
    /// Whether consent is a token everywhere.
    pub(crate) strict: bool,
    /// Whether a call that names no account is meant for one.
    pub(crate) default_account: bool,
}

/// The lists that were asked for: two dozen at most.
static LISTS: Mutex<BTreeMap<(Offer, Manner), Vec<Tool>>> = Mutex::new(BTreeMap::new());

/// Every tool of an offer, from the rows. A test reads each of them, so none can be missing here.
fn made(offer: Offer, manner: Manner) -> Vec<Tool> {
    offer.tools().filter_map(|row| serde_json::from_value(described(row, offer, manner)).ok()).collect()
}

/// The schema of a row's arguments. One that may be left out is not demanded, or a client that checks would not leave it out.
fn schema(row: &tools::Tool, offer: Offer, manner: Manner) -> Map<String, Value> {
    let mut schema = offer.schema(row, manner.strict);
    if manner.default_account
        && row.lacks_account(&Map::new())
        && let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut)
    {
        required.retain(|name| name != tools::ACCOUNT_ID);
        if required.is_empty() {
            schema.remove("required");
        }
    }
    schema
}

/// A row in MCP's words.
fn described(row: &tools::Tool, offer: Offer, manner: Manner) -> Value {
    let hints = row.annotations();
    json!({
        "name": row.name,
        "title": row.title,
        "description": row.description(),
        "inputSchema": schema(row, offer, manner),
        "annotations": {
            "readOnlyHint": hints.read_only,
            "destructiveHint": hints.destructive,
            "idempotentHint": hints.idempotent,
            "openWorldHint": hints.open_world,
        },
        "_meta": row.meta(),
    })
}

/// The answer to `tools/list`.
pub(super) fn list(offer: Offer, manner: Manner) -> ListToolsResult {
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    let list = lists.entry((offer, manner)).or_insert_with(|| made(offer, manner)).clone();
    drop(lists);
    ListToolsResult::with_all_items(list)
}

/// Names of tools that change nothing: a shim may send calls of these again.
pub(crate) fn read_only() -> Vec<String> {
    tools::all().filter(|row| row.annotations().read_only).map(|row| row.name.to_owned()).collect()
}

#[cfg(test)]
#[path = "catalogue_tests.rs"]
mod tests;
