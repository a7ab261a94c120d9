//! Folders and senders whose messages are answered and never kept.
//!
//! An answer is held back whole when it shows one such message. What counts as shown: a message's folder (Graph names it beside every message
//! that is listed, found or read), and any address under `from`, `sender` or `organizer`, at any depth. A well-known name is asked for its id
//! once an hour for each mailbox (such names are short and all letters, ids are not); a handle, as `emailfolders_list` shows it, is looked up. While the
//! one cannot be asked or the other is not known any more, mail is not kept at all, so that nothing slips in.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;

use super::{Call, Engine};
use crate::{
    cache::{Scope, Service},
    clock::Timestamp,
    graph::GraphRequest,
    ids::AccountId,
    store::Handle,
    tools::{Effect, Fetched},
};

/// How long the id behind a well-known name is believed.
const GOOD_FOR: Duration = Duration::from_secs(3600);
/// Ids that are kept; beyond them all are asked again.
const MOST: usize = 1000;
/// What begins the name of a scope that stands for the messages of one folder.
const MESSAGES: &str = "messages:";
/// Members that say from whom something is.
const FROM: [&str; 3] = ["from", "sender", "organizer"];
/// Characters of the longest well-known name; ids are far longer.
const LONGEST_NAME: usize = 32;

/// What is never kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exclusions {
    /// Mail folders: well-known names (`junkemail`), ids or handles.
    pub folders: Vec<String>,
    /// Addresses, or domains as `@contoso.com`.
    pub senders: Vec<String>,
}

impl Exclusions {
    fn is_sender(&self, address: &str) -> bool {
        let address = address.trim().to_lowercase();
        self.senders
            .iter()
            .map(|sender| sender.trim().to_lowercase())
            .any(|sender| if sender.starts_with('@') { address.ends_with(&sender) } else { address == sender })
    }

    /// Whether anything in `value` is from such a sender.
    fn shows_sender(&self, value: &Value, is_from: bool) -> bool {
        match value {
            Value::String(text) => is_from && self.is_sender(text),
            Value::Array(all) => all.iter().any(|one| self.shows_sender(one, is_from)),
            Value::Object(members) => {
                members.iter().any(|(name, member)| self.shows_sender(member, is_from || FROM.contains(&name.as_str())))
            }
            _ => false,
        }
    }
}

/// Ids of well-known folders, by the path they were asked at.
#[derive(Default)]
pub(super) struct FolderIds(Mutex<BTreeMap<String, (Timestamp, Option<String>)>>);

impl FolderIds {
    /// Forgets an account that has signed out.
    pub(super) fn leave(&self, account: &AccountId) {
        let own = format!("{account} ");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|place, _| !place.starts_with(&own));
    }
}

/// The folders an answer shows messages of, as scopes name them.
fn folders_of(fetched: &Fetched) -> impl Iterator<Item = &str> {
    let shown = fetched.shown.iter().flat_map(|(_, containers)| containers);
    fetched.scopes.iter().chain(shown).map(Scope::as_str).filter_map(|scope| scope.strip_prefix(MESSAGES))
}

impl Engine {
    /// Whether the answer must not be kept.
    pub(super) async fn is_excluded(&self, call: &Call, fetched: &Fetched) -> bool {
        self.excludes(call, std::slice::from_ref(&fetched.answer), &folders_of(fetched).collect::<Vec<_>>()).await
    }

    /// Whether what the answer left out must not be kept, as Graph sent it. A link to further pages shows nothing.
    pub(super) async fn is_rest_excluded(&self, call: &Call, fetched: &Fetched, rest: &[Value]) -> bool {
        let of_rest = rest.iter().filter_map(|item| item["parentFolderId"].as_str());
        !rest.is_empty() && self.excludes(call, rest, &folders_of(fetched).chain(of_rest).collect::<Vec<_>>()).await
    }

