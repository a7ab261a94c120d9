//! Every error that the programs give, with its code and its hint, in `packaging/manual/errors.md`: read from the sources, so that none is
//! missing from the page, and none has nothing to say about the way out. `UPDATE=1 cargo test --test main errors` writes it.
//!
//! Decided here: the sources are parsed (crate `syn`) rather than each error made by hand. Two hundred errors arise where a sentence is
//! needed, and a list of them that somebody keeps would be short of the newest. What is computed stands as `…`; a hint that comes from a
//! cause, or through the parameter of a function that makes the error, is read where it comes from. A place whose code this test cannot read
//! fails it, unless it stands among the few that only pass others' errors on ([`LEFT`]); every code that a type names itself is on the page.
//!
//! One style: a message is in lower case without a full stop, as Rust's own errors are, so that it goes into another one and after `error:`;
//! it is no sequence of sentences. A hint is one or more sentences. (The other way round, messages as sentences, was rejected: every place
//! that puts one message into another then has to take it apart.)

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::visit::Visit as _;

mod reader;
use reader::{COMPUTED, Consts, OF_THE_CAUSE, PARAMETER, PASSED, PERHAPS, Place, Reader, Row, Told, called, joined};

/// Where an error is made whose code cannot be read, and why it is on the page all the same.
const LEFT: [(&str, &str, &str); 16] = [
    ("src/graph/error.rs", "GraphError::Refused", "the rows of its table are read themselves"),
    ("daemon/src/offline/doctor/files.rs", "configuration", "advice on settings, read where it is given"),
    ("daemon/src/parts.rs", "old_names", "the same"),
    ("daemon/src/offline/doctor/mod.rs", "Found::of_problem", "a problem, read where it arises"),
    ("daemon/src/offline/doctor/mod.rs", "Found::ok", "nothing is wrong"),
    ("shim/src/bin/m365-cachectl/commands/doctor/mod.rs", "Check::new", "nothing is wrong, or the code is put in by a maker"),
    ("daemon/src/service/convert.rs", "warning", "to the wire, as it is"),
    ("daemon/src/service/status.rs", "fault", "the same"),
    ("shim/src/bin/m365-cachectl/commands/status.rs", "WarningView::from", "from the wire, as it is"),
    ("shim/src/bin/m365-cachectl/commands/status.rs", "run", "that of the statistics, which are asked for as well"),
    ("shim/src/bin/m365-cachectl/views.rs", "FaultView::from", "from the wire, as it is"),
    ("shim/src/bin/m365-cachectl/commands/doctor/daemon.rs", "asked", "what the daemon found, and views of it that are read themselves"),
    ("shim/src/bin/m365-cachectl/commands/doctor/daemon.rs", "warnings", "the daemon's own"),
    ("shim/src/bin/m365-cachectl/offline.rs", "once", "what the daemon's program said"),
    ("shim/src/bin/m365-cachectl/commands/call.rs", "agreed", "the daemon's fault with another hint"),
    ("shim/src/bin/m365-cachectl/commands/bench/session.rs", "refused", "the daemon's fault from an answer; `call_failed` without one"),
];

/// What may begin a message in capitals.
const NAMES: [&str; 3] = ["Microsoft", "Graph ", "OneDrive"];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Our sources, without their tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            sources(&path, found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") && name != "testing.rs" && name != "fake.rs" {
            found.push(path);
        }
    }
}

/// Fills in what other types say.
fn passed(row: Row, told: &Told) -> Vec<Row> {
    let (codes, message, hint) = row;
    let Some(kind) = passed_on(&codes) else {
        return vec![(codes.clone(), filled(message, "message", &codes, told), filled(hint, "hint", &codes, told))];
    };
    let fallback = codes.rsplit(PASSED).next().and_then(|rest| rest.strip_prefix(" / ")).map(str::to_owned);
    let codes: BTreeSet<String> = said(told, &kind, "code").iter().map(|(_, code)| code.clone()).chain(fallback).collect();
    let codes = codes.into_iter().filter(|code| code != COMPUTED && passed_on(code).is_none());
    codes.flat_map(|code| passed((code, message.clone(), hint.clone()), told)).collect()
}

