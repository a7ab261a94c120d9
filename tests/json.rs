//! What each verb of `m365-cachectl` prints with `--json`, in `packaging/manual/json.md`: read from the types that it prints, so that no member is
//! missing from the page and none stands there that is not printed. `UPDATE=1 cargo test --test main json` writes it.
//!
//! Decided here: the types are parsed (crate `syn`), and their doc comments are what the page says of a member. (Examples that somebody keeps were
//! rejected: they show neither what may be `null` nor what may be left out.)

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::TokenTree;
use syn::{Attribute, Expr, Fields, GenericArgument, Item, Lit, Meta, PathArguments, Type};

const COMMANDS: &str = "shim/src/bin/m365-cachectl/commands";
const VIEWS: &str = "views";

/// A file below the commands, and a type in it that is printed.
type Printed = (&'static str, &'static str);

/// A verb, what it prints (several for what it does in several ways), and what has to be said beside the members.
const VERBS: [(&str, &[Printed], &str); 58] = [
    (
        "setup",
        &[("setup/report", "Step"), ("setup/report", "Finished"), ("setup/report", "Ended")],
        "A line for each step, then one for the whole; with `--demo --end` the last alone.",
    ),
    ("status", &[("status", "Status")], "The shorter one, with `state` as `not_running`, where no daemon runs."),
    ("login", &[("login", "Step")], "A line for each event."),
    ("logout", &[("logout", "Logout")], ""),
    ("accounts", &[("accounts", "Accounts")], ""),
    ("accounts alias", &[("config", "Changed")], ""),
    ("accounts default", &[("config", "Changed")], ""),
    ("call", &[("call", "Answer")], "The tool's answer as it is, [cache fields](answers.md) included."),
    (
        "tools",
        &[("tools", "Catalogue"), ("tools", "ToolView"), ("tool_costs", "Costs"), ("tool_costs", "Profiles")],
        "The list; one tool that is named; with `--profile` and `--tokens`; with `--tokens`.",
    ),
    ("stats", &[("stats", "Stats")], ""),
    ("top", &[("top/lines", "Line")], "A line for each look."),
    ("clients", &[("clients", "Clients")], ""),
    ("logs", &[("logs/entry", "Entry")], "A line for each event."),
    ("bench", &[("bench/report", "Measured")], ""),
    ("invalidate", &[("invalidate", "Invalidated")], ""),
    (
        "tasks",
        &[("tasks", "List")],
        "What the tool `cache_task_list` answers: `tasks`, and whether the list is `complete`. Of each task {task}.",
    ),
    ("tasks show", &[("tasks", "Task")], "What the tool `cache_task_get_status` answers: {task}."),
    ("tasks cancel", &[("tasks", "Task")], "The task as it stands then, as from `tasks show`."),
    ("warm", &[("warm", "Warmed")], ""),
    ("keys status", &[("keys/status", "Status")], ""),
    ("keys rotate", &[("keys/rotate", "Done")], "`error` where the rotation was done and `--reencrypt` failed."),
    ("keys export", &[("keys/recovery", "Exported")], ""),
    ("keys import", &[("keys/recovery", "Imported")], ""),
    ("backup", &[("backup", "BackedUp")], ""),
    ("restore", &[("backup", "Restored")], ""),
    ("repair", &[("repair", "Repaired")], ""),
    ("reset", &[("repair", "Reset")], ""),
    ("import", &[("import", "Imported"), ("import", "Removed"), ("import", "PutBack")], "The import; with `--remove`; with `--restore`."),
    ("audit", &[("audit", "Record")], "A line for each record, as [the trail](audit.md) has it; nothing where there is none."),
    ("audit verify", &[("audit", "Verified")], ""),
    ("audit export", &[("audit", "Exported")], "With `-` for the file the records themselves, a line each."),
    ("export", &[("export", "Exported")], ""),
    ("erase", &[("erase", "Erased")], ""),
    (
        "compliance",
        &[("compliance", "Report")],
        "`holds`, `safeguards` (each with `safeguard`, `points`, `holds` and `detail`) and `not_covered`: [safeguards](compliance.md).",
    ),
    ("config show", &[("config", "Settings")], ""),
    ("config get", &[("config", "Value")], ""),
    ("config check", &[("config", "Checked")], ""),
    ("config set", &[("config", "Changed")], ""),
    ("config unset", &[("config", "Changed")], ""),
    ("config path", &[("config", "Place")], ""),
    ("config init", &[("config", "Written")], ""),
    ("permissions", &[("permissions", "Permissions")], ""),
    ("doctor", &[("doctor/mod", "Report")], ""),
    (
        "install",
        &[("install/report", "Report"), ("install/list", "List"), ("install/report", "Print")],
        "What was done; with `--list`; with `--print`.",
    ),
    ("uninstall", &[("install/report", "Report")], ""),
    ("service install", &[("service/report", "Installed"), ("service/report", "Printed")], "The second with `--print`."),
    ("service uninstall", &[("service/report", "Removed")], ""),
    ("service status", &[("service/report", "Status")], ""),
    ("service logs", &[], "A line for each line of the journal: an object with `line`."),
    ("health", &[("health", "Health")], ""),
    ("pause", &[("pause", "Switched")], ""),
    ("resume", &[("pause", "Switched")], ""),
    ("reload", &[("reload", "Reloaded")], ""),
    ("stop", &[("stop", "Stopped")], ""),
    ("restart", &[("restart", "Restarted")], ""),
    ("version", &[("version", "Versions")], ""),
    ("completions", &[], "No JSON: the script itself."),
    ("man", &[("man", "Written")], "With a folder; else the page itself."),
];
/// What is said of a member that is not `null` where there is none.
const LEFT_OUT: &str = "; left out where there is none";
/// Verbs that only lead to others.
const GROUPS: [&str; 3] = ["keys", "config", "service"];
/// Printed for people alone, or as part of another.
const NOT_PRINTED: [(&str, &str); 2] = [("setup/report", "Heading"), ("keys/rotate", "Rotated")];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The types of one file that are printed.
#[derive(Default)]
struct Types(BTreeMap<(String, String), Item>);

