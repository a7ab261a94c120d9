//! Seeded rules of the inbox and the list of categories.

use serde_json::{Map, json};

use super::mail::CATEGORIES;
use super::prng::Prng;
use crate::graph::store::{Category, Mailbox, Rule};

/// Puts rules and categories into a mailbox that has its folders.
pub(super) fn fill(mailbox: &mut Mailbox) {
    let archive = mailbox.well_known("archive").map(|number| mailbox.folder_id(number));
    let rules = [
        (
            "Invoices to the archive",
            1,
            json!({"subjectContains": ["invoice", "receipt"]}),
            json!({"moveToFolder": archive, "stopProcessingRules": true}),
        ),
        ("From the board", 2, json!({"senderContains": ["board@"], "importance": "high"}), json!({"markImportance": "high"})),
        ("Large mail", 4, json!({"withinSizeRange": {"minimumSize": 5_000, "maximumSize": 0}}), json!({"assignCategories": ["Later"]})),
        ("Newsletters (off)", 4, json!({"headerContains": ["List-Unsubscribe"]}), json!({"markAsRead": true})),
    ];
    for (name, sequence, conditions, actions) in rules {
        let number = mailbox.settings.next();
        let mut parts = Map::new();
        for (part, value) in [("conditions", conditions), ("actions", actions)] {
            parts.insert(part.to_owned(), value);
        }
        let id = crate::graph::rule_id(mailbox, number);
        let enabled = !name.ends_with("(off)");
        mailbox.settings.rules.push(Rule { id, name: name.to_owned(), sequence, enabled, parts });
    }
    let mut prng = Prng::new(7, mailbox.key.guid());
    for (at, name) in CATEGORIES.iter().enumerate() {
        let category = Category { id: prng.guid(), name: (*name).to_owned(), color: format!("preset{}", at * 3) };
        mailbox.settings.categories.push(category);
    }
}
