//! `calendar_delete_event`: cancels, declines or deletes, by what the account is to the event.
//!
//! Graph refuses to cancel a meeting of somebody else's, and a meeting that its organizer just deletes is cancelled too: Exchange tells
//! the attendees in any case. So the event is looked at first, and the answer says what was done and whether others were told. Who wants a
//! meeting of the account's own deleted silently is refused: the person has agreed to something that cannot be had.
//!
//! A deletion is sent once: repeated after a lost reply it would find the event in Deleted Items and destroy it.

use serde_json::{Map, Value, json};

use super::{EVENT_ID, answer_touches, attendees, event_id, look, says};
use crate::{
    cache::Service,
    graph::GraphRequest,
    ids::ToolProfile::{Calendar, Essential},
    tools::{
        Args, Asks, Does, Effect, Param, ParamType, Risk, StepError, Steps, Tool, Written,
        mailbox::at,
        tool::{ACCOUNT, CONFIRM, MAILBOX},
    },
};

pub(in crate::tools) const TOOLS: &[Tool] = &[Tool {
    name: "calendar_delete_event",
    title: "Delete an event",
    profiles: &[Essential, Calendar],
    help: "Removes an event: a meeting of yours is cancelled and its attendees get word, somebody else's is declined (its \
           organizer gets no word with send_cancellation=false), any other is deleted. An id of a series removes all of it, one \
           of an occurrence only that day. Returns action (cancelled, declined, deleted) and others_told.",
    params: &[
        ACCOUNT,
        EVENT_ID,
        Param::optional(
            "send_cancellation",
            ParamType::Bool,
            "true",
            "Whether to tell the others. false is refused for a meeting of yours: Exchange tells its attendees.",
        ),
        CONFIRM,
        MAILBOX,
    ],
    effect: Effect::Write { service: Service::Calendar },
    risk: Risk::Critical,
    // A second call might find it in Deleted Items and destroy it.
    idempotent: false,
    asks: Asks::Always,
    canonical: None,
    // Whether it declines shows only when it has looked.
    does: Does::Write { touches: answer_touches, act: |steps, args| Box::pin(delete(steps, args)) },
}];

async fn delete(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let event = look(steps, args, "id,isOrganizer,attendees,isCancelled,responseRequested").await?;
    let tell = args.flag("send_cancellation");
    let organizer = says(&event, "isOrganizer", true);
    let meeting = !attendees(&event).is_empty() || !organizer;
    let (action, others_told) = match (meeting, organizer) {
        (true, true) if tell => ("cancelled", true),
        (true, true) => return Err(others_are_told()),
        // What was cancelled cannot be declined any more; and some organizers want no answers.
        (true, false) if tell && !says(&event, "isCancelled", false) && says(&event, "responseRequested", true) => ("declined", true),
        _ => ("deleted", false),
    };
    match action {
        "cancelled" => act(steps, args, "cancel", Map::new()).await?,
        "declined" => act(steps, args, "decline", Map::from_iter([("sendResponse".to_owned(), Value::Bool(true))])).await?,
        _ => match steps.send(GraphRequest::delete(&at(args, &["events", event_id(args)]))).await {
            // It was there a moment ago: somebody else has done it.
            Err(error) if error.status == Some(404) => {}
            other => drop(other?),
        },
    }
    Ok(Written {
        answer: json!({ "status": "deleted", "action": action, "others_told": others_told }),
        touches: Vec::new(),
        learned: vec![(event_id(args).to_owned(), Vec::new())],
        late: others_told,
    })
}

fn others_are_told() -> StepError {
    let what = "the attendees of a meeting of your own are told that it is deleted, whatever is asked for; nothing was done";
    StepError::user("others_are_told", what, "Tell the user, and call again with send_cancellation=true.")
}

/// Sends an action with its parameters, once.
async fn act(steps: &dyn Steps, args: &Args, action: &str, parameters: Map<String, Value>) -> Result<(), StepError> {
    steps.send(GraphRequest::post(&at(args, &["events", event_id(args), action]), parameters.into())).await.map(drop)
}

#[cfg(test)]
#[path = "delete_tests.rs"]
mod tests;