    async fn excludes(&self, call: &Call, texts: &[Value], folders: &[&str]) -> bool {
        let policy = self.policy();
        let exclude = &policy.exclude;
        if !exclude.senders.is_empty() && texts.iter().any(|text| exclude.shows_sender(text, false)) {
            return true;
        }
        let (Effect::Read { service, .. } | Effect::Write { service }) = call.tool.effect else { return false };
        if service != Service::Mail || folders.is_empty() {
            return false;
        }
        for folder in &exclude.folders {
            let named =
                |shown: &&str| *shown == folder || shown.strip_prefix("name:").is_some_and(|name| name.eq_ignore_ascii_case(folder));
            if folders.iter().any(named) {
                return true;
            }
            let id = match Handle::read(folder) {
                Some(handle) => self.folder_called(handle).await.map(Some),
                None if folder.len() > LONGEST_NAME || !folder.bytes().all(|byte| byte.is_ascii_alphabetic()) => continue,
                None => self.folder_id(call, &folder.to_ascii_lowercase()).await,
            };
            match id {
                Ok(Some(id)) if folders.contains(&id.as_str()) => return true,
                Ok(_) => {}
                Err(()) => return true,
            }
        }
        false
    }

    /// The id of the folder that a handle names, whoever was shown it: a shared mailbox has one id for all. An error when it names nothing.
    async fn folder_called(&self, handle: Handle) -> Result<String, ()> {
        match self.ledger.named(handle).await {
            Ok(Some((_, id))) => Ok(id),
            Ok(None) | Err(_) => Err(()),
        }
    }

    /// The handles among the folders that are excluded which name nothing (any more): because of them no mail is kept.
    pub async fn unknown_exclusions(&self) -> Vec<String> {
        let mut unknown = Vec::new();
        for folder in &self.policy().exclude.folders {
            if let Some(handle) = Handle::read(folder)
                && self.folder_called(handle).await.is_err()
            {
                unknown.push(folder.clone());
            }
        }
        unknown
    }

    /// The id of a well-known folder of the call's mailbox; `None` when there is no such folder, an error while nobody can say.
    async fn folder_id(&self, call: &Call, name: &str) -> Result<Option<String>, ()> {
        let request = match call.args.text("mailbox") {
            Some(mailbox) => GraphRequest::get(&["users", mailbox, "mailFolders", name]),
            None => GraphRequest::get(&["me", "mailFolders", name]),
        };
        let request = request.with("$select", "id");
        let place = format!("{} {}", call.account.id, request.target());
        let now = self.clock.now();
        let known = self.folder_ids.0.lock().unwrap_or_else(PoisonError::into_inner).get(&place).cloned();
        if let Some((_, id)) = known.filter(|(at, _)| *at <= now && now.since(*at) < GOOD_FOR) {
            return Ok(id);
        }
        let id = match self.steps(call).send(request).await {
            Ok(reply) => reply.body["id"].as_str().map(str::to_owned),
            Err(error) if matches!(error.status, Some(400 | 404)) => None,
            Err(_) => return Err(()),
        };
        let mut known = self.folder_ids.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(place, (now, id.clone()));
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        chance::SeededDice,
        clock::ManualClock,
        engine::testing::{self, Scripted, call, failure, reply},
        store::{Entries as _, Ledger as _, Limits, Memory},
    };

    #[test]
    fn senders_are_found_wherever_they_stand_and_nowhere_else() {
        let exclude = Exclusions { folders: Vec::new(), senders: vec!["HR@contoso.example".into(), "@law.example".into()] };
        let from = |address: &str| json!({ "messages": [{ "from": { "emailAddress": { "address": address, "name": "x" } } }] });
        for address in ["hr@contoso.example", "a@LAW.example"] {
            assert!(exclude.shows_sender(&from(address), false), "{address}");
        }
        for address in ["hr@contoso.example.org", "alaw.example", "bob@contoso.example"] {
            assert!(!exclude.shows_sender(&from(address), false), "{address}");
        }
        assert!(!exclude.shows_sender(&json!({ "toRecipients": ["hr@contoso.example"] }), false));
        assert!(exclude.shows_sender(&json!({ "organizer": "hr@contoso.example" }), false));
    }

