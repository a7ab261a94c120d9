//! `email_update`, `email_flag` and `email_add_category`: what is marked on a message that stays where it is.

use serde_json::{Map, Value, json};

use super::change::{MESSAGE, UPDATED_FIELDS, message_id, updated};
use crate::{
    cache::{Scope, Service, Touch},
    graph::GraphRequest,
    ids::ToolProfile::Mail,
    tools::{
        Args, Asks, Does, Effect, Param, ParamType, Risk, StepError, Steps, Tool, Written,
        local::by_the_clock,
        mailbox::at,
        shape::etag,
        time::{Given, in_zone},
        tool::{ACCOUNT, MAILBOX},
        zone::Zone,
    },
};

const EFFECT: Effect = Effect::Write { service: Service::Mail };
/// Longest name of a category, in characters.
const CATEGORY_MAX: usize = 255;
/// Most categories of one message.
const CATEGORIES: usize = 25;
const FLAG_WORDS: &[&str] = &["notFlagged", "flagged", "complete"];

const MOMENT: &[Param] = &[
    Param::required("dateTime", ParamType::Time, "ISO 8601."),
    Param::member("timeZone", ParamType::Zone, "IANA or Windows name, for a time without offset; UTC if left out."),
];
const FLAG: &[Param] = &[
    Param::required("flagStatus", ParamType::Choice(FLAG_WORDS), "The flag."),
    Param::member("startDateTime", ParamType::Object(MOMENT), "When to begin; needed with dueDateTime."),
    Param::member("dueDateTime", ParamType::Object(MOMENT), "When it is due."),
    Param::member("completedDateTime", ParamType::Object(MOMENT), "When it was done."),
];
const UPDATES: &[Param] = &[
    Param::member("isRead", ParamType::Bool, "Read or unread."),
    Param::member("categories", ParamType::Texts { least: 0, most: CATEGORIES, max: CATEGORY_MAX }, "The whole set; [] clears it."),
    Param::member("importance", ParamType::Choice(&["low", "normal", "high"]), "The importance."),
    Param::member("flag", ParamType::Object(FLAG), "The follow-up flag."),
    Param::member("inferenceClassification", ParamType::Choice(&["focused", "other"]), "Which inbox tab."),
];

pub(in crate::tools) const TOOLS: &[Tool] = &[
    Tool {
        name: "email_update",
        title: "Update an email",
        profiles: &[Mail],
        help: "Changes marks of one message: isRead, categories, importance, flag, inferenceClassification; at least one. Returns the updated \
               message without its body.",
        params: &[MESSAGE, Param::required("updates", ParamType::Object(UPDATES), "What to change."), ACCOUNT, MAILBOX],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Write { touches: update_touches, act: |steps, args| Box::pin(by_the_clock(steps, update(steps, args))) },
    },
    Tool {
        name: "email_flag",
        title: "Flag an email",
        profiles: &[Mail],
        help: "Flags one message for follow-up, marks it complete, or takes the flag away. Returns the updated message without its body.",
        params: &[MESSAGE, ACCOUNT, Param::optional("flag_status", ParamType::Choice(FLAG_WORDS), "\"flagged\"", "The flag."), MAILBOX],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Write { touches: mark, act: |steps, args| Box::pin(by_the_clock(steps, flag(steps, args))) },
    },
    Tool {
        name: "email_add_category",
        title: "Add categories to an email",
        profiles: &[Mail],
        help: "Adds categories to one message and keeps those it has; email_update sets or clears them. Returns the updated message without \
               its body.",
        params: &[
            MESSAGE,
            ACCOUNT,
            Param::required("categories", ParamType::Texts { least: 1, most: CATEGORIES, max: CATEGORY_MAX }, "Names of categories."),
            MAILBOX,
        ],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Write { touches: item, act: |steps, args| Box::pin(by_the_clock(steps, add_category(steps, args))) },
    },
];

fn item(args: &Args) -> Vec<Touch> {
    vec![Touch::Item(message_id(args).to_owned())]
}

fn mark(args: &Args) -> Vec<Touch> {
    vec![Touch::Mark(message_id(args).to_owned())]
}

