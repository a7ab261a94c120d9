//! A seeded log of random changes by others: what delta and caches are tried with.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::apply::apply;
use super::store::{ROOT, State};
use crate::seed::prng::Prng;

/// Makes `count` changes in one account; equal seeds on equal states give equal changes. Gives the log: each change and,
/// under `result`, what came of it.
pub(crate) fn churn(state: &mut State, owner: usize, count: u64, seed: u64, now: Timestamp) -> Vec<Value> {
    let mut prng = Prng::new(seed, "churn");
    let mut log = Vec::new();
    for round in 0..count {
        let Some(mut change) = propose(state, owner, &mut prng, seed, round) else {
            continue;
        };
        change["user"] = json!(state.users[owner].username);
        // What is refused (a name taken, a folder into itself) is part of life and of the log.
        let result = apply(state, &change, now).unwrap_or_else(|error| json!({"error": error}));
        change["result"] = result;
        log.push(change);
    }
    log
}

fn propose(state: &State, owner: usize, prng: &mut Prng, seed: u64, round: u64) -> Option<Value> {
    let mailbox = &state.mailboxes[owner];
    let drive = &state.drives[owner];
    let message = |prng: &mut Prng| {
        let (_, number) = *mailbox.everything.get(prng.below(mailbox.everything.len().min(200)))?;
        mailbox.message(number).map(|message| mailbox.message_id(message, false))
    };
    let folder = |prng: &mut Prng| {
        let folders: Vec<u32> = mailbox.folders.iter().flatten().filter(|f| f.number != 0 && !f.hidden).map(|f| f.number).collect();
        mailbox.folder_id(*prng.pick(&folders))
    };
    let item = |prng: &mut Prng, folders_only: bool| {
        let fits = |number: &u32| {
            drive
                .item(*number)
                .is_some_and(|i| i.placed && i.sequence > 0 && (i.is_folder() || !folders_only) && (folders_only || i.number != ROOT))
        };
        let items: Vec<u32> = drive.items.iter().flatten().map(|i| i.number).filter(fits).collect();
        if items.is_empty() { None } else { Some(drive.key.item(*prng.pick(&items))) }
    };
    let event = |prng: &mut Prng| {
        let events: Vec<u32> = mailbox.events.iter().flatten().map(|event| event.number).collect();
        if events.is_empty() { None } else { mailbox.event(*prng.pick(&events)).map(|event| mailbox.event_id(event, None, false)) }
    };
    let file = |prng: &mut Prng| {
        let files: Vec<u32> =
            drive.items.iter().flatten().filter(|i| i.placed && i.sequence > 0 && !i.is_folder()).map(|i| i.number).collect();
        if files.is_empty() { None } else { Some(drive.key.item(*prng.pick(&files))) }
    };
    let contact = |prng: &mut Prng| {
        let contacts: Vec<String> = mailbox.contacts.iter().flatten().map(|c| mailbox.contact_id(c, false)).collect();
        if contacts.is_empty() { None } else { Some(prng.pick(&contacts).clone()) }
    };
    let contact_folder = |prng: &mut Prng| {
        let folders: Vec<u32> = mailbox.contact_folders.iter().flatten().filter(|f| f.parent.is_some()).map(|f| f.number).collect();
        if folders.is_empty() { None } else { Some(mailbox.contact_folder_id(*prng.pick(&folders))) }
    };
    let name = format!("churn {seed}-{round}");
    Some(match prng.below(24) {
        0 | 1 => json!({"verb": "new_message", "subject": name, "folder": folder(prng)}),
        2 | 3 => {
            json!({"verb": "update_message", "id": message(prng)?, "isRead": prng.percent(50), "categories": [name]})
        }
        4 => json!({"verb": "delete_message", "id": message(prng)?}),
        5 | 6 => json!({"verb": "move_message", "id": message(prng)?, "folder": folder(prng)}),
        7 => json!({"verb": "new_mail_folder", "name": name, "parent": folder(prng)}),
        8 => json!({"verb": "new_contact", "givenName": "Churn", "surname": name}),
        9 => {
            json!({"verb": "new_file", "name": format!("{name}.txt"), "parent": item(prng, true)?})
        }
        10 => json!({"verb": "new_folder", "name": name, "parent": item(prng, true)?}),
        11 => json!({"verb": "rename_item", "id": item(prng, false)?, "name": name}),
        12 => json!({"verb": "move_item", "id": item(prng, false)?, "parent": item(prng, true)?}),
        13 => json!({"verb": "update_contact", "id": contact(prng)?, "jobTitle": name}),
        14 => json!({"verb": "delete_contact", "id": contact(prng)?}),
        15 => json!({"verb": "new_contact_folder", "name": name}),
        16 => json!({"verb": "rename_contact_folder", "id": contact_folder(prng)?, "name": name}),
        17 => json!({"verb": "move_mail_folder", "id": folder(prng), "parent": folder(prng)}),
        18 if prng.percent(30) => json!({"verb": "delete_mail_folder", "id": folder(prng)}),
        18 => json!({"verb": "rename_mail_folder", "id": folder(prng), "name": name}),
        19 => json!({"verb": "write_file", "id": file(prng)?, "content": name}),
        20 => {
            let day = prng.between(1, 28);
            let time = |hour: &str| json!({"dateTime": format!("2026-12-{day:02}T{hour}:00:00"), "timeZone": "Europe/Berlin"});
            json!({"verb": "new_event", "subject": name, "start": time("09"), "end": time("10")})
        }
        21 => json!({"verb": "update_event", "id": event(prng)?, "subject": name}),
        22 => json!({"verb": "delete_event", "id": event(prng)?}),
        _ => json!({"verb": "delete_item", "id": item(prng, false)?}),
    })
}
