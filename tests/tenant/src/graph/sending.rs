//! Sending: a draft, a message of one request, a reply; the copy in Sent Items, and delivery to the tenant's own mailboxes.

use http::StatusCode;
use serde_json::{Value, json};

use super::call::Call;
use super::drafting::{Changes, blank};
use super::errors::Fault;
use super::mail::find_folder;
use super::mail_write::target;
use super::mime_read;
use super::odata::Answer;
use super::store::{Late, Message, State};
use crate::seed::Kind;
use crate::seed::people::Address;
use crate::wire::Reply;

/// The most recipients that one message may have.
const MOST_RECIPIENTS: usize = 500;

fn no_recipients() -> Box<Fault> {
    Fault::new(
        StatusCode::BAD_REQUEST,
        "ErrorInvalidRecipients",
        "At least one recipient isn't valid., A message can't be sent because it contains no recipients.",
    )
}

/// Whether the text can be a mail address at all.
fn is_address(text: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || ",;<>".contains(c);
    match text.split_once('@') {
        Some((local, domain)) => !local.is_empty() && !domain.contains('@') && domain.split('.').count() > 1 && !text.contains(odd),
        None => false,
    }
}

/// Holds a message to what can be sent: somebody to send it to, and by whom it may be sent.
pub(crate) fn check(state: &State, call: &Call<'_>, message: &Message) -> Answer<()> {
    let all: Vec<&Address> = message.to.iter().chain(&message.cc).chain(&message.bcc).collect();
    if all.is_empty() {
        return Err(no_recipients());
    }
    if let Some(wrong) = all.iter().find(|a| !is_address(&a.address)) {
        let wrong = &wrong.address;
        let message = format!(
            "At least one recipient isn't valid., Recipient '{wrong}' is not resolved. All recipients must be resolved before a message can be submitted."
        );
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidRecipients", message));
    }
    if all.len() > MOST_RECIPIENTS {
        let message = format!("The message has more than the {MOST_RECIPIENTS} recipients that are allowed.");
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorRecipientLimitExceeded", message));
    }
    let may = |address: &str| {
        state.users.iter().enumerate().any(|(index, user)| {
            let own = index == call.owner || index == call.caller;
            let shared = user.kind == Kind::Shared && user.tenant_id == state.users[call.caller].tenant_id;
            user.username.eq_ignore_ascii_case(address) && (own || shared)
        })
    };
    match &message.from {
        Some(from) if !may(&from.address) => Err(Fault::new(
            StatusCode::FORBIDDEN,
            "ErrorSendAsDenied",
            "The user account which was used to submit this request does not have the right to send mail on behalf of the specified sending account., Cannot submit message.",
        )),
        _ => Ok(()),
    }
}

/// Puts a message that is on its way into Sent Items (when it is kept) and into the inboxes of those of its recipients
/// who have one here; both may show it later.
pub(crate) fn dispatch(state: &mut State, call: &Call<'_>, mut message: Message, keep: bool) {
    message.draft = false;
    message.sent = call.now;
    message.received = call.now;
    message.searchable = state.visible_from(call.now);
    deliver(state, call, &message);
    if keep {
        let number = state.mailboxes[call.owner].add_message(message);
        state.defer(call.now, Late::Message { mailbox: call.owner, number });
    }
}

fn deliver(state: &mut State, call: &Call<'_>, message: &Message) {
    let mut to: Vec<usize> = Vec::new();
    for address in message.to.iter().chain(&message.cc).chain(&message.bcc) {
        let found = state.users.iter().position(|user| user.username.eq_ignore_ascii_case(&address.address));
        if let Some(index) = found.filter(|index| !to.contains(index)) {
            to.push(index);
        }
    }
    for index in to {
        let mailbox = &mut state.mailboxes[index];
        let Ok(inbox) = find_folder(mailbox, "inbox") else {
            continue;
        };
        let copy =
            Message { folder: inbox, generation: 0, bcc: Vec::new(), read: false, categories: Vec::new(), flag: None, ..message.clone() };
        let number = mailbox.add_message(copy);
        state.defer(call.now, Late::Message { mailbox: index, number });
    }
}

/// `POST …/messages/{id}/send`: the draft goes; the copy in Sent Items, which keeps its immutable id, may come later.
pub(crate) fn send(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let number = target(state, call, id)?;
    let message = call.mailbox(state).message(number).ok_or_else(Fault::item_gone)?;
    if !message.draft {
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidOperation", "The message is not a draft."));
    }
    check(state, call, message)?;
    let searchable = state.visible_from(call.now);
    let mailbox = &mut state.mailboxes[call.owner];
    let sent = find_folder(mailbox, "sentitems")?;
    mailbox.move_message(number, sent, call.now, false);
    mailbox.change_message(number, call.now, |message| {
        message.draft = false;
        message.sent = call.now;
        message.received = call.now;
        message.searchable = searchable;
    });
    let copy = mailbox.message(number).ok_or_else(Fault::item_gone)?.clone();
    deliver(state, call, &copy);
    state.defer(call.now, Late::Message { mailbox: call.owner, number });
    Ok(super::empty(StatusCode::ACCEPTED))
}

/// `POST …/sendMail`, as JSON or as MIME in base64.
pub(crate) fn send_mail(state: &mut State, call: &Call<'_>) -> Answer<Reply> {
    let sent = find_folder(call.mailbox(state), "sentitems")?;
    let mut message = blank(state, call, sent);
    let mut keep = true;
    if call.header("content-type").is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/plain")) {
        mime_read::into(&call.request.body, &mut message)?;
    } else {
        let body = call.body()?;
        let member = |wanted: &str| body.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
        if let Some(unknown) = body.keys().find(|name| !["message", "savetosentitems"].contains(&name.to_ascii_lowercase().as_str())) {
            return Err(Fault::unknown_parameter(unknown, "sendMail"));
        }
        let Some(Value::Object(given)) = member("message") else {
            return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidRequest", "The required parameter 'Message' is missing."));
        };
        Changes::parse(given, true, call.now)?.put(&mut message);
        // Some clients send the text "false".
        keep =
            !member("saveToSentItems").is_some_and(|v| *v == json!(false) || v.as_str().is_some_and(|t| t.eq_ignore_ascii_case("false")));
    }
    check(state, call, &message)?;
    dispatch(state, call, message, keep);
    Ok(super::empty(StatusCode::ACCEPTED))
}

#[cfg(test)]
#[path = "sending_tests.rs"]
mod tests;
