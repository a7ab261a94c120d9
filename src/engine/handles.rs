//! Handles in answers and in arguments: an answer shows `m512345678` where Microsoft's id of the message stood, and a call takes either.
//!
//! Why. An id of Exchange or OneDrive has 34 to 150 characters that no vocabulary knows: 20 to 100 tokens in every row, again in every call
//! that a model makes with it, and a slip of one letter is an error. A handle is a letter and nine digits, which a vocabulary has in three groups
//! or so; `cargo answers` prints what that comes to.
//!
//! Where. Ids become handles when an answer is made, before it is stored: stored bodies are sent as they lie, and two clients see one spelling.
//! Handles become ids right behind the check of arguments, before there is a key: a call by handle and the same call by id share an entry, the
//! journal, the audit trail and consents know ids alone, and Microsoft is asked by id. `id` *is* the handle: showing both would save nothing.
//! Whoever needs Microsoft's ids sets `ids = "graph"`; `compat` has them always; `m365-cachectl export` lists which is which.
//!
//! What holds. A handle names one thing of one account for as long as that is kept (`store/handles.rs`), through refreshes, restarts, upgrades
//! and moves, because every request asks for Exchange's immutable ids, and ids in a drive do not change. It names nothing for another account. It
//! is never given to anything else. What is not known is refused before anything is asked of Microsoft. When the store does not do its work
//! answers show Microsoft's ids. A preview of what needs consent shows handles as answers do; the consent is to Microsoft's ids.
//!
//! What the settings say is never kept shows Microsoft's ids: a handle would keep its id.
//!
//! Rejected: handles made of the id itself by a keyed hash (no table to write, but one to find the id by all the same, and ten characters are too
//! few to never collide); a table in memory alone (a client outlives the daemon); handles beside ids in an argument of each call (its schema costs
//! every client more than it saves anybody).

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};

use super::{Call, CallError, Engine};
use crate::{
    cache::KeyPattern,
    clock::Timestamp,
    ids::AccountId,
    store::{Handle, Invalidation, KEPT_HANDLES, Thing},
    tools::{self, Args, Fetched, StepError, Tool},
};

/// Handles held in memory; beyond them all are read again: 4 MB.
const MOST: usize = 16_384;
/// How long the store is not told again that something is shown.
const GOOD_FOR: Duration = Duration::from_secs(12 * 3600);
/// Rows forgotten in one step.
const STEP: usize = 256;

/// What is known of handles without asking the store.
#[derive(Default)]
pub(super) struct Names(Mutex<Known>);

#[derive(Default)]
struct Known {
    since: Option<Timestamp>,
    things: HashMap<Handle, (AccountId, Arc<str>)>,
    handles: HashMap<AccountId, HashMap<Arc<str>, Handle>>,
}

impl Names {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handle of a thing, when it is known here.
    pub(super) fn of(&self, account: &AccountId, id: &str) -> Option<Handle> {
        self.known().handles.get(account)?.get(id).copied()
    }

    /// What a handle names for an account, when it is known here.
    fn id(&self, account: &AccountId, handle: Handle) -> Option<Arc<str>> {
        let known = self.known();
        known.things.get(&handle).filter(|(whose, _)| whose == account).map(|(_, id)| id.clone())
    }

    fn learn(&self, account: &AccountId, pairs: &[(String, Handle)], now: Timestamp) {
        let mut known = self.known();
        let old = known.since.is_none_or(|since| now < since || now.since(since) > GOOD_FOR);
        if old || known.things.len() >= MOST {
            *known = Known { since: Some(now), ..Known::default() };
        }
        for (id, handle) in pairs {
            let id: Arc<str> = id.as_str().into();
            known.things.insert(*handle, (account.clone(), id.clone()));
            known.handles.entry(account.clone()).or_default().insert(id, *handle);
        }
    }

    /// Forgets an account that has signed out.
    pub(super) fn leave(&self, account: &AccountId) {
        let mut known = self.known();
        known.things.retain(|_, (whose, _)| whose != account);
        known.handles.remove(account);
    }

