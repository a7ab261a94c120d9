//! Searches.

use m365_cached_tenant::{Effect, Fault};
use serde_json::{Value, json};

use super::{
    desk::{Desk, ids},
    row::{Fails, Row, Then, Trouble, try_all},
};

const QUERY: &str = "POST /search/query";

const fn trouble(given: fn(&Desk) -> Value, route: &'static str) -> Fails {
    Fails::Graph(Trouble { given, route, names: "", then: Then::Again, looks: &[] })
}

const fn row(tool: &'static str, works: fn(&mut Desk), fails: Fails) -> Row {
    Row {
        tool,
        works,
        wrong: &[
            ("{}", "missing_argument"),
            (r#"{"query": "  "}"#, "invalid_argument"),
            (r#"{"query": "x", "limit": 0}"#, "invalid_argument"),
        ],
        fails,
    }
}

pub(super) const ROWS: &[Row] = &[
    row("search_emails", emails, trouble(|_| json!({"query": "garden"}), "GET /me/messages")),
    row("search_events", events, trouble(|_| json!({"query": "round"}), QUERY)),
    row("search_contacts", contacts, trouble(|_| json!({"query": "a"}), "GET /me/contacts")),
    row("search_files", files, trouble(|_| json!({"query": "report"}), QUERY)),
    row("search_unified", unified, Fails::Own(unified_fails)),
];

#[test]
fn each_search_works_refuses_and_fails_as_it_should() {
    try_all(&[], ROWS);
}

/// A word that stands in some of the texts and not in all, longer than a few letters.
fn telling(texts: &[String]) -> String {
    let words = texts.iter().flat_map(|text| text.split(|letter: char| !letter.is_ascii_alphabetic())).filter(|word| word.len() > 5);
    let count = |word: &str| texts.iter().filter(|text| has(text, word)).count();
    let few = words.map(str::to_owned).find(|word| (2..texts.len() / 4).contains(&count(word)));
    few.unwrap_or_else(|| panic!("no word of {} texts tells some from others", texts.len()))
}

/// Whether a word of the text is that one.
fn has(text: &str, word: &str) -> bool {
    text.to_lowercase().split(|letter: char| !letter.is_alphanumeric()).any(|known| known == word.to_lowercase())
}

fn texts(list: &[Value], member: &str) -> Vec<String> {
    list.iter().map(|item| item[member].as_str().unwrap_or_default().to_owned()).collect()
}

/// Everything whose name or subject holds the word has to be found, and is among what is shown.
fn all_found(desk: &Desk, kind: &str, member: &str, word: &str, shown: &[&str]) {
    for thing in desk.truth(kind).iter().filter(|thing| has(thing[member].as_str().unwrap_or_default(), word)) {
        let known = |id: &Value| id.as_str().is_some_and(|id| shown.contains(&id));
        assert!(known(&thing["id"]) || known(&thing["immutableId"]), "{word}: {} is not found", thing[member]);
    }
}

fn emails(desk: &mut Desk) {
    let word = telling(&texts(&desk.truth("messages"), "subject"));
    let answer = desk.done("search_emails", json!({"query": format!("subject:{word}"), "limit": 500}));
    let shown = ids(&answer["messages"]);
    assert!(!shown.is_empty());
    all_found(desk, "messages", "subject", &word, &shown);
    for message in answer["messages"].as_array().unwrap() {
        assert!(message["subject"].as_str().unwrap().to_lowercase().contains(&word.to_lowercase()), "{word}: {message}");
    }
    assert_eq!(ids(&desk.seen("search_emails", json!({"query": format!("subject:{word}"), "limit": 500}))["messages"]), shown);
}

fn events(desk: &mut Desk) {
    // The window is counted from the daemon's day, not the tenant's.
    let now = desk.done("search_events", json!({"query": "quagga"}))["_cached_at"].as_str().unwrap().to_owned();
    let year: u32 = now[..4].parse().unwrap();
    for day in [now[..10].to_owned(), format!("{}-{}-01", year + 1, &now[5..7])] {
        let given = json!({"subject": "Quagga crossing", "start": format!("{day}T00:00Z"), "end": format!("{day}T01:00Z")});
        desk.done("calendar_create_event", given);
    }
    let answer = desk.done("search_events", json!({"query": "quagga"}));
    assert_eq!(answer["events"].as_array().unwrap().len(), 2, "{answer}");
    all_found(desk, "events", "subject", "quagga", &ids(&answer["events"]));
    let near = desk.done("search_events", json!({"query": "quagga", "days_ahead": 30}));
    assert_eq!(near["events"].as_array().unwrap().len(), 1, "{near}");
}

fn contacts(desk: &mut Desk) {
    let word = telling(&texts(&desk.truth("contacts"), "displayName"));
    let answer = desk.done("search_contacts", json!({"query": word, "limit": 500}));
    all_found(desk, "contacts", "displayName", &word, &ids(&answer["contacts"]));
    for contact in answer["contacts"].as_array().unwrap() {
        assert!(contact.to_string().to_lowercase().contains(&word.to_lowercase()), "{word}: {contact}");
    }
}

fn files(desk: &mut Desk) {
    let word = telling(&texts(&desk.truth("driveItems"), "name"));
    let answer = desk.done("search_files", json!({"query": word, "limit": 500}));
    let list = answer["files"].as_array().unwrap();
    all_found(desk, "driveItems", "name", &word, &ids(&answer["files"]));
    assert!(list.iter().any(|file| has(file["name"].as_str().unwrap(), &word)), "{word}: {answer}");
    // Microsoft Search shows no facet that tells a folder from a file, so neither do we.
    assert!(list.iter().all(|file| file["type"].is_null()), "{answer}");
}

fn unified(desk: &mut Desk) {
    let answer = desk.done("search_unified", json!({"query": "quagga"}));
    assert_eq!(answer["event"].as_array().unwrap().len(), 2, "{answer}");
    assert!(answer["message"].is_array() && answer["driveItem"].is_array() && answer.get("errors").is_none(), "{answer}");
    let one = desk.done("search_unified", json!({"query": "quagga", "entity_types": "event"}));
    assert!(one["event"].as_array().unwrap().len() == 2 && one.get("message").is_none(), "{one}");
    let wrong = desk.call("search_unified", &json!({"query": "quagga", "entity_types": ["person"]})).fault().unwrap();
    assert_eq!(wrong.0, "invalid_argument");
}

/// One type that fails is named, and that answer is not kept; when all fail, so does the call.
fn unified_fails(desk: &mut Desk) {
    let denied = Effect::Status { status: 403, code: "accessDenied".into(), message: None, retry_after: None };
    let given = json!({"query": "crossing"});
    let mail = desk.world.control().fault(Fault::always("GET /me/messages", denied.clone()));
    let part = desk.done("search_unified", given.clone());
    assert_eq!((&part["errors"]["message"]["code"], &part["complete"]), (&json!("access_denied"), &json!(false)), "{part}");
    assert_eq!(part["event"].as_array().unwrap().len(), 2);
    desk.world.control().fault(Fault::always(QUERY, denied));
    assert_eq!(desk.refused("search_unified", &given), "access_denied");
    desk.world.control().clear_faults(None);
    let whole = desk.done("search_unified", given);
    assert!(whole["message"].is_array() && whole.get("errors").is_none(), "fault {mail} is gone and what was missing is there: {whole}");
}
