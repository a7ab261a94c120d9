//! `email_mark_read`, `email_move`, `email_archive` and `email_delete`.

use serde_json::{Value, json};

use super::{ask_if_bin, is_bin, is_name, read::containers, well_known};
use crate::{
    cache::{Scope, Service, Touch},
    graph::GraphRequest,
    ids::ToolProfile::{Essential, Mail},
    tools::{
        Args, Asks, Does, Effect, Param, ParamType, Risk, StepError, Steps, Tool, Written,
        local::by_the_clock,
        mailbox::at,
        named,
        shape::{id, pick, text, untrusted},
        tool::{ACCOUNT, CONFIRM, CONFIRM_TOKEN, MAILBOX},
    },
};

pub(in crate::tools) const TOOLS: &[Tool] = &[
    Tool {
        name: "email_mark_read",
        title: "Mark an email as read or unread",
        profiles: &[Essential, Mail],
        help: "Marks one message as read, or as unread with is_read=false. Returns it without its body.",
        params: &[MESSAGE, ACCOUNT, Param::optional("is_read", ParamType::Bool, "true", "true for read, false for unread."), MAILBOX],
        effect: Effect::Write { service: Service::Mail },
        risk: Risk::Moderate,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Write { touches: mark_read_touches, act: |steps, args| Box::pin(by_the_clock(steps, mark_read(steps, args))) },
    },
    Tool {
        name: "email_move",
        title: "Move an email",
        profiles: &[Essential, Mail],
        help: "Moves one message to another mail folder. Returns new_id: use it from then on. Moving it back undoes it. To `deleted` \
               it asks the user first.",
        params: &[
            MESSAGE,
            Param::required(
                "destination_folder",
                ParamType::Id,
                "inbox, sent, drafts, deleted, junk or archive; or any folder's id, from emailfolders_list.",
            ),
            ACCOUNT,
            MAILBOX,
            CONFIRM_TOKEN,
        ],
        effect: Effect::Write { service: Service::Mail },
        risk: Risk::Moderate,
        // With changing ids the second call finds no message; and in between somebody may have moved it on.
        idempotent: false,
        // Into Deleted Items it is a deletion, which asks too.
        asks: Asks::When(|args| is_bin(goal(args))),
        canonical: Some(one_destination),
        does: Does::Write { touches: move_touches, act: |steps, args| Box::pin(move_message(steps, args)) },
    },
    Tool {
        name: "email_archive",
        title: "Archive an email",
        profiles: &[Mail],
        help: "Moves one message to the Archive folder. Returns status and new_id: use new_id from then on. Moving it back undoes it.",
        params: &[MESSAGE, ACCOUNT, MAILBOX],
        effect: Effect::Write { service: Service::Mail },
        risk: Risk::Moderate,
        idempotent: false,
        asks: Asks::Never,
        canonical: None,
        does: Does::Write {
            touches: |args| to_folder_touches(args, destination("archive").1),
            act: |steps, args| Box::pin(archive(steps, args)),
        },
    },
    Tool {
        name: "email_delete",
        title: "Delete an email",
        profiles: &[Essential, Mail],
        help: "Deletes one message: it goes to Deleted Items; one that lies there is gone for good. Ask the user first.",
        params: &[MESSAGE, ACCOUNT, CONFIRM, MAILBOX],
        effect: Effect::Write { service: Service::Mail },
        risk: Risk::Critical,
        // The id stays the message's: a second call would find it in Deleted Items and destroy it.
        idempotent: false,
        asks: Asks::Always,
        canonical: None,
        does: Does::Write {
            touches: |args| to_folder_touches(args, destination("deleted").1),
            act: |steps, args| Box::pin(delete(steps, args)),
        },
    },
];

pub(super) const MESSAGE: Param = Param::required("email_id", ParamType::Id, "From email_list.");

pub(super) const UPDATED_FIELDS: [&str; 12] = [
    "id",
    "subject",
    "from",
    "toRecipients",
    "receivedDateTime",
    "hasAttachments",
    "conversationId",
    "isRead",
    "categories",
    "importance",
    "flag",
    "parentFolderId",
];

pub(super) fn message_id(args: &Args) -> &str {
    args.text("email_id").unwrap_or_default()
}

fn mark_read_touches(args: &Args) -> Vec<Touch> {
    vec![Touch::Mark(message_id(args).to_owned()), Touch::Marked(Scope::folders())]
}

async fn mark_read(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let change = json!({ "isRead": args.flag("is_read") });
    let message = steps.send(GraphRequest::patch(&at(args, &["messages", message_id(args)]), change).repeatable()).await?.body;
    Ok(updated(args, &message, Touch::Marked))
}

