//! Inbox rules: what they may say, reading them, changing them and their order.

mod change;
mod order;
mod predicates;
mod read;

pub(super) use change::TOOLS as CHANGES;
pub(super) use order::TOOLS as ORDER;
pub(super) use read::TOOLS as READS;

use serde_json::Value;

use super::{Args, Param, ParamType, StepError, Steps, mailbox::at, shape::text};
use crate::graph::GraphRequest;

/// What is shown of a rule.
const FIELDS: [&str; 9] = ["id", "displayName", "sequence", "isEnabled", "hasError", "isReadOnly", "conditions", "actions", "exceptions"];

const RULE: Param = Param::required("rule_id", ParamType::Id, "The rule's id, from emailrules_list.");

/// Segments of the inbox's rules, or of what lies below. Graph keeps rules at the inbox only.
fn rules<'a>(args: &'a Args, below: &[&'a str]) -> Vec<&'a str> {
    at(args, &[&["mailFolders", "inbox", "messageRules"], below].concat())
}

/// All rules as Graph has them, by sequence and then as Graph orders them.
async fn all(steps: &dyn Steps, args: &Args) -> Result<Vec<Value>, StepError> {
    let mut found = steps.pages(GraphRequest::get(&rules(args, &[])), &|_| false).await?.items;
    found.sort_by_key(sequence);
    Ok(found)
}

fn sequence(rule: &Value) -> i64 {
    rule.get("sequence").and_then(Value::as_i64).unwrap_or_default()
}

fn rule_id(args: &Args) -> &str {
    args.text("rule_id").unwrap_or_default()
}

/// Where the rule stands among `all`.
fn place(all: &[Value], rule: &str) -> Result<usize, StepError> {
    all.iter()
        .position(|other| text(other, "id") == Some(rule))
        .ok_or_else(|| StepError::user("unknown_rule", "there is no rule of that id", "`emailrules_list` shows the rules and their ids."))
}
