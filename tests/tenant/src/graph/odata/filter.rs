//! `$filter`: its grammar, and whether a row passes.
//!
//! Text is compared without regard to case, as Exchange does, except in ids and change keys. A text that reads as a
//! date on both sides is compared as an instant: `start/dateTime ge '2026-11-20T00:00:00Z'`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::Value;

use super::schema::{Schema, Ty};
use super::{Answer, Row, value_at};
use crate::graph::errors::Fault;

/// A comparison's operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

/// A text function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Func {
    StartsWith,
    EndsWith,
    Contains,
}

/// A constant in a filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Instant(Timestamp),
}

/// A parsed filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Compare {
        path: Vec<String>,
        op: Op,
        literal: Literal,
    },
    Call {
        func: Func,
        path: Vec<String>,
        text: String,
    },
    /// A boolean property standing for itself.
    Flag(Vec<String>),
    /// `categories/any(c:c eq 'x')`; without a condition: not empty.
    Any {
        path: Vec<String>,
        inner: Option<Box<Filter>>,
    },
}

impl Filter {
    /// Parses the text and holds it to the type's properties.
    pub(crate) fn parse(text: &str, schema: &Schema) -> Answer<Self> {
        let tokens = lex(text).map_err(|at| malformed(&format!("Syntax error at position {at} in '{text}'.")))?;
        let mut parser = Parser { tokens: &tokens, at: 0, variable: None, depth: 0 };
        let filter = parser.or().and_then(|filter| if parser.at == tokens.len() { Some(filter) } else { None });
        let filter = filter.ok_or_else(|| malformed(&format!("Syntax error at position {} in '{text}'.", parser.position(text))))?;
        filter.check(schema)?;
        Ok(filter)
    }

    /// Whether the row passes.
    pub(crate) fn matches(&self, row: &dyn Row) -> bool {
        match self {
            Self::And(a, b) => a.matches(row) && b.matches(row),
            Self::Or(a, b) => a.matches(row) || b.matches(row),
            Self::Not(inner) => !inner.matches(row),
            Self::Flag(path) => value_at(row, path) == Value::Bool(true),
            Self::Compare { path, op, literal } => compare(&value_at(row, path), *op, literal, is_exact(path)),
            Self::Call { func, path, text } => match value_at(row, path) {
                Value::String(value) => call(*func, &value.to_lowercase(), &text.to_lowercase()),
                _ => false,
            },
            Self::Any { path, inner } => match (value_at(row, path), inner) {
                (Value::Array(items), None) => !items.is_empty(),
                (Value::Array(items), Some(inner)) => items.into_iter().any(|item| inner.matches(&Element(item))),
                _ => false,
            },
        }
    }

    /// The paths in the order in which they first appear.
    pub(crate) fn paths(&self) -> Vec<&[String]> {
        let mut out = Vec::new();
        self.collect(&mut out);
        out
    }

    fn collect<'a>(&'a self, out: &mut Vec<&'a [String]>) {
        match self {
            Self::And(a, b) | Self::Or(a, b) => {
                a.collect(out);
                b.collect(out);
            }
            Self::Not(inner) => inner.collect(out),
            Self::Compare { path, .. } | Self::Call { path, .. } | Self::Flag(path) | Self::Any { path, .. } => {
                if !out.contains(&path.as_slice()) {
                    out.push(path);
                }
            }
        }
    }

    fn check(&self, schema: &Schema) -> Answer<()> {
        let known = |path: &[String]| {
            let first = path.first().map_or("", String::as_str);
            // Made for each answer, so there is nothing that could be filtered.
            if first == "bodyPreview" {
                let message = "The property 'bodyPreview' does not support filtering.";
                return Err(Fault::new(http::StatusCode::BAD_REQUEST, "ErrorInvalidProperty", message));
            }
            schema.kind(first).ok_or_else(|| Fault::unknown_property(first, schema.name))
        };
        match self {
            Self::And(a, b) | Self::Or(a, b) => a.check(schema).and_then(|()| b.check(schema)),
            Self::Not(inner) => inner.check(schema),
            Self::Call { path, .. } => known(path).map(|_| ()),
            Self::Flag(path) => match known(path)? {
                Ty::Bool | Ty::Complex => Ok(()),
                _ => Err(malformed("The query specified in the URI is not valid. A condition must be a boolean.")),
            },
            Self::Any { path, .. } => match known(path)? {
                Ty::Many | Ty::Complex => Ok(()),
                _ => Err(malformed("Any/All may only be used following a collection.")),
            },
            Self::Compare { path, literal, .. } => {
                let kind = known(path)?;
                let fits = path.len() > 1
                    || match (kind, literal) {
                        (Ty::Many, _) => false,
                        (_, Literal::Null) | (Ty::Complex, _) => true,
                        (Ty::Bool, Literal::Bool(_)) | (Ty::Number, Literal::Number(_)) => true,
                        (Ty::Text, Literal::Text(_)) => true,
                        (Ty::Date, Literal::Instant(_)) => true,
                        (Ty::Date, Literal::Text(text)) => instant(text).is_some(),
                        _ => false,
                    };
                if fits { Ok(()) } else { Err(malformed("A binary operator with incompatible types was detected.")) }
            }
        }
    }
}

