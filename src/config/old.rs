//! Names of the environment that `m365-mcp` had: still read, below our own, and told so that a person can write them anew.

use super::value::Value;

/// One name of the original.
pub(super) struct Old {
    /// As it was.
    pub(super) name: &'static str,
    /// Our key; `None` when nothing needs it any more.
    pub(super) key: Option<&'static str>,
    /// Its value as our key takes it.
    pub(super) value: fn(&str) -> Value,
}

/// All of them. Source: the tool catalogue, 0.2.
pub(super) const OLD: &[Old] = &[
    Old { name: "M365_MCP_CLIENT_ID", key: Some("client_id"), value: same },
    Old { name: "M365_MCP_TENANT_ID", key: Some("tenant"), value: same },
    Old { name: "M365_MCP_CACHE_WARMING", key: Some("warming.enabled"), value: same },
    Old { name: "MCP_FILE_ALLOWED_ROOTS", key: Some("files.allowed_roots"), value: paths },
    Old { name: "MCP_FILE_DOWNLOAD_MAX_MB", key: Some("files.download_max_mb"), value: same },
    Old { name: "MCP_FILE_DOWNLOAD_TIMEOUT", key: Some("files.idle_s"), value: same },
    Old { name: "MCP_FILE_DOWNLOAD_CHUNK_SIZE", key: None, value: same },
];

fn same(text: &str) -> Value {
    Value::Loose(text.to_owned())
}

/// The original separates folders as `PATH` does.
fn paths(text: &str) -> Value {
    let paths = std::env::split_paths(text).filter(|path| !path.as_os_str().is_empty());
    Value::List(paths.map(|path| path.to_string_lossy().into_owned()).collect())
}
