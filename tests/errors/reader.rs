//! Reads one file of ours: which errors it makes, with the code, the message and the hint of each.

use std::collections::{BTreeMap, BTreeSet};

use syn::{
    Arm, Expr, ExprCall, ExprStruct, ImplItem, ItemEnum, ItemImpl, Lit, Local, Pat,
    visit::{self, Visit},
};

/// What stands for a part that is computed.
pub(super) const COMPUTED: &str = "…";

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
pub(super) const OF_THE_CAUSE: &str = "As for its cause, which has a row of its own.";
/// Around the name of a type whose code, message or hint is passed on.
pub(super) const PASSED: char = '\u{1}';
/// After that name: the type may have nothing to say, and then what follows is said.
pub(super) const PERHAPS: char = '?';
/// Around the place of a parameter that is passed on.
pub(super) const PARAMETER: char = '\u{2}';
/// Around the numbers of a choice and of a part of it: what several names stand for together.
const CHOICE: char = '\u{3}';
/// Code, message and hint of one error.
pub(super) type Row = (String, String, String);
/// Where an error is made: the file, and the function or the variant.
pub(super) type Place = (String, String);
/// What a type says of its variants: the variant (`_` for all others) and the text.
pub(super) type Told = BTreeMap<(String, &'static str), Vec<(String, String)>>;

/// What is known of one file.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) rows: BTreeSet<Row>,
    /// Where an error is made whose code cannot be read.
    pub(super) unread: BTreeSet<Place>,
    /// What the functions called `code` say, wherever in them.
    pub(super) own_codes: BTreeSet<String>,
    /// What `let` and `const` give names to.
    names: BTreeMap<String, String>,
    /// Messages by type and variant.
    messages: Vec<(String, String, String)>,
    pub(super) told: Told,
    /// The types of names in sight, where they are written down.
    types: BTreeMap<String, String>,
    /// What the variants of enums hold, by type, variant and field (a number in a tuple).
    fields: BTreeMap<(String, String, String), String>,
    /// Rows that a function makes of its parameters, by its name; whether other files may call it by that name.
    pub(super) made: Vec<(String, bool, Row)>,
    /// What functions and methods are called with.
    pub(super) calls: BTreeMap<String, Vec<Vec<String>>>,
    /// The function that is read: its name, whether other files may call it by that name, its parameters in order.
    within: (String, bool, Vec<String>),
    /// What names that come out of one `match` or `if` stand for: the values of each arm.
    choices: Vec<Vec<Vec<String>>>,
    /// The name of the file.
    file: String,
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
            // `trouble.and_then(Trouble::code)`
            Expr::MethodCall(call) if call.method == "and_then" && call.args.first().is_some_and(|said| said_of(said).is_some()) => {
                let kind = call.args.first().and_then(said_of).unwrap_or_default();
                format!("{PASSED}{kind}{PASSED}")
            }
            Expr::MethodCall(call) => self.text(&call.receiver),
            Expr::Field(field) if self.of_a_const(field).is_some() => self.of_a_const(field).unwrap_or_default(),
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

    /// `THROTTLED.code`.
    fn of_a_const(&self, field: &syn::ExprField) -> Option<String> {
        let (Expr::Path(base), syn::Member::Named(name)) = (&*field.base, &field.member) else { return None };
        self.names.get(&format!("{}.{name}", base.path.get_ident()?)).cloned()
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
        let variant = |path: &syn::Path| {
            let mut names = path.segments.iter().rev().map(|part| part.ident.to_string());
            let variant = names.next().unwrap_or_default();
            (names.next().filter(|kind| kind != "Self").unwrap_or_else(|| of.to_owned()), variant)
        };
        let parts: Vec<((String, String), String, &Pat)> = match pat {
            Pat::Guard(guarded) => return self.bind(of, &guarded.pat),
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
        for ((kind, variant), field, part) in parts {
            if let (Pat::Ident(name), Some(kind)) = (part, self.fields.get(&(kind, variant, field))) {
                self.types.insert(name.ident.to_string(), kind.clone());
            }
        }
    }

    fn arm(&mut self, of: &str, what: &'static str, arm: &Arm) {
        let (types, names) = (self.types.clone(), self.names.clone());
        self.bind(of, &arm.pat);
        if let Expr::Block(block) = &*arm.body {
            self.names_of(&block.block);
        }
        let text = self.text(&arm.body);
        (self.types, self.names) = (types, names);
        for variant in variants(&arm.pat) {
            self.told.entry((of.to_owned(), what)).or_default().push((variant, text.clone()));
        }
    }

    /// What an arm of a `fmt` written by hand writes; nothing where it writes what it holds, which is told where that arises.
    fn shown_arm(&mut self, of: &str, arm: &Arm) {
        let types = self.types.clone();
        self.bind(of, &arm.pat);
        let mut texts = self.shown(&arm.body);
        texts.retain(|text| {
            !text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_some_and(|name| self.types.contains_key(name))
        });
        self.types = types;
        for variant in variants(&arm.pat) {
            self.messages.extend(texts.iter().map(|text| (of.to_owned(), variant.clone(), text.clone())));
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
        for chosen in self.chosen(&[code, message, hint].map(str::to_owned)) {
            self.one_row(&chosen[0], &chosen[1], &chosen[2]);
        }
    }

    /// The texts once for each arm of a `match` or `if` that they come out of.
    fn chosen(&self, texts: &[String]) -> Vec<Vec<String>> {
        let choice = texts.iter().find_map(|text| text.split(CHOICE).nth(1)?.split('.').next()?.parse::<usize>().ok());
        let Some((at, arms)) = choice.and_then(|at| Some((at, self.choices.get(at)?))) else { return vec![texts.to_vec()] };
        let filled = |arm: &Vec<String>| -> Vec<String> {
            let mark = |part: usize| format!("{CHOICE}{at}.{part}{CHOICE}");
            let fill = |text: &String| arm.iter().enumerate().fold(text.clone(), |text, (part, said)| text.replace(&mark(part), said));
            texts.iter().map(fill).collect()
        };
        arms.iter().flat_map(|arm| self.chosen(&filled(arm))).collect()
    }

    fn one_row(&mut self, code: &str, message: &str, hint: &str) {
        let (name, method, _) = &self.within;
        if code.split(" / ").any(|code| code == COMPUTED) && !MAKERS.iter().any(|(maker, _)| maker == name) {
            self.unread.insert((self.file.clone(), name.clone()));
        }
        let row = |code: &str| (code.to_owned(), message.to_owned(), hint.to_owned());
        if MAKERS.iter().any(|(maker, _)| maker == name) {
            // Each of its calls is read.
        } else if [code, message, hint].iter().any(|text| text.contains(PARAMETER)) {
            self.made.push((name.clone(), *method, row(code)));
        } else {
            self.rows.extend(code.split(" / ").map(row));
        }
    }

    /// What a file gives that needs no other file.
    pub(super) fn end(&mut self) {
        for (kind, variant, message) in &self.messages {
            self.told.entry((kind.clone(), "message")).or_default().push((variant.clone(), message.clone()));
            // What has no code of its own is told by what has it in it; what has no hint is no error.
            if !["code", "hint"].iter().all(|what| self.told.contains_key(&(kind.clone(), *what))) {
                continue;
            }
            let (code, hint) = (self.of(kind, "code", variant), self.of(kind, "hint", variant));
            if code.split(" / ").any(|code| code == COMPUTED) {
                self.unread.insert((self.file.clone(), format!("{kind}::{variant}")));
            }
            self.rows.extend(code.split(" / ").map(|code| (code.to_owned(), message.clone(), hint.clone())));
        }
        let (methods, functions) = std::mem::take(&mut self.made).into_iter().partition(|(_, method, _)| *method);
        self.made = methods;
        self.settle(functions);
    }

    /// The rows of functions whose calls have all been read.
    fn settle(&mut self, made: Vec<(String, bool, Row)>) {
        for (name, _, row) in made {
            let rows = called(&row, self.calls.get(&name));
            if rows.is_empty() || rows.iter().any(|(code, ..)| code == COMPUTED) {
                self.unread.insert((self.file.clone(), name));
            }
            self.rows.extend(rows);
        }
    }
}

/// What a function that makes errors of its parameters makes at each of its calls; one that only hands parameters on has rows of its own.
pub(super) fn called(row: &Row, calls: Option<&Vec<Vec<String>>>) -> Vec<Row> {
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

/// The type in `Trouble::code` and `Trouble::hint`.
fn said_of(expr: &Expr) -> Option<String> {
    let Expr::Path(path) = expr else { return None };
    let names: Vec<String> = path.path.segments.iter().map(|part| part.ident.to_string()).collect();
    let [.., kind, said] = names.as_slice() else { return None };
    ["code", "hint"].contains(&said.as_str()).then(|| kind.clone())
}

/// The last part of the name of a type, without what it is wrapped in.
fn type_name(kind: &syn::Type) -> String {
    match kind {
        syn::Type::Reference(inner) => type_name(&inner.elem),
        syn::Type::Path(path) => {
            let last = path.path.segments.last();
            match last.map(|last| (last.ident.to_string(), &last.arguments)) {
                Some((name, syn::PathArguments::AngleBracketed(held))) if name == "Box" => match held.args.first() {
                    Some(syn::GenericArgument::Type(held)) => type_name(held),
                    _ => name,
                },
                Some((name, _)) => name,
                None => String::new(),
            }
        }
        _ => String::new(),
    }
}

/// `Some(…)` and its like, which hold the text that they are given.
fn wraps(func: &Expr) -> bool {
    matches!(func, Expr::Path(path) if path.path.segments.last().is_some_and(|last| ["Some", "Ok", "Err", "from"].contains(&last.ident.to_string().as_str())))
}

pub(super) fn joined(texts: impl Iterator<Item = String>) -> String {
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
        Pat::Guard(guarded) => variants(&guarded.pat),
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
        if let Expr::Struct(made) = &*item.expr {
            for field in &made.fields {
                if let syn::Member::Named(name) = &field.member {
                    self.names.insert(format!("{}.{name}", item.ident), self.text(&field.expr));
                }
            }
        }
        visit::visit_item_const(self, item);
    }

    fn visit_local(&mut self, local: &'a Local) {
        // A closure with a name makes errors as a function does; what it says is settled where its function ends.
        if let (Some(name), Some(Expr::Closure(closure))) = (named(&local.pat), local.init.as_ref().map(|init| &*init.expr)) {
            return self.read_closure(&name, closure);
        }
        visit::visit_local(self, local);
        self.name(local);
    }

    /// What `vec!` holds; of other macros nothing makes errors.
    fn visit_macro(&mut self, made: &'a syn::Macro) {
        if made.path.is_ident("vec")
            && let Ok(all) = made.parse_body_with(syn::punctuated::Punctuated::<Expr, syn::Token![,]>::parse_terminated)
        {
            all.iter().for_each(|expr| Reader::visit_expr(self, expr));
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
        let shows = item.trait_.as_ref().is_some_and(|(path, ..)| path.segments.last().is_some_and(|last| last.ident == "Display"));
        let around = self.types.insert("self".into(), kind.clone());
        for function in item.items.iter().filter_map(|item| if let ImplItem::Fn(function) = item { Some(function) } else { None }) {
            let mut arms = Arms::default();
            arms.visit_block(&function.block);
            let what = match function.sig.ident.to_string().as_str() {
                "code" => "code",
                "hint" => "hint",
                "fmt" if shows => {
                    arms.0.iter().for_each(|arm| self.shown_arm(&kind, arm));
                    continue;
                }
                _ => continue,
            };
            if what == "code" && item.items.iter().any(|item| matches!(item, ImplItem::Fn(function) if function.sig.ident == "hint")) {
                let mut literals = Literals::default();
                literals.visit_block(&function.block);
                self.own_codes.extend(literals.0);
            }
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
        self.called_with(&name, call.args.iter());
        let Some((_, at)) = MAKERS.iter().find(|(maker, _)| *maker == name) else { return };
        let args: Vec<&Expr> = call.args.iter().collect();
        let text = |at: usize| args.get(at).map(|arg| self.text(arg)).unwrap_or_default();
        let (code, message, hint) = (text(*at), text(at + 1), text(at + 2));
        self.row(&code, &message, &hint);
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        visit::visit_expr_method_call(self, call);
        self.called_with(&call.method.to_string(), call.args.iter());
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
    /// Of the file called `file`, where others have given these names.
    pub(super) fn begin(file: &str, names: &BTreeMap<String, String>) -> Self {
        Self { file: file.to_owned(), names: names.clone(), ..Self::default() }
    }

    /// Notes what `let` gives a name to.
    fn name(&mut self, local: &Local) {
        let Some(init) = &local.init else { return };
        let Pat::Tuple(names) = &local.pat else {
            if let Some(name) = named(&local.pat) {
                self.names.insert(name, self.text(&init.expr));
            }
            return;
        };
        let arms = self.tuples(&init.expr);
        for (part, name) in names.elems.iter().enumerate().filter_map(|(part, name)| Some((part, named(name)?))) {
            let text = match arms.as_slice() {
                [] => COMPUTED.to_owned(),
                [only] => only.get(part).cloned().unwrap_or_else(|| COMPUTED.to_owned()),
                _ => format!("{CHOICE}{}.{part}{CHOICE}", self.choices.len()),
            };
            self.names.insert(name, text);
        }
        if arms.len() > 1 {
            let most = names.elems.len();
            let whole = |mut arm: Vec<String>| {
                arm.resize(most, COMPUTED.to_owned());
                arm
            };
            self.choices.push(arms.into_iter().map(whole).collect());
        }
    }

    /// The tuples that an expression may come to.
    fn tuples(&mut self, expr: &Expr) -> Vec<Vec<String>> {
        match expr {
            Expr::Tuple(values) => vec![values.elems.iter().map(|value| self.text(value)).collect()],
            Expr::Match(made) => made.arms.iter().flat_map(|arm| self.tuples(&arm.body)).collect(),
            Expr::If(either) => {
                let mut all = self.tuples_of(&either.then_branch);
                all.extend(either.else_branch.iter().flat_map(|(_, other)| self.tuples(other)));
                all
            }
            Expr::Block(block) => self.tuples_of(&block.block),
            _ => Vec::new(),
        }
    }

    fn tuples_of(&mut self, block: &syn::Block) -> Vec<Vec<String>> {
        let around = self.names.clone();
        self.names_of(block);
        let all = match block.stmts.last() {
            Some(syn::Stmt::Expr(expr, None)) => self.tuples(expr),
            _ => Vec::new(),
        };
        self.names = around;
        all
    }

    /// Notes what the block gives names to.
    fn names_of(&mut self, block: &syn::Block) {
        for stmt in &block.stmts {
            if let syn::Stmt::Local(local) = stmt {
                self.name(local);
            }
        }
    }

    /// What a part of a `fmt` written by hand writes: `f.write_str(…)`, `write!(f, …)`.
    fn shown(&self, expr: &Expr) -> Vec<String> {
        match expr {
            Expr::Try(inner) => self.shown(&inner.expr),
            Expr::Block(block) => match block.block.stmts.last() {
                Some(syn::Stmt::Expr(expr, _)) => self.shown(expr),
                _ => Vec::new(),
            },
            Expr::MethodCall(call) if call.method == "write_str" => call.args.iter().map(|text| self.text(text)).collect(),
            Expr::Macro(made) if made.mac.path.is_ident("write") => {
                let text = |input: syn::parse::ParseStream<'_>| {
                    input.parse::<Expr>()?;
                    input.parse::<syn::Token![,]>()?;
                    first_text(input)
                };
                made.mac.parse_body_with(text).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn called_with<'b>(&mut self, name: &str, args: impl Iterator<Item = &'b Expr>) {
        let given: Vec<String> = args.map(|arg| self.text(arg)).collect();
        let given = self.chosen(&given);
        self.calls.entry(name.to_owned()).or_default().extend(given);
    }

    /// Reads a closure with a name.
    fn read_closure(&mut self, name: &str, closure: &syn::ExprClosure) {
        let around = (self.names.clone(), self.types.clone(), self.within.clone());
        let mut parameters = Vec::new();
        for input in &closure.inputs {
            let name = named(input).unwrap_or_default();
            self.names.remove(&name);
            if let Pat::Type(typed) = input {
                self.types.insert(name.clone(), type_name(&typed.ty));
            }
            parameters.push(name);
        }
        self.within = (name.to_owned(), false, parameters);
        Reader::visit_expr(self, &closure.body);
        (self.names, self.types, self.within) = around;
    }

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
        let (calls, made) = (std::mem::take(&mut self.calls), std::mem::take(&mut self.made));
        read(self);
        // Closures are called within their function alone.
        let own = self.within.0.clone();
        let (rest, closures) = std::mem::replace(&mut self.made, made).into_iter().partition(|(name, method, _)| *method || *name == own);
        self.settle(closures);
        let rest: Vec<(String, bool, Row)> = rest;
        self.made.extend(rest);
        for (name, given) in std::mem::replace(&mut self.calls, calls) {
            self.calls.entry(name).or_default().extend(given);
        }
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

/// What the `const`s of a file, which others may use, give names to.
#[derive(Default)]
pub(super) struct Consts(pub(super) Vec<(String, String)>);

impl<'a> Visit<'a> for Consts {
    fn visit_item_const(&mut self, item: &'a syn::ItemConst) {
        let text = Reader::default().text(&item.expr);
        if text != COMPUTED && !matches!(item.vis, syn::Visibility::Inherited) {
            self.0.push((item.ident.to_string(), text));
        }
    }
}

/// The texts that stand in a function.
#[derive(Default)]
struct Literals(BTreeSet<String>);

impl<'a> Visit<'a> for Literals {
    fn visit_lit_str(&mut self, text: &'a syn::LitStr) {
        self.0.insert(text.value());
    }
}

/// The name that a pattern gives.
fn named(pat: &Pat) -> Option<String> {
    match pat {
        Pat::Ident(name) => Some(name.ident.to_string()),
        Pat::Type(typed) => named(&typed.pat),
        _ => None,
    }
}

fn first_text(input: syn::parse::ParseStream<'_>) -> syn::Result<String> {
    let text: syn::LitStr = input.parse()?;
    input.parse::<proc_macro2::TokenStream>()?;
    Ok(text.value())
}
