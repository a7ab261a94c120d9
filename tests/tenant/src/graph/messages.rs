//! Reading mail: lists, search, single messages, attachments, delta of a folder.

use std::borrow::Cow;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::calendar;
use super::call::Call;
use super::delta::{Line, Token, page, reply};
use super::errors::Fault;
use super::mail::{MessageRow, find_folder, find_message};
use super::mime::mime as mime_text;
use super::odata::{Answer, EVENT, Expand, Filter, Limits, MESSAGE, Selection, encode, filter::Op, list as page_of};
use super::search::message::clause;
use super::search_folders;
use super::store::{Mailbox, Message, State};
use crate::wire::Reply;

const LIMITS: Limits = Limits { usual: 10, most: 1_000, strict_order: true, falling: Some("receivedDateTime") };
/// The most that a search finds.
const SEARCH_MOST: usize = 1_000;

fn open<'a>(call: &Call<'_>, mailbox: &'a Mailbox, message: &'a Message) -> MessageRow<'a> {
    MessageRow { mailbox, message, immutable: call.view.immutable, text: call.view.text }
}

/// A message, with the event that it is about when that is wanted.
fn write(call: &Call<'_>, row: &MessageRow<'_>, selection: &Selection, expand: &Expand) -> Map<String, Value> {
    let mut out = row.write(selection, expand);
    if let Some(event) = row.event().filter(|_| expand.event) {
        let place = format!("{}('{}')/microsoft.graph.eventMessage/event/$entity", expand.context, encode(&row.id()));
        let event = calendar::open(call, row.mailbox, event, None);
        out.insert("event@odata.context".to_owned(), json!(place));
        out.insert("event".to_owned(), Value::Object(event.write(&Selection::whole(&EVENT))));
    }
    out
}

fn place(folder: Option<&str>) -> String {
    folder.map(|id| format!("/mailFolders('{}')", encode(id))).unwrap_or_default()
}

/// The newest-first list asked about.
fn numbers<'a>(mailbox: &'a Mailbox, folder: Option<&str>) -> Answer<Cow<'a, [(i64, u32)]>> {
    let Some(id) = folder else {
        return Ok(Cow::Borrowed(&mailbox.everything));
    };
    let number = find_folder(mailbox, id)?;
    Ok(match mailbox.folder(number) {
        Some(folder) if folder.search.is_some() => Cow::Owned(search_folders::shown(mailbox, folder)),
        Some(folder) => Cow::Borrowed(&folder.messages),
        None => Cow::Borrowed(&[]),
    })
}

/// `GET …/messages`
pub(crate) fn list(state: &State, call: &Call<'_>, folder: Option<&str>) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let numbers = numbers(mailbox, folder)?;
    let selection = Selection::parse(&call.query, &MESSAGE)?;
    let expand = Expand::parse(&call.query, &MESSAGE, call.context("/messages"))?;
    let context = call.context(&format!("{}/messages{}", place(folder), selection.context()));
    let row = |(_, number): (i64, u32)| mailbox.message(number).map(|message| open(call, mailbox, message));
    let write = |row: &MessageRow<'_>| Value::Object(write(call, row, &selection, &expand));
    if let Some(text) = call.query.get("search") {
        for other in ["filter", "orderby"] {
            if call.query.get(other).is_some() {
                let (code, name) = if other == "filter" { ("SearchWithFilter", "$filter") } else { ("SearchWithOrderBy", "$orderBy") };
                let message = format!("The query parameter '{name}' is not supported with '$search'.");
                return Err(Fault::new(StatusCode::BAD_REQUEST, code, message));
            }
        }
        let terms = clause(text)?;
        let found: Vec<(i64, u32)> = numbers
            .iter()
            .filter(|(_, number)| mailbox.message(*number).is_some_and(|m| m.searchable <= call.now && terms.find(m)))
            .take(SEARCH_MOST)
            .copied()
            .collect();
        let body = page_of(&found, &call.query, &MESSAGE, LIMITS, &call.address(), row, write)?;
        return Ok(call.json(StatusCode::OK, &context, body));
    }
    let body = page_of(&numbers, &call.query, &MESSAGE, LIMITS, &call.address(), row, write)?;
    Ok(call.json(StatusCode::OK, &context, body))
}

/// `GET …/messages/$count`, with `$filter`.
pub(crate) fn count(state: &State, call: &Call<'_>, folder: Option<&str>) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let numbers = numbers(mailbox, folder)?;
    let filter = call.query.get("filter").map(|text| Filter::parse(text, &MESSAGE)).transpose()?;
    let passes = |number: u32| filter.as_ref().is_none_or(|f| mailbox.message(number).is_some_and(|m| f.matches(&open(call, mailbox, m))));
    let count = numbers.iter().filter(|(_, number)| passes(*number)).count();
    Ok(call.reply(StatusCode::OK, Bytes::from(count.to_string()), "text/plain"))
}

