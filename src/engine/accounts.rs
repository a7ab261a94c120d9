//! Accounts: who is signed in, signing in, signing out. Ids, usernames and aliases are resolved here, at the edge, to one account.
//!
//! Decision: a name that two accounts have stands for neither. One address can sign in to a work account and to a personal one; whoever says it
//! is told their ids. Rejected: the first, or the one that was there first, which reads and writes in a mailbox that nobody meant.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use super::{CallError, Engine};
use crate::{
    audit::{Event, Kind},
    auth::{self, AuthError, Permissions, TokenState},
    ids::{AccountId, Caller, PERSONAL_TENANT},
    live::Live,
    store::AccountRow,
};

pub use crate::auth::AuthError as LoginError;

/// An account and the state of its sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What the ledger keeps.
    pub row: Arc<AccountRow>,
    /// What the keeper of tokens knows.
    pub token: TokenState,
    /// Whether its answers may be cached.
    pub caching: bool,
    /// The short name that people gave it.
    pub alias: Option<String>,
    /// Whether it is meant where a call names none.
    pub default: bool,
}

/// What people have named of the accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountNames {
    /// Usernames or ids, by alias in lower case.
    pub aliases: BTreeMap<String, String>,
    /// The account that is meant where a call names none, by username or id.
    pub default: Option<String>,
}

impl Account {
    /// `personal` or `work_school`, by its tenant: the domain of its name says nothing.
    pub fn account_type(&self) -> &'static str {
        account_type(&self.row)
    }
}

/// `personal` or `work_school`.
pub(super) fn account_type(row: &AccountRow) -> &'static str {
    if row.tenant_id == PERSONAL_TENANT { "personal" } else { "work_school" }
}

/// How to sign in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoginStart {
    /// By device code in place of the browser on this machine, also where the settings do not say so.
    pub device: bool,
    /// To a personal account.
    pub personal: bool,
    /// Name to suggest to the sign-in page.
    pub username: Option<String>,
}

/// What a person has to do to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginFlow {
    /// Names the sign-in, to ask for its end.
    pub handle: String,
    /// Address to open in a browser on this machine.
    pub url: Option<String>,
    /// Code to enter somewhere else.
    pub device: Option<auth::DevicePrompt>,
}

/// Accounts in memory, as the ledger has them.
#[derive(Default)]
pub(super) struct Accounts {
    rows: RwLock<BTreeMap<AccountId, Arc<AccountRow>>>,
    names: Live<AccountNames>,
    /// Sign-ins that somebody waits for, so that a second wait does not take the first one's result.
    finishing: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// How the latest sign-ins ended well, for whoever asks again after a wait was given up.
    finished: Mutex<BTreeMap<String, AccountId>>,
}

/// What an account is when the store could not forget it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// Signed in as before: whoever signs out is told, and tries again.
    SignedIn,
    /// Signed out all the same: it is being erased.
    SignedOut,
}

/// Ends of sign-ins that are remembered.
const REMEMBERED: usize = 32;

impl Accounts {
    pub(super) fn new(rows: Vec<AccountRow>, names: AccountNames) -> Self {
        let rows = rows.into_iter().map(|row| (row.id.clone(), Arc::new(row))).collect();
        Self { rows: RwLock::new(rows), names: Live::new(names), finishing: Mutex::default(), finished: Mutex::default() }
    }

    /// The one account whose id, username or alias is `name`. Ids are compared exactly, names without regard to case.
    pub(super) fn find(&self, name: &str) -> Result<Arc<AccountRow>, CallError> {
        let (name, names) = (name.trim(), self.names.get());
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let called = |name: &str| -> Result<Option<Arc<AccountRow>>, CallError> {
            let mut rows = rows.values().filter(|row| is_called(row, name));
            let first = rows.next();
            match (first, rows.next()) {
                (Some(first), Some(second)) => {
                    let all = [first, second].into_iter().chain(rows);
                    Err(CallError::AmbiguousAccount(all.map(|row| (row.id.clone(), account_type(row))).collect()))
                }
                _ => Ok(first.cloned()),
            }
        };
        let mut found = called(name)?;
        if found.is_none()
            && let Some(behind) = names.aliases.get(&name.to_lowercase())
        {
            found = called(behind)?;
        }
        found.ok_or(CallError::UnknownAccount { any: !rows.is_empty() })
    }

    /// Whether `name`, an id or a username, means this account and no other.
    fn means(&self, name: &str, row: &AccountRow) -> bool {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        is_called(row, name) && rows.values().filter(|row| is_called(row, name)).count() == 1
    }

    /// Whether nobody is signed in.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The account that is meant where a call names none, as it was configured.
    pub(super) fn default(&self) -> Option<String> {
        self.names.get().default.clone()
    }

