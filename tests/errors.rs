//! Every error that the programs give, with its code and its hint, in `packaging/manual/errors.md`: read from the sources, so that none is
//! missing from the page, and none has nothing to say about the way out. `UPDATE=1 cargo test --test main errors` writes it.
//!
//! Decided here: the sources are parsed (crate `syn`) rather than each error made by hand. Two hundred errors arise where a sentence is
//! needed, and a list of them that somebody keeps would be short of the newest. What is computed stands as `…`; a hint that comes from a
//! cause, or through the parameter of a function that makes the error, is read where it comes from.
//!
//! One style: a message is in lower case without a full stop, as Rust's own errors are, so that it goes into another one and after `error:`;
//! it is no sequence of sentences. A hint is one or more sentences. (The other way round, messages as sentences, was rejected: every place
//! that puts one message into another then has to take it apart.)

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{
    Arm, Expr, ExprCall, ExprStruct, File, ImplItem, ItemEnum, ItemImpl, Lit, Local, Pat,
    visit::{self, Visit},
};

/// What stands for a part that is computed.
const COMPUTED: &str = "…";

/// Ways to make an error: the last two parts of the path, and where the code stands among the arguments; message and hint follow it.
const MAKERS: [(&str, usize); 8] = [
    ("StepError::user", 0),
    ("Problem::new", 1),
    ("Fault::new", 1),
    ("Locked::new", 0),
    ("Found::warning", 0),
    ("Found::failure", 1),
    ("Check::warning", 1),
    ("Warning::new", 0),
];

/// What is told of a hint that is the one of a cause that has rows of its own.
const OF_THE_CAUSE: &str = "As for its cause, which has a row of its own.";
/// Around the name of a type whose code, message or hint is passed on.
const PASSED: char = '\u{1}';
/// After that name: the type may have nothing to say, and then what follows is said.
const PERHAPS: char = '?';
/// Around the place of a parameter that is passed on.
const PARAMETER: char = '\u{2}';
/// What may begin a message in capitals.
const NAMES: [&str; 3] = ["Microsoft", "Graph ", "OneDrive"];