    /// Forgets everything: some of it is not kept any more.
    fn clear(&self) {
        *self.known() = Known::default();
    }
}

impl Engine {
    /// Whether answers show handles.
    fn shows_handles(&self) -> bool {
        self.policy().short_ids && !self.policy().compat
    }

    /// Puts handles in the place of ids in what was fetched.
    pub(super) async fn shorten_fetched(&self, call: &Call, fetched: &mut Fetched) {
        self.shorten(call.tool.name, &call.account.id, &mut fetched.answer).await;
    }

    /// Puts handles in the place of ids in an answer of `tool`.
    pub(super) async fn shorten(&self, tool: &str, account: &AccountId, answer: &mut Value) {
        if !self.shows_handles() {
            return;
        }
        let (mut handles, mut unknown) = (HashMap::new(), BTreeMap::new());
        tools::each_id(tool, answer, &mut |letter, id| match self.names.of(account, id) {
            Some(handle) => drop(handles.insert(id.clone(), handle)),
            None => drop(unknown.entry(id.clone()).or_insert(letter)),
        });
        if !unknown.is_empty() {
            let things = unknown.into_iter().map(|(id, letter)| Thing { letter, id }).collect();
            handles.extend(self.give_handles(account, things).await);
        }
        tools::each_id(tool, answer, &mut |_, id| {
            if let Some(handle) = handles.get(id) {
                *id = handle.to_string();
            }
        });
    }

    /// Names a draft that a failed write has left by its handle.
    pub(super) async fn shorten_left(&self, call: &Call, error: &mut StepError) {
        let Some(left) = error.left.take() else { return };
        let mut named = json!({ "draft_id": left.draft });
        self.shorten(call.tool.name, &call.account.id, &mut named).await;
        if let Some(handle) = named["draft_id"].as_str() {
            error.message = error.message.replace(&left.draft, handle);
        }
    }

    /// Has the store name things; nothing when it cannot.
    async fn give_handles(&self, account: &AccountId, things: Vec<Thing>) -> Vec<(String, Handle)> {
        let now = self.clock.now();
        // Nothing is kept for an account that has signed out meanwhile.
        let _staying = self.leaving.read().await;
        if self.accounts.find(account.as_str()).is_err() {
            return Vec::new();
        }
        match self.ledger.name(account, things.clone(), now).await {
            Ok(handles) => {
                let pairs: Vec<(String, Handle)> = things.into_iter().map(|thing| thing.id).zip(handles).collect();
                self.names.learn(account, &pairs, now);
                pairs
            }
            Err(error) => {
                self.note_store(Some(&error));
                Vec::new()
            }
        }
    }

    /// Arguments with ids in the place of handles; `None` when one is not known here.
    pub(super) fn resolved_now(&self, tool: &Tool, account: &AccountId, mut args: Args) -> Option<Args> {
        let mut known = true;
        tools::each_given(tool, &mut args, &mut |text| {
            if let Some(handle) = Handle::read(text) {
                match self.names.id(account, handle) {
                    Some(id) => *text = id.as_ref().to_owned(),
                    None => known = false,
                }
            }
        });
        known.then_some(args)
    }

    /// The arguments of a call as a client writes them: with handles for the ids that have one at hand.
    pub(super) fn with_handles(&self, call: &Call) -> Args {
        let mut args = call.args.clone();
        if self.shows_handles() {
            tools::each_given(call.tool, &mut args, &mut |text| {
                if let Some(handle) = self.names.of(&call.account.id, text) {
                    *text = handle.to_string();
                }
            });
        }
        args
    }

    /// The same with those the store knows.
    pub(super) async fn resolved(&self, tool: &Tool, account: &AccountId, mut args: Args) -> Result<Args, CallError> {
        let mut given = Vec::new();
        tools::each_given(tool, &mut args, &mut |text| given.extend(Handle::read(text)));
        let mut meant = HashMap::new();
        for handle in given {
            meant.insert(handle, self.meant(account, handle).await?);
        }
        tools::each_given(tool, &mut args, &mut |text| {
            if let Some(id) = Handle::read(text).and_then(|handle| meant.get(&handle)) {
                *text = id.as_ref().to_owned();
            }
        });
        Ok(args)
    }

