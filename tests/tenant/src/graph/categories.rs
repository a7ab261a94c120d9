//! `outlook/masterCategories`: the mailbox's list of categories with their colours.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::Fault;
use super::odata::{Answer, CATEGORY, Limits, Row, Selection, list as page_of};
use super::store::{Category, Mailbox, State};
use crate::seed::prng::Prng;
use crate::wire::Reply;

const LIMITS: Limits = Limits { usual: 1_000, most: 1_000, strict_order: false, falling: None };

/// A category as Graph shows it.
pub(crate) struct CategoryRow<'a>(pub(crate) &'a Category);

impl Row for CategoryRow<'_> {
    fn property(&self, name: &str) -> Option<Value> {
        Some(match name {
            "id" => json!(self.0.id),
            "displayName" => json!(self.0.name),
            "color" => json!(self.0.color),
            _ => return None,
        })
    }
}

fn find<'a>(mailbox: &'a Mailbox, id: &str) -> Answer<&'a Category> {
    mailbox.settings.categories.iter().find(|c| c.id.eq_ignore_ascii_case(id)).ok_or_else(Fault::item_gone)
}

fn shown(state: &State, call: &Call<'_>, id: &str, status: StatusCode) -> Answer<Reply> {
    let selection = Selection::parse(&call.query, &CATEGORY)?;
    let mut out = Map::new();
    selection.write(&CategoryRow(find(call.mailbox(state), id)?), &mut out);
    Ok(call.json(status, &call.context(&format!("/outlook/masterCategories{}/$entity", selection.context())), out))
}

/// `GET …/outlook/masterCategories`
pub(crate) fn list(state: &State, call: &Call<'_>) -> Answer<Reply> {
    let all = &call.mailbox(state).settings.categories;
    let numbers: Vec<usize> = (0..all.len()).collect();
    let selection = Selection::parse(&call.query, &CATEGORY)?;
    let write = |row: &CategoryRow<'_>| {
        let mut out = Map::new();
        selection.write(row, &mut out);
        Value::Object(out)
    };
    let body = page_of(&numbers, &call.query, &CATEGORY, LIMITS, &call.address(), |at| all.get(at).map(CategoryRow), write)?;
    Ok(call.json(StatusCode::OK, &call.context(&format!("/outlook/masterCategories{}", selection.context())), body))
}

/// `GET …/outlook/masterCategories/{id}`
pub(crate) fn get(state: &State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    shown(state, call, id, StatusCode::OK)
}

fn color(body: &Map<String, Value>) -> Answer<Option<String>> {
    let Some(text) = body.get("color").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let text = text.as_str().unwrap_or_default().to_ascii_lowercase();
    let known = text == "none" || text.strip_prefix("preset").and_then(|n| n.parse::<u8>().ok()).is_some_and(|n| n < 25);
    if known { Ok(Some(text)) } else { Err(Fault::bad_request(format!("Requested value '{text}' was not found. Property 'color'."))) }
}

/// Adds a category; its id.
pub(crate) fn make(mailbox: &mut Mailbox, name: &str, color: String) -> String {
    let id = Prng::new(u64::from(mailbox.settings.next()), mailbox.key.guid()).guid();
    mailbox.settings.categories.push(Category { id: id.clone(), name: name.to_owned(), color });
    id
}

/// `POST …/outlook/masterCategories`
pub(crate) fn create(state: &mut State, call: &Call<'_>) -> Answer<Reply> {
    let mailbox = &mut state.mailboxes[call.owner];
    let body = call.body()?;
    let name = body.get("displayName").and_then(Value::as_str).map(str::trim).unwrap_or_default();
    if name.is_empty() || name.chars().count() > 255 {
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidRequest", "The name of a category must have 1 to 255 characters."));
    }
    if mailbox.settings.categories.iter().any(|c| c.name.to_lowercase() == name.to_lowercase()) {
        return Err(Fault::new(StatusCode::CONFLICT, "CategoryNameAlreadyExists", "A category with this name already exists."));
    }
    let color = color(&body)?.unwrap_or_else(|| "none".to_owned());
    let id = make(mailbox, name, color);
    shown(state, call, &id, StatusCode::CREATED)
}

/// `PATCH …/outlook/masterCategories/{id}`: the colour; a name stays as it is.
pub(crate) fn update(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let mailbox = &mut state.mailboxes[call.owner];
    find(mailbox, id)?;
    let body = call.body()?;
    if body.contains_key("displayName") {
        let message = "Set action is invalid for property. Property 'displayName'.";
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidPropertySet", message));
    }
    if let (Some(color), Some(category)) = (color(&body)?, mailbox.settings.categories.iter_mut().find(|c| c.id.eq_ignore_ascii_case(id))) {
        category.color = color;
    }
    shown(state, call, id, StatusCode::OK)
}

/// `DELETE …/outlook/masterCategories/{id}`; items keep the category's name.
pub(crate) fn delete(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let mailbox = &mut state.mailboxes[call.owner];
    find(mailbox, id)?;
    mailbox.settings.categories.retain(|c| !c.id.eq_ignore_ascii_case(id));
    Ok(super::empty(StatusCode::NO_CONTENT))
}
