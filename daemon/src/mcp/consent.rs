//! Asking the user: what they are shown, how they answer in either era, and what a client gets that cannot ask.
//!
//! The engine decides what needs consent. Here it becomes a form with one yes or no: a question to the client (2025-11-25 and older), or a
//! result that asks for input (2026-07-28). An answer counts for the call it was asked for, once, and only for a while.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use m365_cached::{clock::Timestamp, tools::CONSENTS};
use rmcp::model::{ClientCapabilities, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, InputRequest, InputRequests};
use serde_json::{Map, Value, json};

use crate::core::{Consent, Problem};

/// How long the user may think while a call waits. Clients themselves give a call up after one to four minutes.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
/// How long the answer to a result that asks for input is taken.
const GOOD_FOR: Duration = Duration::from_secs(600);
/// Questions of one session that may be open; the oldest goes first.
const OPEN_MAX: usize = 64;
/// The one field of the form, and the key of the one question of a result that asks for input.
const AGREE: &str = "agree";
/// Characters of one argument that are shown.
const SHOWN: usize = 500;
/// Characters of all arguments together that are shown.
const SHOWN_IN_ALL: usize = 2000;

/// What the user said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Do it.
    Yes,
    /// Do not.
    No,
    /// Nothing: the question was closed, or the client answered something else.
    Nothing,
}

/// Whether a client with these capabilities can show a form. One that names no mode knows forms (2025-06-18 had nothing else).
pub(super) fn can_ask(capabilities: Option<&ClientCapabilities>) -> bool {
    capabilities.and_then(|all| all.elicitation.as_ref()).is_some_and(|modes| modes.form.is_some() || modes.url.is_none())
}

/// The question as a form.
pub(super) fn form(consent: &Consent) -> Option<ElicitRequestParams> {
    let field = json!({ "type": "boolean", "title": "Do it", "description": "Yes does exactly this, once.", "default": false });
    let schema = json!({ "type": "object", "properties": { AGREE: field }, "required": [AGREE] });
    serde_json::from_value(json!({ "mode": "form", "message": consent.question(), "requestedSchema": schema })).ok()
}

/// The question as part of a result that asks for input.
pub(super) fn input(consent: &Consent) -> Option<InputRequests> {
    let params = form(consent)?;
    let request = ElicitRequest::new(params);
    Some(BTreeMap::from([(AGREE.to_owned(), InputRequest::Elicitation(request))]))
}

/// What the answer to the form says.
pub(super) fn said(answer: &ElicitResult) -> Said {
    let agreed = answer.content.as_ref().is_some_and(|content| content.get(AGREE) == Some(&Value::Bool(true)));
    match answer.action {
        ElicitationAction::Accept if agreed => Said::Yes,
        ElicitationAction::Accept | ElicitationAction::Decline => Said::No,
        // Closed, or an answer of a later revision.
        _ => Said::Nothing,
    }
}

/// The problem that the user said no.
pub(super) fn declined() -> Problem {
    let message = "the user declined; nothing was done";
    Problem::new(m365_cached::hint::Kind::User, "declined", message, "Do not repeat this without a new request of the user.")
}

/// What a client gets that cannot ask, or whose user did not answer: JSON text, and whether it is an error.
///
/// Where the original has `confirm` it is an error, as it was there; where it has none, a preview with the token that agrees to it.
pub(super) fn told(problem: &Problem, consent: &Consent) -> (String, bool) {
    let (preview, hint) = (shortened(&consent.preview), &problem.hint);
    if consent.argument == CONSENTS[1] {
        let answer = json!({ "status": problem.code, "preview": preview, CONSENTS[1]: consent.value, "hint": hint });
        (answer.to_string(), false)
    } else {
        (json!({ "error": { "code": problem.code, "message": problem.message, "hint": hint, "preview": preview } }).to_string(), true)
    }
}

