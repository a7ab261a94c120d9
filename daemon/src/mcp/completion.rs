//! Completion: what may stand in an argument of a prompt or of an address, from what the cache holds.
//!
//! Accounts are known to the daemon. Folders, people and topics are read from cached lists; only when nothing of them is there is Microsoft
//! asked, once, by the same call that a tool would make. Never an error: what cannot be told is left out.

use std::collections::BTreeSet;

use m365_cached::ids::Caller;
use rmcp::{
    RoleServer,
    model::{CompleteRequestParams, CompletionInfo, Reference},
    service::RequestContext,
};
use serde_json::{Map, Value, json};

use super::{handler::Handler, prompts, resources::accounts};

/// Most values of one answer (MCP, *Completion*).
const MOST: usize = CompletionInfo::MAX_VALUES;
/// Characters of one value.
const LONGEST: usize = 80;

/// What an argument stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A signed-in account, by username.
    Account,
    /// Words of a subject, or a sender.
    Conversation,
    /// Words of a meeting's subject.
    Meeting,
    /// Anything that people look for: folders and contacts.
    Topic,
}

/// What is asked for; `None` for what nothing is known of.
fn kind(reference: &Reference, argument: &str) -> Option<Kind> {
    match (reference, argument) {
        (Reference::Resource(resource), "account") if resource.uri.starts_with("m365://") => Some(Kind::Account),
        (Reference::Prompt(prompt), argument) if prompts::knows(&prompt.name) => match (prompt.name.as_str(), argument) {
            (_, prompts::ACCOUNT) => Some(Kind::Account),
            ("thread_summary", "about") => Some(Kind::Conversation),
            ("meeting_prep", "topic") => Some(Kind::Meeting),
            ("find", "topic") => Some(Kind::Topic),
            _ => None,
        },
        _ => None,
    }
}

/// Where values come from: a tool, its arguments besides the account, its list, and where the value stands in an item.
type Source = (&'static str, Value, &'static str, &'static str);

fn sources(kind: Kind) -> Vec<Source> {
    match kind {
        Kind::Account => Vec::new(),
        Kind::Conversation => vec![
            ("email_list", json!({ "limit": 25, "include_body": false }), "messages", "/subject"),
            ("email_list", json!({ "limit": 25, "include_body": false }), "messages", "/from/emailAddress/address"),
        ],
        Kind::Meeting => vec![("calendar_list_events", json!({}), "events", "/subject")],
        Kind::Topic => {
            vec![("contact_list", json!({}), "contacts", "/displayName"), ("emailfolders_list", json!({}), "folders", "/displayName")]
        }
    }
}

/// The answer to `completion/complete`.
pub(super) async fn complete(handler: &Handler, request: &CompleteRequestParams, context: &RequestContext<RoleServer>) -> CompletionInfo {
    let Some(kind) = kind(&request.r#ref, &request.argument.name) else { return CompletionInfo::default() };
    let caller = handler.caller(context);
    let Ok(core) = handler.daemon.core() else { return CompletionInfo::default() };
    let Ok(all) = accounts(core.as_ref(), &caller).await else { return CompletionInfo::default() };
    if kind == Kind::Account {
        return matching(all.into_iter().map(|account| account.username), &request.argument.value);
    }
    let wanted = request.context.as_ref().and_then(|context| context.get_argument(prompts::ACCOUNT));
    let whose = all.iter().filter(|account| wanted.is_none_or(|name| account.is_called(name)));
    let mut values = Vec::new();
    for account in whose {
        for (tool, arguments, list, place) in sources(kind) {
            let mut arguments = arguments.as_object().cloned().unwrap_or_default();
            arguments.insert("account_id".into(), account.id.clone().into());
            values.extend(known(handler, &caller, tool, &arguments, list, place, context).await);
        }
    }
    matching(values, &request.argument.value)
}

/// What a list holds at `place`: of the cache, or else of the tool.
async fn known(
    handler: &Handler,
    caller: &Caller,
    tool: &str,
    arguments: &Map<String, Value>,
    list: &str,
    place: &str,
    context: &RequestContext<RoleServer>,
) -> Vec<String> {
    let Ok(core) = handler.daemon.core() else { return Vec::new() };
    let answer = match core.lookup(caller, tool, arguments).await {
        Some(answer) => Some(answer),
        None => handler.called(tool, arguments, context).await.ok(),
    };
    let Some(Ok(answer)) = answer.map(|answer| serde_json::from_str::<Value>(&answer.text())) else { return Vec::new() };
    let items = answer.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item.pointer(place)?.as_str().map(str::to_owned)).collect()
}

/// The values that hold what was typed, those that begin with it first; each once, on one line.
fn matching(values: impl IntoIterator<Item = String>, typed: &str) -> CompletionInfo {
    let typed = typed.trim().to_lowercase();
    let plain =
        |value: String| -> String { value.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(LONGEST).collect() };
    let (mut seen, mut first, mut later) = (BTreeSet::new(), Vec::new(), Vec::new());
    for value in values.into_iter().map(plain) {
        let small = value.trim().to_lowercase();
        if small.is_empty() || !small.contains(&typed) || !seen.insert(small.clone()) {
            continue;
        }
        if small.starts_with(&typed) { first.push(value) } else { later.push(value) }
    }
    first.extend(later);
    let total = u32::try_from(first.len()).ok();
    let more = first.len() > MOST;
    first.truncate(MOST);
    CompletionInfo::with_pagination(first, total, more).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_begins_with_it_comes_first_and_once() {
        let values = ["Budget 2027", "The budget", "budget 2027", "Other", "Bud\nget"].map(str::to_owned);
        let found = matching(values, "BUDGET");
        assert_eq!((found.values, found.total, found.has_more), (vec!["Budget 2027".into(), "The budget".into()], Some(2), Some(false)));
    }

    proptest! {
        #[test]
        fn never_more_than_the_protocol_allows(values in proptest::collection::vec("[a-c]{0,6}", 0..400), typed in "[a-c]{0,2}") {
            let found = matching(values.clone(), &typed);
            prop_assert!(found.values.len() <= MOST);
            prop_assert!(found.values.iter().all(|value| value.contains(&typed) && values.contains(value)));
            prop_assert_eq!(found.has_more == Some(true), found.total.unwrap() as usize > MOST);
        }
    }

    #[test]
    fn every_source_is_a_read_that_takes_its_arguments() {
        for kind in [Kind::Conversation, Kind::Meeting, Kind::Topic] {
            for (tool, arguments, ..) in sources(kind) {
                let tool = m365_cached::tools::find(tool).unwrap();
                let mut arguments = arguments.as_object().cloned().unwrap();
                arguments.insert("account_id".into(), "a".into());
                m365_cached::tools::Args::check(tool, &arguments).unwrap();
                assert!(tool.annotations().read_only);
            }
        }
    }
}
