//! Resources: what clients may read by address, answered as the tools answer, from the cache where it holds.
//!
//! A list names what every account has: its newest mail, its week, its files. Single messages, events, attachments and files are named by
//! templates; their ids stand in the tools' answers. An attachment or file that is text comes as text, up to [`TEXT_MOST`]. Other bytes come
//! as base64 only when the address asks for it (`?encoding=base64`) and up to [`BASE64_MOST`]; otherwise the answer says what it is and
//! which call saves it in an allowed folder.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use m365_cached::{
    engine::{Content, ContentOf, WantedBytes},
    ids::{AccountId, Caller},
};
use rmcp::{
    ErrorData, RoleServer,
    model::{
        CacheScope, ListResourceTemplatesResult, ListResourcesResult, ReadResourceResult, Resource, ResourceContents, ResourceTemplate,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use super::{
    handler::{Handler, refused},
    links::{Link, Thing},
};
use crate::core::{AccountState, Core, Problem};

/// Bytes of text that are given as text: about 60,000 tokens, more than most models take at once.
const TEXT_MOST: usize = 256 << 10;
/// Bytes that are given as base64 when that is asked for.
const BASE64_MOST: usize = 1 << 20;
/// How long a client may keep a list, in milliseconds; it is told when accounts come or go.
pub(super) const LIST_TTL_MS: u64 = 300_000;
/// How long it may keep what it has read: not at all, for a write through any client is to show at once, and asking costs half a
/// millisecond.
const READ_TTL_MS: u64 = 0;
/// Behind an address of bytes: they are wanted as base64.
const AS_BASE64: &str = "?encoding=base64";

const JSON: &str = "application/json";

/// Every account that `caller` may use and that is signed in.
pub(super) async fn accounts(core: &dyn Core, caller: &Caller) -> Result<Vec<AccountState>, Problem> {
    let within = |account: &AccountState| {
        let id = AccountId::new(account.id.as_str());
        caller.fence.as_ref().is_none_or(|fence| fence.admits(&id, &account.username))
    };
    Ok(core.accounts().await?.into_iter().filter(within).collect())
}

/// The answer to `resources/list`.
pub(super) async fn list(core: &dyn Core, caller: &Caller) -> Result<ListResourcesResult, Problem> {
    let mut resources = Vec::new();
    for account in accounts(core, caller).await? {
        for (thing, title, what) in [
            (Thing::Inbox, "Inbox", "The newest messages of the inbox, without bodies."),
            (Thing::Calendar, "Calendar", "What happens in the next seven days."),
            (Thing::Drive, "Files", "What lies in the first folder of OneDrive."),
        ] {
            let name = format!("{title} of {}", account.username);
            let link = Link { account: account.id.clone(), thing };
            resources.push(Resource::new(link.to_string(), name.clone()).with_title(name).with_description(what).with_mime_type(JSON));
        }
    }
    Ok(ListResourcesResult::with_all_items(resources).with_ttl_ms(LIST_TTL_MS).with_cache_scope(CacheScope::Private))
}

/// The answer to `resources/templates/list`: the same for everybody.
pub(super) fn templates() -> ListResourceTemplatesResult {
    let template = |path: &str, name: &str, what: &str, mime: Option<&str>| {
        let template = ResourceTemplate::new(format!("m365://{{account}}/{path}"), name).with_title(name).with_description(what);
        match mime {
            Some(mime) => template.with_mime_type(mime),
            None => template,
        }
    };
    let text = "Text as text, up to 256 KB. Anything else: what it is, and the call that saves it; `encoding=base64` gives up to 1 MB.";
    ListResourceTemplatesResult::with_all_items(vec![
        template("inbox", "Inbox", "The newest messages of an account's inbox, without bodies.", Some(JSON)),
        template("calendar", "Calendar", "What happens in the next seven days.", Some(JSON)),
        template("files", "Files", "What lies in the first folder of OneDrive.", Some(JSON)),
        template("messages/{message}", "Message", "One message as text, as email_get shows it.", Some(JSON)),
        template("messages/{message}/attachments", "Attachments", "What is attached to a message: names, sizes, ids.", Some(JSON)),
        template("messages/{message}/attachments/{attachment}{?encoding}", "Attachment", text, None),
        template("events/{event}", "Event", "One event, as calendar_get_event shows it.", Some(JSON)),
        template("files/{file}{?encoding}", "File", text, None),
    ])
    .with_ttl_ms(LIST_TTL_MS)
    .with_cache_scope(CacheScope::Private)
}

/// The answer to `resources/read`. Written by others, so marked for the model as the tools' answers are.
pub(super) async fn read(handler: &Handler, address: &str, context: &RequestContext<RoleServer>) -> Result<ReadResourceResult, ErrorData> {
    let (plain, base64) = address.strip_suffix(AS_BASE64).map_or((address, false), |plain| (plain, true));
    let nothing = || {
        let message = "no resource has this address; resources/templates/list shows which there are";
        ErrorData::resource_not_found(message, Some(json!({ "uri": address })))
    };
    let link = Link::parse(plain).ok_or_else(nothing)?;
    let contents = match link.call() {
        Some(_) if base64 => return Err(nothing()),
        Some((tool, arguments)) => {
            let answer = handler.called(tool, &arguments, context).await.map_err(|problem| missing(&problem, address))?;
            ResourceContents::text(answer.text(), address).with_mime_type(JSON)
        }
        None => bytes(handler, &link, base64, address, context).await.map_err(|problem| missing(&problem, address))?,
    };
    Ok(ReadResourceResult::new(vec![contents]).with_ttl_ms(READ_TTL_MS).with_cache_scope(CacheScope::Private))
}

async fn bytes(
    handler: &Handler,
    link: &Link,
    base64: bool,
    address: &str,
    context: &RequestContext<RoleServer>,
) -> Result<ResourceContents, Problem> {
    let of = match &link.thing {
        Thing::Attachment(message, attachment) => ContentOf::Attachment { message: message.clone(), attachment: attachment.clone() },
        Thing::File(id) => ContentOf::File(id.clone()),
        _ => {
            return Err(Problem::new(
                m365_cached::hint::Kind::Internal,
                "internal",
                "this address has no bytes",
                "Read an address that a tool has given.",
            ));
        }
    };
    let wanted = WantedBytes { text: TEXT_MOST, other: if base64 { BASE64_MOST } else { 0 } };
    let content = handler.content(&link.account, &of, wanted, context).await?;
    let kind = content.content_type.clone();
    Ok(match &content.bytes {
        Some(bytes) if base64 => ResourceContents::blob(STANDARD.encode(bytes), address).with_mime_type(kind),
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => ResourceContents::text(text, address).with_mime_type(kind),
            Err(_) => about(link, &content, address),
        },
        None => about(link, &content, address),
    })
}

/// What something is whose bytes are not given, and the call that saves it.
fn about(link: &Link, content: &Content, address: &str) -> ResourceContents {
    let (tool, arguments) = match &link.thing {
        Thing::Attachment(message, attachment) => (
            "email_get_attachment",
            json!({ "account_id": link.account, "email_id": message, "attachment_id": attachment, "save_path": content.name }),
        ),
        Thing::File(id) => ("file_get", json!({ "account_id": link.account, "file_id": id, "download_path": content.name })),
        _ => ("", Value::Null),
    };
    let about = json!({
        "name": content.name,
        "content_type": content.content_type,
        "size": content.size,
        "bytes": "not given here; this call saves them in an allowed folder",
        "save_with": { "tool": tool, "arguments": arguments },
        "_untrusted": "the name was given by others",
    });
    ResourceContents::text(about.to_string(), address).with_mime_type(JSON)
}

/// The problem of a read in the protocol's words: what is not there has a code of its own.
fn missing(problem: &Problem, address: &str) -> ErrorData {
    match problem.code.as_str() {
        "not_found" | "invalid_id" | "unknown_handle" | "unknown_account" | "not_a_file" | "invalid_argument" => {
            ErrorData::resource_not_found(
                format!("{}. {}", problem.message, problem.hint),
                Some(json!({ "uri": address, "code": problem.code })),
            )
        }
        _ => refused(problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_addresses_of_ours() {
        for template in templates().resource_templates {
            let address = template.uri_template.replace("{?encoding}", "").replace(['{', '}'], "");
            assert!(Link::parse(&address).is_some(), "{address}");
        }
    }

    #[test]
    fn what_is_not_given_says_how_it_is_saved() {
        let content = Content { name: "plan.pdf".into(), content_type: "application/pdf".into(), size: 9, bytes: None };
        for (address, tool) in [("m365://a/files/f", "file_get"), ("m365://a/messages/m/attachments/x", "email_get_attachment")] {
            let link = Link::parse(address).unwrap();
            let ResourceContents::TextResourceContents { text, .. } = about(&link, &content, address) else { unreachable!() };
            let about: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(about["save_with"]["tool"], tool);
            let row = m365_cached::tools::find(tool).unwrap();
            m365_cached::tools::Args::check(row, about["save_with"]["arguments"].as_object().unwrap()).unwrap();
        }
    }
}
