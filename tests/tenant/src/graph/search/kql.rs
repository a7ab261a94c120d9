//! The part of KQL that mail and file search understand: words, "phrases", prefixes*, `property:value`, `property>=value`,
//! `AND`, `OR`, `NOT`, `-word` and parentheses. What stands side by side must all be true.

use jiff::Timestamp;
use jiff::civil::Date;

use super::super::errors::Fault;
use super::super::odata::Answer;

/// Something that can be searched.
pub(crate) trait Document {
    /// The texts under a property (lower case); `None` is what a bare word looks into. No such property: `None`.
    fn texts(&self, property: Option<&str>) -> Option<Vec<String>>;
    /// The instant under a property.
    fn instant(&self, property: &str) -> Option<Timestamp>;
    /// The truth of a property.
    fn truth(&self, property: &str) -> Option<bool>;
}

/// How a property is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Has,
    Ge,
    Gt,
    Le,
    Lt,
}

/// A parsed search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Terms {
    All(Vec<Terms>),
    Any(Vec<Terms>),
    Not(Box<Terms>),
    Term { property: Option<String>, op: Op, text: String, prefix: bool },
}

impl Terms {
    /// Reads a search. `properties` are the ones that exist; `prefix`: a bare word also finds what begins with it.
    pub(crate) fn parse(text: &str, properties: &[&str], prefix: bool) -> Answer<Self> {
        let tokens = lex(text).ok_or_else(|| syntax(text))?;
        let mut parser = Parser { tokens: &tokens, at: 0, properties, prefix };
        match parser.any() {
            Some(terms) if parser.at == tokens.len() => Ok(terms),
            _ => Err(syntax(text)),
        }
    }

    /// Whether the document is found.
    pub(crate) fn find(&self, document: &dyn Document) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.find(document)),
            Self::Any(parts) => parts.iter().any(|part| part.find(document)),
            Self::Not(part) => !part.find(document),
            Self::Term { property, op, text, prefix } => {
                if let Some(name) = property {
                    if let Some(truth) = document.truth(name) {
                        return truth == matches!(text.as_str(), "true" | "yes" | "1");
                    }
                    if let Some(at) = document.instant(name) {
                        return dated(at, *op, text);
                    }
                }
                document.texts(property.as_deref()).is_some_and(|texts| texts.iter().any(|t| has_words(t, text, *prefix)))
            }
        }
    }

    /// The words to mark in a summary.
    pub(crate) fn words(&self) -> Vec<&str> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::words).collect(),
            Self::Not(_) => Vec::new(),
            Self::Term { text, .. } => vec![text],
        }
    }
}

fn syntax(text: &str) -> Box<Fault> {
    Fault::bad_request(format!("Syntax error: the search clause '{text}' is not valid."))
}

/// A day or an instant. A day compared by `:` is that whole day (UTC); `>` begins after it ends.
fn dated(at: Timestamp, op: Op, text: &str) -> bool {
    if let Ok(instant) = text.to_uppercase().parse::<Timestamp>() {
        return match op {
            Op::Has => at == instant,
            Op::Ge => at >= instant,
            Op::Gt => at > instant,
            Op::Le => at <= instant,
            Op::Lt => at < instant,
        };
    }
    let day = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let Some((first, last)) = days(text) else {
        return false;
    };
    match op {
        Op::Has => first <= day && day <= last,
        Op::Ge => day >= first,
        Op::Gt => day > last,
        Op::Le => day <= last,
        Op::Lt => day < first,
    }
}

/// `2026-11-01`, `11/1/2026` or `2026-11-01..2026-11-30`.
fn days(text: &str) -> Option<(Date, Date)> {
    let one = |text: &str| {
        let text = text.trim();
        text.parse::<Date>().ok().or_else(|| {
            let mut parts = text.split('/').map(|part| part.parse::<i16>().ok());
            let (month, day, year) = (parts.next()??, parts.next()??, parts.next()??);
            Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
        })
    };
    match text.split_once("..") {
        Some((first, last)) => Some((one(first)?, one(last)?)),
        None => one(text).map(|day| (day, day)),
    }
}

/// Whether the text holds these words, whole ones; with `prefix` the last may go on. Both are in lower case.
pub(crate) fn has_words(text: &str, words: &str, prefix: bool) -> bool {
    let mut from = 0;
    while let Some(at) = text[from..].find(words) {
        let (start, end) = (from + at, from + at + words.len());
        let before = text[..start].chars().next_back().is_none_or(|c| !c.is_alphanumeric());
        let after = prefix || text[end..].chars().next().is_none_or(|c| !c.is_alphanumeric());
        if before && after {
            return true;
        }
        from = start + text[start..].chars().next().map_or(1, char::len_utf8);
    }
    false
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Minus,
    Op(Op),
    Word(String),
    Phrase(String),
}

fn lex(text: &str) -> Option<Vec<Token>> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '-' => (Token::Minus, 1),
            ':' | '=' => (Token::Op(Op::Has), 1),
            '>' if rest.starts_with(">=") => (Token::Op(Op::Ge), 2),
            '<' if rest.starts_with("<=") => (Token::Op(Op::Le), 2),
            '>' => (Token::Op(Op::Gt), 1),
            '<' => (Token::Op(Op::Lt), 1),
            '"' => {
                let end = rest[1..].find('"')?;
                (Token::Phrase(rest[1..=end].to_lowercase()), end + 2)
            }
            // Some clients put single quotes around a word or phrase.
            '\'' if rest[1..].contains('\'') => {
                let end = rest[1..].find('\'')?;
                (Token::Phrase(rest[1..=end].to_lowercase()), end + 2)
            }
            _ => {
                // A value may hold colons (`received>=2026-11-01T09:00:00Z`), a bare word may not.
                let value = matches!(out.last(), Some(Token::Op(_)));
                let ends = |c: char| c.is_whitespace() || "()\"".contains(c) || (!value && ":=<>".contains(c));
                let end = rest.find(ends).unwrap_or(rest.len());
                (Token::Word(rest[..end].to_owned()), end)
            }
        };
        out.push(token);
        rest = rest[length..].trim_start();
    }
    Some(out)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    properties: &'a [&'a str],
    prefix: bool,
}