fn passed_on(text: &str) -> Option<String> {
    text.split(PASSED).nth(1).map(|kind| kind.trim_end_matches(PERHAPS).to_owned())
}

fn said<'a>(told: &'a Told, kind: &str, what: &'static str) -> &'a [(String, String)] {
    told.get(&(kind.to_owned(), what)).map_or(&[], Vec::as_slice)
}

/// A text with what other types say in it: under the code of the row, where a type tells it by code.
fn filled(mut text: String, what: &'static str, code: &str, told: &Told) -> String {
    let mut seen = BTreeSet::new();
    while let Some(kind) = passed_on(&text).filter(|kind| seen.insert(kind.clone())) {
        let (codes, texts) = (said(told, &kind, "code"), said(told, &kind, what));
        let own = |variant: &str| codes.iter().any(|(known, of)| known == variant && of == code);
        let known = |text: &String| !text.is_empty() && text != COMPUTED;
        let all = |which: &dyn Fn(&str) -> bool| {
            joined(texts.iter().filter(|(variant, text)| which(variant) && known(text)).map(|(_, text)| text.clone()))
        };
        let of_code = all(&own);
        if !of_code.is_empty() {
            return of_code;
        }
        let instead = match () {
            () if !codes.is_empty() && what == "hint" => OF_THE_CAUSE.to_owned(),
            () if texts.is_empty() => COMPUTED.to_owned(),
            () => all(&|_| true),
        };
        text = text.replace(&format!("{PASSED}{kind}{PERHAPS}{PASSED} / "), "").replace(&format!("{PASSED}{kind}{PASSED}"), &instead);
    }
    text
}

/// All rows, the places where an error is made whose code cannot be read, and the codes that types name themselves.
struct Found {
    rows: BTreeSet<Row>,
    unread: BTreeSet<Place>,
    own_codes: BTreeSet<String>,
}

fn found() -> Found {
    let mut files = Vec::new();
    for folder in ["src", "daemon/src", "shim/src", "proto/src"] {
        sources(&root().join(folder), &mut files);
    }
    let (mut rows, mut unread, mut own_codes) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut told, mut calls, mut methods) = (Told::new(), BTreeMap::<String, Vec<Vec<String>>>::new(), Vec::new());
    let parsed = |path: &PathBuf| -> (String, syn::File) {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let file = syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, file)
    };
    let files: Vec<(String, syn::File)> = files.iter().map(parsed).collect();
    let mut consts = Consts::default();
    files.iter().for_each(|(_, file)| consts.visit_file(file));
    // One name may mean different things in different rooms.
    let of = |name: &str| consts.0.iter().filter(|(known, _)| known == name).map(|(_, text)| text).collect::<BTreeSet<_>>().len();
    let names: BTreeMap<String, String> = consts.0.iter().filter(|(name, _)| of(name) == 1).cloned().collect();
    for (name, file) in files {
        let mut reader = Reader::begin(&name, &names);
        reader.visit_file(&file);
        reader.end();
        rows.extend(reader.rows);
        unread.extend(reader.unread);
        own_codes.extend(reader.own_codes);
        told.extend(reader.told);
        methods.extend(reader.made.into_iter().map(|(method, _, row)| (name.clone(), method, row)));
        reader.calls.into_iter().for_each(|(name, given)| calls.entry(name).or_default().extend(given));
    }
    // A method is called from anywhere; a function that makes errors of its parameters only from its own file.
    for (file, name, row) in methods {
        let made = called(&row, calls.get(&name));
        if made.is_empty() || made.iter().any(|(code, ..)| code == COMPUTED) {
            unread.insert((file, name));
        }
        rows.extend(made);
    }
    let mut rows: BTreeSet<Row> = rows.into_iter().flat_map(|row| passed(row, &told)).collect();
    // What passes another's code on is told where that arises, or stands among `unread`; what has no message is made for its exit code alone.
    rows.retain(|(code, message, _)| !code.is_empty() && code != COMPUTED && !code.contains([PARAMETER, PASSED]) && !message.is_empty());
    // Of several hints one may be somebody else's.
    let told = |hint: &str| joined(hint.split(" / ").filter(|hint| *hint != COMPUTED).map(str::to_owned));
    let rows = rows.into_iter().map(|(code, message, hint)| match told(&hint) {
        told if told.is_empty() => (code, message, hint),
        told => (code, message, told),
    });
    Found { rows: rows.collect(), unread, own_codes }
}

