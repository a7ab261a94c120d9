//! What a message rule may say: the predicates and actions of the v1.0 CSDL, each with the kind of its value.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::errors::Fault;
use super::mail::find_folder;
use super::odata::Answer;
use super::store::Mailbox;

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Texts,
    Recipients,
    Importance,
    Sensitivity,
    ActionFlag,
    SizeRange,
    Folder,
}

use Kind::{ActionFlag, Bool, Folder, Importance, Recipients, Sensitivity, SizeRange, Texts};

const PREDICATES: &[(&str, Kind)] = &[
    ("bodyContains", Texts),
    ("bodyOrSubjectContains", Texts),
    ("categories", Texts),
    ("fromAddresses", Recipients),
    ("hasAttachments", Bool),
    ("headerContains", Texts),
    ("importance", Importance),
    ("isApprovalRequest", Bool),
    ("isAutomaticForward", Bool),
    ("isAutomaticReply", Bool),
    ("isEncrypted", Bool),
    ("isMeetingRequest", Bool),
    ("isMeetingResponse", Bool),
    ("isNonDeliveryReport", Bool),
    ("isPermissionControlled", Bool),
    ("isReadReceipt", Bool),
    ("isSigned", Bool),
    ("isVoicemail", Bool),
    ("messageActionFlag", ActionFlag),
    ("notSentToMe", Bool),
    ("recipientContains", Texts),
    ("senderContains", Texts),
    ("sensitivity", Sensitivity),
    ("sentCcMe", Bool),
    ("sentOnlyToMe", Bool),
    ("sentToAddresses", Recipients),
    ("sentToMe", Bool),
    ("sentToOrCcMe", Bool),
    ("subjectContains", Texts),
    ("withinSizeRange", SizeRange),
];
const ACTIONS: &[(&str, Kind)] = &[
    ("assignCategories", Texts),
    ("copyToFolder", Folder),
    ("delete", Bool),
    ("forwardAsAttachmentTo", Recipients),
    ("forwardTo", Recipients),
    ("markAsRead", Bool),
    ("markImportance", Importance),
    ("moveToFolder", Folder),
    ("permanentDelete", Bool),
    ("redirectTo", Recipients),
    ("stopProcessingRules", Bool),
];
const IMPORTANCE: &[&str] = &["low", "normal", "high"];
const SENSITIVITY: &[&str] = &["normal", "personal", "private", "confidential"];
const ACTION_FLAG: &[&str] =
    &["any", "call", "doNotForward", "followUp", "fyi", "forward", "noResponseNecessary", "read", "reply", "replyToAll", "review"];

/// What a body wants of a rule.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) name: Option<String>,
    pub(crate) sequence: Option<i32>,
    pub(crate) enabled: Option<bool>,
    pub(crate) parts: Map<String, Value>,
    /// Parts that were given as null.
    pub(crate) cleared: Vec<String>,
}

/// A rule that Exchange does not accept.
pub(crate) fn invalid(message: &str) -> Box<Fault> {
    Fault::new(StatusCode::BAD_REQUEST, "ErrorInboxRulesValidationError", message)
}

fn unknown(name: &str, type_name: &str) -> Box<Fault> {
    let message = format!(
        "The property '{name}' does not exist on type 'microsoft.graph.{type_name}'. Make sure to only use property names that are defined by the type."
    );
    Fault::new(StatusCode::BAD_REQUEST, "RequestBodyRead", message)
}

fn wrong(name: &str) -> Box<Fault> {
    Fault::bad_request(format!("Cannot convert the value of property '{name}' to the type that the resource expects."))
}

