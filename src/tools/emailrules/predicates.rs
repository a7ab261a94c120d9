//! What a rule may look at and do: Graph's `messageRulePredicates` and `messageRuleActions`, all of them and nothing else.
//!
//! The original accepts six predicates that Graph does not have (`senderAddressContains`, `recipientAddressContains`, `headers`,
//! `searchTerms`, `stopProcessingRules`, `meetingMessageType`), refuses sixteen that it has, and takes the flags of another enumeration.

use serde_json::{Map, Value, json};

use crate::tools::{Param, ParamType, StepError, email::well_known};

const TEXTS: ParamType = ParamType::Texts { least: 1, most: 100, max: 255 };
const PEOPLE: ParamType = ParamType::People { max: 100 };

/// A flag that is looked at when it is given.
const fn flag(name: &'static str, help: &'static str) -> Param {
    Param::member(name, ParamType::Bool, help)
}

const SIZE: &[Param] = &[
    Param::member("minimumSize", ParamType::Int { min: 0, max: 2_147_483_647 }, "In kilobytes."),
    Param::member("maximumSize", ParamType::Int { min: 0, max: 2_147_483_647 }, "In kilobytes."),
];

/// Conditions, and likewise exceptions.
pub(super) const PREDICATES: &[Param] = &[
    Param::member("bodyContains", TEXTS, "Words in the body."),
    Param::member("bodyOrSubjectContains", TEXTS, "Words in body or subject."),
    Param::member("categories", TEXTS, "Categories it has."),
    Param::member("fromAddresses", PEOPLE, "Senders, by address."),
    flag("hasAttachments", "It has attachments."),
    Param::member("headerContains", TEXTS, "Words in the internet headers."),
    Param::member("importance", ParamType::Choice(&["low", "normal", "high"]), "Its importance."),
    flag("isApprovalRequest", "An approval request."),
    flag("isAutomaticForward", "Forwarded automatically."),
    flag("isAutomaticReply", "An automatic reply."),
    flag("isEncrypted", "Encrypted."),
    flag("isMeetingRequest", "A meeting request."),
    flag("isMeetingResponse", "A meeting response."),
    flag("isNonDeliveryReport", "A non-delivery report."),
    flag("isPermissionControlled", "Permission controlled."),
    flag("isReadReceipt", "A read receipt."),
    flag("isSigned", "S/MIME signed."),
    flag("isVoicemail", "A voice mail."),
    Param::member("messageActionFlag", ParamType::Choice(FLAGS), "Its flag for action."),
    flag("notSentToMe", "The owner is not in To."),
    Param::member("recipientContains", TEXTS, "Words in To or Cc."),
    Param::member("senderContains", TEXTS, "Words in the sender's name or address."),
    Param::member("sensitivity", ParamType::Choice(&["normal", "personal", "private", "confidential"]), "Its sensitivity."),
    flag("sentCcMe", "The owner is in Cc."),
    flag("sentOnlyToMe", "The owner is the only recipient."),
    Param::member("sentToAddresses", PEOPLE, "Recipients, by address."),
    flag("sentToMe", "The owner is in To."),
    flag("sentToOrCcMe", "The owner is in To or Cc."),
    Param::member("subjectContains", TEXTS, "Words in the subject."),
    Param::member("withinSizeRange", ParamType::Object(SIZE), "Its size in kilobytes."),
];

/// Graph's `messageActionFlag`.
const FLAGS: &[&str] =
    &["any", "call", "doNotForward", "followUp", "fyi", "forward", "noResponseNecessary", "read", "reply", "replyToAll", "review"];

/// Actions.
pub(super) const ACTIONS: &[Param] = &[
    Param::member("assignCategories", TEXTS, "Categories to give it."),
    Param::member("copyToFolder", ParamType::Id, "Folder id or name (inbox, sent, drafts, deleted, junk, archive)."),
    flag("delete", "To Deleted Items."),
    Param::member("forwardAsAttachmentTo", PEOPLE, "Send it on as an attachment."),
    Param::member("forwardTo", PEOPLE, "Send it on."),
    flag("markAsRead", "Mark it as read."),
    Param::member("markImportance", ParamType::Choice(&["low", "normal", "high"]), "Give it an importance."),
    Param::member("moveToFolder", ParamType::Id, "Folder id or name, as for copyToFolder."),
    flag("permanentDelete", "Delete for good."),
    Param::member("redirectTo", PEOPLE, "Redirect it."),
    flag("stopProcessingRules", "No further rules."),
];

/// Actions that take mail out of the mailbox, or destroy it.
const GRAVE: [&str; 4] = ["forwardTo", "forwardAsAttachmentTo", "redirectTo", "permanentDelete"];

/// Whether a rule with these actions sends mail to others or destroys it.
pub(super) fn grave(actions: Option<&Map<String, Value>>) -> bool {
    let is = |value: &Value| value.as_bool().unwrap_or_else(|| value.as_array().is_some_and(|people| !people.is_empty()));
    actions.is_some_and(|actions| GRAVE.iter().any(|name| actions.get(*name).is_some_and(is)))
}

/// As Graph takes it: people wrapped as recipients.
pub(super) fn as_graph_takes_it(given: &Map<String, Value>) -> Value {
    let wrap = |people: &Value| -> Value {
        people.as_array().map(|list| list.iter().map(|person| json!({ "emailAddress": person })).collect()).unwrap_or_default()
    };
    let people = |name: &str| PREDICATES.iter().chain(ACTIONS).any(|param| param.name == name && param.kind == PEOPLE);
    let member = |(name, value): (&String, &Value)| (name.clone(), if people(name) { wrap(value) } else { value.clone() });
    given.iter().map(member).collect::<Map<_, _>>().into()
}

/// Names of folders in `actions` that Graph's rules take by id only.
pub(super) fn named_folders(actions: &Map<String, Value>) -> Vec<(&'static str, &'static str)> {
    let member = |name: &'static str| Some((name, well_known(actions.get(name)?.as_str()?)?.1));
    ["copyToFolder", "moveToFolder"].into_iter().filter_map(member).collect()
}

/// A size range that holds nothing is a mistake Graph would accept.
pub(super) fn sensible(predicates: Option<&Map<String, Value>>, name: &str) -> Result<(), StepError> {
    let Some(range) = predicates.and_then(|predicates| predicates.get("withinSizeRange")) else { return Ok(()) };
    let bound = |name: &str| range.get(name).and_then(Value::as_i64);
    match (bound("minimumSize"), bound("maximumSize")) {
        (Some(least), Some(most)) if least > most => Err(StepError::user(
            "invalid_argument",
            format!("invalid {name}.withinSizeRange: minimumSize is larger than maximumSize"),
            "Both are in kilobytes; the first is the smaller one.",
        )),
        _ => Ok(()),
    }
}
