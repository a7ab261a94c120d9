//! What is fuzzed: one function for each place that reads what others wrote. A function panics when a promise is broken.

use m365_cached::{
    graph::GraphError,
    hint::Hint,
    tools::{self, Args},
};
use m365_cached_shim::{
    lines::{Line, Lines},
    peek::{self, FromClient, Id},
};
use serde_json::Value;

/// A target: its name, which is also its folder under `seeds`, and what it does with the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 9] = [
    ("frames", frames),
    ("peek", peek),
    ("lines", lines),
    ("arguments", arguments),
    ("graph_error", graph_error),
    ("stored", stored),
    ("original", original),
    ("original_tokens", original_tokens),
    ("filter", filter),
];

/// What comes from the other side of the socket, as either side reads it.
pub fn frames(data: &[u8]) {
    assert!(m365_cached_proto::frames::read_for_fuzz(data), "what was read is not written back");
}

/// The shim's look at a line, from either side. What it names as an id is one, and stands where it says.
pub fn peek(data: &[u8]) {
    match peek::client_line(data) {
        Ok(FromClient::Request { raw_id, id, params, .. }) => {
            assert_eq!(Id::from_raw(raw_id), Some(id));
            let _ = (peek::tool_call(params), peek::cancelled(params), peek::subscription(params));
            assert!(serde_json::from_slice::<Value>(data).is_ok_and(|line| line.is_object()), "a request that is no object");
        }
        Ok(FromClient::Response { span, id }) => {
            let raw = std::str::from_utf8(&data[span]).expect("an id is text");
            assert_eq!(Id::from_raw(raw), Some(id));
        }
        Ok(FromClient::Notification { params, .. }) => {
            let _ = (peek::cancelled(params), peek::subscription(params));
        }
        Err(_) => {}
    }
    let head = peek::head(data);
    for span in [&head.id, &head.method].into_iter().flatten() {
        assert!(!data[span.clone()].is_empty());
    }
    // For a line that is sound, the scan of its beginning and a reading of all of it agree.
    if let (Ok(Value::Object(line)), Some(id)) = (serde_json::from_slice(data), head.id)
        && !line.keys().any(|key| key.contains(['\\', '"']))
        && count(data, b"\"id\"") == 1
    {
        assert_eq!(serde_json::from_slice::<Value>(&data[id]).ok().as_ref(), line.get("id"));
    }
    let (beginning, end) = data.split_at(data.len() / 2);
    if let Some(raw) = peek::id_of_oversize(beginning, end) {
        assert!(Id::from_raw(&raw).is_some());
    }
    let _ = peek::promises_list_changed(data);
}

fn count(data: &[u8], word: &[u8]) -> usize {
    data.windows(word.len()).filter(|window| *window == word).count()
}

/// The splitter: however the bytes arrive, the lines are the same. The first byte chooses the pieces.
pub fn lines(data: &[u8]) {
    const LIMIT: usize = 64;
    let Some((step, text)) = data.split_first() else { return };
    let step = usize::from(*step).max(1);
    let (mut lines, mut found) = (Lines::new(LIMIT), Vec::new());
    for piece in text.chunks(step) {
        lines.buffer.extend_from_slice(piece);
        found.extend(std::iter::from_fn(|| lines.next_line()));
    }
    found.extend(lines.rest());
    let blank = |line: &[u8]| line.len() <= LIMIT && line.iter().all(u8::is_ascii_whitespace);
    let expected: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !blank(line)).collect();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        match found {
            Line::Whole(line) => assert!(line == expected && line.len() <= LIMIT),
            Line::Oversize(line) => {
                assert_eq!(line.length, expected.len() as u64);
                assert!(expected.len() > LIMIT && expected.starts_with(&line.head) && expected.ends_with(&line.tail));
            }
        }
    }
}

/// Arguments of a tool: refused with a hint, or canonical, so that checking them again changes nothing. The first byte chooses the tool.
pub fn arguments(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    let Ok(Value::Object(given)) = serde_json::from_slice(text) else { return };
    let count = tools::all().count();
    let Some(tool) = tools::all().nth(usize::from(*choice) % count) else { return };
    match Args::check(tool, &given) {
        Ok(args) => {
            let again = Args::check(tool, &args.all().clone().into_iter().collect()).expect("canonical arguments are refused");
            assert_eq!(again.all(), args.all());
        }
        Err(error) => {
            assert!(error.hint().is_some_and(|hint| !hint.is_empty()));
            assert!(error.to_string().len() < 2000, "{error:.300}");
        }
    }
}

/// The body of a refusal: whatever Graph or a proxy wrote, it is told in our words and with nothing of theirs that is not a code. The first
/// two bytes choose the status.
pub fn graph_error(data: &[u8]) {
    let Some((choice, body)) = data.split_first_chunk::<2>() else { return };
    let status = 400 + u16::from_le_bytes(*choice) % 200;
    let error = GraphError::refused(status, body, None, None, None);
    assert_eq!(error.status(), Some(status));
    for text in
        [error.to_string(), error.code().to_owned(), error.hint().unwrap_or_default(), error.request_id().unwrap_or_default().to_owned()]
    {
        assert!(text.len() < 1000 && !text.contains(char::is_control), "{text:.300}");
    }
    assert!(error.graph_code().is_none_or(|code| code.len() <= 64));
}

/// Rows of the store: a damaged one is told from a sound one, and never read past its end.
pub fn stored(data: &[u8]) {
    assert!(m365_cached::store::sqlcipher::unpack_for_fuzz(data), "what was read does not pack");
}

/// A file to import: taken over whole or refused with a hint, and never changed.
pub fn original(data: &[u8]) {
    use m365_cached::{secret::Secret, store::sqlcipher::original as copies};
    let dir = tempfile::tempdir().expect("a folder for a file");
    let file = dir.path().join("original.db");
    std::fs::write(&file, data).expect("a file");
    let done = copies::seal(&file, &[Secret::new([4; 32])], dir.path(), &Secret::new([9; 32]), &mut |_, _| ());
    assert_eq!(std::fs::read(&file).expect("the file"), data, "the original was changed");
    let files = std::fs::read_dir(dir.path()).expect("the folder").count();
    match done {
        Ok((tally, copy, made)) => {
            assert!(made && files == 2);
            assert_eq!(copies::contents(&copy, &Secret::new([9; 32])), Ok(tally));
        }
        Err(error) => {
            assert_eq!(files, 1, "something is left of what was refused");
            assert!(error.hint().is_some_and(|hint| !hint.is_empty()) && error.to_string().len() < 1000, "{error:.300}");
        }
    }
}

/// A token file to import: usable ids and names, or none.
pub fn original_tokens(data: &[u8]) {
    for account in m365_cached::auth::OriginalAccount::all(data).unwrap_or_default() {
        assert!(account.id.as_str().len() <= 129 && !account.id.as_str().contains(['/', '\\', '%']));
        assert!(account.username.len() <= 320 && !account.username.contains(char::is_control));
    }
}

/// The tenant's `$filter`: understood or refused, as Graph does.
pub fn filter(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        m365_cached_tenant::graph::filter_for_fuzz(text);
    }
}
