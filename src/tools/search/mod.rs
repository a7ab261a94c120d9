//! Searching mail, events, contacts and files.
//!
//! How each is searched, and why:
//!
//! * Mail: `$search` on the mailbox's messages, for all accounts. `/search/query`, which the original uses for work accounts, gives ids that
//!   change when a message moves, knows no shared mailboxes and no folder; `$search` gives the ids every other tool gives.
//! * Events: `/search/query` for work accounts, which also looks into bodies, knows the primary calendar only, which the answer says, and has to
//!   be cut to the window here; for personal accounts, where Graph has no search of events, the occurrences of the window are read from all
//!   calendars and matched here.
//! * Contacts: those of all folders are read and matched here, for Graph's filter knows neither parts of words nor phones.
//! * Files: `/search/query` for work accounts, which also finds what others share; the drive's own search for personal ones.
//!
//! A query is content: it is never logged.

mod contacts;
mod depends;
mod emails;
mod events;
mod files;
mod query;
mod unified;

pub(super) use contacts::TOOLS as CONTACTS;
pub(super) use emails::TOOLS as EMAILS;
pub(super) use events::TOOLS as EVENTS;
pub(super) use files::TOOLS as FILES;
pub(super) use unified::TOOLS as UNIFIED;

use serde_json::{Map, Value};

use super::{Args, Param, ParamType, StepError, Tool, tool::ACCOUNT};
use crate::cache::{Scope, Ttl};

const TTL: Ttl = Ttl::seconds(60, 300);
const QUERY: Param = Param::required("query", ParamType::Text { max: 512 }, "Words to look for.");
const LIMIT: Param = Param::optional("limit", ParamType::Int { min: 1, max: 500 }, "50", "Most results.");
/// For messages and events, which are long: fifty of them cost a model some 12,000 tokens.
const SHORT_LIMIT: Param = Param::optional("limit", ParamType::Int { min: 1, max: 500 }, "25", "Most results.");

/// What one search found.
struct Found {
    items: Vec<Value>,
    complete: bool,
    more: Option<super::More>,
    shown: Vec<(String, Vec<Scope>)>,
}

type Outcome = Result<Found, StepError>;

/// Fills [`Found`] for a call that wants at most `limit` of what was found for more.
impl Found {
    fn cut(&mut self, limit: usize) {
        self.complete &= self.items.len() <= limit;
        self.items.truncate(limit);
        self.shown.truncate(limit);
    }
}

/// The call of `row` with these words, the account of `args` and `limit`, as it would have been checked.
fn call_of(row: &Tool, args: &Args, limit: usize) -> Result<Args, StepError> {
    let mut given = Map::from_iter([(LIMIT.name.to_owned(), limit.into())]);
    for name in [QUERY.name, ACCOUNT.name] {
        given.insert(name.to_owned(), args.all().get(name).cloned().unwrap_or_default());
    }
    Args::check(row, &given).map_err(|_| StepError::unexpected("words to look for"))
}

/// The words of a query, for matching here: quoted phrases stay together. Lower case.
fn words(query: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in query.split('"').enumerate() {
        if at % 2 == 1 && !part.trim().is_empty() {
            words.push(part.trim().to_lowercase());
        } else {
            words.extend(part.split_whitespace().map(str::to_lowercase));
        }
    }
    words
}

/// Whether each of `words` is in one of `texts`.
fn matches(words: &[String], texts: &[&str]) -> bool {
    let texts: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
    words.iter().all(|word| texts.iter().any(|text| text.contains(word.as_str())))
}

/// A query whose quotes open and close: a last one that does not close is dropped, for Graph refuses it.
fn balanced(query: &str) -> String {
    match query.rfind('"') {
        Some(last) if query.matches('"').count() % 2 == 1 => format!("{}{}", &query[..last], &query[last + 1..]),
        _ => query.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_matched_in_any_text_and_phrases_as_a_whole() {
        assert_eq!(words(r#"Ada "Project  X" b"#), ["ada", "project  x", "b"]);
        assert!(matches(&words("ADA love"), &["Ada", "Lovelace"]));
        assert!(matches(&words(r#""da lo""#), &["Ada Lovelace"]) && !matches(&words(r#""da lo""#), &["da", "lo"]));
        assert!(!matches(&words("ada bob"), &["Ada"]));
    }

    proptest! {
        #[test]
        fn balanced_quotes_stay_and_others_close(query in "[a\" ]{0,12}") {
            let once = balanced(&query);
            prop_assert_eq!(once.matches('"').count() % 2, 0);
            prop_assert_eq!(balanced(&once), once.clone());
            prop_assert!(query.matches('"').count() % 2 == 1 || once == query);
        }
    }
}
