//! The keeper of tokens: the only one who holds them, renews them, and hands out what is good.
//!
//! One refresh at a time for each account, however many requests want one; what it brings is saved before it is used, so that a crash in
//! between costs nothing. A token is renewed ahead of its end, while the old one still serves.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use async_trait::async_trait;

use super::{AuthError, Bearer, Identity, Reason, Refused, SignInProblem, TokenPort, TokenRecord};
use crate::{chance::Dice, clock::Clock, clock::Timestamp, ids::AccountId, secret::Secret};

/// How an account's sign-in stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenState {
    /// Its tokens have not been looked at since the start.
    Unread,
    /// An access token is held until then; it is renewed by itself.
    Held {
        /// When the access token ends.
        expires: Timestamp,
    },
    /// Somebody has to sign in again.
    SignInRequired(SignInProblem),
}

/// Holds the tokens of every account.
pub struct Keeper {
    me: Weak<Self>,
    identity: Arc<Identity>,
    port: Arc<dyn TokenPort>,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    accounts: Mutex<BTreeMap<AccountId, Arc<Account>>>,
}

struct Account {
    state: Mutex<State>,
    /// Held by who loads or renews.
    turn: tokio::sync::Mutex<()>,
}

enum State {
    Unread,
    Held(TokenRecord),
    Ended(SignInProblem),
}

impl Keeper {
    /// A keeper whose records sleep behind `port`.
    pub fn new(identity: Arc<Identity>, port: Arc<dyn TokenPort>, clock: Arc<dyn Clock>, dice: Arc<dyn Dice>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self { me: me.clone(), identity, port, clock, dice, accounts: Mutex::default() })
    }

    /// Takes in the tokens of a finished sign-in: saved first, used afterwards.
    ///
    /// # Errors
    ///
    /// When they cannot be saved; they are then not used.
    pub async fn adopt(&self, account: &AccountId, record: TokenRecord) -> Result<(), AuthError> {
        let held = self.account(account);
        let _turn = held.turn.lock().await;
        self.port.save(account, record.to_bytes()).await?;
        *held.lock() = State::Held(record);
        Ok(())
    }

    /// Drops what is held of an account that signs out. Whoever asks for a token of it from now on gets none; a renewal under way is
    /// waited for, so that nothing is saved after this has returned.
    pub async fn forget(&self, account: &AccountId) {
        let held = self.account(account);
        *held.lock() = State::Ended(SignInProblem::ours(Reason::NoTokens));
        drop(held.turn.lock().await);
    }

    /// How the account's sign-in stands.
    pub fn state(&self, account: &AccountId) -> TokenState {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        match accounts.get(account).map(|held| held.lock()).as_deref() {
            None | Some(State::Unread) => TokenState::Unread,
            Some(State::Held(record)) => TokenState::Held { expires: record.expires },
            Some(State::Ended(problem)) => TokenState::SignInRequired(problem.clone()),
        }
    }

    fn account(&self, account: &AccountId) -> Arc<Account> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Account { state: Mutex::new(State::Unread), turn: tokio::sync::Mutex::new(()) });
        accounts.entry(account.clone()).or_insert_with(new).clone()
    }

    /// The token in hand, when it is good enough; whether it is time for the next one.
    fn in_hand(&self, held: &Account, refused: Option<&Refused>) -> Result<Option<(Secret<String>, bool)>, AuthError> {
        let now = self.clock.now();
        match &*held.lock() {
            State::Ended(problem) => Err(AuthError::SignInRequired(problem.clone())),
            State::Held(record) if record.usable(now) && refused.is_none_or(|refused| refused.token.expose() != record.access.expose()) => {
                Ok(Some((record.access.clone(), now >= record.refresh_at)))
            }
            State::Held(_) | State::Unread => Ok(None),
        }
    }

    /// Loads or renews, one at a time. `ahead` is a renewal that nobody waits for.
    async fn renew(
        &self,
        account: &AccountId,
        held: &Account,
        refused: Option<&Refused>,
        ahead: bool,
    ) -> Result<Secret<String>, AuthError> {
        let _turn = held.turn.lock().await;
        // Somebody may have done it while we waited.
        match self.in_hand(held, refused)? {
            Some((token, due)) if !(ahead && due) => return Ok(token),
            _ => {}
        }
        let record = match &*held.lock() {
            State::Held(record) => Some(record.clone()),
            State::Unread => None,
            State::Ended(problem) => return Err(AuthError::SignInRequired(problem.clone())),
        };
        let record = match record {
            Some(record) => record,
            None => {
                let loaded = self.load(account).await?;
                set(held, State::Held(loaded.clone()));
                if loaded.usable(self.clock.now()) && refused.is_none() {
                    return Ok(loaded.access);
                }
                loaded
            }
        };
        let claims = refused.and_then(|refused| refused.claims.as_deref());
        match self.identity.refresh(&record.authority, &record.client_id, &record.scopes, &record.refresh, claims).await {
            Ok(reply) => {
                let renewed = record.renewed(&reply, self.clock.now(), self.dice.as_ref());
                self.port.save(account, renewed.to_bytes()).await?;
                let token = renewed.access.clone();
                set(held, State::Held(renewed));
                tracing::debug!("a token was renewed");
                Ok(token)
            }
            Err(failure) => {
                let error = failure.at_refresh();
                if let AuthError::SignInRequired(problem) = &error {
                    tracing::warn!(reason = ?problem.reason, aadsts = problem.aadsts, "an account has to sign in again");
                    set(held, State::Ended(problem.clone()));
                }
                // A passing trouble does not take away what still works.
                if error.is_passing() && refused.is_none() && record.usable(self.clock.now()) { Ok(record.access) } else { Err(error) }
            }
        }
    }

    async fn load(&self, account: &AccountId) -> Result<TokenRecord, AuthError> {
        let kept = self.port.load(account).await?;
        kept.and_then(|bytes| TokenRecord::from_bytes(bytes.expose())).ok_or_else(|| AuthError::sign_in(Reason::NoTokens))
    }
}

impl Account {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changes the state, unless the account has been forgotten or refused meanwhile.
fn set(held: &Account, state: State) {
    let mut now = held.lock();
    if !matches!(*now, State::Ended(_)) {
        *now = state;
    }
}

#[async_trait]
impl Bearer for Keeper {
    async fn bearer(&self, account: &AccountId, refused: Option<&Refused>) -> Result<Secret<String>, AuthError> {
        let held = self.account(account);
        match self.in_hand(&held, refused)? {
            Some((token, due)) => {
                if due && let Some(me) = self.me.upgrade() {
                    let account = account.clone();
                    tokio::spawn(async move {
                        // A failure is logged where it happens; the token in hand still serves.
                        let _ = me.renew(&account, &held, None, true).await;
                    });
                }
                Ok(token)
            }
            None => self.renew(account, &held, refused, false).await,
        }
    }
}
