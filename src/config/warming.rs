//! `[warming]`: what is fetched ahead of use.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};

/// `[warming]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmingSettings {
    /// `warming.enabled`.
    pub enabled: bool,
    /// `warming.renewals_per_hour`: how many answers in use are renewed ahead of their next use, for each account; 0: none.
    pub renewals: u64,
    /// `warming.operations.<tool>.*`: what every account starts with.
    pub operations: BTreeMap<String, WarmingOperation>,
}

/// A call that is made for every account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmingOperation {
    /// Whether it is made.
    pub enabled: bool,
    /// The tool's arguments; those that are left out are the tool's own defaults, which is what most callers ask for.
    pub parameters: Map<String, Value>,
    /// 1 (first) to 10 (last).
    pub priority: u8,
    /// Pause between two accounts.
    pub throttle: Duration,
}

impl WarmingOperation {
    fn usual(priority: u8, seconds: u64) -> Self {
        Self { enabled: true, parameters: Map::new(), priority, throttle: Duration::from_secs(seconds) }
    }
}

impl Default for WarmingOperation {
    fn default() -> Self {
        Self::usual(5, 5)
    }
}

impl Default for WarmingSettings {
    fn default() -> Self {
        let usual = [("folder_get_tree", 1, 5), ("email_list", 2, 3), ("contact_list", 3, 2)];
        let operations = usual.map(|(tool, priority, throttle)| (tool.to_owned(), WarmingOperation::usual(priority, throttle)));
        Self { enabled: true, renewals: 60, operations: BTreeMap::from(operations) }
    }
}

/// Arguments as JSON text: a table of the file could not say every value that JSON can.
pub(super) fn parameters(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|_| "a JSON object of the tool's arguments, such as `{\"limit\": 20}`".to_owned())
}
