//! What a tool answered, and comparing answers as a user would: without the members that say how the answer came about.

use anyhow::Context as _;
use serde_json::Value;

/// The result of a `tools/call`.
#[derive(Debug, Clone)]
pub struct Answer {
    /// `isError` of the result.
    pub is_error: bool,
    /// `content[0].text`.
    pub text: String,
}

impl Answer {
    /// Takes the result of a JSON-RPC reply apart.
    ///
    /// # Errors
    /// When it is not the result of a tool call.
    pub fn of_reply(reply: &Value) -> anyhow::Result<Self> {
        let result = &reply["result"];
        let text = result["content"][0]["text"].as_str().with_context(|| format!("no tool result: {reply}"))?;
        Ok(Self { is_error: result["isError"] == true, text: text.to_owned() })
    }

    /// The answer itself.
    ///
    /// # Errors
    /// When the tool failed, or the text is not a JSON object.
    pub fn json(&self) -> anyhow::Result<Value> {
        anyhow::ensure!(!self.is_error, "the tool failed: {}", self.text);
        let value: Value = serde_json::from_str(&self.text).with_context(|| format!("not JSON: {}", self.text))?;
        anyhow::ensure!(value.is_object(), "not an object: {}", self.text);
        Ok(value)
    }

    /// Why the tool failed: code, message and hint.
    ///
    /// # Errors
    /// When it did not fail, or failed without saying what and what to do.
    pub fn fault(&self) -> anyhow::Result<(String, String, String)> {
        anyhow::ensure!(self.is_error, "the tool did not fail: {}", self.text);
        let value: Value = serde_json::from_str(&self.text).with_context(|| format!("not JSON: {}", self.text))?;
        let word = |name: &str| {
            let word = value["error"][name].as_str().filter(|word| !word.is_empty());
            word.map(str::to_owned).with_context(|| format!("a fault without {name}: {}", self.text))
        };
        Ok((word("code")?, word("message")?, word("hint")?))
    }

    /// `_cache_status`.
    ///
    /// # Errors
    /// When the tool failed or says nothing of the cache.
    pub fn cache_status(&self) -> anyhow::Result<String> {
        Ok(self.json()?["_cache_status"].as_str().with_context(|| format!("no _cache_status: {:.200}", self.text))?.to_owned())
    }

    /// The answer without members that begin with `_`.
    ///
    /// # Errors
    /// As [`Answer::json`].
    pub fn plain(&self) -> anyhow::Result<Value> {
        let mut value = self.json()?;
        if let Some(object) = value.as_object_mut() {
            object.retain(|name, _| !name.starts_with('_'));
        }
        Ok(value)
    }
}
