//! The bytes of an attachment or a file, for a client that reads one by its address. They are never cached and never written down.
//!
//! What is asked for first is what it is: name, type and size. Bytes follow only when they are few enough for what the client can do with
//! them. Everything else is saved by a tool, in an allowed folder.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Call, CallError, Engine, find};
use crate::{
    graph::GraphRequest,
    ids::{AccountId, Caller},
    tools::{ACCOUNT_ID, StepError},
};

/// What has content of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentOf {
    /// An attachment of a message.
    Attachment {
        /// The message's id.
        message: String,
        /// The attachment's.
        attachment: String,
    },
    /// A file of the account's own drive, by id.
    File(String),
}

/// How many bytes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Of what is text.
    pub text: usize,
    /// Of anything else; 0 for none.
    pub other: usize,
}

/// What something is, and its bytes where they are few enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Its name, given by others.
    pub name: String,
    /// Its media type, such as `application/pdf`.
    pub content_type: String,
    /// Its size in bytes, as Microsoft tells it.
    pub size: u64,
    /// Its bytes; `None` for more than were wanted.
    pub bytes: Option<Bytes>,
}

impl ContentOf {
    /// A tool that reads the same mailbox or drive: who may not call it may not read this.
    fn tool(&self) -> &'static str {
        match self {
            Self::Attachment { .. } => "email_list_attachments",
            Self::File(_) => "file_list",
        }
    }

    fn arguments(&self, account: &str) -> Map<String, Value> {
        let mut arguments = Map::from_iter([("account_id".to_owned(), json!(account))]);
        if let Self::Attachment { message, .. } = self {
            arguments.insert("email_id".into(), json!(message));
        }
        arguments
    }

    fn about(&self) -> GraphRequest {
        match self {
            Self::Attachment { message, attachment } => {
                GraphRequest::get(&["me", "messages", message, "attachments", attachment]).with("$select", "id,name,size,contentType")
            }
            Self::File(id) => GraphRequest::get(&["me", "drive", "items", id]).with("$select", "id,name,size,file,folder"),
        }
    }

    fn bytes(&self) -> GraphRequest {
        match self {
            Self::Attachment { message, attachment } => {
                GraphRequest::get(&["me", "messages", message, "attachments", attachment, "$value"])
            }
            Self::File(id) => GraphRequest::get(&["me", "drive", "items", id, "content"]),
        }
    }
}

/// Whether a media type is text that a model reads as it is.
fn is_text(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("text/")
        || matches!(kind.as_str(), "application/json" | "application/xml" | "application/yaml" | "message/rfc822")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
}

impl Engine {
    /// What something is, and its bytes where `wanted` has room for them.
    ///
    /// # Errors
    ///
    /// As for a call of a tool: see [`CallError`].
    pub async fn content(self: &Arc<Self>, caller: &Caller, account: &str, of: &ContentOf, wanted: Wanted) -> Result<Content, CallError> {
        let tool = find(of.tool())?;
        let mut args = self.arguments(tool, &of.arguments(account))?;
        self.fenced(caller, tool, &mut args)?;
        let account = self.accounts.find(args.text(ACCOUNT_ID).unwrap_or(account))?;
        let of = &self.content_meant(&account.id, of).await?;
        let args = self.arguments(tool, &of.arguments(account.id.as_str()))?;
        let call = self.begin(tool, args, account).by(self.counters.client(&caller.client)).asked_by(caller);
        let sight = self.sight(&call);
        let content = self.asked_content(&call, of, wanted).await;
        self.saw_content(sight, content.is_ok());
        content
    }

    /// The same by Microsoft's ids.
    async fn content_meant(&self, account: &AccountId, of: &ContentOf) -> Result<ContentOf, CallError> {
        Ok(match of {
            ContentOf::Attachment { message, attachment } => {
                ContentOf::Attachment { message: self.id_of(account, message).await?, attachment: self.id_of(account, attachment).await? }
            }
            ContentOf::File(id) => ContentOf::File(self.id_of(account, id).await?),
        })
    }

    async fn asked_content(&self, call: &Call, of: &ContentOf, wanted: Wanted) -> Result<Content, CallError> {
        let steps = self.steps(call);
        let about = steps.send(of.about()).await?.body;
        if about.get("folder").is_some_and(Value::is_object) {
            return Err(StepError::user("not_a_file", "that item is a folder, not a file", "`file_list` shows files and their ids.").into());
        }
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let content_type = match text(about.get("contentType").or_else(|| about.pointer("/file/mimeType"))) {
            none if none.is_empty() => "application/octet-stream".to_owned(),
            known => known,
        };
        let size = about.get("size").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let most = if is_text(&content_type) { wanted.text } else { wanted.other };
        let bytes = if size <= most as u64 && most > 0 {
            // What Graph counts as the size of an attachment holds more than its bytes, and never less.
            Some(steps.files().bytes(of.bytes(), most).await?.into())
        } else {
            None
        };
        self.counters.asked(call, if bytes.is_some() { 2 } else { 1 }, true);
        Ok(Content { name: text(about.get("name")), content_type, size, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_a_model_reads_as_it_is() {
        for text in ["text/plain", "TEXT/CSV; charset=utf-8", "application/json", "image/svg+xml", "message/rfc822"] {
            assert!(is_text(text), "{text}");
        }
        for other in ["application/pdf", "image/png", "application/octet-stream", ""] {
            assert!(!is_text(other), "{other}");
        }
    }

    #[test]
    fn the_tool_that_stands_for_it_takes_its_arguments() {
        for of in [ContentOf::Attachment { message: "m".into(), attachment: "a".into() }, ContentOf::File("f".into())] {
            crate::tools::Args::check(find(of.tool()).unwrap(), &of.arguments("a")).unwrap();
        }
    }
}
