//! Tests of the redactor: what is shown, and that nothing else is.

use std::sync::{Arc, Mutex};

use super::*;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything that is written while `events` happen, shown in full down to TRACE.
fn written(format: LogFormat, events: impl FnOnce()) -> String {
    let sink = Sink::default();
    let writer = sink.clone();
    let settings = LogSettings { filter: "trace".into(), format };
    let subscriber = tracing_subscriber::registry().with(layer(&settings, move || writer.clone()).with_filter(filter(&settings).unwrap()));
    tracing::subscriber::with_default(subscriber, events);
    let bytes = sink.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

const CANARY: &str = "canary-5e1f";

fn leak_everything() {
    let jwt = format!("eyJhbGciOiJub25lIn0.{CANARY}");
    tracing::info!(target: "m365_cached::test", tool = "email_list", token = CANARY, subject = CANARY, address = CANARY, body = ?CANARY, authorization = %CANARY, "fields");
    tracing::info!(target: "m365_cached::test", error = %format!("refused: Bearer {CANARY} of {CANARY}@contoso.example"), "an error text");
    tracing::info!(target: "m365_cached::test", reason = %format!("went to http://localhost/?code={CANARY}"), "a query");
    tracing::info!(target: "m365_cached::test", "a message with {jwt}");
    tracing::warn!(target: "hyper::client", header = CANARY, "authorization: {CANARY}");
    tracing::trace!(target: "h2::frame", "authorization: {CANARY}");
    let span = tracing::info_span!(target: "m365_cached::test", "call", subject = CANARY);
    span.in_scope(|| tracing::info!(target: "m365_cached::test", "inside a span"));
}

#[test]
fn secrets_and_content_never_print() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let text = written(format, leak_everything);
        assert!(!text.contains(CANARY), "{text}");
        assert!(!text.contains("contoso"), "{text}");
        for name in ["token", "subject", "address", "body", "authorization"] {
            assert!(!text.contains(&format!("{name}=")) && !text.contains(&format!("\"{name}\"")), "{name}: {text}");
        }
        assert!(text.contains("inside a span") && text.contains("email_list"), "{text}");
        assert!(text.contains("hyper::client") && !text.contains("h2::frame"), "{text}");
    }
}

#[test]
fn a_line_is_one_line_whatever_it_holds() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let text = written(format, || {
            tracing::warn!(target: "m365_cached::test", status = 429, wait_ms = 1500_u64, code = "throttled", reason = "two\nlines\u{1b}[31m", "told to wait");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains('\u{1b}'));
        if format == LogFormat::Json {
            let line: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(
                (&line["status"], &line["wait_ms"], &line["level"], &line["message"]),
                (&429.into(), &1500.into(), &"WARN".into(), &"told to wait".into())
            );
        } else {
            assert!(text.contains("told to wait status=429 wait_ms=1500 code=\"throttled\""), "{text}");
        }
    }
}

#[test]
fn a_filter_that_makes_no_sense_is_refused() {
    let settings = LogSettings { filter: "m365_cached=loud".into(), format: LogFormat::Text };
    assert!(filter(&settings).is_err() && refilter(&settings).is_err());
}

#[test]
fn words_that_tell_are_hidden_and_others_stay() {
    assert_eq!(redact("signed in as ada@contoso.example today"), "signed in as [redacted] today");
    assert_eq!(redact("Authorization: Bearer abc.def rest"), "Authorization: Bearer [redacted] rest");
    assert_eq!(redact("GET https://x/cb?code=1 failed"), "GET [redacted] failed");
    assert_eq!(redact("key 4J0v8Ez2QmXb1nq7Yw5rT9kLpA3sDfGhVcUiOeZx6Nw= set"), "key [redacted] set");
    assert_eq!(redact("message AAMkAGI2TG93AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), "message [redacted]");
    assert_eq!(redact("call 01234567-89ab-4cde-af02-030100000007"), "call 01234567-89ab-4cde-af02-030100000007");
    assert_eq!(redact("nothing to hide: /home/x/cache.db (13)"), "nothing to hide: /home/x/cache.db (13)");
}

#[test]
fn a_panic_tells_its_place_and_nothing_else() {
    let before = std::panic::take_hook();
    let text = written(LogFormat::Text, || {
        quiet_panics();
        let _ = std::panic::catch_unwind(|| panic!("it held {CANARY}"));
        // `written` reads the log afterwards; the panics of other tests are theirs.
        drop(std::panic::take_hook());
    });
    std::panic::set_hook(before);
    assert!(text.contains("logging_tests.rs:") && text.contains("panicked") && !text.contains(CANARY), "{text}");
}

#[test]
fn no_folder_of_the_builder_is_told() {
    assert_eq!(inside("/home/ada/.cargo/registry/src/index-1/tokio-1.0/src/runtime/task.rs"), "tokio-1.0/src/runtime/task.rs");
    assert_eq!(inside("daemon/src/parts.rs"), "daemon/src/parts.rs");
    assert_eq!(inside("/x.rs"), "x.rs");
}
