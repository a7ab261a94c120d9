//! Changes by other people and programs, from the control port. The verbs are documented at [`super::Graph::apply`].

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::call::find_user;
use super::churn::churn;
use super::contacts::{complete, find_folder as find_contact_folder, writable};
use super::drafting::{Changes, new_message};
use super::errors::Fault;
use super::mail::{find_folder, find_message};
use super::odata::CONTACT;
use super::settings::change as change_settings;
use super::store::{MAIL_ROOT, Mailbox, State, fold};
use super::{apply_calendar, apply_drive, attachment_write, categories, contact_folders, contacts, rules};
use crate::seed::people::Address;

pub(super) type Outcome = Result<Value, String>;

/// The members of a change, less `verb` and `user`.
pub(super) struct Members<'a> {
    pub(super) fields: &'a Map<String, Value>,
}

impl Members<'_> {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_str)
    }

    pub(super) fn need(&self, name: &str) -> Result<&str, String> {
        self.text(name).ok_or_else(|| format!("the member '{name}' is missing"))
    }

    pub(super) fn rest(&self, but: &[&str]) -> Map<String, Value> {
        let left = |name: &&String| !["verb", "user"].contains(&name.as_str()) && !but.contains(&name.as_str());
        self.fields.iter().filter(|(name, _)| left(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

pub(super) fn said(fault: &Fault) -> String {
    format!("{}: {}", fault.code, fault.message)
}

/// Makes one change.
pub(crate) fn apply(state: &mut State, change: &Value, now: Timestamp) -> Outcome {
    let fields = change.as_object().ok_or("a change is a JSON object")?;
    let members = Members { fields };
    let verb = members.need("verb")?;
    let owner = match members.text("user") {
        Some(id) => find_user(state, id).ok_or_else(|| format!("there is no user '{id}'"))?,
        None => 0,
    };
    match verb {
        "new_message" | "update_message" | "delete_message" | "move_message" => mail(state, owner, verb, &members, now),
        "new_mail_folder" | "rename_mail_folder" | "move_mail_folder" | "delete_mail_folder" => mail_folder(state, owner, verb, &members),
        verb if apply_drive::VERBS.contains(&verb) => apply_drive::apply(state, owner, verb, &members, now),
        verb if apply_calendar::VERBS.contains(&verb) => apply_calendar::apply(state, owner, verb, &members, now),
        "update_contact" | "delete_contact" | "new_contact_folder" | "rename_contact_folder" | "delete_contact_folder" => {
            people(state, owner, verb, &members, now)
        }
        "new_rule" | "update_rule" | "delete_rule" | "new_category" | "delete_category" | "change_settings" => {
            settings(&mut state.mailboxes[owner], verb, &members)
        }
        "new_contact" => {
            let mailbox = &mut state.mailboxes[owner];
            let folder = find_contact_folder(mailbox, members.text("folder")).map_err(|f| said(&f))?;
            let given = writable(members.rest(&["folder"]), &CONTACT, &["id"]).map_err(|f| said(&f))?;
            let number = mailbox.add_contact(folder, complete(given), now);
            Ok(json!({"id": mailbox.contact(number).map(|contact| mailbox.contact_id(contact, false))}))
        }
        "expire_delta_tokens" => {
            let all = members.text("user").is_none();
            let expired: Vec<usize> = (0..state.users.len()).filter(|index| all || *index == owner).collect();
            for index in &expired {
                state.mailboxes[*index].epoch += 1;
                state.drives[*index].epoch += 1;
            }
            Ok(json!({"expired": expired.iter().map(|index| &state.users[*index].username).collect::<Vec<_>>()}))
        }
        "churn" => {
            let number = |name: &str| fields.get(name).and_then(Value::as_u64).ok_or_else(|| format!("the number '{name}' is missing"));
            Ok(json!({"changes": churn(state, owner, number("count")?, number("seed")?, now)}))
        }
        other => Err(format!("there is no verb '{other}'")),
    }
}

fn mail(state: &mut State, owner: usize, verb: &str, members: &Members<'_>, now: Timestamp) -> Outcome {
    let user = &state.users[owner];
    let me = Address::new(&user.display_name, &user.username);
    let mailbox = &mut state.mailboxes[owner];
    if verb == "new_message" {
        let folder = find_folder(mailbox, members.text("folder").unwrap_or("inbox")).map_err(|f| said(&f))?;
        let from = members.text("from").unwrap_or("somebody@fabrikam.example");
        let mut message = new_message(folder, Address::new(from, from), now, mailbox.sequence);
        let html = members.text("body").unwrap_or("<p>Hello from outside.</p>");
        let mut body = Map::new();
        body.insert("subject".to_owned(), json!(members.text("subject").unwrap_or("News from outside")));
        body.insert("body".to_owned(), json!({"contentType": "html", "content": html}));
        Changes::parse(&body, true, now).map_err(|f| said(&f))?.put(&mut message);
        message.draft = false;
        message.to = vec![me];
        message.read = members.fields.get("is_read").and_then(Value::as_bool).unwrap_or(false);
        if let Some(received) = members.text("received") {
            message.received = received.parse().map_err(|_| format!("'{received}' is not an instant"))?;
        }
        let files = members.fields.get("attachments").and_then(Value::as_array).into_iter().flatten();
        let files = (0..).zip(files).map(|(index, file)| attachment_write::read(file, index, now).map_err(|f| said(&f)));
        message.attachments = files.collect::<Result<_, _>>()?;
        let number = mailbox.add_message(message);
        mailbox.place(number);
        let message = mailbox.message(number).ok_or("the message went at once")?;
        let (id, immutable) = (mailbox.message_id(message, false), mailbox.message_id(message, true));
        return Ok(json!({"id": id, "immutableId": immutable, "folder": mailbox.folder_id(folder)}));
    }
    let id = members.need("id")?;
    let number = find_message(mailbox, id).map_err(|f| said(&f))?.number;
    match verb {
        "update_message" => {
            let mut wishes = members.rest(&["id"]);
            if let Some(html) = members.text("body") {
                wishes.insert("body".to_owned(), json!({"contentType": "html", "content": html}));
            }
            let changes = Changes::parse(&wishes, false, now).map_err(|f| said(&f))?;
            mailbox.change_message(number, now, |message| changes.put(message));
        }
        "delete_message" => {
            mailbox.remove_message(number);
            return Ok(json!({"id": id}));
        }
        _ => {
            let folder = find_folder(mailbox, members.need("folder")?).map_err(|f| said(&f))?;
            mailbox.move_message(number, folder, now, true);
        }
    }
    let message = mailbox.message(number).ok_or("the message has gone")?;
    Ok(json!({"id": mailbox.message_id(message, false), "immutableId": mailbox.message_id(message, true)}))
}

fn mail_folder(state: &mut State, owner: usize, verb: &str, members: &Members<'_>) -> Outcome {
    let mailbox = &mut state.mailboxes[owner];
    if let "move_mail_folder" | "delete_mail_folder" = verb {
        let id = members.need("id")?;
        let number = find_folder(mailbox, id).map_err(|f| said(&f))?;
        let folder = mailbox.folder(number).filter(|f| f.well_known.is_none()).ok_or("a well-known folder stays where it is")?;
        let name = fold(&folder.name);
        if verb == "delete_mail_folder" {
            mailbox.remove_folder(number);
            return Ok(json!({"id": id}));
        }
        let parent = find_folder(mailbox, members.need("parent")?).map_err(|f| said(&f))?;
        if mailbox.folder_is_within(parent, number) || mailbox.folder(parent).is_some_and(|p| p.children.contains_key(&name)) {
            return Err("the folder cannot be moved there".to_owned());
        }
        mailbox.move_folder(number, parent);
        return Ok(json!({"id": id}));
    }
    let name = members.need("name")?.to_owned();
    let taken = |mailbox: &Mailbox, parent: u32| mailbox.folder(parent).is_some_and(|p| p.children.contains_key(&fold(&name)));
    let number = if verb == "new_mail_folder" {
        let parent = members.text("parent").map_or(Ok(MAIL_ROOT), |id| find_folder(mailbox, id)).map_err(|f| said(&f))?;
        if taken(mailbox, parent) {
            return Err(format!("there is a folder '{name}' already"));
        }
        mailbox.add_folder(name, parent, false, None)
    } else {
        let number = find_folder(mailbox, members.need("id")?).map_err(|f| said(&f))?;
        let parent = mailbox.folder(number).map_or(MAIL_ROOT, |folder| folder.parent);
        if taken(mailbox, parent) {
            return Err(format!("there is a folder '{name}' already"));
        }
        mailbox.rename_folder(number, name);
        number
    };
    Ok(json!({"id": mailbox.folder_id(number)}))
}

fn people(state: &mut State, owner: usize, verb: &str, members: &Members<'_>, now: Timestamp) -> Outcome {
    let mailbox = &mut state.mailboxes[owner];
    let folder = |mailbox: &Mailbox| contact_folders::own(mailbox, members.need("id")?).map_err(|f| said(&f));
    match verb {
        "update_contact" => {
            let number = contacts::find(mailbox, members.need("id")?).map_err(|f| said(&f))?.number;
            let changes = writable(members.rest(&["id"]), &CONTACT, &["id"]).map_err(|f| said(&f))?;
            mailbox.change_contact(number, now, changes);
        }
        "delete_contact" => {
            let number = contacts::find(mailbox, members.need("id")?).map_err(|f| said(&f))?.number;
            mailbox.remove_contact(number);
        }
        "new_contact_folder" => {
            let parent = find_contact_folder(mailbox, members.text("parent")).map_err(|f| said(&f))?;
            let number = mailbox.add_contact_folder(members.need("name")?.to_owned(), Some(parent));
            return Ok(json!({"id": mailbox.contact_folder_id(number)}));
        }
        "rename_contact_folder" => {
            let number = folder(mailbox)?;
            mailbox.rename_contact_folder(number, members.need("name")?.to_owned());
        }
        _ => {
            let number = folder(mailbox)?;
            mailbox.remove_contact_folder(number);
        }
    }
    Ok(json!({"id": members.need("id")?}))
}

fn settings(mailbox: &mut Mailbox, verb: &str, members: &Members<'_>) -> Outcome {
    match verb {
        "new_rule" => rules::make(mailbox, &members.rest(&[])).map(|id| json!({"id": id})).map_err(|f| said(&f)),
        "update_rule" => {
            let id = members.need("id")?;
            rules::change(mailbox, id, &members.rest(&["id"])).map(|()| json!({"id": id})).map_err(|f| said(&f))
        }
        "delete_rule" | "delete_category" => {
            let id = members.need("id")?;
            let before = mailbox.settings.rules.len() + mailbox.settings.categories.len();
            mailbox.settings.rules.retain(|rule| verb != "delete_rule" || rule.id != id);
            mailbox.settings.categories.retain(|category| verb != "delete_category" || category.id != id);
            let after = mailbox.settings.rules.len() + mailbox.settings.categories.len();
            if before == after { Err(format!("there is nothing with the id '{id}'")) } else { Ok(json!({"id": id})) }
        }
        "new_category" => {
            let color = members.text("color").unwrap_or("none").to_owned();
            Ok(json!({"id": categories::make(mailbox, members.need("name")?, color)}))
        }
        _ => change_settings(mailbox, &members.rest(&[])).map(Value::Object).map_err(|f| said(&f)),
    }
}