fn text_of(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(doc) if doc.path.is_ident("doc") => match &doc.value {
            Expr::Lit(text) => match &text.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ")
}

/// What serde is told of it: `rename = "where"`.
fn told(attributes: &[Attribute], word: &str) -> Option<String> {
    let lists = attributes.iter().filter(|attribute| attribute.path().is_ident("serde"));
    let words = lists.filter_map(|attribute| if let Meta::List(list) = &attribute.meta { Some(list.tokens.to_string()) } else { None });
    words.flat_map(|list| list.split(',').map(|one| one.trim().to_owned()).collect::<Vec<_>>()).find_map(|one| {
        let (name, value) = one.split_once('=').unwrap_or((one.as_str(), ""));
        (name.trim() == word).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// Whether serde reads off the type what is printed.
fn is_derived(attributes: &[Attribute]) -> bool {
    let mut derived = attributes.iter().filter(|attribute| attribute.path().is_ident("derive"));
    derived.any(|attribute| if let Meta::List(list) = &attribute.meta { list.tokens.to_string().contains("Serialize") } else { false })
}

fn snake(name: &str) -> String {
    let mut all = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !all.is_empty() {
            all.push('_');
        }
        all.extend(letter.to_lowercase());
    }
    all
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.to_string_lossy().ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// All types that are printed, and those that are a `View`, by their file (below `commands/`, without its ending) and name.
fn types() -> (Types, BTreeSet<(String, String)>) {
    let commands = root().join(COMMANDS);
    let mut files = vec![commands.with_file_name("views.rs")];
    sources(&commands, &mut files);
    let (mut types, mut views) = (Types::default(), BTreeSet::new());
    for path in files {
        let name = path.strip_prefix(&commands).map_or_else(|_| VIEWS.to_owned(), |name| name.with_extension("").display().to_string());
        let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        for item in file.items {
            match &item {
                Item::Struct(own) => drop(types.0.insert((name.clone(), own.ident.to_string()), item)),
                Item::Enum(own) => drop(types.0.insert((name.clone(), own.ident.to_string()), item)),
                Item::Impl(own) if own.trait_.as_ref().is_some_and(|(path, ..)| path.is_ident("View")) => {
                    views.insert((name.clone(), last(&own.self_ty).0));
                }
                _ => {}
            }
        }
    }
    (types, views)
}

/// The last part of the name of a type, and what it holds.
fn last(kind: &Type) -> (String, Vec<Type>) {
    match kind {
        Type::Reference(inner) => last(&inner.elem),
        Type::Slice(of) => ("Vec".into(), vec![(*of.elem).clone()]),
        Type::Array(of) => ("Vec".into(), vec![(*of.elem).clone()]),
        Type::Path(path) => {
            let last = path.path.segments.last().unwrap();
            let held = match &last.arguments {
                PathArguments::AngleBracketed(held) => {
                    held.args.iter().filter_map(|one| if let GenericArgument::Type(of) = one { Some(of.clone()) } else { None }).collect()
                }
                _ => Vec::new(),
            };
            (last.ident.to_string(), held)
        }
        _ => (String::new(), Vec::new()),
    }
}

/// One member of an object, by its path from the outermost.
struct Member {
    path: String,
    kind: String,
    meaning: String,
}

impl Types {
    /// The type called `name` where `file` says so.
    fn of(&self, file: &str, name: &str) -> (String, &Item) {
        let here = [file, VIEWS].into_iter().find_map(|file| Some((file.to_owned(), self.0.get(&(file.to_owned(), name.to_owned()))?)));
        let folder = |file: &str| file.rsplit_once('/').map(|(folder, _)| folder.to_owned());
        let others = || {
            let mut all = self.0.iter().filter(|((at, known), _)| known == name && folder(at) == folder(file));
            let one = all.next().unwrap_or_else(|| panic!("{file}: `{name}` is not found"));
            assert!(all.next().is_none(), "{file}: there are several `{name}`");
            (one.0.0.clone(), one.1)
        };
        here.unwrap_or_else(others)
    }

    /// The shapes of a type, with what is said of each: one for a struct, one for each variant of an enum, none for what is printed as it comes.
    fn shapes(&self, file: &str, name: &str) -> Vec<(String, Vec<Member>)> {
        let (file, item) = self.of(file, name);
        let mut shapes = Vec::new();
        match item {
            Item::Struct(own) if told(&own.attrs, "transparent").is_none() => {
                let mut members = Vec::new();
                self.members(&file, &own.fields, "", "", &mut members);
                shapes.push((text_of(&own.attrs), members));
            }
            Item::Enum(own) => {
                for variant in &own.variants {
                    let mut members = Vec::new();
                    if let Some(tag) = told(&own.attrs, "tag") {
                        let word = snake(&variant.ident.to_string());
                        members.push(Member { path: tag, kind: format!("`{word}`"), meaning: text_of(&variant.attrs) });
                    }
                    match &variant.fields {
                        Fields::Unnamed(held) => {
                            let held = held.unnamed.first().map(|field| inner(&field.ty)).unwrap();
                            shapes.extend(self.shapes(&file, &last(&held).0));
                        }
                        fields => {
                            self.members(&file, fields, "", "", &mut members);
                            shapes.push((String::new(), members));
                        }
                    }
                }
            }
            _ => {}
        }
        shapes
    }

    /// The members of a struct whose own path is `before`; `after` is what is said of all of them.
    fn members(&self, file: &str, fields: &Fields, before: &str, after: &str, members: &mut Vec<Member>) {
        for field in fields {
            if told(&field.attrs, "skip").is_some() || told(&field.attrs, "skip_serializing").is_some() {
                continue;
            }
            let name = told(&field.attrs, "rename").unwrap_or_else(|| field.ident.as_ref().unwrap().to_string());
            let optional = if told(&field.attrs, "skip_serializing_if").is_some() { LEFT_OUT } else { after };
            if told(&field.attrs, "flatten").is_some() {
                let held = inner(&field.ty);
                let (kind, of) = last(&held);
                let (kind, after) =
                    if kind == "Option" { (last(&of[0]).0, "; left out where nothing of the kind was done") } else { (kind, after) };
                let (file, item) = self.of(file, &kind);
                let Item::Struct(own) = item else { panic!("{file}: `{kind}` is flattened and no struct") };
                self.members(&file, &own.fields, before, after, members);
                continue;
            }
            let (path, meaning) = (format!("{before}{name}"), text_of(&field.attrs));
            if told(&field.attrs, "serialize_with").is_some() {
                // All of them make words.
                let null = if last(&field.ty).0 == "Option" { ", or `null`" } else { "" };
                members.push(Member { path, kind: format!("text{null}{optional}"), meaning });
                continue;
            }
            self.member(file, &field.ty, &path, optional, meaning, members);
        }
    }

    fn member(&self, file: &str, kind: &Type, path: &str, after: &str, meaning: String, members: &mut Vec<Member>) {
        let mut nested = None;
        // What is left out is not `null` besides.
        let (first, held) = last(&inner(kind));
        let null = first == "Option" && after != LEFT_OUT;
        let kind = if first == "Option" { inner(&held[0]) } else { inner(kind) };
        let said = self.kind(file, &kind, &mut nested);
        let or = if null { ", or `null`" } else { "" };
        members.push(Member { path: path.to_owned(), kind: format!("{said}{or}{after}"), meaning });
        if let Some((file, name, list)) = nested {
            let (file, item) = self.of(&file, &name);
            let Item::Struct(own) = item else { panic!("{file}: `{name}`") };
            if let Some(member) = members.last_mut().filter(|member| member.meaning.is_empty()) {
                member.meaning = text_of(&own.attrs);
            }
            self.members(&file, &own.fields, &format!("{path}{list}."), "", members);
        }
    }

    /// What a value is, for people; and the struct below it, with how it is reached.
    fn kind(&self, file: &str, kind: &Type, nested: &mut Option<(String, String, &'static str)>) -> String {
        let (name, held) = last(kind);
        match name.as_str() {
            "String" | "str" | "PathBuf" | "Cow" => "text".into(),
            "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" => "whole number".into(),
            "f32" | "f64" => "number".into(),
            "bool" => "`true` or `false`".into(),
            "Timestamp" => "text, such as `2026-11-22T08:00:00.000Z`".into(),
            "Value" => "JSON, as it comes".into(),
            "Vec" => {
                let of = self.kind(file, &inner(&held[0]), nested);
                if let Some(nested) = nested {
                    nested.2 = "[]";
                }
                format!("list: {of}")
            }
            "BTreeMap" => format!("object of any names: {}", self.kind(file, &inner(&held[1]), nested)),
            _ => {
                let (file, item) = self.of(file, &name);
                match item {
                    Item::Struct(own) => {
                        assert!(is_derived(&own.attrs), "{file}: `{name}` says by hand what it prints");
                        *nested = Some((file, name, ""));
                        "object".into()
                    }
                    Item::Enum(own) => {
                        let snakes = told(&own.attrs, "rename_all").is_some_and(|case| case == "snake_case");
                        assert!(is_derived(&own.attrs) && snakes, "{file}: `{name}` says otherwise what it prints");
                        let words: Vec<String> =
                            own.variants.iter().map(|variant| format!("`{}`", snake(&variant.ident.to_string()))).collect();
                        words.join(", ")
                    }
                    _ => unreachable!("only structs and enums are kept"),
                }
            }
        }
    }
}

/// Without the box around it.
fn inner(kind: &Type) -> Type {
    match last(kind) {
        (name, held) if name == "Box" => held[0].clone(),
        _ => kind.clone(),
    }
}

/// The members of a task, from the function that makes it for the tools and for this verb.
fn members_of_a_task() -> String {
    let file = syn::parse_file(&fs::read_to_string(root().join("src/engine/tasks.rs")).unwrap()).unwrap();
    let shown =
        file.items.iter().find_map(|item| if let Item::Fn(own) = item { Some(own).filter(|own| own.sig.ident == "shown") } else { None });
    let Some(syn::Stmt::Expr(Expr::Macro(made), _)) = shown.and_then(|shown| shown.block.stmts.last()) else { panic!("no `json!`") };
    let Some(TokenTree::Group(object)) = made.mac.tokens.clone().into_iter().next() else { panic!("no object") };
    let (mut names, mut before) = (Vec::new(), None);
    for token in object.stream() {
        // A name stands before a colon; of `::` the second has no literal before it.
        if let (Some(TokenTree::Literal(name)), TokenTree::Punct(colon)) = (&before, &token)
            && colon.as_char() == ':'
        {
            names.push(format!("`{}`", name.to_string().trim_matches('"')));
        }
        before = Some(token);
    }
    names.join(", ")
}

fn page(types: &Types) -> String {
    let mut page = String::from(
        "# The JSON of `m365-cachectl`\n\nWhat each verb prints on stdout with `--json`: one object on one line, except where a verb says otherwise. These shapes are stable: members may\n\
         be added, and none is taken away or changes its kind within a major version. `a.b` is a member of the object `a`, `a[].b` one of each object in the list\n\
         `a`. Names that end in `_ms` are milliseconds, of Unix time for moments; `_us` microseconds, `_s` seconds.\n\n\
         An error is `{\"error\":{\"kind\":…,\"code\":…,\"message\":…,\"hint\":…}}` instead, with the exit code of its kind: [errors](errors.md).\n\n\
         Generated from the types that are printed: `UPDATE=1 cargo test --test main json`.\n",
    );
    let cell = |text: &str| text.replace('|', "\\|");
    for (verb, printed, note) in VERBS {
        let _ = write!(page, "\n## {verb}\n");
        let note = note.replace("{task}", &members_of_a_task());
        if !note.is_empty() {
            let _ = write!(page, "\n{note}\n");
        }
        for (meaning, members) in printed.iter().flat_map(|(file, name)| types.shapes(file, name)) {
            // Some say only where more is said.
            if !meaning.is_empty() && !meaning.starts_with("See ") {
                let _ = write!(page, "\n{meaning}\n");
            }
            page.push_str("\n| member | kind | meaning |\n|---|---|---|\n");
            for Member { path, kind, meaning } in members {
                let _ = writeln!(page, "| `{path}` | {} | {} |", cell(&kind), cell(&meaning));
            }
        }
    }
    page
}

#[test]
fn the_page_has_what_every_verb_prints() {
    let (types, views) = types();
    let made = page(&types);
    let path = root().join("packaging/manual/json.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &made).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == made, "out of date: `UPDATE=1 cargo test --test main json`");
    // Whatever can be printed is printed by a verb that the page has.
    let known: BTreeSet<(String, String)> = VERBS
        .iter()
        .flat_map(|(_, printed, _)| printed.iter())
        .chain(&NOT_PRINTED)
        .map(|(file, name)| ((*file).to_owned(), (*name).to_owned()))
        .collect();
    let missing: Vec<_> = views.iter().filter(|view| !known.contains(*view)).collect();
    assert!(missing.is_empty(), "printed, and not on the page: {missing:?}");
}

#[test]
fn the_page_has_every_verb() {
    let help = fs::read_to_string(root().join("packaging/manual/cachectl.md")).unwrap();
    let headings = help.lines().filter(|line| line.starts_with('#'));
    let verbs: BTreeSet<&str> = headings.filter_map(|line| line.split('`').nth(1)?.strip_prefix("m365-cachectl ")).collect();
    let known: BTreeSet<&str> = VERBS.iter().map(|(verb, ..)| *verb).chain(GROUPS).collect();
    assert_eq!(verbs, known, "the verbs of `cachectl.md`, and those of this page");
}
