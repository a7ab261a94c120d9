//! A message as MIME, for `$value`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::store::Message;
use crate::seed::people::Address;

/// The message with headers, body and attachments.
pub(crate) fn mime(message: &Message) -> String {
    let boundary = format!("_000_{:016x}_", message.conversation);
    let mut out = String::new();
    let mut header = |name: &str, value: &str| out.push_str(&format!("{name}: {value}\r\n"));
    if let Some(from) = &message.from {
        header("From", &mailboxes(std::slice::from_ref(from)));
    }
    for (name, list) in [("To", &message.to), ("Cc", &message.cc)] {
        if !list.is_empty() {
            header(name, &mailboxes(list));
        }
    }
    header("Subject", &word(&message.subject));
    header("Date", &message.sent.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string());
    header("Message-ID", &message.internet_id);
    for (name, value) in &message.headers {
        header(name, value);
    }
    header("MIME-Version", "1.0");
    let kind = if message.body.is_html() { "html" } else { "plain" };
    let body = format!(
        "Content-Type: text/{kind}; charset=\"utf-8\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        wrap(message.body.stored().as_bytes())
    );
    if message.attachments.is_empty() {
        out.push_str(&body);
        return out;
    }
    out.push_str(&format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n{body}"));
    for attachment in &message.attachments {
        let place = if attachment.inline { "inline" } else { "attachment" };
        out.push_str(&format!(
            "\r\n--{boundary}\r\nContent-Type: {}; name=\"{name}\"\r\nContent-Disposition: {place}; filename=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            attachment.content_type,
            wrap(&attachment.content.bytes()),
            name = word(&attachment.name),
        ));
    }
    out.push_str(&format!("\r\n--{boundary}--\r\n"));
    out
}

fn word(text: &str) -> String {
    if text.chars().all(|c| (' '..='~').contains(&c)) { text.to_owned() } else { format!("=?utf-8?B?{}?=", STANDARD.encode(text)) }
}

fn mailboxes(list: &[Address]) -> String {
    list.iter().map(|a| format!("{} <{}>", word(&a.name), a.address)).collect::<Vec<_>>().join(", ")
}

fn wrap(bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let mut out = String::with_capacity(text.len() + text.len() / 38);
    let mut rest = text.as_str();
    while rest.len() > 76 {
        let (line, tail) = rest.split_at(76);
        out.push_str(line);
        out.push_str("\r\n");
        rest = tail;
    }
    out.push_str(rest);
    out
}
