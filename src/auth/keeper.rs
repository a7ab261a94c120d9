//! The keeper of tokens: the only holder of refresh tokens, one refresh at a time for each account.
//!
//! A refresh runs as a task of its own, so that a caller that goes away does not lose a token that was issued but not yet saved. New
//! tokens are saved before anybody gets them. Ahead of expiry a refresh runs behind the caller's back: nobody waits for it. A refusal
//! that does not pass by itself is remembered, so that the identity service is not asked again and again for what it has refused.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::{OwnedMutexGuard, watch};

use super::{AuthError, Bearer, Identity, Permissions, Reason, Refused, SignInProblem, TokenPort, TokenRecord};
use crate::{
    chance::Dice,
    clock::{Clock, Countdown, Timestamp},
    hint::Hint,
    ids::AccountId,
    secret::Secret,
};

/// After this long a remembered refusal is tried once more: a policy may depend on the place, an administrator may have acted.
const REASK: Duration = Duration::from_secs(3600);
/// Refreshes forced by Graph that are allowed within [`FORCED_WINDOW`]; beyond them new tokens are plainly no help.
const FORCED_MOST: usize = 5;
const FORCED_WINDOW: Duration = Duration::from_secs(60);
/// The longest pause after failures that pass by themselves.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The shortest: those who waited for a failed attempt take its outcome rather than make one of their own.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

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

/// Holds and renews the tokens of all accounts.
pub struct Keeper {
    parts: Arc<Parts>,
    slots: Mutex<BTreeMap<AccountId, Arc<Slot>>>,
}

struct Parts {
    identity: Arc<Identity>,
    port: Arc<dyn TokenPort>,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
}

struct Slot {
    account: AccountId,
    held: Mutex<Held>,
    /// Whoever has this loads, renews or replaces the tokens.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Becomes true at sign-out: a refresh under way must not save any more.
    gone: watch::Sender<bool>,
}

#[derive(Default)]
struct Held {
    record: Option<TokenRecord>,
    /// A refusal that does not pass by itself, and for how long not to ask again.
    problem: Option<(SignInProblem, Countdown)>,
    /// The last failure that passes by itself, and for how long not to ask again.
    pause: Option<(AuthError, Countdown)>,
    failures: u32,
    /// Counts ended attempts, so that those who waited for one take its outcome.
    attempts: u64,
    forced: VecDeque<Timestamp>,
}

/// A sign-out under way: the account's tokens are given to nobody and not changed.
pub struct Leaving {
    slot: Arc<Slot>,
    turn: Option<OwnedMutexGuard<()>>,
    now: Timestamp,
    done: bool,
}

impl Leaving {
    /// The account is gone: drops what is held of it.
    pub fn done(mut self) {
        self.done = true;
        let problem = (SignInProblem::ours(Reason::NoTokens), Countdown::new(self.now, REASK));
        self.slot.held(|held| *held = Held { problem: Some(problem), attempts: held.attempts + 1, ..Held::default() });
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if !self.done {
            self.slot.gone.send_replace(false);
        }
        self.turn = None;
    }
}

