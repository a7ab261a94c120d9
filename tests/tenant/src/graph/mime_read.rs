//! A message given as MIME in base64: headers, and one body that is text or HTML.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;

use super::errors::Fault;
use super::odata::Answer;
use super::store::{Body, Message};
use crate::seed::people::Address;

/// Reads the MIME into a blank message. Parts beyond the first text are not looked at.
pub(crate) fn into(body: &[u8], message: &mut Message) -> Answer<()> {
    let invalid = |code, text: &str| Fault::new(StatusCode::BAD_REQUEST, code, text);
    let packed: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let raw =
        STANDARD.decode(packed).map_err(|_| invalid("ErrorMimeContentInvalidBase64String", "The MIME content is no valid base64."))?;
    let text = String::from_utf8_lossy(&raw).replace("\r\n", "\n");
    let (head, rest) = text.split_once("\n\n").ok_or_else(|| invalid("ErrorMimeContentInvalid", "The MIME content is invalid."))?;
    let headers = headers(head);
    let find = |wanted: &str| headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str());
    message.subject = word(find("Subject").unwrap_or_default());
    (message.to, message.cc, message.bcc) = (people(find("To")), people(find("Cc")), people(find("Bcc")));
    if let Some(from) = people(find("From")).into_iter().next() {
        message.from = Some(from);
    }
    if let Some(id) = find("Message-ID") {
        message.internet_id = id.to_owned();
    }
    let (kind, encoding, content) = first_text(find("Content-Type"), find("Content-Transfer-Encoding"), rest);
    let content = match encoding.to_ascii_lowercase().as_str() {
        "base64" => {
            let packed: String = content.split_whitespace().collect();
            let raw = STANDARD.decode(packed).map_err(|_| invalid("ErrorMimeContentInvalid", "The MIME content is invalid."))?;
            String::from_utf8_lossy(&raw).into_owned()
        }
        _ => content,
    };
    message.body = Body::Given { html: kind.to_ascii_lowercase().starts_with("text/html"), content: Arc::from(content.trim_end()) };
    Ok(())
}

/// Headers with their folds undone.
fn headers(head: &str) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for line in head.lines() {
        match (line.starts_with([' ', '\t']), out.last_mut(), line.split_once(':')) {
            (true, Some((_, value)), _) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            (false, _, Some((name, value))) => out.push((name.trim().to_owned(), value.trim().to_owned())),
            _ => {}
        }
    }
    out
}

/// The type, encoding and content of the first text: the body itself, or the first part of a multipart.
fn first_text(kind: Option<&str>, encoding: Option<&str>, body: &str) -> (String, String, String) {
    let kind = kind.unwrap_or("text/plain");
    let boundary = kind.split_once("boundary=").map(|(_, rest)| rest.split(';').next().unwrap_or(rest).trim_matches('"'));
    if let Some(boundary) = boundary.filter(|_| kind.to_ascii_lowercase().starts_with("multipart/")) {
        let mark = format!("--{boundary}");
        if let Some((head, content)) = body.split(&mark).nth(1).and_then(|part| part.trim_start().split_once("\n\n")) {
            let inner = headers(head);
            let find = |wanted: &str| inner.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str());
            return first_text(find("Content-Type"), find("Content-Transfer-Encoding"), content);
        }
    }
    (kind.to_owned(), encoding.unwrap_or("7bit").to_owned(), body.to_owned())
}

/// `=?utf-8?B?…?=` as text.
fn word(text: &str) -> String {
    let inner = text.strip_prefix("=?utf-8?B?").and_then(|rest| rest.strip_suffix("?="));
    let decoded = inner.and_then(|inner| STANDARD.decode(inner).ok()).and_then(|raw| String::from_utf8(raw).ok());
    decoded.unwrap_or_else(|| text.to_owned())
}

/// `Ann <ann@x.example>, bob@y.example`
fn people(list: Option<&str>) -> Vec<Address> {
    let one = |text: &str| {
        let text = text.trim();
        match text.split_once('<') {
            Some((name, address)) => Address::new(&word(name.trim().trim_matches('"')), address.trim_end_matches('>').trim()),
            None => Address::new(text, text),
        }
    };
    list.into_iter().flat_map(|list| list.split(',')).filter(|text| !text.trim().is_empty()).map(one).collect()
}