struct Element(Value);

impl Row for Element {
    fn property(&self, name: &str) -> Option<Value> {
        if name.is_empty() { Some(self.0.clone()) } else { self.0.get(name).cloned() }
    }
}

fn malformed(detail: &str) -> Box<Fault> {
    Fault::bad_request(format!("Invalid filter clause: {detail}"))
}

fn is_exact(path: &[String]) -> bool {
    path.last().is_some_and(|name| name == "id" || name.ends_with("Id") || name == "changeKey")
}

fn call(func: Func, value: &str, text: &str) -> bool {
    match func {
        Func::StartsWith => value.starts_with(text),
        Func::EndsWith => value.ends_with(text),
        Func::Contains => value.contains(text),
    }
}

/// A text as an instant; without an offset it is UTC, as Graph's `dateTime` fields are by default.
pub(crate) fn instant(text: &str) -> Option<Timestamp> {
    if text.len() < 10 || !text.as_bytes()[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let civil = text.parse::<DateTime>().ok()?;
    civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn compare(value: &Value, op: Op, literal: &Literal, exact: bool) -> bool {
    let order = match (value, literal) {
        (Value::Null, Literal::Null) => return op == Op::Eq,
        (_, Literal::Null) | (Value::Null, _) => return op == Op::Ne,
        (Value::Bool(a), Literal::Bool(b)) => a.cmp(b),
        (Value::Number(a), Literal::Number(b)) => match a.as_f64().and_then(|a| a.partial_cmp(b)) {
            Some(order) => order,
            None => return op == Op::Ne,
        },
        (Value::String(a), Literal::Instant(b)) => match instant(a) {
            Some(a) => a.cmp(b),
            None => return op == Op::Ne,
        },
        (Value::String(a), Literal::Text(b)) => match (instant(a), instant(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ if exact => a.cmp(b),
            _ => a.to_lowercase().cmp(&b.to_lowercase()),
        },
        _ => return op == Op::Ne,
    };
    match op {
        Op::Eq => order.is_eq(),
        Op::Ne => order.is_ne(),
        Op::Gt => order.is_gt(),
        Op::Ge => order.is_ge(),
        Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    Colon,
    Word(String),
    Text(String),
}

fn lex(text: &str) -> Result<Vec<Token>, usize> {
    let characters: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        match characters[at] {
            c if c.is_whitespace() => at += 1,
            '(' => {
                out.push(Token::Open);
                at += 1;
            }
            ')' => {
                out.push(Token::Close);
                at += 1;
            }
            ',' => {
                out.push(Token::Comma);
                at += 1;
            }
            '\'' => {
                let start = at;
                let mut value = String::new();
                at += 1;
                loop {
                    match characters.get(at) {
                        None => return Err(start),
                        Some('\'') if characters.get(at + 1) == Some(&'\'') => {
                            value.push('\'');
                            at += 2;
                        }
                        Some('\'') => break,
                        Some(c) => {
                            value.push(*c);
                            at += 1;
                        }
                    }
                }
                at += 1;
                out.push(Token::Text(value));
            }
            ':' => {
                out.push(Token::Colon);
                at += 1;
            }
            c if c.is_alphanumeric() || matches!(c, '_' | '/' | '.' | '-' | '+' | '@') => {
                let digit = c.is_ascii_digit();
                let mut word = String::new();
                // A colon belongs to a time, not to the variable of a lambda.
                while let Some(c) = characters
                    .get(at)
                    .filter(|c| c.is_alphanumeric() || matches!(c, '_' | '/' | '.' | '-' | '+' | '@') || (digit && **c == ':'))
                {
                    word.push(*c);
                    at += 1;
                }
                out.push(Token::Word(word));
            }
            _ => return Err(at),
        }
    }
    Ok(out)
}

/// How deep parentheses and `not` may nest.
const DEEPEST: usize = 60;

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    variable: Option<String>,
    depth: usize,
}

impl Parser<'_> {
    fn position(&self, text: &str) -> usize {
        // Tokens carry no positions; the share of tokens read is near enough for a person.
        text.len() * self.at / self.tokens.len().max(1)
    }

    fn word(&mut self, expected: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Word(word)) if word == expected);
        self.at += usize::from(found);
        found
    }

    fn eat(&mut self, expected: &Token) -> Option<()> {
        (self.tokens.get(self.at) == Some(expected)).then(|| self.at += 1)
    }

    fn or(&mut self) -> Option<Filter> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let mut left = self.and()?;
        while self.word("or") {
            left = Filter::Or(Box::new(left), Box::new(self.and()?));
        }
        self.depth -= 1;
        Some(left)
    }

    fn and(&mut self) -> Option<Filter> {
        let mut left = self.unary()?;
        while self.word("and") {
            left = Filter::And(Box::new(left), Box::new(self.unary()?));
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<Filter> {
        if self.word("not") {
            self.depth += 1;
            if self.depth > DEEPEST {
                return None;
            }
            let inner = self.unary()?;
            self.depth -= 1;
            return Some(Filter::Not(Box::new(inner)));
        }
        if self.eat(&Token::Open).is_some() {
            let inner = self.or()?;
            self.eat(&Token::Close)?;
            return Some(inner);
        }
        self.condition()
    }

    fn condition(&mut self) -> Option<Filter> {
        let Token::Word(word) = self.tokens.get(self.at)?.clone() else {
            return None;
        };
        self.at += 1;
        let func = match word.to_ascii_lowercase().as_str() {
            "startswith" => Some(Func::StartsWith),
            "endswith" => Some(Func::EndsWith),
            "contains" => Some(Func::Contains),
            _ => None,
        };
        if let Some(func) = func {
            self.eat(&Token::Open)?;
            let Token::Word(path) = self.tokens.get(self.at)?.clone() else {
                return None;
            };
            self.at += 1;
            let path = self.path(&path)?;
            self.eat(&Token::Comma)?;
            let Token::Text(text) = self.tokens.get(self.at)?.clone() else {
                return None;
            };
            self.at += 1;
            self.eat(&Token::Close)?;
            // `contains(…) eq true` is how some clients write it.
            let call = Filter::Call { func, path, text };
            if self.word("eq") {
                return match self.literal()? {
                    Literal::Bool(true) => Some(call),
                    Literal::Bool(false) => Some(Filter::Not(Box::new(call))),
                    _ => None,
                };
            }
            return Some(call);
        }
        if let Some(collection) = word.strip_suffix("/any") {
            let path = self.path(collection)?;
            return self.any(path);
        }
        let path = self.path(&word)?;
        let op = match self.tokens.get(self.at) {
            Some(Token::Word(op)) => match op.as_str() {
                "eq" => Op::Eq,
                "ne" => Op::Ne,
                "gt" => Op::Gt,
                "ge" => Op::Ge,
                "lt" => Op::Lt,
                "le" => Op::Le,
                _ => return Some(Filter::Flag(path)),
            },
            _ => return Some(Filter::Flag(path)),
        };
        self.at += 1;
        let literal = self.literal()?;
        Some(Filter::Compare { path, op, literal })
    }

    fn any(&mut self, path: Vec<String>) -> Option<Filter> {
        self.eat(&Token::Open)?;
        if self.eat(&Token::Close).is_some() {
            return Some(Filter::Any { path, inner: None });
        }
        let Token::Word(variable) = self.tokens.get(self.at)?.clone() else {
            return None;
        };
        self.at += 1;
        self.eat(&Token::Colon)?;
        let outer = self.variable.replace(variable);
        let inner = self.or()?;
        self.variable = outer;
        self.eat(&Token::Close)?;
        Some(Filter::Any { path, inner: Some(Box::new(inner)) })
    }

    /// A property path. Inside a lambda it begins with the variable, which alone means the element itself.
    fn path(&self, word: &str) -> Option<Vec<String>> {
        let names: Vec<String> = word.split('/').map(str::to_owned).collect();
        let named = |name: &String| {
            name.starts_with(|c: char| c.is_alphabetic() || c == '_') && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.')
        };
        if !names.iter().all(named) || matches!(word, "and" | "or" | "not" | "null" | "true" | "false") {
            return None;
        }
        match &self.variable {
            None => Some(names),
            Some(variable) if names.first() == Some(variable) && names.len() == 1 => Some(vec![String::new()]),
            Some(variable) if names.first() == Some(variable) => Some(names[1..].to_vec()),
            Some(_) => None,
        }
    }

    fn literal(&mut self) -> Option<Literal> {
        let token = self.tokens.get(self.at)?.clone();
        self.at += 1;
        match token {
            Token::Text(text) => Some(Literal::Text(text)),
            Token::Word(word) => match word.as_str() {
                "null" => Some(Literal::Null),
                "true" => Some(Literal::Bool(true)),
                "false" => Some(Literal::Bool(false)),
                _ => {
                    instant(&word).map(Literal::Instant).or_else(|| word.parse().ok().filter(|n: &f64| n.is_finite()).map(Literal::Number))
                }
            },
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
