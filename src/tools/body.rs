//! Bodies of messages and events as answers show them: as text or as clean HTML, cut to the part that was asked for.
//!
//! Text is asked for unless the call says otherwise: a model reads HTML at five to ten times the tokens. Who asks for HTML gets what a reader
//! would see of it. `body.contentType` says which it is.

use serde_json::{Map, Value};

use super::{Args, Param, ParamType, html::visible, shape::cut};

/// How bodies are shown.
pub(super) const BODY_FORMAT: Param = Param::optional(
    "body_format",
    ParamType::Choice(&["text", "html"]),
    "\"text\"",
    "text, or html without scripts, styles, images and hidden text.",
)
.rare();

/// Where to read on in a long body; on tools that return one.
pub(super) const BODY_OFFSET: Param =
    Param::optional("body_offset", ParamType::Int { min: 0, max: 100_000_000 }, "0", "next_offset of the part before.");

/// Name of the argument that says where to read on.
pub const OFFSET: &str = BODY_OFFSET.name;

/// Name of the argument that cuts a body.
pub const BODY_MAX_LENGTH: &str = "body_max_length";

/// The preferences that ask Graph for each format.
pub(super) const TEXT: &str = "outlook.body-content-type=\"text\"";
pub(super) const HTML: &str = "outlook.body-content-type=\"html\"";

fn wants_html(args: &Args) -> bool {
    args.text(BODY_FORMAT.name) == Some("html")
}

/// The preference that asks Graph for the format of the call.
pub(super) fn preference(args: &Args) -> &'static str {
    if wants_html(args) { HTML } else { TEXT }
}

/// Cleans the body of `item` when it is HTML, and cuts out the part that was asked for; tells whether anything follows it.
pub(super) fn show_part(item: &mut Map<String, Value>, args: &Args) -> bool {
    item.get_mut("body").and_then(Value::as_object_mut).is_some_and(|body| part(body, args))
}

fn part(body: &mut Map<String, Value>, args: &Args) -> bool {
    let is_html = body.get("contentType").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("html"));
    let mut content = body.get("content").and_then(Value::as_str).unwrap_or_default().to_owned();
    if is_html && wants_html(args) {
        let Some(clean) = visible(&content) else {
            body.insert("content".into(), "".into());
            body.insert("truncated".into(), true.into());
            body.insert("omitted".into(), "too long or nested too deeply to be cleaned; body_format=text shows it".into());
            return true;
        };
        content = clean;
        body.insert("content".into(), content.clone().into());
    }
    // Lists have no offset; it is 0 there.
    let (from, most) = (args.count(BODY_OFFSET.name), args.count(BODY_MAX_LENGTH));
    if from == 0 && cut(&content, most).is_none() {
        return false;
    }
    let total = content.chars().count();
    let part: String = content.chars().skip(from).take(most).collect();
    let to = from.min(total) + part.chars().count();
    mark(body, part, to, total);
    to < total
}

/// Cuts the body of `answer`, which begins `start` characters into the whole, to `most` characters, and says where to read on. False when it
/// has no more than that.
pub fn cut_body(answer: &mut Map<String, Value>, start: usize, most: usize) -> bool {
    let Some(body) = answer.get_mut("body").and_then(Value::as_object_mut) else { return false };
    let content = body.get("content").and_then(Value::as_str).unwrap_or_default();
    let Some((kept, held)) = cut(content, most) else { return false };
    // One that was cut before knows how long the whole is.
    let total = body.get("total_length").and_then(Value::as_u64).and_then(|total| usize::try_from(total).ok());
    let (kept, total) = (kept.to_owned(), total.unwrap_or(start + held));
    mark(body, kept, start + most, total);
    answer.insert("complete".into(), false.into());
    true
}

/// Leaves out the first `from` characters of the whole body that `answer` begins, and cuts the rest to `most`. False when it ends before.
pub fn skip_body(answer: &mut Map<String, Value>, from: usize, most: usize) -> bool {
    let Some(body) = answer.get_mut("body").and_then(Value::as_object_mut) else { return false };
    let content = body.get("content").and_then(Value::as_str).unwrap_or_default();
    let held = content.chars().count();
    if from >= held {
        return false;
    }
    let total = body.get("total_length").and_then(Value::as_u64).and_then(|total| usize::try_from(total).ok()).unwrap_or(held);
    let part: String = content.chars().skip(from).take(most).collect();
    let to = from + part.chars().count();
    mark(body, part, to, total);
    answer.insert("complete".into(), (to >= total).into());
    true
}

/// Puts a part of a body into its place: it ends at `to` of `total` characters.
fn mark(body: &mut Map<String, Value>, part: String, to: usize, total: usize) {
    body.insert("content".into(), part.into());
    body.insert("truncated".into(), true.into());
    body.insert("total_length".into(), total.into());
    if to < total {
        body.insert("next_offset".into(), to.into());
    } else {
        body.shift_remove("next_offset");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::tools::fake::args;

    proptest! {
        #[test]
        fn the_parts_of_a_body_make_the_whole(content in "[a-zäö€ ]{0,40}", most in 1i64..50) {
            let mut item = json!({"body": {"contentType": "text", "content": content}});
            for (tool, id) in [("email_get", "email_id"), ("calendar_get_event", "event_id")] {
                let (mut read, mut from) = (String::new(), 0u64);
                loop {
                    let mut part = item.as_object().unwrap().clone();
                    let mut given = json!({"account_id": "a", "body_offset": from, "body_max_length": most});
                    given[id] = "m".into();
                    let more = show_part(&mut part, &args(tool, given).unwrap());
                    let body = part["body"].as_object().unwrap();
                    read.push_str(body["content"].as_str().unwrap());
                    prop_assert_eq!(more, body.contains_key("next_offset"));
                    match body.get("next_offset") {
                        Some(next) => from = next.as_u64().unwrap(),
                        None => break,
                    }
                }
                prop_assert_eq!(Value::from(read), item["body"]["content"].clone());
            }
            item["body"] = Value::Null;
            let more = show_part(item.as_object_mut().unwrap(), &args("email_list", json!({"account_id": "a"})).unwrap());
            prop_assert!(!more, "there is none");
        }
    }
}