    /// Calls the accounts otherwise from now on. A call that has found its account keeps it.
    pub(super) fn name(&self, names: AccountNames) {
        self.names.set(names);
    }

    /// The alias of an account.
    fn alias(&self, row: &AccountRow) -> Option<String> {
        self.names.get().aliases.iter().find(|(_, behind)| self.means(behind, row)).map(|(alias, _)| alias.clone())
    }

    /// Replaces what is known of an account that is still signed in.
    pub(super) fn replace(&self, row: AccountRow) -> Result<Arc<AccountRow>, CallError> {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let any = !rows.is_empty();
        let known = rows.get_mut(&row.id).ok_or(CallError::UnknownAccount { any })?;
        *known = Arc::new(row);
        Ok(known.clone())
    }

    pub(super) fn add(&self, row: AccountRow) -> Arc<AccountRow> {
        let row = Arc::new(row);
        self.rows.write().unwrap_or_else(PoisonError::into_inner).insert(row.id.clone(), row.clone());
        row
    }

    fn remove(&self, id: &AccountId) {
        self.rows.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Forgets how sign-ins of an account ended.
    pub(super) fn forget_ends(&self, account: &AccountId) {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, whose| whose != account);
    }

    pub(super) fn all(&self) -> Vec<Arc<AccountRow>> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

fn is_called(row: &AccountRow, name: &str) -> bool {
    row.id.as_str() == name || row.username.eq_ignore_ascii_case(name)
}

impl Engine {
    /// Every account that is signed in, by id.
    pub fn accounts(&self) -> Vec<Account> {
        let policy = self.policy();
        let default = self.accounts.default().and_then(|name| self.accounts.find(&name).ok()).map(|row| row.id.clone());
        let account = |row: Arc<AccountRow>| {
            let token = self.keeper.state(&row.id);
            let named = |name: &String| *name == row.username.to_lowercase() || name == row.id.as_str();
            let caching = policy.caching && !policy.uncached_accounts.iter().any(named);
            Account { token, caching, alias: self.accounts.alias(&row), default: default.as_ref() == Some(&row.id), row }
        };
        self.accounts.all().into_iter().map(account).collect()
    }

    /// What an account's sign-in asked for and was granted; `None` when its tokens cannot be read. Microsoft is not asked.
    pub async fn permissions(&self, account: &AccountId) -> Option<Permissions> {
        self.keeper.permissions(account).await
    }

    /// Whether an account is configured for calls that name none, and is not among those that are signed in, or not alone under that name.
    pub fn lacks_default(&self) -> bool {
        self.accounts.default().is_some_and(|name| !self.accounts.is_empty() && self.accounts.find(&name).is_err())
    }

    /// The id of the account whose id, username or alias is `name`.
    ///
    /// # Errors
    ///
    /// When there is none, or more than one.
    pub fn account_id(&self, name: &str) -> Result<AccountId, CallError> {
        Ok(self.accounts.find(name)?.id.clone())
    }

    /// Begins a sign-in.
    ///
    /// # Errors
    ///
    /// When the identity service cannot be reached or refuses the application.
    pub async fn login(&self, start: LoginStart) -> Result<LoginFlow, LoginError> {
        let options = auth::LoginOptions { personal: start.personal, login_hint: start.username };
        if start.device || self.policy().device {
            let prompt = self.logins.start_device(options).await?;
            Ok(LoginFlow { handle: prompt.handle.clone(), url: None, device: Some(prompt) })
        } else {
            let flow = self.logins.start_browser(options).await?;
            Ok(LoginFlow { handle: flow.handle, url: Some(flow.url), device: None })
        }
    }

    /// Waits until the sign-in has ended, then keeps account and tokens: saved first, used afterwards.
    ///
    /// # Errors
    ///
    /// When it was refused, given up or too late, or the store cannot keep it.
    pub async fn wait_login(&self, handle: &str) -> Result<Arc<AccountRow>, LoginError> {
        let turn = {
            let mut finishing = self.accounts.finishing.lock().unwrap_or_else(PoisonError::into_inner);
            finishing.entry(handle.to_owned()).or_default().clone()
        };
        let result = {
            let _turn = turn.lock().await;
            self.ended(handle).await
        };
        self.accounts.finishing.lock().unwrap_or_else(PoisonError::into_inner).remove(handle);
        result
    }