fn page(rows: &BTreeSet<Row>) -> String {
    let cell = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    let mut page = String::from(
        "# Errors\n\nWhat the programs say when something cannot be done: the code, which is stable and stands as `error.code` in JSON, the message, and the\n\
         one thing to do. `…` and `{…}` stand for what is filled in, ` / ` for one of several. The exit codes of `m365-cachectl` are in its `--help`.\n\n\
         Generated from the sources: `UPDATE=1 cargo test --test main errors`.\n\n| code | message | what to do |\n|---|---|---|\n",
    );
    for (code, message, hint) in rows {
        page.push_str(&format!("| `{code}` | {} | {} |\n", cell(message), cell(hint)));
    }
    page
}

#[test]
fn the_page_has_every_error_with_its_hint() {
    let rows = found().rows;
    let path = root().join("packaging/manual/errors.md");
    let made = page(&rows);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &made).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == made, "out of date: `UPDATE=1 cargo test --test main errors`");
    assert!(rows.len() > 150, "{}", rows.len());
    let name = |code: &str| code.len() > 2 && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    for (code, message, hint) in &rows {
        assert!(name(code), "`{code}` is no code: {message}");
        for hint in hint.split(" / ") {
            let told = !hint.is_empty() && hint != COMPUTED && !hint.contains([PARAMETER, PASSED]);
            assert!(told, "`{code}` says nothing of the way out: {message}");
        }
    }
}

#[test]
fn messages_and_hints_are_of_one_style() {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentences = |text: &str| text.match_indices(". ").any(|(at, _)| text[at + 2..].starts_with(|c: char| c.is_uppercase()));
    let mut wrong = BTreeSet::new();
    for (code, messages, hints) in found().rows {
        for message in messages.split(" / ").map(words) {
            let begun = !message.starts_with(char::is_uppercase) || NAMES.iter().any(|name| message.starts_with(name));
            if !begun || message.ends_with('.') || sentences(&message) {
                wrong.insert(format!("`{code}`: no message in lower case without a full stop: {message}"));
            }
        }
        for hint in hints.split(" / ").map(words) {
            // A command alone says neither why nor what it is for.
            let alone = hint.starts_with('`') && hint.matches('`').count() == 2 && hint.trim_end_matches('.').ends_with('`');
            if hint.starts_with(char::is_lowercase) || !hint.ends_with(['.', '?']) || alone {
                wrong.insert(format!("`{code}`: no hint in sentences: {hint}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn no_error_is_left_out() {
    let Found { rows, unread, own_codes } = found();
    let left: BTreeSet<Place> = LEFT.iter().map(|(file, name, _)| ((*file).to_owned(), (*name).to_owned())).collect();
    let new: Vec<&Place> = unread.difference(&left).collect();
    assert!(new.is_empty(), "an error is made here whose code this test cannot read: {new:?}");
    let gone: Vec<&Place> = left.difference(&unread).collect();
    assert!(gone.is_empty(), "no exception any more: {gone:?}");
    let codes: BTreeSet<&str> = rows.iter().map(|(code, ..)| code.as_str()).collect();
    let lacking: Vec<&String> = own_codes.iter().filter(|code| !codes.contains(code.as_str())).collect();
    assert!(lacking.is_empty(), "a `fn code` gives what is not on the page: {lacking:?}");
}
