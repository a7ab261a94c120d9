//! `calendar_respond_event`, `calendar_propose_new_time` and `calendar_forward_event`: what is said about a meeting to others.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{COMMENT, EVENT_ID, PEOPLE, answer_touches, comment, event_id, event_touches, home, look, plan, recipients, says};
use crate::{
    cache::Service,
    graph::GraphRequest,
    ids::ToolProfile::{Calendar, Essential},
    tools::{
        Args, Asks, Does, Effect, Param, ParamType, Risk, StepError, Steps, Tool, Written,
        mailbox::at,
        tool::{ACCOUNT, CONFIRM, CONFIRM_TOKEN, MAILBOX},
    },
};

const MESSAGE: Param = Param::optional("message", COMMENT, "null", "A few words to go with it.");

pub(in crate::tools) const TOOLS: &[Tool] = &[
    Tool {
        name: "calendar_respond_event",
        title: "Answer an invitation",
        profiles: &[Essential, Calendar],
        help: "Accepts, declines or tentatively accepts somebody else's meeting; the organizer gets word, unless they want none, so \
               the user is asked first. A declined meeting leaves the calendar.",
        params: &[
            ACCOUNT,
            EVENT_ID,
            Param::optional(
                "response",
                ParamType::Choice(RESPONSES),
                "\"accept\"",
                "The answer; tentative is short for tentativelyAccept.",
            ),
            MESSAGE,
            MAILBOX,
            CONFIRM_TOKEN,
        ],
        effect: Effect::Write { service: Service::Calendar },
        risk: Risk::Dangerous,
        idempotent: true,
        asks: Asks::Always,
        canonical: Some(one_response),
        does: Does::Write { touches: answer_touches, act: |steps, args| Box::pin(respond(steps, args)) },
    },
    Tool {
        name: "calendar_propose_new_time",
        title: "Propose a new time",
        profiles: &[Calendar],
        help: "Tentatively accepts a meeting of somebody else's and proposes another time to its organizer, so the user is asked first. \
               The meeting stays where it is until the organizer moves it. Times without an offset are by the clocks of the mailbox.",
        params: &[
            ACCOUNT,
            EVENT_ID,
            Param::required("proposed_start", ParamType::Time, "ISO 8601, such as 2026-11-20T10:00 or 2026-11-20T10:00+01:00."),
            Param::required("proposed_end", ParamType::Time, "ISO 8601, later than proposed_start."),
            MESSAGE,
            MAILBOX,
            CONFIRM_TOKEN,
        ],
        effect: Effect::Write { service: Service::Calendar },
        risk: Risk::Dangerous,
        idempotent: false,
        asks: Asks::Always,
        canonical: None,
        does: Does::Write { touches: answer_touches, act: |steps, args| Box::pin(propose(steps, args)) },
    },
    Tool {
        name: "calendar_forward_event",
        title: "Forward an event",
        profiles: &[Calendar],
        help: "Sends an invitation to a meeting on to more people; its organizer gets word. Microsoft 365 knows no cc here: people in cc \
               are invited like those in to.",
        params: &[
            ACCOUNT,
            EVENT_ID,
            Param::required("to", PEOPLE, "Whom to invite."),
            Param::optional("cc", PEOPLE, "null", "Whom else; merged into to."),
            MESSAGE,
            CONFIRM,
            MAILBOX,
        ],
        effect: Effect::Write { service: Service::Calendar },
        risk: Risk::Dangerous,
        idempotent: false,
        asks: Asks::Always,
        canonical: Some(one_list),
        does: Does::Write { touches: event_touches, act: |steps, args| Box::pin(forward(steps, args)) },
    },
];

const RESPONSES: &[&str] = &["accept", "decline", "tentativelyAccept", "tentative"];
/// Most people of one meeting.
const PEOPLE_MAX: usize = 500;

fn one_response(args: &mut Args) {
    if args.text("response") == Some("tentative") {
        args.set("response", "tentativelyAccept");
    }
}