    async fn asked(exclude: Exclusions, fails: bool) -> (Vec<String>, u64) {
        let store = Arc::new(Memory::new(Arc::new(SeededDice::new(1)), Limits::default()));
        store.save_account(testing::account()).await.unwrap();
        let graph = Scripted::new(move |request| match request.target() {
            folder if folder.contains("mailFolders/junkemail") && fails => Err(failure(None, false)),
            folder if folder.contains("mailFolders/junkemail") => reply(json!({ "id": "JUNK" })),
            folder if folder.contains("mailFolders/") => Err(failure(Some(404), false)),
            message => {
                let folder = if message.contains("spam") { "JUNK" } else { "F" };
                let from = if message.contains("hr") { "hr@contoso.example" } else { "bob@contoso.example" };
                let id = message.split('/').nth(3).unwrap().split('?').next().unwrap().to_owned();
                reply(json!({ "id": id, "parentFolderId": folder, "from": { "emailAddress": { "address": from } } }))
            }
        });
        let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
        let engine = testing::engine_with(store.clone(), store.clone(), graph.remote(), clock, Arc::new(SeededDice::new(7)), |parts| {
            parts.policy.exclude = exclude;
        });
        let engine = engine.await;
        let mut statuses = Vec::new();
        for id in ["spam", "hr", "plain", "spam", "hr", "plain"] {
            let answer = call(&engine, "email_get", json!({ "email_id": id, "include_attachments": false })).await.unwrap();
            statuses.push(answer["_cache_status"].as_str().unwrap().to_owned());
        }
        (statuses, store.stats().await.unwrap().entries)
    }

    #[tokio::test]
    async fn what_is_excluded_is_answered_and_not_kept() {
        let exclude = Exclusions { folders: vec!["junkemail".into(), "nosuchfolder".into()], senders: vec!["hr@contoso.example".into()] };
        assert_eq!(
            asked(exclude.clone(), false).await,
            (["bypass", "bypass", "miss", "bypass", "bypass", "fresh"].map(String::from).to_vec(), 1)
        );
        // While nobody can say which folder it is, no mail is kept.
        assert_eq!(asked(exclude, true).await.1, 0);
        let by_id = Exclusions { folders: vec!["JUNK".into()], senders: Vec::new() };
        assert_eq!(asked(by_id, true).await.1, 2);
        assert_eq!(asked(Exclusions::default(), true).await.1, 3);
    }

    /// How many answers and snapshots are kept of a list that shows one message of the three that Graph has sent, and whether it can be read on.
    async fn left_out(exclude: Exclusions) -> (u64, bool) {
        let store = Arc::new(Memory::new(Arc::new(SeededDice::new(1)), Limits::default()));
        store.save_account(testing::account()).await.unwrap();
        let graph = Scripted::new(|_| {
            let message =
                |id: &str, from: &str| json!({ "id": id, "parentFolderId": "F", "from": { "emailAddress": { "address": from } } });
            let sent = [message("a", "bob@contoso.example"), message("b", "hr@contoso.example"), message("c", "bob@contoso.example")];
            reply(json!({ "value": sent }))
        });
        let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
        let engine = testing::engine_with(store.clone(), store.clone(), graph.remote(), clock, Arc::new(SeededDice::new(7)), |parts| {
            parts.policy.exclude = exclude;
        });
        let question = json!({ "folder_id": "F", "limit": 1, "include_body": false });
        let answer = call(&engine.await, "email_list", question).await.unwrap();
        assert_eq!(answer["messages"].as_array().unwrap().len(), 1, "{answer}");
        (store.stats().await.unwrap().entries, answer.get("next_cursor").is_some())
    }

    #[tokio::test]
    async fn what_a_list_leaves_out_is_not_kept_either() {
        assert_eq!(left_out(Exclusions::default()).await, (2, true), "the list and what it left out");
        let folder = Exclusions { folders: vec!["F".into()], senders: Vec::new() };
        assert_eq!(left_out(folder).await, (0, false));
        let sender = Exclusions { folders: Vec::new(), senders: vec!["hr@contoso.example".into()] };
        assert_eq!(left_out(sender).await, (1, false), "only the list, which does not show that sender");
    }
}
