//! What a path into calendars and events names.

use crate::graph::errors::Fault;
use crate::graph::odata::Answer;

/// What can be said about an event by its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Accept,
    TentativelyAccept,
    Decline,
    Cancel,
    Forward,
    DismissReminder,
}

/// A part of a mailbox's calendars. `None` for a calendar is the mailbox's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Groups,
    Group(String),
    /// All calendars, or those of a group.
    Calendars(Option<String>),
    Calendar(Option<String>),
    Schedule,
    MeetingTimes,
    Events(Option<String>),
    View(Option<String>),
    ViewDelta(Option<String>),
    Event(String),
    Instances(String),
    Action(String, Action),
    Attachments(String),
    AttachmentUpload(String),
    Attachment(String, String),
    AttachmentContent(String, String),
}

/// Reads the steps below a user; `lower` are the same in lower case.
pub(crate) fn parse(names: &[&str], lower: &[&str]) -> Answer<Part> {
    let own = |at: usize| names[at].to_owned();
    Ok(match lower {
        ["calendargroups"] => Part::Groups,
        ["calendargroups", _] => Part::Group(own(1)),
        ["calendargroups", _, "calendars"] => Part::Calendars(Some(own(1))),
        ["calendargroups", _, "calendars", _, ..] => below(&names[4..], &lower[4..], Some(own(3)))?,
        ["calendars"] => Part::Calendars(None),
        ["calendars", _, ..] => below(&names[2..], &lower[2..], Some(own(1)))?,
        ["calendar", ..] => below(&names[1..], &lower[1..], None)?,
        ["findmeetingtimes"] => Part::MeetingTimes,
        _ => below(names, lower, None)?,
    })
}

fn below(names: &[&str], lower: &[&str], calendar: Option<String>) -> Answer<Part> {
    Ok(match lower {
        [] => Part::Calendar(calendar),
        ["events"] => Part::Events(calendar),
        ["events", _, ..] => event(&names[1..], &lower[1..])?,
        ["calendarview"] => Part::View(calendar),
        ["calendarview", "delta" | "delta()" | "microsoft.graph.delta()"] => Part::ViewDelta(calendar),
        ["calendarview", _, ..] => event(&names[1..], &lower[1..])?,
        ["getschedule" | "microsoft.graph.getschedule"] => Part::Schedule,
        _ => return Err(Fault::unknown_segment(names.first().unwrap_or(&""))),
    })
}

fn event(names: &[&str], lower: &[&str]) -> Answer<Part> {
    let own = |at: usize| names[at].to_owned();
    let action = |action| Part::Action(own(0), action);
    Ok(match lower {
        [_] => Part::Event(own(0)),
        [_, "instances"] => Part::Instances(own(0)),
        [_, "attachments"] => Part::Attachments(own(0)),
        [_, "attachments", "createuploadsession"] => Part::AttachmentUpload(own(0)),
        [_, "attachments", _] => Part::Attachment(own(0), own(2)),
        [_, "attachments", _, "$value"] => Part::AttachmentContent(own(0), own(2)),
        [_, name] => match name.trim_start_matches("microsoft.graph.") {
            "accept" => action(Action::Accept),
            "tentativelyaccept" => action(Action::TentativelyAccept),
            "decline" => action(Action::Decline),
            "cancel" => action(Action::Cancel),
            "forward" => action(Action::Forward),
            "dismissreminder" => action(Action::DismissReminder),
            _ => return Err(Fault::unknown_segment(names[1])),
        },
        _ => return Err(Fault::unknown_segment(names.get(1).unwrap_or(&""))),
    })
}
