//! The catalogue as MCP tools: made once for each offer, in the order of the rows, the same for every client of that offer and in both eras.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use m365_cached::tools::{self, Offer};
use rmcp::model::{ListToolsResult, Tool};
use serde_json::{Value, json};

/// The lists that were asked for, by offer and whether consent is strict: a dozen at most.
static LISTS: Mutex<BTreeMap<(Offer, bool), Vec<Tool>>> = Mutex::new(BTreeMap::new());

/// Every tool of an offer, from the rows. A test reads each of them, so none can be missing here.
fn made(offer: Offer, strict: bool) -> Vec<Tool> {
    offer.tools().filter_map(|row| serde_json::from_value(described(row, offer, strict)).ok()).collect()
}

/// A row in MCP's words.
fn described(row: &tools::Tool, offer: Offer, strict: bool) -> Value {
    let hints = row.annotations();
    json!({
        "name": row.name,
        "title": row.title,
        "description": row.description(),
        "inputSchema": offer.schema(row, strict),
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
pub(super) fn list(offer: Offer, strict: bool) -> ListToolsResult {
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    let list = lists.entry((offer, strict)).or_insert_with(|| made(offer, strict)).clone();
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