/// Code, message and hint of one error.
type Row = (String, String, String);
/// What a type says of its variants: the variant (`_` for all others) and the text.
type Told = BTreeMap<(String, &'static str), Vec<(String, String)>>;

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

/// What is known of one file.
#[derive(Default)]
struct Reader {
    rows: BTreeSet<Row>,
    /// What `let` and `const` give names to.
    names: BTreeMap<String, String>,
    /// Messages by type and variant.
    messages: Vec<(String, String, String)>,
    told: Told,
    /// The types of names in sight, where they are written down.
    types: BTreeMap<String, String>,
    /// What the variants of enums hold, by type, variant and field (a number in a tuple).
    fields: BTreeMap<(String, String, String), String>,
    /// Rows that a function makes of its parameters, by its name; whether other files may call it by that name.
    made: Vec<(String, bool, Row)>,
    /// What functions and methods are called with.
    calls: BTreeMap<String, Vec<Vec<String>>>,
    /// The function that is read: its name, whether other files may call it by that name, its parameters in order.
    within: (String, bool, Vec<String>),
}

impl Reader {
    /// The text that an expression makes.
    fn text(&self, expr: &Expr) -> String {
        match expr {
            Expr::Lit(lit) => match &lit.lit {
                Lit::Str(text) => text.value(),
                _ => COMPUTED.into(),
            },
            Expr::Macro(made) if made.mac.path.is_ident("format") || made.mac.path.is_ident("concat") => {
                let first = made.mac.tokens.clone().into_iter().next().map(|token| token.to_string()).unwrap_or_default();
                syn::parse_str::<syn::LitStr>(&first).map_or_else(|_| COMPUTED.into(), |text| text.value())
            }
            Expr::Reference(inner) => self.text(&inner.expr),
            Expr::Paren(inner) => self.text(&inner.expr),
            Expr::MethodCall(call) if call.method == "unwrap_or" => {
                let first = self.text(&call.receiver);
                let first = first.strip_suffix(PASSED).map_or_else(|| first.clone(), |kind| format!("{kind}{PERHAPS}{PASSED}"));
                joined([first].into_iter().chain(call.args.first().map(|other| self.text(other))))
            }
            Expr::MethodCall(call) if call.args.is_empty() && ["code", "hint", "to_string"].contains(&call.method.to_string().as_str()) => {
                match (self.type_of(&call.receiver), call.method == "to_string") {
                    (Some(kind), _) => format!("{PASSED}{kind}{PASSED}"),
                    (None, true) => match &*call.receiver {
                        Expr::Path(path) => path.path.get_ident().map_or_else(|| COMPUTED.into(), |name| format!("{{{name}}}")),
                        other => self.text(other),
                    },
                    (None, false) => COMPUTED.into(),
                }
            }
            Expr::MethodCall(call) => self.text(&call.receiver),
            // Only what has a code and a message has a hint.
            Expr::Field(field) if matches!(&field.member, syn::Member::Named(name) if name == "hint") => OF_THE_CAUSE.into(),
            Expr::Call(call) if wraps(&call.func) => call.args.first().map_or_else(|| COMPUTED.into(), |first| self.text(first)),
            Expr::Return(inner) => inner.expr.as_ref().map_or_else(|| COMPUTED.into(), |inner| self.text(inner)),
            Expr::Block(block) => self.last(&block.block),
            Expr::If(either) => {
                let other = either.else_branch.as_ref().map(|(_, other)| self.text(other));
                joined([self.last(&either.then_branch)].into_iter().chain(other))
            }
            Expr::Match(made) => joined(made.arms.iter().map(|arm| self.text(&arm.body))),
            Expr::Path(path) => {
                let name = path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
                let parameter = || self.within.2.iter().position(|known| *known == name).map(|at| format!("{PARAMETER}{at}{PARAMETER}"));
                self.names.get(&name).cloned().or_else(parameter).unwrap_or_else(|| COMPUTED.into())
            }
            _ => COMPUTED.into(),
        }
    }

    fn last(&self, block: &syn::Block) -> String {
        match block.stmts.last() {
            Some(syn::Stmt::Expr(expr, _)) => self.text(expr),
            _ => COMPUTED.into(),
        }
    }

    /// The type of what a name stands for, where it is written down.
    fn type_of(&self, expr: &Expr) -> Option<String> {
        match expr {
            Expr::Path(path) => self.types.get(&path.path.get_ident()?.to_string()).cloned(),
            Expr::Reference(inner) => self.type_of(&inner.expr),
            _ => None,
        }
    }

    /// Notes the types of what a pattern takes out of a variant of `of`.
    fn bind(&mut self, of: &str, pat: &Pat) {
        let variant = |path: &syn::Path| path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        let parts: Vec<(String, String, &Pat)> = match pat {
            Pat::Or(or) => return or.cases.iter().for_each(|case| self.bind(of, case)),
            Pat::TupleStruct(named) => {
                named.elems.iter().enumerate().map(|(at, part)| (variant(&named.path), at.to_string(), part)).collect()
            }
            Pat::Struct(named) => {
                let field = |member: &syn::Member| if let syn::Member::Named(name) = member { name.to_string() } else { String::new() };
                named.fields.iter().map(|part| (variant(&named.path), field(&part.member), &*part.pat)).collect()
            }
            _ => return,
        };
        for (variant, field, part) in parts {
            if let (Pat::Ident(name), Some(kind)) = (part, self.fields.get(&(of.to_owned(), variant, field))) {
                self.types.insert(name.ident.to_string(), kind.clone());
            }
        }
    }

    fn arm(&mut self, of: &str, what: &'static str, arm: &Arm) {
        let around = self.types.clone();
        self.bind(of, &arm.pat);
        let text = self.text(&arm.body);
        self.types = around;
        for variant in variants(&arm.pat) {
            self.told.entry((of.to_owned(), what)).or_default().push((variant, text.clone()));
        }
    }

    /// What arms say of a variant; several where a guard tells them apart.
    fn of(&self, kind: &str, what: &'static str, variant: &str) -> String {
        let Some(arms) = self.told.get(&(kind.to_owned(), what)) else { return COMPUTED.into() };
        let of = |name: &str| joined(arms.iter().filter(|(known, _)| known == name).map(|(_, text)| text.clone()));
        let own = of(variant);
        if own.is_empty() { of("_") } else { own }
    }

    fn row(&mut self, code: &str, message: &str, hint: &str) {
        let (name, method, _) = &self.within;
        let row = |code: &str| (code.to_owned(), message.to_owned(), hint.to_owned());
        if [code, message, hint].iter().any(|text| text.contains(PARAMETER)) {
            self.made.push((name.clone(), *method, row(code)));
        } else {
            self.rows.extend(code.split(" / ").map(row));
        }
    }

    /// What a file gives that needs no other file.
    fn end(&mut self) {
        for (kind, variant, message) in &self.messages {
            let (code, hint) = (self.of(kind, "code", variant), self.of(kind, "hint", variant));
            self.rows.extend(code.split(" / ").map(|code| (code.to_owned(), message.clone(), hint.clone())));
            self.told.entry((kind.clone(), "message")).or_default().push((variant.clone(), message.clone()));
        }
        for (name, row) in self.made.iter().filter(|(_, method, _)| !method).map(|(name, _, row)| (name, row)) {
            self.rows.extend(called(row, self.calls.get(name)));
        }
    }
}

/// What a function that makes errors of its parameters makes at each of its calls; one that only hands parameters on has rows of its own.
fn called(row: &Row, calls: Option<&Vec<Vec<String>>>) -> Vec<Row> {
    let mut rows = Vec::new();
    for given in calls.into_iter().flatten() {
        let filled = |text: &String| {
            given.iter().enumerate().fold(text.clone(), |text, (at, given)| text.replace(&format!("{PARAMETER}{at}{PARAMETER}"), given))
        };
        let (codes, message, hint) = (filled(&row.0), filled(&row.1), filled(&row.2));
        if ![&codes, &message, &hint].iter().any(|text| text.contains(PARAMETER)) {
            rows.extend(codes.split(" / ").map(|code| (code.to_owned(), message.clone(), hint.clone())));
        }
    }
    rows
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

/// The last part of the name of a type, without what it is wrapped in.
fn type_name(kind: &syn::Type) -> String {
    match kind {
        syn::Type::Reference(inner) => type_name(&inner.elem),
        syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default(),
        _ => String::new(),
    }
}

/// `Some(…)` and its like, which hold the text that they are given.
fn wraps(func: &Expr) -> bool {
    matches!(func, Expr::Path(path) if path.path.segments.last().is_some_and(|last| ["Some", "Ok", "Err", "from"].contains(&last.ident.to_string().as_str())))
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for text in texts {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all.join(" / ")
}

/// The variants that a pattern names.
fn variants(pat: &Pat) -> Vec<String> {
    let last = |path: &syn::Path| path.segments.last().map(|last| last.ident.to_string());
    match pat {
        Pat::Or(or) => or.cases.iter().flat_map(variants).collect(),
        Pat::TupleStruct(named) => last(&named.path).into_iter().collect(),
        Pat::Struct(named) => last(&named.path).into_iter().collect(),
        Pat::Path(named) => last(&named.path).into_iter().collect(),
        _ => vec!["_".into()],
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg") && quoted(attribute).contains("test"))
}

fn quoted(attribute: &syn::Attribute) -> String {
    match &attribute.meta {
        syn::Meta::List(list) => list.tokens.to_string(),
        _ => String::new(),
    }
}

impl<'a> Visit<'a> for Reader {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    /// A name means what it says within its block.
    fn visit_block(&mut self, block: &'a syn::Block) {
        let around = self.names.clone();
        visit::visit_block(self, block);
        self.names = around;
    }

    fn visit_item_const(&mut self, item: &'a syn::ItemConst) {
        let text = self.text(&item.expr);
        self.names.insert(item.ident.to_string(), text);
        visit::visit_item_const(self, item);
    }

    fn visit_local(&mut self, local: &'a Local) {
        visit::visit_local(self, local);
        let Some(init) = &local.init else { return };
        match (&local.pat, &*init.expr) {
            (Pat::Ident(name), value) => drop(self.names.insert(name.ident.to_string(), self.text(value))),
            (Pat::Tuple(names), Expr::Tuple(values)) => {
                for (name, value) in names.elems.iter().zip(&values.elems) {
                    if let Pat::Ident(name) = name {
                        self.names.insert(name.ident.to_string(), self.text(value));
                    }
                }
            }
            _ => {}
        }
    }

    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        if !is_test(&item.attrs) {
            self.read_fn(&item.sig, |reader| visit::visit_item_fn(reader, item));
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        let own = (item.sig.receiver().is_none()).then(|| self.types.get("self").cloned()).flatten();
        self.read_fn(&item.sig, |reader| {
            // Known everywhere: a method by its name, a function of a type by both names.
            reader.within.1 = true;
            reader.within.0 = own.map_or_else(|| item.sig.ident.to_string(), |own| format!("{own}::{}", item.sig.ident));
            visit::visit_impl_item_fn(reader, item);
        });
    }

    fn visit_item_enum(&mut self, item: &'a ItemEnum) {
        for variant in &item.variants {
            for (at, field) in variant.fields.iter().enumerate() {
                let name = field.ident.as_ref().map_or_else(|| at.to_string(), ToString::to_string);
                self.fields.insert((item.ident.to_string(), variant.ident.to_string(), name), type_name(&field.ty));
            }
            let message = variant.attrs.iter().find(|attribute| attribute.path().is_ident("error"));
            if let Some(text) = message.and_then(|attribute| attribute.parse_args_with(first_text).ok()) {
                self.messages.push((item.ident.to_string(), variant.ident.to_string(), text));
            }
        }
    }

    fn visit_item_impl(&mut self, item: &'a ItemImpl) {
        let syn::Type::Path(kind) = &*item.self_ty else { return visit::visit_item_impl(self, item) };
        let kind = kind.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        let around = self.types.insert("self".into(), kind.clone());
        for function in item.items.iter().filter_map(|item| if let ImplItem::Fn(function) = item { Some(function) } else { None }) {
            let what = match function.sig.ident.to_string().as_str() {
                "code" => "code",
                "hint" => "hint",
                _ => continue,
            };
            let mut arms = Arms::default();
            arms.visit_block(&function.block);
            for arm in arms.0 {
                self.arm(&kind, what, &arm);
            }
        }
        visit::visit_item_impl(self, item);
        match around {
            Some(kind) => drop(self.types.insert("self".into(), kind)),
            None => drop(self.types.remove("self")),
        }
    }

    fn visit_expr_call(&mut self, call: &'a ExprCall) {
        visit::visit_expr_call(self, call);
        let Expr::Path(path) = &*call.func else { return };
        let parts: Vec<String> = path.path.segments.iter().map(|part| part.ident.to_string()).collect();
        let name = match &parts[parts.len().saturating_sub(2)..] {
            [own, name] if own == "Self" => format!("{}::{name}", self.types.get("self").map_or("Self", String::as_str)),
            last => last.join("::"),
        };
        let given = call.args.iter().map(|arg| self.text(arg)).collect();
        self.calls.entry(name.clone()).or_default().push(given);
        let Some((_, at)) = MAKERS.iter().find(|(maker, _)| *maker == name) else { return };
        let args: Vec<&Expr> = call.args.iter().collect();
        let text = |at: usize| args.get(at).map(|arg| self.text(arg)).unwrap_or_default();
        let (code, message, hint) = (text(*at), text(at + 1), text(at + 2));
        self.row(&code, &message, &hint);
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        visit::visit_expr_method_call(self, call);
        let given = call.args.iter().map(|arg| self.text(arg)).collect();
        self.calls.entry(call.method.to_string()).or_default().push(given);
    }

    /// A row of a table of errors.
    fn visit_expr_struct(&mut self, made: &'a ExprStruct) {
        visit::visit_expr_struct(self, made);
        let field = |name: &str| {
            let named = |member: &syn::Member| matches!(member, syn::Member::Named(known) if known == name);
            made.fields.iter().find(|field| named(&field.member)).map(|field| self.text(&field.expr))
        };
        if let (Some(code), Some(message), Some(hint)) = (field("code"), field("message"), field("hint")) {
            self.row(&code, &message, &hint);
        }
    }
}

impl Reader {
    /// Reads a function with its parameters in sight.
    fn read_fn(&mut self, sig: &syn::Signature, read: impl FnOnce(&mut Self)) {
        let mut parameters = Vec::new();
        let (names, types) = (self.names.clone(), self.types.clone());
        for input in &sig.inputs {
            if let syn::FnArg::Typed(typed) = input {
                let name = if let Pat::Ident(name) = &*typed.pat { name.ident.to_string() } else { String::new() };
                self.names.remove(&name);
                self.types.insert(name.clone(), type_name(&typed.ty));
                parameters.push(name);
            }
        }
        let around = std::mem::replace(&mut self.within, (sig.ident.to_string(), false, parameters));
        read(self);
        (self.within, self.names, self.types) = (around, names, types);
    }
}

/// The arms of the first `match` in a function.
#[derive(Default)]
struct Arms(Vec<Arm>);

impl<'a> Visit<'a> for Arms {
    fn visit_expr_match(&mut self, made: &'a syn::ExprMatch) {
        if self.0.is_empty() {
            self.0.clone_from(&made.arms);
        }
    }
}

fn first_text(input: syn::parse::ParseStream<'_>) -> syn::Result<String> {
    let text: syn::LitStr = input.parse()?;
    input.parse::<proc_macro2::TokenStream>()?;
    Ok(text.value())
}

fn rows() -> BTreeSet<Row> {
    let mut files = Vec::new();
    for folder in ["src", "daemon/src", "shim/src", "proto/src"] {
        sources(&root().join(folder), &mut files);
    }
    let mut rows = BTreeSet::new();
    let (mut told, mut calls, mut methods) = (Told::new(), BTreeMap::<String, Vec<Vec<String>>>::new(), Vec::new());
    for path in files {
        let file: File = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut reader = Reader::default();
        reader.visit_file(&file);
        reader.end();
        rows.extend(reader.rows);
        told.extend(reader.told);
        methods.extend(reader.made.into_iter().filter(|(_, method, _)| *method));
        reader.calls.into_iter().for_each(|(name, given)| calls.entry(name).or_default().extend(given));
    }
    // A method is called from anywhere; a function that makes errors of its parameters only from its own file.
    methods.iter().for_each(|(name, _, row)| rows.extend(called(row, calls.get(name))));
    let mut rows: BTreeSet<Row> = rows.into_iter().flat_map(|row| passed(row, &told)).collect();
    // What passes another's code or message on is told where that arises; what has no message is made for its exit code alone.
    let told_elsewhere = |text: &str| text.is_empty() || text == COMPUTED || text.contains([PARAMETER, PASSED]);
    rows.retain(|(code, message, _)| !told_elsewhere(code) && !told_elsewhere(message));
    rows
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
    let rows = rows();
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
    for (code, messages, hints) in rows() {
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
