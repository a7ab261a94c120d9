//! The catalogue as MCP tools: made once, in the order of the rows, the same for every client.

use std::sync::LazyLock;

use m365_cached::tools;
use rmcp::model::{ListToolsResult, Tool};
use serde_json::{Value, json};

/// Every tool, from the rows. A test reads each of them, so none can be missing here.
static TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(|| made(false));
/// The same where consent is strict.
static STRICT_TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(|| made(true));

fn made(strict: bool) -> Vec<Tool> {
    tools::all().filter_map(|row| serde_json::from_value(described(row, strict)).ok()).collect()
}

/// A row in MCP's words.
fn described(row: &tools::Tool, strict: bool) -> Value {
    let hints = row.annotations();
    json!({
        "name": row.name,
        "title": row.title,
        "description": row.description(),
        "inputSchema": if strict { row.strict_input_schema() } else { row.input_schema() },
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
pub(super) fn list(strict: bool) -> ListToolsResult {
    ListToolsResult::with_all_items(if strict { STRICT_TOOLS.clone() } else { TOOLS.clone() })
}

/// Names of tools that change nothing: a shim may send calls of these again.
pub(crate) fn read_only() -> Vec<String> {
    tools::all().filter(|row| row.annotations().read_only).map(|row| row.name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_tool() {
        let rows: Vec<&str> = tools::all().map(|row| row.name).collect();
        let listed: Vec<&str> = TOOLS.iter().map(|tool| tool.name.as_ref()).collect();
        assert_eq!(listed, rows);
        let takes = |tool: &&Tool| tool.input_schema["properties"].get("confirm_token").is_some();
        let asking = tools::all().filter(|row| !matches!(row.asks, tools::Asks::Never)).count();
        assert_eq!((STRICT_TOOLS.len(), STRICT_TOOLS.iter().filter(takes).count()), (rows.len(), asking));
        assert!(TOOLS.iter().filter(takes).count() < asking);
    }
}