/// Whether only marks are changed that no words in a message tell, as the names of categories are: see [`Touch::Mark`].
fn are_marks<'a>(mut changed: impl Iterator<Item = &'a String>) -> bool {
    changed.all(|name| ["isRead", "flag", "importance", "inferenceClassification"].contains(&name.as_str()))
}

fn update_touches(args: &Args) -> Vec<Touch> {
    let Some(updates) = args.object("updates") else { return item(args) };
    let mut touches = if are_marks(updates.keys()) { mark(args) } else { item(args) };
    if updates.contains_key("isRead") {
        touches.push(Touch::Marked(Scope::folders()));
    }
    touches
}

async fn patch(steps: &dyn Steps, args: &Args, change: Value) -> Result<Written, StepError> {
    let touch = if change.as_object().is_some_and(|change| are_marks(change.keys())) { Touch::Marked } else { Touch::Scope };
    let request = GraphRequest::patch(&at(args, &["messages", message_id(args)]), change).repeatable();
    Ok(updated(args, &steps.send(request).await?.body, touch))
}

async fn update(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let mut change = args.object("updates").cloned().unwrap_or_default();
    if let Some(flag) = change.get_mut("flag").and_then(Value::as_object_mut) {
        if flag.contains_key("dueDateTime") && !flag.contains_key("startDateTime") {
            let hint = "Give updates.flag.startDateTime too.";
            return Err(StepError::user("invalid_argument", "a flag with a due date needs a start date", hint));
        }
        for part in ["startDateTime", "dueDateTime", "completedDateTime"] {
            if let Some(moment) = flag.get(part).and_then(Value::as_object) {
                let moment = as_graph_takes_it(moment)?;
                flag.insert(part.into(), moment);
            }
        }
    }
    patch(steps, args, change.into()).await
}

/// A time as Graph's `dateTimeTimeZone`, in the zone it was given for; in UTC when it has an offset of its own.
fn as_graph_takes_it(moment: &Map<String, Value>) -> Result<Value, StepError> {
    let member = |name: &str| moment.get(name).and_then(Value::as_str).unwrap_or_default();
    let zone = Zone::find(member("timeZone")).unwrap_or_else(Zone::utc);
    let at = Given::read(member("dateTime")).and_then(|given| given.moment(&zone));
    let at = at.ok_or_else(|| {
        StepError::user("invalid_argument", "a time of the flag does not exist in its time zone", "The clocks skip it: give another time.")
    })?;
    Ok(in_zone(at, &zone))
}

async fn flag(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    patch(steps, args, json!({ "flag": { "flagStatus": args.text("flag_status").unwrap_or_default() } })).await
}

/// How often a set is read again because somebody changed the message in between.
const TRIES: usize = 3;

async fn add_category(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let path = at(args, &["messages", message_id(args)]);
    let (mut tries, mut unknown) = (0, false);
    loop {
        tries += 1;
        // An attempt that may have happened stays one, whatever comes after it.
        let doubt = |error: StepError| if unknown { error.after_doubt() } else { error };
        let look = GraphRequest::get(&path).with("$select", UPDATED_FIELDS.join(","));
        let now = steps.send(look).await.map_err(|error| doubt(error.before()))?.body;
        let mut all: Vec<Value> = now["categories"].as_array().cloned().unwrap_or_default();
        let before = all.len();
        for name in args.texts("categories") {
            // Outlook takes names that differ only in case for one category.
            if !all.iter().filter_map(Value::as_str).any(|known| known.to_lowercase() == name.to_lowercase()) {
                all.push(name.into());
            }
        }
        if all.len() == before {
            return Ok(updated(args, &now, Touch::Scope));
        }
        let mut request = GraphRequest::patch(&path, json!({ "categories": all })).repeatable();
        if let Some(tag) = etag(&now) {
            request = request.header("If-Match", tag);
        }
        match steps.send(request).await {
            // Changed in between, or by our own attempt whose reply was lost: what there is now decides.
            Err(error) if matches!(error.status, Some(409 | 412)) && tries < TRIES => unknown |= error.unknown_outcome,
            done => return Ok(updated(args, &done.map_err(doubt)?.body, Touch::Scope)),
        }
    }
}

#[cfg(test)]
#[path = "marks_tests.rs"]
mod tests;