/// Reads and checks a body.
pub(crate) fn read(mailbox: &Mailbox, body: &Map<String, Value>) -> Answer<Wanted> {
    let mut out = Wanted::default();
    for (name, value) in body {
        match name.as_str() {
            _ if name.starts_with('@') => {}
            "displayName" => {
                let text = value.as_str().ok_or_else(|| wrong(name))?;
                if text.trim().is_empty() {
                    return Err(invalid("The name of a rule can't be empty."));
                }
                out.name = Some(text.to_owned());
            }
            "sequence" => {
                let number = value.as_i64().and_then(|n| i32::try_from(n).ok()).ok_or_else(|| wrong(name))?;
                if number < 1 {
                    return Err(invalid("The sequence of a rule must be a positive number."));
                }
                out.sequence = Some(number);
            }
            "isEnabled" => out.enabled = Some(value.as_bool().ok_or_else(|| wrong(name))?),
            "conditions" | "exceptions" | "actions" if value.is_null() && name != "actions" => out.cleared.push(name.clone()),
            "conditions" | "exceptions" => {
                out.parts.insert(name.clone(), part(mailbox, name, value, PREDICATES, "messageRulePredicates")?);
            }
            "actions" => {
                let actions = part(mailbox, name, value, ACTIONS, "messageRuleActions")?;
                if actions.as_object().is_none_or(Map::is_empty) {
                    return Err(invalid("A rule needs at least one action."));
                }
                out.parts.insert(name.clone(), actions);
            }
            "id" | "hasError" | "isReadOnly" => {
                let message = format!("Set action is invalid for property. Property '{name}'.");
                return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidPropertySet", message));
            }
            other => return Err(unknown(other, "messageRule")),
        }
    }
    Ok(out)
}

fn part(mailbox: &Mailbox, at: &str, value: &Value, known: &[(&str, Kind)], type_name: &str) -> Answer<Value> {
    let given = value.as_object().ok_or_else(|| wrong(at))?;
    let mut out = Map::new();
    for (name, value) in given {
        if name.starts_with('@') {
            continue;
        }
        let kind = known.iter().find(|(k, _)| k == name).map(|(_, kind)| *kind).ok_or_else(|| unknown(name, type_name))?;
        if !value.is_null() {
            out.insert(name.clone(), checked(mailbox, name, value, kind)?);
        }
    }
    Ok(Value::Object(out))
}

fn checked(mailbox: &Mailbox, name: &str, value: &Value, kind: Kind) -> Answer<Value> {
    let member = |known: &[&'static str]| {
        let text = value.as_str().ok_or_else(|| wrong(name))?;
        let found = known.iter().find(|k| k.eq_ignore_ascii_case(text));
        found
            .map(|found| json!(found))
            .ok_or_else(|| Fault::bad_request(format!("Requested value '{text}' was not found. Property '{name}'.")))
    };
    match kind {
        Bool => value.is_boolean().then(|| value.clone()).ok_or_else(|| wrong(name)),
        Texts => {
            let list = value.as_array().filter(|list| list.iter().all(Value::is_string)).ok_or_else(|| wrong(name))?;
            if list.is_empty() || list.iter().any(|text| text.as_str().is_some_and(|t| t.trim().is_empty())) {
                return Err(invalid(&format!("The value of '{name}' can't be empty.")));
            }
            Ok(value.clone())
        }
        Recipients => {
            let list = super::drafting::addresses(name, value)?;
            if list.is_empty() {
                return Err(invalid(&format!("The value of '{name}' can't be empty.")));
            }
            Ok(super::mail::recipients(&list))
        }
        Importance => member(IMPORTANCE),
        Sensitivity => member(SENSITIVITY),
        ActionFlag => member(ACTION_FLAG),
        SizeRange => {
            let bound = |part: &str| match value.get(part) {
                None | Some(Value::Null) => Ok(None),
                Some(size) => size.as_i64().and_then(|n| i32::try_from(n).ok()).filter(|n| *n >= 0).map(Some).ok_or_else(|| wrong(name)),
            };
            let (least, most) = (bound("minimumSize")?, bound("maximumSize")?);
            if let Some(other) = value
                .as_object()
                .and_then(|o| o.keys().find(|k| !["minimumSize", "maximumSize"].contains(&k.as_str()) && !k.starts_with('@')))
            {
                return Err(unknown(other, "sizeRange"));
            }
            // Both are kilobytes; an upper bound of 0 or none is no bound.
            if matches!((least, most), (Some(least), Some(most)) if most > 0 && least > most) || (least.is_none() && most.is_none()) {
                return Err(invalid("The size range of a rule is not valid."));
            }
            Ok(json!({"minimumSize": least.unwrap_or(0), "maximumSize": most.unwrap_or(0)}))
        }
        Folder => {
            let id = value.as_str().ok_or_else(|| wrong(name))?;
            let number = find_folder(mailbox, id)?;
            Ok(json!(mailbox.folder_id(number)))
        }
    }
}
