//! Every error that the programs give, with its code and its hint, in `packaging/manual/errors.md`: read from the sources, so that none is
//! missing from the page, and none has nothing to say about the way out. `UPDATE=1 cargo test --test main errors` writes it.
//!
//! Decided here: the sources are parsed (crate `syn`) rather than each error made by hand. Two hundred errors arise where a sentence is
//! needed, and a list of them that somebody keeps would be short of the newest. What is computed stands as `…`.

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
const MAKERS: [(&str, usize); 9] = [
    ("StepError::user", 0),
    ("Problem::new", 1),
    ("Fault::new", 1),
    ("Locked::new", 0),
    ("Found::warning", 0),
    ("Found::failure", 1),
    ("Check::warning", 1),
    ("Warning::new", 0),
    ("Trouble::new", 0),
];

/// Code, message and hint of one error.
type Row = (String, String, String);

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
    /// Codes and hints by type and variant; `_` for all others.
    told: BTreeMap<(String, &'static str), Vec<(String, String)>>,
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
                joined([self.text(&call.receiver)].into_iter().chain(call.args.first().map(|other| self.text(other))))
            }
            Expr::MethodCall(call) => self.text(&call.receiver),
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
                self.names.get(&name).cloned().unwrap_or_else(|| COMPUTED.into())
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

    fn arm(&mut self, of: &str, what: &'static str, arm: &Arm) {
        let text = self.text(&arm.body);
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

    fn end(mut self) -> BTreeSet<Row> {
        for (kind, variant, message) in std::mem::take(&mut self.messages) {
            let (code, hint) = (self.of(&kind, "code", &variant), self.of(&kind, "hint", &variant));
            for code in code.split(" / ") {
                self.rows.insert((code.to_owned(), message.clone(), hint.clone()));
            }
        }
        self.rows
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

    fn visit_item_enum(&mut self, item: &'a ItemEnum) {
        for variant in &item.variants {
            let message = variant.attrs.iter().find(|attribute| attribute.path().is_ident("error"));
            if let Some(text) = message.and_then(|attribute| attribute.parse_args_with(first_text).ok()) {
                self.messages.push((item.ident.to_string(), variant.ident.to_string(), text));
            }
        }
    }

    fn visit_item_impl(&mut self, item: &'a ItemImpl) {
        let syn::Type::Path(kind) = &*item.self_ty else { return visit::visit_item_impl(self, item) };
        let kind = kind.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
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
    }

    fn visit_expr_call(&mut self, call: &'a ExprCall) {
        visit::visit_expr_call(self, call);
        let Expr::Path(path) = &*call.func else { return };
        let parts: Vec<String> = path.path.segments.iter().map(|part| part.ident.to_string()).collect();
        let name = parts[parts.len().saturating_sub(2)..].join("::");
        let Some((_, at)) = MAKERS.iter().find(|(maker, _)| *maker == name) else { return };
        let args: Vec<&Expr> = call.args.iter().collect();
        let text = |at: usize| args.get(at).map(|arg| self.text(arg)).unwrap_or_default();
        let (code, message, hint) = (text(*at), text(at + 1), text(at + 2));
        for code in code.split(" / ") {
            self.rows.insert((code.to_owned(), message.clone(), hint.clone()));
        }
    }

    /// A row of a table of errors.
    fn visit_expr_struct(&mut self, made: &'a ExprStruct) {
        visit::visit_expr_struct(self, made);
        let field = |name: &str| {
            let named = |member: &syn::Member| matches!(member, syn::Member::Named(known) if known == name);
            made.fields.iter().find(|field| named(&field.member)).map(|field| self.text(&field.expr))
        };
        if let (Some(code), Some(message), Some(hint)) = (field("code"), field("message"), field("hint")) {
            self.rows.insert((code, message, hint));
        }
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
    for path in files {
        let file: File = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut reader = Reader::default();
        reader.visit_file(&file);
        rows.extend(reader.end());
    }
    // What passes another's code, message or hint on is told where that arises; what has no message is made for its exit code alone.
    rows.retain(|(code, message, _)| code != COMPUTED && !message.is_empty() && message != COMPUTED);
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
        assert!(!hint.is_empty(), "`{code}` says nothing of the way out: {message}");
    }
}
