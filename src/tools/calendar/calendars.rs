//! `calendar_list_calendars`, `calendar_create_calendar` and `calendar_delete_calendar`.

use serde_json::json;

use super::says;
use crate::{
    cache::{Scope, Service, Touch, Ttl},
    graph::GraphRequest,
    ids::ToolProfile::Calendar,
    tools::{
        Args, Asks, Does, Effect, Fetched, Param, ParamType, Risk, StepError, Steps, Tool, Written,
        listing::{every, read_list},
        mailbox::at,
        shape::{id, list_of_others, pick},
        tool::{ACCOUNT, CONFIRM, FORCE_REFRESH, MAILBOX, MAX_AGE, USE_CACHE},
    },
};

pub(in crate::tools) const TOOLS: &[Tool] = &[
    Tool {
        name: "calendar_list_calendars",
        title: "List calendars",
        profiles: &[Calendar],
        help: "Lists the calendars of the mailbox under `calendars`, shared ones too: ids for calendar_list_events and \
               calendar_create_event, names, owners and rights. Answers come from the local cache (fresh for 15 minutes).",
        params: &[ACCOUNT, USE_CACHE, FORCE_REFRESH, MAILBOX, MAX_AGE],
        effect: Effect::Read { service: Service::Calendar, ttl: Ok(Ttl::seconds(900, 3600)) },
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Read(|steps, args| Box::pin(list(steps, args))),
    },
    Tool {
        name: "calendar_create_calendar",
        title: "Create a calendar",
        profiles: &[Calendar],
        help: "Adds an empty calendar to the mailbox. Returns it; its id goes to calendar_create_event and calendar_list_events.",
        params: &[ACCOUNT, Param::required("name", ParamType::Text { max: 255 }, "Its name, which no other calendar has."), MAILBOX],
        effect: Effect::Write { service: Service::Calendar },
        risk: Risk::Moderate,
        idempotent: false,
        asks: Asks::Never,
        canonical: None,
        does: Does::Write { touches: create_touches, act: |steps, args| Box::pin(create(steps, args)) },
    },
    Tool {
        name: "calendar_delete_calendar",
        title: "Delete a calendar",
        profiles: &[Calendar],
        help: "Deletes a calendar and every event in it. The default calendar cannot be deleted.",
        params: &[
            ACCOUNT,
            Param::required("calendar_id", ParamType::Id, "The calendar's id, from calendar_list_calendars."),
            CONFIRM,
            MAILBOX,
        ],
        effect: Effect::Write { service: Service::Calendar },
        risk: Risk::Critical,
        // A second call might find it in Deleted Items and destroy it.
        idempotent: false,
        asks: Asks::Always,
        canonical: None,
        does: Does::Write { touches: delete_touches, act: |steps, args| Box::pin(delete(steps, args)) },
    },
];

const FIELDS: [&str; 8] = ["id", "name", "color", "canEdit", "canShare", "canViewPrivateItems", "owner", "isDefaultCalendar"];

async fn list(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let request = GraphRequest::get(&at(args, &["calendars"])).with("$top", "100").with("$select", FIELDS.join(","));
    let found = read_list(steps, request, usize::MAX, every).await?;
    let mut scopes = vec![Scope::calendars()];
    if found.several_pages {
        scopes.push(Scope::moves(Service::Calendar));
    }
    let shown = found.items.iter().map(|calendar| Ok((id(calendar)?.to_owned(), vec![Scope::calendars()])));
    Ok(Fetched {
        shown: shown.collect::<Result<_, StepError>>()?,
        answer: list_of_others("calendars", found.items.iter().map(|calendar| pick(calendar, &FIELDS).into()).collect(), found.complete),
        list: Some("calendars"),
        scopes,
        whole: true,
        more: None,
        etag: None,
        along: Vec::new(),
    })
}

fn create_touches(_: &Args) -> Vec<Touch> {
    vec![Touch::Scope(Scope::calendars()), Touch::Scope(Scope::moves(Service::Calendar))]
}

async fn create(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let name = args.text("name").unwrap_or_default();
    let made = steps.send(GraphRequest::post(&at(args, &["calendars"]), json!({ "name": name }))).await?.body;
    let real = id(&made)?.to_owned();
    Ok(Written {
        answer: pick(&made, &FIELDS).into(),
        touches: vec![Touch::Scope(Scope::item(&real))],
        learned: vec![(real, vec![Scope::calendars()])],
        late: false,
    })
}

/// What was in it is gone with it, wherever an answer shows it.
fn delete_touches(_: &Args) -> Vec<Touch> {
    vec![Touch::All]
}

async fn delete(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let calendar = args.text("calendar_id").unwrap_or_default();
    let path = at(args, &["calendars", calendar]);
    let request = GraphRequest::get(&path).with("$select", "isDefaultCalendar,isRemovable");
    let found = steps.send(request).await.map_err(StepError::before)?.body;
    if says(&found, "isDefaultCalendar", false) || !says(&found, "isRemovable", true) {
        let what = "this calendar cannot be deleted: it is the default one, or one that Exchange keeps";
        return Err(StepError::user("default_calendar", what, "Delete its events one by one with calendar_delete_event."));
    }
    // Sent once: repeated after a lost reply it could find the calendar among what was deleted and destroy it.
    match steps.send(GraphRequest::delete(&path)).await {
        // It was there a moment ago: somebody else has done it.
        Err(error) if error.status == Some(404) => {}
        other => drop(other?),
    }
    Ok(Written {
        answer: json!({ "status": "deleted" }),
        touches: Vec::new(),
        learned: vec![(calendar.to_owned(), Vec::new())],
        late: false,
    })
}

#[cfg(test)]
#[path = "calendars_tests.rs"]
mod tests;