/// The answer of a write that changed a message in its place; `touch`: how much of its folder's lists.
pub(super) fn updated(args: &Args, message: &Value, touch: fn(Scope) -> Touch) -> Written {
    let picked = pick(message, &UPDATED_FIELDS);
    let answer = if picked.is_empty() {
        // Accepted without saying what it is now.
        json!({ "status": "updated" })
    } else {
        untrusted(picked).into()
    };
    let containers = containers(message);
    let mut touches: Vec<Touch> = containers.iter().cloned().map(touch).collect();
    if let Some(real) = text(message, "id").filter(|real| *real != message_id(args)) {
        // It was named otherwise than answers show it.
        touches.push(Touch::Mark(real.to_owned()));
    }
    let learned = if containers.is_empty() { Vec::new() } else { vec![(message_id(args).to_owned(), containers)] };
    Written { answer, touches, learned, late: false }
}

/// One spelling for the names; an id stays as it is, for case matters in ids.
fn one_destination(args: &mut Args) {
    if let Some((ours, _)) = args.text("destination_folder").and_then(well_known) {
        args.set("destination_folder", ours);
    }
}

/// The destination as Graph takes it, and the scopes of lists that may be lists of it.
fn destination(given: &str) -> (&str, Vec<Scope>) {
    match well_known(given) {
        Some((_, name)) => (name, vec![named::mail_folder(name), named::mail_folders_by_id()]),
        // A rarer name: whichever list is one of it, it was asked for by id.
        None if is_name(given) => (given, vec![named::mail_folders_by_id(), Scope::messages(given)]),
        // An id may be that of a well-known folder, whose lists by name carry the real id's scope too.
        None => (given, vec![Scope::messages(given)]),
    }
}

fn goal(args: &Args) -> &str {
    args.text("destination_folder").unwrap_or_default()
}

fn move_touches(args: &Args) -> Vec<Touch> {
    to_folder_touches(args, destination(goal(args)).1)
}

/// What taking the message to a folder touches, whose lists have these scopes.
fn to_folder_touches(args: &Args, lists: Vec<Scope>) -> Vec<Touch> {
    let mut touches =
        vec![Touch::Item(message_id(args).to_owned()), Touch::Scope(Scope::folders()), Touch::Scope(Scope::moves(Service::Mail))];
    touches.extend(lists.into_iter().map(Touch::Scope));
    touches
}

async fn move_message(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    ask_if_bin(steps, args, goal(args)).await?;
    take(steps, args, destination(goal(args)).0, "moved").await
}

async fn archive(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let error = match take(steps, args, "archive", "archived").await {
        Err(error) if error.status == Some(404) && !error.unknown_outcome => error,
        done => return done,
    };
    // The message is missing, or the folder: mailboxes that never archived anything, personal ones above all, may have none.
    let folder = GraphRequest::get(&at(args, &["mailFolders", "archive"])).with("$select", "id");
    match steps.send(folder).await {
        Err(missing) if missing.status == Some(404) => Err(StepError::user(
            "no_archive",
            "this mailbox has no Archive folder",
            "Create a folder with emailfolders_create and use email_move.",
        )),
        _ => Err(error),
    }
}

async fn delete(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    // Sent once: repeated after a lost reply it would find the message in Deleted Items and destroy it.
    steps.send(GraphRequest::delete(&at(args, &["messages", message_id(args)]))).await?;
    let learned = vec![(message_id(args).to_owned(), Vec::new())];
    Ok(Written { answer: json!({ "status": "deleted" }), touches: Vec::new(), learned, late: false })
}

async fn take(steps: &dyn Steps, args: &Args, destination: &str, status: &str) -> Result<Written, StepError> {
    let old = message_id(args);
    let reply = steps.send(GraphRequest::post(&at(args, &["messages", old, "move"]), json!({ "destinationId": destination }))).await?;
    let moved = reply.body;
    let containers = containers(&moved);
    let (Ok(new), false) = (id(&moved), containers.is_empty()) else {
        // It was moved, and we cannot tell what it is called or where it is now.
        return Ok(Written {
            answer: json!({ "status": status, "new_id": text(&moved, "id") }),
            touches: vec![Touch::All],
            learned: vec![(old.to_owned(), Vec::new())],
            late: false,
        });
    };
    let mut touches: Vec<Touch> = containers.iter().cloned().map(Touch::Scope).collect();
    touches.push(Touch::Scope(Scope::item(new)));
    let mut learned = vec![(new.to_owned(), containers)];
    if new != old {
        learned.push((old.to_owned(), Vec::new()));
    }
    Ok(Written { answer: json!({ "status": status, "new_id": new }), touches, learned, late: false })
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
