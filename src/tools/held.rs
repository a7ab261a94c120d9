//! Which questions a stored answer to *another* question holds the answer of.
//!
//! A body that is read on from some character is held by the answer with the body's beginning, as far as that one goes.
//!
//! Looked at row by row. A list that is read in one order and then cut holds every shorter one. Not so:
//! `search_events`, which cuts by rank and then sorts by time, so that a shorter list is not the beginning of a longer one; and
//! `search_unified`, which has several lists.
//!
//! A list holds what a get answers only where both show the same fields. Mail folders and rules do. Messages (a list shows 10 fields and a
//! cut body, the get 29, attachments and 50,000 characters), contacts (13 fields fewer), events (12 of 40) and drive folders (no `webUrl`) do
//! not, and a shortened answer is never given for a whole one. What those gets answer comes along with the fetch of a short list instead, as
//! entries of its own ([`super::Along`]).

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Args, OFFSET};

/// Where the answer to a call may be found besides its own key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held<'a> {
    /// In a list of the same tool with another `limit`.
    Longer {
        /// Most items the call wants.
        limit: usize,
    },
    /// In the answer to the same call that begins with the body's beginning.
    Body {
        /// Characters to skip.
        from: usize,
    },
    /// In a list of another tool, as the item of this id.
    Among {
        /// The tool.
        list: &'static str,
        /// The id.
        id: &'a str,
    },
}

/// The argument that only cuts a list.
pub const LIMIT: &str = "limit";

const LISTS: [&str; 9] = [
    "email_list",
    "emailfolders_list",
    "contact_list",
    "calendar_list_events",
    "file_list",
    "folder_list",
    "search_emails",
    "search_contacts",
    "search_files",
];

/// A get, its argument that names the item, and the list that shows all of it.
const MEMBERS: [(&str, &str, &str); 2] =
    [("emailfolders_get", "folder_id", "emailfolders_list"), ("emailrules_get", "rule_id", "emailrules_list")];

/// Whether the answer to a call may come along with that to another, longer one, which is then to be asked first.
pub fn comes_along(tool: &str, args: &BTreeMap<String, Value>) -> bool {
    match tool {
        "email_get" | "calendar_get_event" => true,
        "calendar_list_events" => args.get("days_ahead").and_then(Value::as_i64) == Some(1),
        _ => false,
    }
}

/// Whether answers of `tool` may hold those of other calls.
pub fn holds(tool: &str) -> bool {
    LISTS.contains(&tool) || MEMBERS.iter().any(|(_, _, list)| *list == tool)
}

/// Where else the answer to a call of `tool` may be found.
pub fn held<'a>(tool: &str, args: &'a Args) -> Option<Held<'a>> {
    if LISTS.contains(&tool) {
        return Some(Held::Longer { limit: args.count(LIMIT) });
    }
    if args.count(OFFSET) > 0 {
        return Some(Held::Body { from: args.count(OFFSET) });
    }
    let (_, id, list) = MEMBERS.iter().find(|(get, _, _)| *get == tool)?;
    Some(Held::Among { list, id: args.text(id)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::{
        self, Effect,
        fake::{Fake, fetch},
    };
    use serde_json::json;

    #[test]
    fn every_cached_list_with_a_limit_was_looked_at() {
        let not = ["search_events", "search_unified"];
        for tool in tools::all() {
            let cached = matches!(tool.effect, Effect::Read { ttl: Ok(_), .. });
            let limited = tool.params.iter().any(|param| param.name == LIMIT);
            let known = LISTS.contains(&tool.name) || not.contains(&tool.name);
            assert_eq!(cached && limited, known, "{}", tool.name);
        }
    }

    #[test]
    fn a_get_and_its_list_have_one_service_and_the_same_times() {
        for (get, id, list) in MEMBERS {
            let [get, list] = [get, list].map(|name| tools::find(name).unwrap());
            assert_eq!(get.effect, list.effect, "{}", get.name);
            assert!(get.params.iter().any(|param| param.name == id));
        }
    }

    /// The same folder and the same rule, listed and got, are the same text.
    #[tokio::test]
    async fn the_item_of_a_list_is_what_its_get_answers() {
        let folder = json!({"@odata.etag": "e", "id": "F", "displayName": "Plans", "parentFolderId": "R", "childFolderCount": 0,
            "unreadItemCount": 3, "totalItemCount": 9, "sizeInBytes": 5, "isHidden": false});
        let rule = json!({"@odata.etag": "e", "id": "U", "displayName": "r", "sequence": 2, "isEnabled": true, "hasError": false,
            "isReadOnly": false, "conditions": {"subjectContains": ["x"]}, "actions": {"stopProcessingRules": true}});
        let fake = Fake::answering([
            ("GET /me/mailFolders", json!({"value": [folder]})),
            ("GET /me/mailFolders/F", folder),
            ("GET /me/mailFolders/inbox/messageRules", json!({"value": [rule]})),
            ("GET /me/mailFolders/inbox/messageRules/U", rule),
        ]);
        for (get, id, list) in MEMBERS {
            let listed = fetch(&fake, list, json!({"account_id": "a"})).await.unwrap();
            let item = listed.answer[listed.list.unwrap()][0].clone();
            let mut given = json!({"account_id": "a"});
            given[id] = item["id"].clone();
            let got = fetch(&fake, get, given).await.unwrap();
            assert_eq!(got.answer.to_string(), item.to_string());
            assert_eq!(item.as_object().unwrap().keys().next().unwrap(), "id", "by which it is found");
            assert_eq!((got.scopes, got.shown), (listed.scopes, listed.shown));
            assert_ne!(item, Value::Null);
        }
    }
}
