//! The examples as Microsoft shows them.

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Map, Value};

/// One request and the answer to it.
#[derive(Debug, Deserialize)]
pub(super) struct Example {
    pub(super) id: String,
    pub(super) request: Request,
    pub(super) response: Response,
    pub(super) quality: Quality,
}

#[derive(Debug, Deserialize)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) url: Option<String>,
    pub(super) headers: Map<String, Value>,
    pub(super) body: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Response {
    pub(super) status: Option<u16>,
    pub(super) body: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Quality {
    /// Properties that Graph v1.0 does not declare (`calendar.isShared`): from beta, or long gone.
    #[serde(rename = "notInCsdlV1")]
    pub(super) not_in_csdl: Vec<String>,
    /// The type of what is shown.
    #[serde(rename = "checkedAsType")]
    pub(super) checked_as: Option<String>,
}

impl Example {
    /// Method and address, short enough to print.
    pub(super) fn title(&self) -> String {
        let url = self.request.url.as_deref().unwrap_or("without an address");
        let path = url.strip_prefix("https://graph.microsoft.com/v1.0").unwrap_or(url);
        let mut title = format!("{} {path}", self.request.method);
        if let Some((cut, _)) = title.char_indices().nth(110) {
            title.truncate(cut);
        }
        title
    }
}

impl Example {
    /// All that it says, to look for words in.
    pub(super) fn text(&self) -> String {
        let of = |body: &Option<Value>| body.as_ref().map(Value::to_string).unwrap_or_default();
        format!("{} {} {}", self.request.url.as_deref().unwrap_or_default(), of(&self.request.body), of(&self.response.body))
    }
}

/// All examples, in the order of their ids.
pub(super) fn examples() -> anyhow::Result<Vec<Example>> {
    let lines = include_str!("../../../data/graph-examples.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).with_context(|| format!("an example: {}", line.get(..80).unwrap_or(line)))).collect()
}