impl Slot {
    fn held<T>(&self, look: impl FnOnce(&mut Held) -> T) -> T {
        look(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a look at the slot says.
enum Look {
    Token(Secret<String>),
    /// Good, but due for renewal.
    Due(Secret<String>),
    Fail(AuthError),
    Load,
    Renew,
}

impl Keeper {
    /// A keeper without tokens; records are loaded from `port` when first asked for.
    pub fn new(identity: Arc<Identity>, port: Arc<dyn TokenPort>, clock: Arc<dyn Clock>, dice: Arc<dyn Dice>) -> Arc<Self> {
        Arc::new(Self { parts: Arc::new(Parts { identity, port, clock, dice }), slots: Mutex::default() })
    }

    /// Takes over a fresh sign-in's tokens: saved first, used afterwards.
    ///
    /// # Errors
    ///
    /// When they cannot be saved; the account is then as before.
    pub async fn adopt(&self, account: &AccountId, record: TokenRecord) -> Result<(), AuthError> {
        let slot = self.slot(account);
        let _turn = slot.turn.lock().await;
        self.parts.port.save(account, record.to_bytes()).await?;
        slot.gone.send_replace(false);
        slot.held(|held| *held = Held { record: Some(record), attempts: held.attempts + 1, ..Held::default() });
        Ok(())
    }

    /// Begins an account's sign-out. Whoever asks for a token of it from now on gets none; a refresh under way gives up, and nothing is
    /// saved after this has returned. What is held is dropped by [`Leaving::done`]; dropping the [`Leaving`] leaves all as it was.
    pub async fn leave(&self, account: &AccountId) -> Leaving {
        let slot = self.slot(account);
        // Made before the first wait, so that a sign-out cut short while it waits is taken back as well.
        let mut leaving = Leaving { slot: slot.clone(), turn: None, now: self.parts.clock.now(), done: false };
        slot.gone.send_replace(true);
        leaving.turn = Some(slot.turn.clone().lock_owned().await);
        leaving
    }

    /// How the account's sign-in stands, without asking anybody.
    pub fn state(&self, account: &AccountId) -> TokenState {
        let slot = self.slots.lock().unwrap_or_else(PoisonError::into_inner).get(account).cloned();
        let Some(slot) = slot else { return TokenState::Unread };
        slot.held(|held| match (&held.problem, &held.record) {
            (Some((problem, _)), _) => TokenState::SignInRequired(problem.clone()),
            (None, Some(record)) => TokenState::Held { expires: record.expires },
            (None, None) => TokenState::Unread,
        })
    }

    /// What the account's sign-in asked for and was granted, from its tokens as they are held or kept; nobody is asked. `None` when there are none
    /// that can be read.
    pub async fn permissions(&self, account: &AccountId) -> Option<Permissions> {
        let slot = self.slot(account);
        let now = self.parts.clock.now();
        let (unread, seen) = slot.held(|held| (matches!(held.look(None, now), Look::Load), held.attempts));
        if unread && !*slot.gone.borrow() {
            // Why they cannot be read is told to whoever calls.
            let _ = self.advance(&slot, None, seen).await;
        }
        let record = slot.held(|held| held.record.clone())?;
        let identity = &self.parts.identity;
        Some(Permissions::of(&identity.scopes(&record.authority), record.scopes, record.granted, identity.admin_consent(&record.authority)))
    }

    fn slot(&self, account: &AccountId) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(account.clone()).or_insert_with(|| {
            Arc::new(Slot { account: account.clone(), held: Mutex::default(), turn: Arc::default(), gone: watch::Sender::new(false) })
        });
        slot.clone()
    }

    /// Loads or renews, as one task for everybody who waits.
    async fn advance(&self, slot: &Arc<Slot>, refused: Option<&Refused>, seen: u64) -> Result<(), AuthError> {
        let turn = slot.turn.clone().lock_owned().await;
        if slot.held(|held| held.attempts) != seen {
            // Somebody else's attempt ended while we waited: look again.
            return Ok(());
        }
        if refused.is_some() {
            slot.held(|held| held.force(self.parts.clock.now()))?;
        }
        let claims = refused.and_then(|refused| refused.claims.clone());
        let task = tokio::spawn(attempt(self.parts.clone(), slot.clone(), claims, turn));
        task.await.unwrap_or(Err(AuthError::Unexpected("an end")))
    }
}

#[async_trait]
impl Bearer for Keeper {
    async fn bearer(&self, account: &AccountId, refused: Option<&Refused>) -> Result<Secret<String>, AuthError> {
        let slot = self.slot(account);
        loop {
            if *slot.gone.borrow() {
                return Err(AuthError::sign_in(Reason::NoTokens));
            }
            let now = self.parts.clock.now();
            let (look, seen) = slot.held(|held| (held.look(refused, now), held.attempts));
            match look {
                Look::Token(token) => return Ok(token),
                Look::Due(token) => {
                    if let Ok(turn) = slot.turn.clone().try_lock_owned()
                        && slot.held(|held| held.attempts) == seen
                    {
                        tokio::spawn(attempt(self.parts.clone(), slot.clone(), None, turn));
                    }
                    return Ok(token);
                }
                Look::Fail(error) => return Err(error),
                Look::Load => self.advance(&slot, None, seen).await?,
                Look::Renew => self.advance(&slot, refused, seen).await?,
            }
        }
    }
}

impl Held {
    fn look(&mut self, refused: Option<&Refused>, now: Timestamp) -> Look {
        let Some(record) = &self.record else {
            return match self.failure(now) {
                Some(error) => Look::Fail(error),
                None => Look::Load,
            };
        };
        let refused_now = refused.is_some_and(|refused| refused.token.expose() == record.access.expose());
        let usable = record.usable(now) && !refused_now;
        let token = record.access.clone();
        let due = now >= record.refresh_at;
        match self.failure(now) {
            // What is still good is used, whatever was said about renewing it.
            Some(_) if usable => Look::Token(token),
            Some(error) => Look::Fail(error),
            None if usable && due => Look::Due(token),
            None if usable => Look::Token(token),
            None => Look::Renew,
        }
    }

    /// Why not to ask now, when there is a reason.
    fn failure(&mut self, now: Timestamp) -> Option<AuthError> {
        if let Some((problem, reask)) = &mut self.problem
            && !reask.left(now).is_zero()
        {
            return Some(AuthError::SignInRequired(problem.clone()));
        }
        let (error, pause) = self.pause.as_mut()?;
        (!pause.left(now).is_zero()).then(|| error.clone())
    }

    /// Counts a refresh that Graph forced, and refuses it when there were too many.
    fn force(&mut self, now: Timestamp) -> Result<(), AuthError> {
        // One that lies ahead is of a clock that was set back since.
        self.forced.retain(|at| *at <= now && now.since(*at) < FORCED_WINDOW);
        if self.forced.len() >= FORCED_MOST {
            return Err(AuthError::sign_in(Reason::TokenRefused));
        }
        self.forced.push_back(now);
        Ok(())
    }

    fn settle(&mut self, result: &Result<TokenRecord, AuthError>, now: Timestamp, dice: &dyn Dice) {
        self.attempts += 1;
        match result {
            Ok(record) => {
                self.record = Some(record.clone());
                (self.problem, self.pause, self.failures) = (None, None, 0);
            }
            Err(AuthError::SignInRequired(problem)) => self.problem = Some((problem.clone(), Countdown::new(now, REASK))),
            Err(error) => {
                self.failures = (self.failures + 1).min(16);
                let asked = if let AuthError::Unreachable { retry_after, .. } = error { *retry_after } else { None };
                let grown = Duration::from_millis(250 << self.failures).min(LONGEST_PAUSE);
                let pause = asked.unwrap_or_default().max(SHORTEST_PAUSE + dice.jitter(grown));
                self.pause = Some((error.clone(), Countdown::new(now, pause)));
            }
        }
    }
}

/// One attempt to have tokens: loads them when there are none, else renews them. Holds the account's turn until the outcome is recorded.
async fn attempt(parts: Arc<Parts>, slot: Arc<Slot>, claims: Option<String>, turn: OwnedMutexGuard<()>) -> Result<(), AuthError> {
    let mut gone = slot.gone.subscribe();
    let result = tokio::select! {
        biased;
        _ = gone.wait_for(|gone| *gone) => {
            // Given up, not refused: should the sign-out fail, the next caller tries again.
            slot.held(|held| held.attempts += 1);
            return Err(AuthError::sign_in(Reason::NoTokens));
        }
        result = tokens(&parts, &slot, claims.as_deref()) => result,
    };
    match &result {
        Ok(_) => {}
        Err(AuthError::SignInRequired(problem)) => {
            tracing::warn!(reason = ?problem.reason, aadsts = problem.aadsts, "an account has to sign in again")
        }
        Err(error) => tracing::debug!(code = error.code(), "no new token: {error}"),
    }
    slot.held(|held| held.settle(&result, parts.clock.now(), parts.dice.as_ref()));
    drop(turn);
    result.map(drop)
}

async fn tokens(parts: &Parts, slot: &Slot, claims: Option<&str>) -> Result<TokenRecord, AuthError> {
    let Some(record) = slot.held(|held| held.record.clone()) else {
        let kept = parts.port.load(&slot.account).await?;
        let kept = kept.and_then(|kept| TokenRecord::from_bytes(kept.expose())).ok_or_else(|| AuthError::sign_in(Reason::NoTokens))?;
        // The profile was set to another cloud since: that one's hosts are not to see them.
        return if kept.cloud == parts.identity.cloud() { Ok(kept) } else { Err(AuthError::sign_in(Reason::OtherCloud)) };
    };
    let reply = parts.identity.refresh(&record.authority, &record.client_id, &record.scopes, &record.refresh, claims).await;
    let record = record.renewed(&reply.map_err(|failure| failure.at_refresh())?, parts.clock.now(), parts.dice.as_ref());
    // Saved before used. The old refresh token stays valid, so a crash before this line loses nothing.
    parts.port.save(&slot.account, record.to_bytes()).await?;
    tracing::debug!("a token was renewed");
    Ok(record)
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