impl Consent {
    /// The question in plain words: what would be done, and with which arguments.
    pub(crate) fn question(&self) -> String {
        let text = |name: &str| self.preview.get(name).and_then(Value::as_str).unwrap_or_default();
        let mut question = format!("{} ({}, {})?", text("title"), text("tool"), text("risk"));
        let mut left = SHOWN_IN_ALL;
        for (name, value) in self.preview.get("arguments").and_then(Value::as_object).into_iter().flatten() {
            let line = format!("\n{name}: {}", cut(&plain(value), SHOWN.min(left)));
            left = left.saturating_sub(line.chars().count());
            question.push_str(&line);
        }
        question
    }
}

/// A value as a person reads it, on one line.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// The first characters, and how many there are when some are left out.
fn cut(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most { text.to_owned() } else { format!("{}… ({count} characters)", text.chars().take(most).collect::<String>()) }
}

/// The preview without the bulk of long texts: the model wrote them itself.
fn shortened(value: &Value) -> Value {
    match value {
        Value::String(text) => cut(text, SHOWN).into(),
        Value::Array(items) => items.iter().map(shortened).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), shortened(value))).collect::<Map<_, _>>().into(),
        other => other.clone(),
    }
}

/// Questions of one session that were given out with results that ask for input.
#[derive(Default)]
pub(super) struct Asked(Mutex<Open>);

#[derive(Default)]
struct Open {
    last: u64,
    questions: BTreeMap<u64, Question>,
}

struct Question {
    tool: String,
    arguments: Map<String, Value>,
    consent: Consent,
    until: Timestamp,
}

impl Asked {
    /// Keeps a question until its answer comes, and gives its name. The name is no secret: only this session's own client can use it, and
    /// only with the call it was given for.
    pub(super) fn keep(&self, tool: &str, arguments: Map<String, Value>, consent: Consent, now: Timestamp) -> String {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.questions.retain(|_, question| question.until > now);
        if open.questions.len() >= OPEN_MAX {
            open.questions.pop_first();
        }
        open.last += 1;
        let name = open.last;
        open.questions.insert(name, Question { tool: tool.to_owned(), arguments, consent, until: now.plus(GOOD_FOR) });
        format!("consent-{name}")
    }

