//! Turns a request of an example into one about things that the tenant has: ids, paths, times and links are replaced, nothing else.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::{data::Example, scene::Scene};

/// What may stand as it is in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'=')
    .remove(b'@')
    .remove(b',')
    .remove(b'!');
/// What may stand as it is in a query.
const QUERY: &AsciiSet = &PATH.remove(b'&').remove(b'%').remove(b':').remove(b'/').remove(b';').remove(b'*');

/// Behind these comes an id.
const KEYED: &[&str] = &[
    "attachments",
    "calendargroups",
    "calendars",
    "childfolders",
    "contactfolders",
    "contacts",
    "drives",
    "events",
    "extensions",
    "items",
    "mailfolders",
    "mastercategories",
    "messagerules",
    "messages",
    "permissions",
    "special",
    "users",
];

/// Folder names that are ids.
const WELL_KNOWN: &[&str] = &["archive", "deleteditems", "drafts", "inbox", "junkemail", "msgfolderroot", "sentitems"];

/// The days in which the tenant's calendars have something.
const DAYS: (&str, &str) = ("2026-11-16T00:00:00Z", "2026-12-16T00:00:00Z");

/// A request that can be sent.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// Whether the personal account asks, not the one at work.
    pub(super) personal: bool,
    pub(super) method: String,
    /// Path and query below the version root, or a whole link.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Value>,
}

/// What becomes of an example.
pub(super) enum Aim {
    /// This is to be sent.
    Ask(Request),
    /// It is about another service or version: which.
    Elsewhere(&'static str),
    /// The tenant cannot even make the things it is about: why.
    Lacking(String),
}

/// What the place of an id tells: between what, asked how, shown what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hint<'a> {
    pub(super) method: &'a str,
    /// The segment behind the id, in lower case; empty when there is none.
    pub(super) next: &'a str,
    /// The answer that is shown.
    pub(super) shown: &'a Value,
}

/// Aims an example at the tenant.
pub(super) async fn aim(scene: &Scene, example: &Example) -> anyhow::Result<Aim> {
    let Some(url) = example.request.url.as_deref() else { return Ok(Aim::Elsewhere("the example has no address")) };
    let relative = match url.strip_prefix("https://graph.microsoft.com") {
        Some(below) => match below.strip_prefix("/v1.0") {
            Some(relative) => relative,
            None => return Ok(Aim::Elsewhere("beta, or no address of Graph v1.0")),
        },
        None if url.starts_with('/') => url,
        None => return Ok(Aim::Elsewhere("another host: a webhook or a pre-authenticated address")),
    };
    let multipart = |value: &Value| value.as_str().is_some_and(|value| value.starts_with("multipart/"));
    if example.request.headers.values().any(multipart) {
        return Ok(Aim::Elsewhere("a multipart body"));
    }
    match build(scene, example, relative).await {
        Ok(request) => Ok(Aim::Ask(request)),
        Err(error) => Ok(Aim::Lacking(format!("what it is about cannot be had: {error:#}"))),
    }
}