/// `GET …/messages/{id}`
pub(crate) fn get(state: &State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let row = open(call, mailbox, find_message(mailbox, id)?);
    let selection = Selection::parse(&call.query, &MESSAGE)?;
    let body = write(call, &row, &selection, &Expand::parse(&call.query, &MESSAGE, call.context("/messages"))?);
    Ok(call.json(StatusCode::OK, &call.context(&format!("/messages{}/$entity", selection.context())), body))
}

/// `GET …/messages/{id}/$value`
pub(crate) fn mime(state: &State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let message = find_message(call.mailbox(state), id)?;
    Ok(call.reply(StatusCode::OK, Bytes::from(mime_text(message)), "text/plain"))
}

/// The message in a context URL.
pub(crate) fn place_of(row: &MessageRow<'_>) -> String {
    format!("/messages('{}')", encode(&row.id()))
}

/// `GET …/messages/{id}/attachments`
pub(crate) fn attachments(state: &State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let row = open(call, mailbox, find_message(mailbox, id)?);
    row.holder().list(call, &place_of(&row))
}

/// `GET …/messages/{id}/attachments/{id}`
pub(crate) fn attachment(state: &State, call: &Call<'_>, id: &str, attachment: &str) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let row = open(call, mailbox, find_message(mailbox, id)?);
    let holder = row.holder();
    holder.one(call, &place_of(&row), holder.find(attachment)?, StatusCode::OK)
}

/// `GET …/messages/{id}/attachments/{id}/$value`
pub(crate) fn attachment_content(state: &State, call: &Call<'_>, id: &str, attachment: &str) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let holder = open(call, mailbox, find_message(mailbox, id)?).holder();
    holder.content(call, holder.find(attachment)?)
}

/// `GET …/mailFolders/{id}/messages/delta`, first and later rounds.
pub(crate) fn delta(state: &State, call: &Call<'_>, folder: &str) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let number = find_folder(mailbox, folder)?;
    let Some(folder) = mailbox.folder(number) else {
        return Err(Fault::folder_gone());
    };
    if folder.search.is_some() {
        return Err(Fault::bad_request("Changes of a search folder cannot be followed."));
    }
    let resumed = call.query.get("skiptoken").or_else(|| call.query.get("deltatoken"));
    let token = match resumed {
        Some(text) => Token::resume(text, "messages", mailbox, number)?,
        None => begin(call, mailbox, number, folder.feed.last())?,
    };
    let selection = Selection::from_text(token.select.as_deref(), &MESSAGE)?;
    let expand = Expand::from_text(token.expand.as_deref(), &MESSAGE, call.context("/messages"))?;
    let filter = token.filter.as_deref().map(|text| Filter::parse(text, &MESSAGE)).transpose()?;
    let size = call.view.page.or(token.top).unwrap_or(10).clamp(1, 1_000);
    let row = |number: u32| mailbox.message(number).map(|message| open(call, mailbox, message));
    let keep = |number: u32| row(number).is_some_and(|row| filter.as_ref().is_none_or(|f| f.matches(&row)));
    let here =
        |gone: &super::store::Gone| call.view.immutable && mailbox.message(gone.number).is_some_and(|m| m.placed && m.folder == number);
    let page = page(&folder.feed, &token, size, keep, here);
    let value = page.lines.iter().filter_map(|line| match line {
        Line::Changed(number) => row(*number).map(|row| Value::Object(write(call, &row, &selection, &expand))),
        Line::Removed(gone) => {
            let id = if call.view.immutable { &gone.immutable } else { &gone.id };
            Some(json!({"@odata.type": "#microsoft.graph.message", "id": id, "@removed": {"reason": "deleted"}}))
        }
    });
    Ok(reply(call, "message", value.collect(), &page, resumed.is_none()))
}

fn begin(call: &Call<'_>, mailbox: &Mailbox, container: u32, last: u64) -> Answer<Token> {
    let query = &call.query;
    if query.get("search").is_some() {
        return Err(Fault::bad_request("'$search' is not supported in delta queries of messages."));
    }
    if let Some(order) = query.get("orderby")
        && !order.trim().eq_ignore_ascii_case("receivedDateTime desc")
    {
        return Err(Fault::bad_request("The only supported '$orderby' expression is '$orderby=receivedDateTime desc'."));
    }
    if let Some(text) = query.get("filter") {
        let allowed =
            matches!(Filter::parse(text, &MESSAGE)?, Filter::Compare { path, op: Op::Ge | Op::Gt, .. } if path == ["receivedDateTime"]);
        if !allowed {
            return Err(Fault::bad_request(
                "The only supported '$filter' expressions are 'receivedDateTime ge' and 'receivedDateTime gt'.",
            ));
        }
    }
    if query.get("changeType").is_some() {
        // The service has it; nothing that uses this tenant does, and a list of all changes would be a wrong answer.
        let message = "The option 'changeType' is not served.";
        return Err(Fault::new(StatusCode::BAD_REQUEST, "NotImplemented", message));
    }
    LIMITS.top(query)?;
    Token::begin(call, "messages", mailbox, container, last)
}
