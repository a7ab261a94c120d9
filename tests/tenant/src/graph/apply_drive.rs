//! Changes to files and folders by other people. The verbs are documented at [`super::Graph::apply`].

use jiff::Timestamp;
use serde_json::{Value, json};

use super::apply::{Members, Outcome, said};
use super::drive::{add_link, check_name};
use super::store::{Content, Drive, Item, ROOT, State};

/// The verbs that are served here.
pub(super) const VERBS: &[&str] =
    &["new_file", "new_folder", "rename_item", "move_item", "delete_item", "write_file", "share_item", "sharing_policy"];

/// Makes one change.
pub(super) fn apply(state: &mut State, owner: usize, verb: &str, members: &Members<'_>, now: Timestamp) -> Outcome {
    if verb == "sharing_policy" {
        let anonymous = members.fields.get("anonymous").and_then(Value::as_bool).ok_or("the truth value 'anonymous' is missing")?;
        state.anonymous_links = anonymous;
        return Ok(json!({"anonymous": anonymous}));
    }
    let drive = &mut state.drives[owner];
    let find = |drive: &Drive, id: &str| drive.by_id(id).map(|item| item.number).ok_or_else(|| format!("there is no item '{id}'"));
    if let "new_file" | "new_folder" = verb {
        let parent = members.text("parent").map_or(Ok(ROOT), |id| find(drive, id))?;
        let name = members.need("name")?;
        check_name(name).map_err(|f| said(&f))?;
        if drive.taken(parent, name, u32::MAX) || drive.item(parent).is_none_or(|p| !p.is_folder()) {
            return Err(format!("'{name}' cannot be put there: the name is taken or the parent is a file"));
        }
        let text = members.text("content").unwrap_or("A file from outside.\n").to_owned();
        let content = (verb == "new_file").then(|| Content::Given(bytes::Bytes::from(text)));
        let number = drive.add(Item::new(name.to_owned(), parent, content, now, owner));
        drive.place(number);
        return Ok(json!({"id": drive.key.item(number)}));
    }
    let id = members.need("id")?;
    let number = find(drive, id)?;
    let item = drive.item(number).filter(|item| item.number != ROOT).ok_or("the root stays as it is")?;
    let (name, parent) = (item.name.clone(), item.parent);
    match verb {
        "delete_item" => drive.remove(number),
        "write_file" => {
            if item.is_folder() {
                return Err("a folder has no content".to_owned());
            }
            let content = Content::Given(bytes::Bytes::from(members.need("content")?.to_owned()));
            drive.write(number, content, now, owner);
        }
        "share_item" => {
            let (kind, scope) = (members.text("type").unwrap_or("view"), members.text("scope").unwrap_or("organization"));
            let (share, _) = add_link(state, owner, number, kind, scope, false, None).map_err(|f| said(&f))?;
            return Ok(json!({"id": id, "permission": share.id}));
        }
        "rename_item" => {
            let name = members.need("name")?;
            check_name(name).map_err(|f| said(&f))?;
            drive.relocate(number, parent, name, now, owner).map_err(|_| format!("the name '{name}' is taken"))?;
        }
        _ => {
            let parent = find(drive, members.need("parent")?)?;
            if drive.is_within(parent, number) || drive.item(parent).is_none_or(|p| !p.is_folder()) {
                return Err("the item cannot be moved there".to_owned());
            }
            drive.relocate(number, parent, &name, now, owner).map_err(|_| format!("the name '{name}' is taken"))?;
        }
    }
    Ok(json!({"id": id}))
}