impl Parser<'_> {
    fn keyword(&mut self, wanted: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Word(word)) if word == wanted);
        self.at += usize::from(found);
        found
    }

    fn any(&mut self) -> Option<Terms> {
        let mut parts = vec![self.all()?];
        while self.keyword("OR") {
            parts.push(self.all()?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(Terms::Any(parts)) }
    }

    fn all(&mut self) -> Option<Terms> {
        let mut parts = Vec::new();
        loop {
            // Lower case `and` is a way in which people write it, and no word that anybody looks for.
            while !parts.is_empty() && (self.keyword("AND") || self.keyword("and")) {}
            match self.tokens.get(self.at) {
                None | Some(Token::Close) => break,
                Some(Token::Word(word)) if word == "OR" => break,
                Some(_) => parts.push(self.one()?),
            }
        }
        match parts.len() {
            0 => None,
            1 => parts.pop(),
            _ => Some(Terms::All(parts)),
        }
    }

    fn one(&mut self) -> Option<Terms> {
        if self.keyword("NOT") {
            return self.one().map(|term| Terms::Not(Box::new(term)));
        }
        let token = self.tokens.get(self.at)?.clone();
        self.at += 1;
        match token {
            Token::Minus => self.one().map(|term| Terms::Not(Box::new(term))),
            Token::Open => {
                let inner = self.any()?;
                (self.tokens.get(self.at) == Some(&Token::Close)).then(|| self.at += 1)?;
                Some(inner)
            }
            Token::Phrase(text) => self.term(None, Op::Has, text, false),
            Token::Word(word) => match self.tokens.get(self.at) {
                Some(Token::Op(op)) => {
                    self.at += 1;
                    let property = word.to_lowercase();
                    if !self.properties.contains(&property.as_str()) {
                        return None;
                    }
                    let value = self.tokens.get(self.at)?.clone();
                    self.at += 1;
                    match value {
                        Token::Phrase(text) => self.term(Some(property), *op, text, false),
                        Token::Word(text) => self.term(Some(property), *op, text, self.prefix),
                        _ => None,
                    }
                }
                _ => self.term(None, Op::Has, word, self.prefix),
            },
            Token::Close | Token::Op(_) => None,
        }
    }

    fn term(&self, property: Option<String>, op: Op, text: String, prefix: bool) -> Option<Terms> {
        let (text, starred) = text.strip_suffix('*').map_or((text.as_str(), false), |text| (text, true));
        let text = text.trim().to_lowercase();
        (!text.is_empty()).then_some(Terms::Term { property, op, text, prefix: prefix || starred })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Page;

    impl Document for Page {
        fn texts(&self, property: Option<&str>) -> Option<Vec<String>> {
            match property {
                None => Some(vec!["the harbour plan is ready".to_owned(), "ann@fabrikam.example".to_owned()]),
                Some("from") => Some(vec!["ann@fabrikam.example".to_owned()]),
                _ => None,
            }
        }
        fn instant(&self, property: &str) -> Option<Timestamp> {
            (property == "received").then(|| "2026-11-20T09:00:00Z".parse().unwrap())
        }
        fn truth(&self, property: &str) -> Option<bool> {
            (property == "hasattachment").then_some(true)
        }
    }

    fn found(text: &str) -> bool {
        Terms::parse(text, &["from", "received", "hasattachment"], false).unwrap_or_else(|f| panic!("{}", f.message)).find(&Page)
    }

    #[test]
    fn searches_find_what_they_should() {
        for text in [
            "harbour",
            "HARBOUR plan",
            "\"harbour plan\"",
            "'harbour plan'",
            "from:'ann@fabrikam.example'",
            "harb*",
            "from:fabrikam",
            "from:\"ann\" AND ready",
            "nothing OR plan",
            "plan NOT nothing",
            "plan -nothing",
            "(nothing OR ready) plan",
            "hasattachment:true",
            "received>=2026-11-20",
            "received:2026-11-20",
            "received<2026-11-21",
            "received>2026-11-20T08:59:00Z",
            "received:2026-11-01..2026-11-30",
            "received<=11/20/2026",
            "ann@fabrikam.example",
        ] {
            assert!(found(text), "{text}");
        }
        for text in
            ["harb", "\"plan harbour\"", "from:harbour", "hasattachment:false", "received>2026-11-20", "received<2026-11-20", "NOT plan"]
        {
            assert!(!found(text), "{text}");
        }
        assert!(Terms::parse("harb", &[], true).unwrap().find(&Page), "a bare word finds what begins with it");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in ["", "\"open", "(plan", "plan)", "nosuch:x", "from:", ":x", "AND", "a OR", "NOT"] {
            let parsed = Terms::parse(text, &["from"], false);
            assert!(parsed.is_err() || text == "AND", "{text}: {parsed:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_words_are_found_where_they_stand(text in "\\PC{0,40}", before in "[a-zé ]{0,9}", word in "[a-zé]{1,6}") {
            if let Ok(terms) = Terms::parse(&text, &["from"], true) {
                terms.find(&Page);
            }
            let has = has_words(&format!("{before} {word}, and"), &word, false);
            prop_assert!(has);
        }
    }
}