/// The people in `cc` who are not in `to` follow them there. Too many stay where they are, to be refused.
fn one_list(args: &mut Args) {
    let people: Vec<Value> = {
        let mut seen = BTreeSet::new();
        let both = args.texts("to").into_iter().chain(args.texts("cc"));
        both.filter(|address| seen.insert(*address)).map(Value::from).collect()
    };
    if people.len() <= PEOPLE_MAX {
        args.set("to", people);
        args.set("cc", Value::Null);
    }
}

async fn respond(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let response = args.text("response").unwrap_or("accept");
    let event = look(steps, args, "id,isOrganizer,responseRequested").await?;
    not_ours(&event, "answered", "Use calendar_delete_event to cancel it.")?;
    let wanted = says(&event, "responseRequested", true);
    if !wanted && args.text("message").is_some_and(|message| !message.is_empty()) {
        let what = "the organizer wants no answers, so nobody would read the message";
        return Err(StepError::user("no_response_wanted", what, "Call again without message."));
    }
    let mut parameters = Map::from_iter([("sendResponse".to_owned(), Value::Bool(wanted))]);
    comment(args, &mut parameters);
    steps.send(GraphRequest::post(&at(args, &["events", event_id(args), response]), parameters.into())).await?;
    let gone = response == "decline";
    Ok(Written {
        answer: json!({ "status": response, "organizer_told": wanted }),
        touches: Vec::new(),
        learned: if gone { vec![(event_id(args).to_owned(), Vec::new())] } else { Vec::new() },
        // The invitation leaves the inbox whether or not the organizer gets word.
        late: true,
    })
}

async fn propose(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let (Some(start), Some(end)) = (plan::given(args, "proposed_start"), plan::given(args, "proposed_end")) else {
        return Err(StepError::user("invalid_argument", "proposed_start or proposed_end is no time", "Give both in ISO 8601."));
    };
    let zone = home::zone(steps, args).await.map_err(StepError::before)?;
    let (start, end) = plan::hours(start, end, zone.as_ref())?;
    let event = look(steps, args, "id,isOrganizer,allowNewTimeProposals").await?;
    not_ours(&event, "given a new time by a proposal", "Use calendar_update_event to move it.")?;
    if !says(&event, "allowNewTimeProposals", true) {
        let hint = "Answer with calendar_respond_event, with the time in its message.";
        return Err(StepError::user("no_proposals_wanted", "the organizer of this meeting takes no proposals of a new time", hint));
    }
    let mut parameters = Map::from_iter([
        ("proposedNewTime".to_owned(), json!({ "start": start, "end": end })),
        ("sendResponse".to_owned(), Value::Bool(true)),
    ]);
    comment(args, &mut parameters);
    steps.send(GraphRequest::post(&at(args, &["events", event_id(args), "tentativelyAccept"]), parameters.into())).await?;
    Ok(Written { answer: json!({ "status": "proposed_new_time" }), touches: Vec::new(), learned: Vec::new(), late: true })
}

async fn forward(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    if args.has("cc") {
        let what = format!("to and cc together name more than {PEOPLE_MAX} people");
        return Err(StepError::user("invalid_argument", what, "Forward it in several calls."));
    }
    let mut parameters = Map::from_iter([("toRecipients".to_owned(), recipients(&args.texts("to")).into())]);
    comment(args, &mut parameters);
    steps.send(GraphRequest::post(&at(args, &["events", event_id(args), "forward"]), parameters.into())).await?;
    Ok(Written { answer: json!({ "status": "forwarded" }), touches: Vec::new(), learned: Vec::new(), late: true })
}

/// Refuses for a meeting that the account organizes itself.
fn not_ours(event: &Value, what: &str, hint: &str) -> Result<(), StepError> {
    if says(event, "isOrganizer", false) {
        return Err(StepError::user("own_meeting", format!("this is your own event; it cannot be {what}"), hint));
    }
    Ok(())
}

#[cfg(test)]
#[path = "invite_tests.rs"]
mod tests;