    /// What a text that may be a handle of an account means: Microsoft's id.
    pub(super) async fn id_of(&self, account: &AccountId, text: &str) -> Result<String, CallError> {
        match Handle::read(text) {
            Some(handle) => Ok(self.meant(account, handle).await?.as_ref().to_owned()),
            None => Ok(text.to_owned()),
        }
    }

    /// What a handle names for an account.
    async fn meant(&self, account: &AccountId, handle: Handle) -> Result<Arc<str>, CallError> {
        if let Some(id) = self.names.id(account, handle) {
            return Ok(id);
        }
        match self.ledger.named(handle).await? {
            Some((whose, id)) if whose == *account => {
                self.names.learn(account, &[(id.clone(), handle)], self.clock.now());
                Ok(id.into())
            }
            // Of another account, too: whose it is, is nobody else's business.
            _ => Err(unknown(handle).into()),
        }
    }

    /// Microsoft's id of what a handle names for the account of that id or username; anything else stays as it is.
    ///
    /// # Errors
    ///
    /// When there is no such account, or the handle names nothing of it.
    pub async fn graph_id(&self, account: &str, text: &str) -> Result<String, CallError> {
        self.id_of(&self.accounts.find(account)?.id, text).await
    }

    /// Microsoft's id of what a handle names, whosever it is: for the person at the machine.
    pub(super) async fn id_of_anybody(&self, text: &str) -> Result<String, CallError> {
        match Handle::read(text) {
            Some(handle) => self.ledger.named(handle).await?.map(|(_, id)| id).ok_or_else(|| unknown(handle).into()),
            None => Ok(text.to_owned()),
        }
    }

    /// A pattern of entries that ends in a handle (`email_get:*:email_id=m512345678`), with Microsoft's id in its place; a handle of `account`
    /// where only its entries are meant.
    pub(super) async fn pattern_by_id(&self, pattern: &str, account: Option<&AccountId>) -> Result<String, CallError> {
        let Some((head, value)) = pattern.trim().rsplit_once('=').filter(|(_, value)| Handle::read(value).is_some()) else {
            return Ok(pattern.to_owned());
        };
        let id = match account {
            Some(account) => self.id_of(account, value).await?,
            None => self.id_of_anybody(value).await?,
        };
        Ok(format!("{head}={id}"))
    }

    /// Stored answers show handles from now on, or Microsoft's ids; those that show handles where ids are asked for are removed.
    pub(super) async fn settle_handles(&self) -> Result<(), CallError> {
        if self.ledger.show_handles(self.shows_handles()).await? && !self.shows_handles() {
            let Ok(pattern) = KeyPattern::parse("*") else { return Err(CallError::Broken) };
            let what = Invalidation {
                pattern,
                account: None,
                reason: "ids are shown as Microsoft has them".into(),
                by: "m365-cached".into(),
                at: self.clock.now(),
            };
            let removed = self.entries.invalidate(what).await?;
            tracing::info!(removed, "stored answers that show handles were removed");
        }
        Ok(())
    }

    /// Forgets handles beyond what is kept, a step at a time.
    pub(super) async fn forget_handles(&self) -> Result<(), crate::store::StoreError> {
        for account in self.accounts() {
            loop {
                let gone = self.ledger.forget_handles(&account.row.id, KEPT_HANDLES, STEP).await?;
                if gone > 0 {
                    self.names.clear();
                }
                if gone < STEP {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn unknown(handle: Handle) -> StepError {
    StepError::user(
        "unknown_handle",
        format!("`{handle}` names nothing of this account: it belongs to another one, or what it named is forgotten"),
        "List or search again and take the id shown there; an id of Microsoft's is good, too.",
    )
}

#[cfg(test)]
#[path = "handles_tests.rs"]
mod tests;
