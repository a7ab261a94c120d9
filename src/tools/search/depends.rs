//! What a search of mail depends on: nearly all of the mailbox, but not on the marks of messages it does not show.
//!
//! A search by words alone looks at sender, subject and body, and its answer is in order of the date (Graph documentation, *Use the $search
//! query parameter*). So only a query that asks by a mark (`isread:false`, `importance:high`) finds other messages once one was marked. A
//! query is taken for one that does not when it has no property but those of [`HARMLESS`]; every other name, also one that Microsoft may
//! add, counts as one that does.

use crate::cache::{Scope, Service};

/// Properties of KQL that marking a message does not change: those of the same page without `importance`, `kind` and `size`.
const HARMLESS: [&str; 13] = [
    "from",
    "to",
    "cc",
    "bcc",
    "subject",
    "body",
    "participants",
    "recipients",
    "attachment",
    "hasattachment",
    "hasattachments",
    "received",
    "sent",
];

/// Whether `query` may ask by a mark.
fn asks_by_marks(query: &str) -> bool {
    let operator = |letter: char| matches!(letter, ':' | '=' | '<' | '>');
    // Whatever is no letter ends a name, also one that Graph would take for a part of it.
    let mut parts = query.split(operator);
    let _behind_the_last = parts.next_back();
    let named = |part: &str| {
        let name = part.rsplit(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default();
        // Behind an operator of two letters, such as `>=`, comes no name.
        !name.is_empty() && !HARMLESS.contains(&name.to_ascii_lowercase().as_str()) || name.is_empty() && !part.is_empty()
    };
    parts.any(named)
}

/// The scopes of an answer that shows these messages for `query`.
pub(super) fn mail_scopes<'a>(query: &str, shown: impl Iterator<Item = &'a str>) -> Vec<Scope> {
    if asks_by_marks(query) {
        return vec![Scope::any(Service::Mail)];
    }
    std::iter::once(Scope::found()).chain(shown.map(Scope::hit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_words_and_known_properties_are_taken_for_harmless() {
        for query in [
            "budget",
            "\"the plan\" offer",
            "isread",
            "from:ada subject:budget hasattachments:true received>=2026-01-01",
            "(From:ada OR TO:bob)",
            "a-from:ada",
        ] {
            assert!(!asks_by_marks(query), "{query}");
        }
        for query in [
            "isread:false",
            "a IsRead:true",
            "is:unread",
            "read=true",
            "x:y",
            "10:30",
            "from :ada",
            "a:b:c",
            "from:ada is:read",
            "isread : no",
            "subject:isread:no",
        ] {
            assert!(asks_by_marks(query), "{query}");
        }
    }

    #[test]
    fn a_search_depends_on_the_marks_of_what_it_shows_and_of_nothing_else() {
        assert_eq!(mail_scopes("plan", ["a", "b"].into_iter()), [Scope::found(), Scope::hit("a"), Scope::hit("b")]);
        assert_eq!(mail_scopes("is:read plan", ["a"].into_iter()), [Scope::any(Service::Mail)]);
        assert_ne!(Scope::hit("a"), Scope::hit("b"));
        assert_eq!(Scope::hit("a").as_str().len(), 20, "however long ids are");
    }

    proptest! {
        #[test]
        fn a_query_that_names_the_mark_anywhere_is_never_taken_for_another(before in ".{0,12}", between in "[ \t]{0,2}", after in ".{0,12}", operator in "[:=<>]") {
            for name in ["isread", "IsRead", "is", "read", "unread"] {
                let query = format!("{before} {name}{between}{operator}{after}");
                prop_assert!(asks_by_marks(&query), "{}", query);
            }
        }
    }
}
