//! Where ids stand in answers and in arguments, so that answers can show short handles in their place and take them again.
//!
//! Answers are walked by the names of their members: a name means the same in every tool. Ids shorter than [`LEAST`] stay as they are (rules,
//! well-known folders): a handle would save nothing.
//!
//! Texts are not looked into. The addresses `webLink`, `webUrl` and `web_url` keep the ids within them: a person opens them in a browser, where no handle
//! means anything. To leave them out was rejected: "give me the link" is a question of every day; so was an address of ours that leads on to
//! Microsoft's, which would work on this machine only, and only while the daemon runs. In a list of mail there is none, so that they cost little.

use serde_json::{Map, Value};

use super::{Args, Param, ParamType, Tool};

/// Shortest id, in bytes, for which a handle pays: it costs a model as much as 6 to 8 bytes of an id.
const LEAST: usize = 16;

/// What begins the handle of a thing.
mod letter {
    pub(super) const MESSAGE: char = 'm';
    /// A conversation: `conversationId`.
    pub(super) const THREAD: char = 't';
    pub(super) const ATTACHMENT: char = 'a';
    /// A mail folder: a box.
    pub(super) const BOX: char = 'b';
    pub(super) const RULE: char = 'r';
    pub(super) const EVENT: char = 'e';
    pub(super) const CALENDAR: char = 'k';
    pub(super) const CONTACT: char = 'c';
    /// A folder of contacts: a list.
    pub(super) const LIST: char = 'l';
    /// A file or a folder of a drive.
    pub(super) const FILE: char = 'f';
    pub(super) const DRIVE: char = 'd';
}

/// What `id` names in the answers of a tool; `None` where handles have no place.
fn of_tool(tool: &str) -> Option<char> {
    let of_family = [
        ("calendar_list_calendars", letter::CALENDAR),
        ("calendar_create_calendar", letter::CALENDAR),
        ("calendar_delete_calendar", letter::CALENDAR),
        ("contact_create_list", letter::LIST),
        ("search_emails", letter::MESSAGE),
        ("search_events", letter::EVENT),
        ("search_contacts", letter::CONTACT),
        ("search_files", letter::FILE),
        // By its lists.
        ("search_unified", letter::MESSAGE),
        ("emailfolders_", letter::BOX),
        ("emailrules_", letter::RULE),
        ("email_", letter::MESSAGE),
        ("calendar_", letter::EVENT),
        ("contact_", letter::CONTACT),
        ("file_", letter::FILE),
        ("folder_", letter::FILE),
    ];
    // Its id is that of a permission, which no tool takes.
    if tool == "file_share" {
        return None;
    }
    of_family.iter().find(|(prefix, _)| tool.starts_with(prefix)).map(|(_, letter)| *letter)
}

/// What the ids in a list or an object of that name are of, within something of another kind.
fn of_place(name: &str, around: char) -> char {
    match name {
        "attachments" => letter::ATTACHMENT,
        "failed" | "message" => letter::MESSAGE,
        "event" => letter::EVENT,
        "driveItem" | "parentReference" => letter::FILE,
        "contact" => letter::CONTACT,
        _ => around,
    }
}

/// What a member names, when it is an id; `around` is what its object is.
fn of_member(name: &str, around: char) -> Option<char> {
    let folder = match around {
        letter::FILE => letter::FILE,
        letter::CONTACT | letter::LIST => letter::LIST,
        _ => letter::BOX,
    };
    Some(match name {
        "id" | "new_id" => around,
        "email_id" | "draft_id" | "message_id" => letter::MESSAGE,
        "conversationId" => letter::THREAD,
        "attachment_id" => letter::ATTACHMENT,
        "moveToFolder" | "copyToFolder" => letter::BOX,
        "rule_id" => letter::RULE,
        "event_id" | "seriesMasterId" => letter::EVENT,
        "calendar_id" => letter::CALENDAR,
        "contact_id" => letter::CONTACT,
        "list_id" => letter::LIST,
        "file_id" => letter::FILE,
        "parentId" | "parentFolderId" | "parent_folder_id" | "folder_id" | "root_folder_id" | "destination_folder_id" => folder,
        "driveId" | "drive_id" => letter::DRIVE,
        _ => return None,
    })
}

/// Shows `found` every id in an answer of `tool`, with the letter of what it names.
pub fn each_id(tool: &str, answer: &mut Value, found: &mut dyn FnMut(char, &mut String)) {
    if let Some(around) = of_tool(tool) {
        walk(answer, around, found);
    }
}