    /// What the user said to the question called `name`, if it was asked for exactly this call; then it is closed. An accepted one
    /// completes the arguments.
    pub(super) fn close(
        &self,
        name: &str,
        responses: &BTreeMap<String, Value>,
        tool: &str,
        arguments: &mut Map<String, Value>,
        now: Timestamp,
    ) -> Option<Said> {
        let name = name.strip_prefix("consent-")?.parse().ok()?;
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |question: &Question| question.tool == tool && question.arguments == *arguments && question.until > now;
        if !open.questions.get(&name).is_some_and(same) {
            return None;
        }
        let Question { consent, .. } = open.questions.remove(&name)?;
        let answer = responses.get(AGREE).and_then(|answer| serde_json::from_value::<ElicitResult>(answer.clone()).ok());
        let said = answer.as_ref().map_or(Said::Nothing, said);
        if said == Said::Yes {
            arguments.insert(consent.argument, consent.value);
        }
        Some(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consent(argument: &str, value: Value) -> Consent {
        let arguments = json!({"account_id": "a", "to": ["x@y.example", "z@y.example"], "body": "line\nline ".repeat(100), "n": {"a": 1}});
        let preview = json!({"tool": "email_send", "title": "Send a message", "risk": "dangerous", "arguments": arguments});
        Consent { preview, argument: argument.into(), value }
    }

    #[test]
    fn the_question_says_what_would_be_done_in_bounds() {
        let question = consent("confirm", true.into()).question();
        assert!(
            question
                .starts_with("Send a message (email_send, dangerous)?\naccount_id: a\nto: x@y.example, z@y.example\nbody: line line line")
        );
        assert!(question.contains("… (1000 characters)") && question.ends_with("\nn: {\"a\":1}"), "{question}");
        let many: Map<String, Value> = (0..50).map(|at| (format!("a{at}"), "é".repeat(400).into())).collect();
        let consent = Consent { preview: json!({"arguments": many}), argument: "confirm".into(), value: true.into() };
        assert!(consent.question().chars().count() < SHOWN_IN_ALL + 50 * 40);
    }

    #[test]
    fn who_cannot_ask_is_told_how_to_agree() {
        let problem = Problem::new(m365_cached::hint::Kind::User, "confirmation_required", "ask", "say so");
        let (text, error) = told(&problem, &consent("confirm", true.into()));
        let text: Value = serde_json::from_str(&text).unwrap();
        assert!(error && text["error"]["preview"]["arguments"]["body"].as_str().unwrap().len() < 600, "{text}");
        assert_eq!((&text["error"]["code"], &text["error"]["hint"]), (&json!("confirmation_required"), &json!("say so")));
        let (text, error) = told(&problem, &consent("confirm_token", "t-1".into()));
        let text: Value = serde_json::from_str(&text).unwrap();
        assert!(
            !error && text["status"] == "confirmation_required" && text["confirm_token"] == "t-1" && text["hint"] == "say so",
            "{text}"
        );
    }

    #[test]
    fn only_a_plain_yes_is_a_yes() {
        let answer = |text: Value| said(&serde_json::from_value(text).unwrap());
        assert_eq!(answer(json!({"action": "accept", "content": {"agree": true}})), Said::Yes);
        for no in [
            json!({"action": "accept"}),
            json!({"action": "accept", "content": {"agree": "true"}}),
            json!({"action": "decline", "content": {"agree": true}}),
        ] {
            assert_eq!(answer(no), Said::No);
        }
        assert_eq!(answer(json!({"action": "cancel"})), Said::Nothing);
    }

    #[test]
    fn forms_are_asked_of_those_who_know_them() {
        let can = |given: Value| can_ask(Some(&serde_json::from_value(given).unwrap()));
        assert!(can(json!({"elicitation": {}})) && can(json!({"elicitation": {"form": {}, "url": {}}})));
        assert!(!can(json!({})) && !can(json!({"elicitation": {"url": {}}})) && !can_ask(None));
        let form = serde_json::to_value(form(&consent("confirm", true.into())).unwrap()).unwrap();
        assert_eq!(
            (&form["requestedSchema"]["required"], &form["requestedSchema"]["properties"]["agree"]["type"]),
            (&json!(["agree"]), &json!("boolean"))
        );
    }

    #[test]
    fn an_answer_counts_once_for_its_own_call_and_for_a_while() {
        let (asked, now) = (Asked::default(), Timestamp(1_000));
        let arguments = Map::from_iter([("account_id".to_owned(), json!("a"))]);
        let yes = BTreeMap::from([("agree".to_owned(), json!({"action": "accept", "content": {"agree": true}}))]);
        let keep = || asked.keep("email_send", arguments.clone(), consent("confirm", true.into()), now);
        let close = |name: &str, responses: &BTreeMap<String, Value>, tool: &str, mut arguments: Map<String, Value>, now| {
            let said = asked.close(name, responses, tool, &mut arguments, now);
            (said, arguments.contains_key("confirm"))
        };
        let name = keep();
        assert_eq!(close(&name, &yes, "email_delete", arguments.clone(), now), (None, false), "another tool");
        let other = Map::from_iter([("account_id".to_owned(), json!("b"))]);
        assert_eq!(close(&name, &yes, "email_send", other, now), (None, false), "other arguments");
        assert_eq!(close("consent-99", &yes, "email_send", arguments.clone(), now), (None, false), "never asked");
        assert_eq!(close(&name, &yes, "email_send", arguments.clone(), now.plus(GOOD_FOR)), (None, false), "too late");
        assert_eq!(close(&name, &yes, "email_send", arguments.clone(), now), (Some(Said::Yes), true));
        assert_eq!(close(&name, &yes, "email_send", arguments.clone(), now), (None, false), "used up");
        assert_eq!(close(&keep(), &BTreeMap::new(), "email_send", arguments.clone(), now), (Some(Said::Nothing), false));
        let no = BTreeMap::from([("agree".to_owned(), json!({"action": "decline"}))]);
        assert_eq!(close(&keep(), &no, "email_send", arguments.clone(), now), (Some(Said::No), false));
        let first = keep();
        for _ in 0..OPEN_MAX {
            keep();
        }
        assert_eq!(close(&first, &yes, "email_send", arguments.clone(), now), (None, false), "the oldest went");
    }
}
