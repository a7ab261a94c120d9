//! What is tried with a tool.

use m365_cached_tenant::{Effect, Fault, RetryAfter};
use serde_json::Value;

use super::desk::Desk;

/// One tool.
pub(super) struct Row {
    /// Its name.
    pub(super) tool: &'static str,
    /// Does what the tool is for, and holds what it says to what the tenant then has.
    pub(super) works: fn(&mut Desk),
    /// Arguments that make no sense, as JSON without the account, and the code of the refusal. Nothing is sent for them.
    pub(super) wrong: &'static [(&'static str, &'static str)],
    /// How it fails.
    pub(super) fails: Fails,
}

/// How a tool fails when its arguments are good.
pub(super) enum Fails {
    /// At Graph.
    Graph(Trouble),
    /// In a way of its own.
    Own(fn(&mut Desk)),
}

/// Good arguments, and where trouble meets them.
pub(super) struct Trouble {
    /// Arguments with which it would succeed.
    pub(super) given: fn(&Desk) -> Value,
    /// The one request that decides.
    pub(super) route: &'static str,
    /// The argument that names a thing; no such thing is a refusal. Empty when it names none.
    pub(super) names: &'static str,
    /// What becomes of the deciding request when Graph answers 503 and may have acted.
    pub(super) then: Then,
    /// Requests by which it looks before it changes anything.
    pub(super) looks: &'static [&'static str],
}

/// What becomes of a request that may have had its effect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It is repeated and succeeds: a read, or a change that sets what is to be.
    Again,
    /// It is not repeated, and the caller is told that nobody knows.
    Unknown,
}

/// Codes for a thing that is not there.
const NOT_THERE: &[&str] = &["not_found", "invalid_id", "unknown_rule"];

fn status(status: u16, code: &str) -> Effect {
    Effect::Status { status, code: code.to_owned(), message: None, retry_after: None }
}

/// Tries the tools of a family, one after the other in one world.
///
/// `kinds` is what the tenant holds of what they change.
pub(super) fn try_all(kinds: &'static [&'static str], rows: &[Row]) {
    let mut desk = Desk::new(kinds);
    for row in rows {
        (row.works)(&mut desk);
        senseless(&mut desk, row);
        match &row.fails {
            Fails::Graph(trouble) => at_graph(&mut desk, row.tool, trouble),
            Fails::Own(fails) => fails(&mut desk),
        }
        assert!(desk.world.control().faults().is_empty(), "{} leaves a fault behind", row.tool);
    }
    let first = rows.iter().find_map(|row| match &row.fails {
        Fails::Graph(trouble) if trouble.then == Then::Unknown => Some((row.tool, trouble)),
        _ => None,
    });
    if let Some((tool, trouble)) = first {
        past_patience(&mut desk, tool, trouble);
    }
}

/// What makes no sense is refused with a code and a hint, and nothing is sent.
fn senseless(desk: &mut Desk, row: &Row) {
    assert!(!row.wrong.is_empty(), "{}: no senseless arguments are tried", row.tool);
    // A call that failed by one of two requests at once leaves the other behind, which may arrive after the answer.
    let quiet = |status: &Value| status["graph"]["in_flight"] == 0 && desk.world.control().stats().running.is_empty();
    desk.world.until(quiet).unwrap();
    let before = desk.world.control().stats().requests;
    for (given, expected) in row.wrong {
        let answer = desk.call(row.tool, &serde_json::from_str(given).unwrap());
        let (code, message, _) = answer.fault().unwrap_or_else(|error| panic!("{} {given}: {error}", row.tool));
        assert_eq!(code, *expected, "{} {given}: {message}", row.tool);
    }
    assert_eq!(desk.world.control().stats().requests, before, "{}: senseless arguments were sent", row.tool);
}

/// Calls past the cache.
fn past_the_cache(desk: &Desk, tool: &str, given: Value) -> Value {
    let mut given = given;
    if desk.takes(tool, "use_cache") {
        given["use_cache"] = false.into();
    }
    given
}

fn at_graph(desk: &mut Desk, tool: &str, trouble: &Trouble) {
    let given = past_the_cache(desk, tool, (trouble.given)(desk));
    let before = desk.state();

    if !trouble.names.is_empty() {
        let mut nothing = given.clone();
        nothing[trouble.names] = not_there(nothing[trouble.names].as_str().unwrap()).into();
        let code = desk.refused(tool, &nothing);
        assert!(NOT_THERE.contains(&code.as_str()), "{tool} {nothing}: {code}");
    }

    for look in trouble.looks {
        let sent = desk.changes();
        desk.world.control().fault(Fault::once(look, status(501, "notSupported")));
        let code = desk.refused(tool, &given);
        desk.world.control().clear_faults(None);
        assert_eq!(code, "not_supported", "{tool}: {look} only looks");
        assert_eq!(desk.changes(), sent, "{tool} went on although {look} failed");
    }

    let sent = desk.count(trouble.route);
    desk.world.control().fault(Fault::once(trouble.route, status(403, "ErrorAccessDenied")));
    let code = desk.refused(tool, &given);
    desk.world.control().clear_faults(None);
    assert_eq!((code.as_str(), desk.count(trouble.route) - sent), ("access_denied", 1), "{tool}: a refusal is final");
    assert!(desk.state() == before, "{tool} changed something although it failed");

    let sent = desk.count(trouble.route);
    let fault = desk.world.control().fault(Fault::once(trouble.route, status(503, "serviceNotAvailable")));
    let answer = desk.agreed(tool, &given);
    let struck = desk.world.control().faults().iter().find(|known| known.id == fault).unwrap().struck;
    desk.world.control().clear_faults(None);
    assert_eq!(struck, 1, "{tool} does not ask {}", trouble.route);
    match trouble.then {
        Then::Again => {
            answer.json().unwrap_or_else(|error| panic!("{tool} after a passing failure: {error}"));
            assert!(desk.count(trouble.route) - sent >= 2, "{tool} was not repeated");
        }
        Then::Unknown => {
            let (code, message, _) = answer.fault().unwrap_or_else(|error| panic!("{tool}: {error}"));
            assert_eq!(code, "outcome_unknown", "{tool}: {message}");
            assert_eq!(desk.count(trouble.route) - sent, 1, "{tool} was sent twice");
            assert!(desk.state() == before, "{tool} changed something although Graph failed");
        }
    }
}

/// Graph asks to wait for longer than anybody waits: it is told at once, and nothing was done.
fn past_patience(desk: &mut Desk, tool: &str, trouble: &Trouble) {
    let given = (trouble.given)(desk);
    let (before, sent) = (desk.state(), desk.count(trouble.route));
    let wait = RetryAfter::Seconds(3600);
    let effect = Effect::Status { status: 429, code: "ApplicationThrottled".into(), message: None, retry_after: Some(wait) };
    desk.world.control().fault(Fault::always(trouble.route, effect));
    let code = desk.refused(tool, &given);
    desk.world.control().clear_faults(None);
    assert_eq!((code.as_str(), desk.count(trouble.route) - sent), ("throttled", 1), "{tool}");
    assert!(desk.state() == before, "{tool} changed something although Graph asked to wait");
}

/// An id that looks like `id` and is none.
pub(super) fn not_there(id: &str) -> String {
    let end = id.trim_end_matches('=');
    let (start, tail) = end.split_at(end.len() - 4);
    let other = if tail == "ZZZZ" { "YYYY" } else { "ZZZZ" };
    format!("{start}{other}{}", &id[end.len()..])
}