fn walk(value: &mut Value, around: char, found: &mut dyn FnMut(char, &mut String)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, around, found)),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match member {
                    Value::String(id) => {
                        if let Some(letter) = of_member(name, around).filter(|_| id.len() >= LEAST) {
                            found(letter, id);
                        }
                    }
                    Value::Array(_) | Value::Object(_) => walk(member, of_place(name, around), found),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// Shows `found` every argument of a call that is an id.
pub fn each_given(tool: &Tool, args: &mut Args, found: &mut dyn FnMut(&mut String)) {
    for param in tool.params {
        if let Some(value) = args.get_mut(param.name) {
            given(param.kind, value, found);
        }
    }
}

fn given(kind: ParamType, value: &mut Value, found: &mut dyn FnMut(&mut String)) {
    match (kind, value) {
        (ParamType::Id, Value::String(id)) => found(id),
        (ParamType::Object(members), Value::Object(object)) => given_in(members, object, found),
        (ParamType::Objects(members), Value::Array(list)) => {
            list.iter_mut().filter_map(Value::as_object_mut).for_each(|object| given_in(members, object, found));
        }
        _ => {}
    }
}

fn given_in(members: &[Param], object: &mut Map<String, Value>, found: &mut dyn FnMut(&mut String)) {
    for member in members {
        if let Some(value) = object.get_mut(member.name) {
            given(member.kind, value, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::{Effect, all, find};

    const ID: &str = "AAMkAGI1AAAoZCfHAAA=";

    fn letters(tool: &str, mut answer: Value) -> String {
        let mut letters = String::new();
        each_id(tool, &mut answer, &mut |letter, id| {
            assert_eq!(id, ID);
            letters.push(letter);
        });
        letters
    }

    #[test]
    fn ids_are_found_where_they_stand_and_texts_are_left_alone() {
        let message = json!({"id": ID, "subject": ID, "conversationId": ID, "parentFolderId": ID, "attachments": [{"id": ID, "name": ID}],
            "body": {"content": format!("{{\"id\":\"{ID}\"}}")}, "webLink": ID, "changeKey": ID});
        assert_eq!(letters("email_get", message.clone()), "mtba");
        assert_eq!(letters("email_list", json!({"messages": [message], "complete": true})), "mtba");
        assert_eq!(letters("email_list", json!({"messages": [{"id": "short"}], "next_cursor": ID})), "");
        assert_eq!(
            letters("folder_get_tree", json!({"root_folder_id": ID, "folders": [{"id": ID, "children": [{"id": ID, "parentId": ID}]}]})),
            "ffff"
        );
        assert_eq!(letters("file_list", json!({"items": [{"id": ID, "parentReference": {"id": ID, "driveId": ID}}]})), "ffd");
        assert_eq!(letters("emailfolders_get", json!({"id": ID, "parentFolderId": ID})), "bb");
        assert_eq!(letters("contact_get", json!({"id": ID, "parentFolderId": ID})), "cl");
        assert_eq!(letters("search_unified", json!({"message": [{"id": ID}], "event": [{"id": ID}], "driveItem": [{"id": ID}]})), "mef");
        assert_eq!(letters("email_move", json!({"status": "moved", "new_id": ID})), "m");
        assert_eq!(letters("file_share", json!({"id": ID})), "");
        assert_eq!(letters("account_list", json!({"accounts": [{"id": ID}]})), "");
    }

    #[test]
    fn every_tool_of_a_mailbox_or_a_drive_has_a_letter() {
        for tool in all().filter(|tool| !matches!(tool.effect, Effect::Local)) {
            assert!(of_tool(tool.name).is_some() || tool.name == "file_share", "{}", tool.name);
        }
    }

    #[test]
    fn given_ids_are_found_in_objects_too() {
        let tool = find("emailrules_create").unwrap();
        let mut arguments = json!({"account_id": "a", "display_name": "r"}).as_object().unwrap().clone();
        for param in tool.params {
            if let ParamType::Object(members) = param.kind
                && members.iter().any(|member| member.name == "moveToFolder")
            {
                arguments.insert(param.name.into(), json!({"moveToFolder": ID}));
            }
        }
        let mut args = Args::from_canonical(arguments.into_iter().collect());
        let mut seen = Vec::new();
        each_given(tool, &mut args, &mut |id| seen.push(std::mem::replace(id, "b".into())));
        assert_eq!(seen, [ID]);
        each_given(tool, &mut args, &mut |id| assert_eq!(id, "b"));
    }
}