async fn build(scene: &Scene, example: &Example, relative: &str) -> anyhow::Result<Request> {
    let (path, query) = relative.split_once('?').unwrap_or((relative, ""));
    let shown = example.response.body.clone().unwrap_or_default();
    let hint = Hint { method: &example.request.method, next: "", shown: &shown };
    let path = aimed_path(scene, path, hint).await?;
    let mut target = format!("{path}{}", aimed_query(scene, query, &path).await?);
    if follows(query) || path.contains("(token='") {
        target = scene.link(path.split("(token").next().unwrap_or_default(), query).await?;
    }
    if target.contains("expand=extensions") && example.request.method == "GET" {
        scene.profile_extension().await?;
    }
    if target.ends_with("/messageRules") && example.request.method == "GET" {
        scene.new_rule().await?;
    }
    let mut headers = Vec::new();
    for (name, value) in &example.request.headers {
        let kept = ["prefer", "consistencylevel", "content-type"].contains(&name.to_ascii_lowercase().as_str());
        if let (true, Some(value)) = (kept, value.as_str()) {
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }
    let mut body = example.request.body.clone();
    // Some were written down with their headers in the body.
    if let Some((written, json)) = body.as_ref().and_then(Value::as_str).and_then(|text| text.split_once("\n\n{")) {
        for line in written.lines() {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        body = Some(serde_json::from_str(&format!("{{{json}"))?);
    }
    if let Some(Value::Object(fields)) = &mut body {
        aimed_body(scene, fields).await?;
        // Who may send in another's name is told apart by the answer that is shown.
        if let Some(from) = fields.get_mut("message").and_then(|message| message.get_mut("from")) {
            *from = scene.sender(example.response.status == Some(202)).await?;
        }
        rename(scene, &path, fields);
    }
    // Only personal drives have embedded links.
    let personal = target.ends_with("/createLink") && body.as_ref().is_some_and(|body| body["type"] == "embed");
    if personal {
        target = format!("/me/drive/items/{}/createLink", scene.personal_file().await?);
    }
    Ok(Request { personal, method: example.request.method.clone(), target, headers, body })
}

/// Whether a query goes on where an earlier answer ended.
fn follows(query: &str) -> bool {
    let query = query.to_ascii_lowercase();
    query.contains("$skiptoken=") || query.contains("$deltatoken=")
}

async fn aimed_path(scene: &Scene, path: &str, hint: Hint<'_>) -> anyhow::Result<String> {
    let segments: Vec<String> =
        path.split('/').filter(|part| !part.is_empty()).map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect();
    let lower: Vec<String> = segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let mut out = String::new();
    let mut index = 0;
    while index < segments.len() {
        let (segment, before) = (&segments[index], index.checked_sub(1).map_or("", |before| lower[before].as_str()));
        // `root:/a/b:` names an item by its path.
        if segment.ends_with(':') {
            let end = (index + 1..segments.len()).find(|at| segments[*at].ends_with(':'));
            let next = end.and_then(|end| lower.get(end + 1)).map_or("", String::as_str);
            let named = scene.path(Hint { next, ..hint }).await?;
            out.push_str(&format!(
                "/{}:/{}",
                encode(segment.trim_end_matches(':')),
                named.split('/').map(encode).collect::<Vec<_>>().join("/")
            ));
            if end.is_some() {
                out.push(':');
            }
            index = end.map_or(segments.len(), |end| end + 1);
            continue;
        }
        let operation =
            segment.contains('(') || ["delta", "$count", "createuploadsession", "add", "remove"].contains(&lower[index].as_str());
        let well_known = matches!(before, "mailfolders" | "childfolders") && WELL_KNOWN.contains(&lower[index].as_str());
        let said = if KEYED.contains(&before) && !operation && !well_known {
            let next = lower.get(index + 1).map_or("", String::as_str);
            encode(&scene.thing(before, &out, Hint { next, ..hint }).await?)
        } else if let Some((function, _)) = segment.split_once("(q='") {
            format!("{function}(q='{}')", encode(&scene.file_word().await?))
        } else {
            encode(segment)
        };
        out.push('/');
        out.push_str(&said);
        index += 1;
    }
    Ok(out)
}

async fn aimed_query(scene: &Scene, query: &str, path: &str) -> anyhow::Result<String> {
    if query.is_empty() {
        return Ok(String::new());
    }
    let mut out = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = match name.to_ascii_lowercase().as_str() {
            "startdatetime" => DAYS.0.to_owned(),
            "enddatetime" => DAYS.1.to_owned(),
            "$filter" if path.ends_with("/events") => {
                // An event that the filter finds: `startsWith(subject,'All')`.
                let word = value.split('\'').nth(1).unwrap_or_default();
                scene.new_event(&format!("{word} of it")).await?;
                value.to_owned()
            }
            "$search" if path.ends_with("/messages") => format!("\"{}\"", scene.mail_word().await?),
            _ => value.to_owned(),
        };
        out.push(format!("{}={}", utf8_percent_encode(name, QUERY), utf8_percent_encode(&value, QUERY)));
    }
    Ok(format!("?{}", out.join("&")))
}

/// Replaces what names things of another tenant in a body.
async fn aimed_body(scene: &Scene, fields: &mut Map<String, Value>) -> anyhow::Result<()> {
    let words = fields.get("entityTypes").cloned();
    for (name, value) in fields {
        match (name.as_str(), &mut *value) {
            ("destinationId" | "DestinationId", Value::String(id)) if !WELL_KNOWN.contains(&id.to_ascii_lowercase().as_str()) => {
                *id = scene.new_mail_folder().await?;
            }
            ("parentReference", Value::Object(parent)) => {
                if parent.contains_key("id") || parent.contains_key("path") {
                    parent.remove("path");
                    parent.insert("id".to_owned(), Value::String(scene.new_folder().await?));
                }
                if parent.contains_key("driveId") {
                    parent.insert("driveId".to_owned(), Value::String(scene.drive_id().await?));
                }
            }
            ("expirationDateTime", Value::String(at)) => "2026-12-31T00:00:00Z".clone_into(at),
            ("recipients", Value::Array(who)) => *who = scene.invited(),
            ("schedules" | "Schedules", Value::Array(who)) => *who = scene.colleagues(),
            ("queryString", Value::String(text)) => *text = scene.word_of(words.as_ref()).await?,
            // What is searched are folders of this mailbox.
            ("sourceFolderIds", Value::Array(ids)) => *ids = vec![json!(scene.new_mail_folder().await?)],
            // Placeholders that are no values of their types.
            (_, Value::String(text)) if text == "datetime-value" => "2026-11-02T08:00:00Z".clone_into(text),
            ("contentType", Value::String(kind)) if kind.is_empty() => "text".clone_into(kind),
            // What a rule does with mail, it does with a folder of this mailbox.
            ("moveToFolder" | "copyToFolder", Value::String(id)) => *id = scene.new_mail_folder().await?,
            (_, Value::Object(inner)) => {
                if let (Some(kinds), Some(query)) = (&words, inner.get_mut("queryString")) {
                    *query = Value::String(scene.word_of(Some(kinds)).await?);
                }
                Box::pin(aimed_body(scene, inner)).await?;
            }
            (_, Value::Array(rows)) => {
                for row in rows {
                    if let Value::Object(inner) = row {
                        Box::pin(aimed_body(scene, inner)).await?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is made must not have the name of what is there.
fn rename(scene: &Scene, path: &str, fields: &mut Map<String, Value>) {
    let last = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let name = match last.as_str() {
        "mailfolders" | "childfolders" | "contactfolders" | "mastercategories" => "displayName",
        "calendars" | "calendargroups" | "children" | "copy" => "name",
        _ if path.contains("/mailFolders/") || path.contains("/contactFolders/") => "displayName",
        _ => return,
    };
    if let Some(Value::String(text)) = fields.get_mut(name) {
        *text = format!("{text} {}", scene.number());
    }
}

fn encode(text: impl AsRef<str>) -> String {
    utf8_percent_encode(text.as_ref(), PATH).to_string()
}