    /// The end of the sign-in: remembered, or waited for.
    async fn ended(&self, handle: &str) -> Result<Arc<AccountRow>, LoginError> {
        let known = self.accounts.finished.lock().unwrap_or_else(PoisonError::into_inner).get(handle).cloned();
        if let Some(row) = known.and_then(|id| self.accounts.find(id.as_str()).ok()) {
            return Ok(row);
        }
        let row = self.keep_login(self.logins.wait(handle).await?).await?;
        let mut finished = self.accounts.finished.lock().unwrap_or_else(PoisonError::into_inner);
        if finished.len() >= REMEMBERED {
            finished.clear();
        }
        finished.insert(handle.to_owned(), row.id.clone());
        Ok(row)
    }

    /// As [`Engine::wait_login`], but returns `None` when nobody has signed in within a moment.
    pub(super) async fn finish_login(self: &Arc<Self>, handle: &str) -> Result<Option<Arc<AccountRow>>, LoginError> {
        let (engine, name) = (self.clone(), handle.to_owned());
        // A task of its own: giving the wait up must not lose tokens that are just being kept.
        let waiting = tokio::spawn(async move { engine.wait_login(&name).await });
        tokio::select! {
            done = waiting => done.unwrap_or(Err(AuthError::Cancelled)).map(Some),
            () = self.clock.sleep(Duration::from_secs(8)) => Ok(None),
        }
    }

    /// Forgets a sign-in that was begun.
    pub fn cancel_login(&self, handle: &str) {
        self.logins.cancel(handle);
    }

    async fn keep_login(&self, done: auth::Finished) -> Result<Arc<AccountRow>, LoginError> {
        // One who is being erased signs in after that.
        let _alone = self.erasing.lock().await;
        self.complete_erasures().await.map_err(|error| AuthError::not_saved(&error))?;
        let auth::Finished { signed_in, record } = done;
        let known = self.accounts.find(signed_in.account_id.as_str()).ok();
        let row = AccountRow {
            id: signed_in.account_id,
            username: signed_in.username,
            display_name: signed_in.display_name,
            tenant_id: signed_in.tenant_id,
            object_id: signed_in.object_id,
            drive_id: known.as_ref().and_then(|known| known.drive_id.clone()),
            added_at: known.map_or_else(|| self.clock.now(), |known| known.added_at),
        };
        self.ledger.save_account(row.clone()).await.map_err(|error| AuthError::not_saved(&error))?;
        self.keeper.adopt(&row.id, record).await?;
        self.facts.leave(&row.id);
        let row = self.accounts.add(row);
        self.back_in_trail(&row.id);
        self.record(Event::new(Kind::SignIn, self.clock.now()).of(&row.id).ended("signed_in")).await;
        self.truth.changes().tell(super::Change::Accounts);
        self.warmth.stir();
        Ok(row)
    }

    /// Signs an account out: no cached answer from now on, its tokens, data and data key destroyed. Returns the account and the number of
    /// entries removed. It runs by itself: whoever asked may go away. When it fails the account is signed in as before, though it may have
    /// fewer entries.
    ///
    /// # Errors
    ///
    /// When there is no such account, or the store cannot forget it.
    pub async fn logout(self: &Arc<Self>, name: &str, caller: &Caller) -> Result<(Arc<AccountRow>, u64), CallError> {
        let (engine, name, caller) = (self.clone(), name.to_owned(), caller.clone());
        let signing_out = async move {
            // A sign-in that ends meanwhile would be kept in part.
            let _alone = engine.erasing.lock().await;
            engine.sign_out(engine.accounts.find(&name)?, &caller, Failed::SignedIn).await
        };
        tokio::spawn(signing_out).await.map_err(|_| CallError::Broken)?
    }

    /// For one who holds `erasing`.
    pub(super) async fn sign_out(
        &self,
        row: Arc<AccountRow>,
        caller: &Caller,
        failed: Failed,
    ) -> Result<(Arc<AccountRow>, u64), CallError> {
        // Out of memory first: from here on no call finds the account.
        self.accounts.remove(&row.id);
        self.queue.leave(&row.id);
        let tokens = self.keeper.leave(&row.id).await;
        // Answers that are being stored are stored before this, and none afterwards: see `Engine::keep`.
        let _leaving = self.leaving.write().await;
        let removed = self.ledger.remove_account(&row.id).await;
        if let (Err(error), Failed::SignedIn) = (&removed, failed) {
            drop(tokens);
            self.accounts.add(row.as_ref().clone());
            return Err(error.clone().into());
        }
        tokens.done();
        self.hot.remove_account(&row.id);
        self.counters.forget(&row.id).await;
        self.lists.leave(&row.id);
        self.leave_sources(&row);
        self.truth.changes().tell(super::Change::Accounts);
        let entries = removed?;
        self.record(self.event(Kind::SignOut, caller).of(&row.id).ended("data_key_destroyed").times(entries)).await;
        Ok((row, entries))
    }
}

#[cfg(test)]
#[path = "accounts_tests.rs"]
mod tests;
