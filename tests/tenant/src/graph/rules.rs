//! `messageRules` of the inbox: list, get, create, change, delete.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::Fault;
use super::mail::find_folder;
use super::odata::{Answer, Limits, MESSAGE_RULE, Row, Selection, encode, list as page_of};
use super::rule_check;
use super::store::{Mailbox, Rule, State};
use crate::seed::prng::mix;
use crate::wire::Reply;

const LIMITS: Limits = Limits { usual: 1_000, most: 1_000, strict_order: false, falling: None };

/// A rule as Graph shows it.
pub(crate) struct RuleRow<'a>(pub(crate) &'a Rule);

impl Row for RuleRow<'_> {
    fn property(&self, name: &str) -> Option<Value> {
        let rule = self.0;
        Some(match name {
            "id" => json!(rule.id),
            "displayName" => json!(rule.name),
            "sequence" => json!(rule.sequence),
            "isEnabled" => json!(rule.enabled),
            "hasError" | "isReadOnly" => json!(false),
            _ => return rule.parts.get(name).cloned(),
        })
    }
}

/// Only the inbox has rules.
fn check_folder(mailbox: &Mailbox, folder: &str) -> Answer<()> {
    if Some(find_folder(mailbox, folder)?) == mailbox.well_known("inbox") {
        return Ok(());
    }
    Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidRequest", "Message rules can be set on the Inbox folder only."))
}

fn shown(state: &State, call: &Call<'_>, id: &str, status: StatusCode) -> Answer<Reply> {
    let rule = find(call.mailbox(state), id)?;
    let selection = Selection::parse(&call.query, &MESSAGE_RULE)?;
    let mut out = Map::new();
    selection.write(&RuleRow(rule), &mut out);
    Ok(call.json(status, &call.context(&format!("/mailFolders('inbox')/messageRules{}/$entity", selection.context())), out))
}

fn find<'a>(mailbox: &'a Mailbox, id: &str) -> Answer<&'a Rule> {
    let gone = || Fault::new(StatusCode::NOT_FOUND, "ErrorItemNotFound", "The rule with the specified id was not found.");
    mailbox.settings.rules.iter().find(|rule| rule.id == id).ok_or_else(gone)
}

/// A rule's id: eight bytes in base64.
pub(crate) fn rule_id(mailbox: &Mailbox, number: u32) -> String {
    let mixed = mix(mailbox.key.guid().bytes().fold(u64::from(number), |state, byte| mix(state ^ u64::from(byte))));
    let mut raw = vec![1, 0, 0, 0];
    raw.extend_from_slice(&(mixed as u32).to_be_bytes());
    STANDARD.encode(raw)
}

/// `GET …/mailFolders/{id}/messageRules`
pub(crate) fn list(state: &State, call: &Call<'_>, folder: &str) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    check_folder(mailbox, folder)?;
    let rules = mailbox.settings.running_order();
    let numbers: Vec<usize> = (0..rules.len()).collect();
    let selection = Selection::parse(&call.query, &MESSAGE_RULE)?;
    let write = |row: &RuleRow<'_>| {
        let mut out = Map::new();
        selection.write(row, &mut out);
        Value::Object(out)
    };
    let row = |at: usize| rules.get(at).map(|rule| RuleRow(rule));
    let body = page_of(&numbers, &call.query, &MESSAGE_RULE, LIMITS, &call.address(), row, write)?;
    let context = call.context(&format!("/mailFolders('{}')/messageRules{}", encode(folder), selection.context()));
    Ok(call.json(StatusCode::OK, &context, body))
}

/// `GET …/messageRules/{id}`
pub(crate) fn get(state: &State, call: &Call<'_>, folder: &str, id: &str) -> Answer<Reply> {
    check_folder(call.mailbox(state), folder)?;
    shown(state, call, id, StatusCode::OK)
}

/// `POST …/messageRules`
pub(crate) fn create(state: &mut State, call: &Call<'_>, folder: &str) -> Answer<Reply> {
    let mailbox = &mut state.mailboxes[call.owner];
    check_folder(mailbox, folder)?;
    let rule = make(mailbox, &call.body()?)?;
    shown(state, call, &rule, StatusCode::CREATED)
}

/// Makes a rule of a body; its id.
pub(crate) fn make(mailbox: &mut Mailbox, body: &Map<String, Value>) -> Answer<String> {
    let wanted = rule_check::read(mailbox, body)?;
    for (name, missing) in [("displayName", wanted.name.is_none()), ("actions", !wanted.parts.contains_key("actions"))] {
        if missing {
            return Err(rule_check::invalid(&format!("The property '{name}' is required.")));
        }
    }
    let number = mailbox.settings.next();
    let id = rule_id(mailbox, number);
    mailbox.settings.rules.push(Rule {
        id: id.clone(),
        name: wanted.name.unwrap_or_default(),
        sequence: wanted.sequence.unwrap_or(1),
        enabled: wanted.enabled.unwrap_or(true),
        parts: wanted.parts,
    });
    Ok(id)
}

/// `PATCH …/messageRules/{id}`: each property that is given replaces what was there.
pub(crate) fn update(state: &mut State, call: &Call<'_>, folder: &str, id: &str) -> Answer<Reply> {
    let mailbox = &mut state.mailboxes[call.owner];
    check_folder(mailbox, folder)?;
    find(mailbox, id)?;
    change(mailbox, id, &call.body()?)?;
    shown(state, call, id, StatusCode::OK)
}

/// Changes the rule with this id.
pub(crate) fn change(mailbox: &mut Mailbox, id: &str, body: &Map<String, Value>) -> Answer<()> {
    let wanted = rule_check::read(mailbox, body)?;
    let gone = Fault::item_gone;
    let rule = mailbox.settings.rules.iter_mut().find(|rule| rule.id == id).ok_or_else(gone)?;
    rule.name = wanted.name.unwrap_or_else(|| std::mem::take(&mut rule.name));
    rule.sequence = wanted.sequence.unwrap_or(rule.sequence);
    rule.enabled = wanted.enabled.unwrap_or(rule.enabled);
    rule.parts.extend(wanted.parts);
    for name in wanted.cleared {
        rule.parts.shift_remove(&name);
    }
    Ok(())
}

/// `DELETE …/messageRules/{id}`
pub(crate) fn delete(state: &mut State, call: &Call<'_>, folder: &str, id: &str) -> Answer<Reply> {
    let mailbox = &mut state.mailboxes[call.owner];
    check_folder(mailbox, folder)?;
    find(mailbox, id)?;
    mailbox.settings.rules.retain(|rule| rule.id != id);
    Ok(super::empty(StatusCode::NO_CONTENT))
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
