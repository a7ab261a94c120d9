//! The catalogue as MCP tools: made once, in the order of the rows, the same for every client.

use std::sync::LazyLock;

use m365_cached::tools::{self, Effect};
use rmcp::model::{ListToolsResult, Tool};

/// Every tool, from the rows. The rows are ours and a test reads each of them, so none can be missing here.
static TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(|| {
    tools::CATALOGUE
        .iter()
        .flat_map(|family| family.iter())
        .filter_map(|row| serde_json::from_value(tools::mcp_tool(row)).ok())
        .collect()
});

/// The answer to `tools/list`.
pub(super) fn list() -> ListToolsResult {
    ListToolsResult::with_all_items(TOOLS.clone())
}

/// Names of tools that change nothing: a shim may send calls of these again.
pub(crate) fn read_only() -> Vec<String> {
    let reads = |row: &&tools::Tool| matches!(row.effect, Effect::Read { .. });
    tools::CATALOGUE.iter().flat_map(|family| family.iter()).filter(reads).map(|row| row.name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_tool() {
        let rows: Vec<&str> = tools::CATALOGUE.iter().flat_map(|family| family.iter()).map(|row| row.name).collect();
        let listed: Vec<&str> = TOOLS.iter().map(|tool| tool.name.as_ref()).collect();
        assert_eq!(listed, rows);
    }
}
