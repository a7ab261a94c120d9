//! Sign-ins under way: begun here, finished by a person elsewhere, waited for by anybody who knows the handle.
//!
//! Each runs as a task of its own until it ends or is too late. Whoever wants to begin one that waits already, with the same options,
//! gets that one: a person sees one prompt, however many clients ask.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, task::AbortHandle};

use super::{
    AuthError, Identity, Reason, SignInProblem, SignedIn, TokenRecord, device,
    identity::TokenReply,
    loopback::{Brought, Loopback},
    pkce::Proof,
    problem::classify,
    tokens::Issuer,
};
use crate::{
    chance::Dice,
    clock::{Clock, Timestamp},
    hint::Hint,
};

/// How long a browser sign-in may take: as long as Microsoft's own page waits.
const BROWSER_LIFE: Duration = Duration::from_secs(900);
/// How long an outcome is kept for those who ask late.
const KEPT: Duration = Duration::from_secs(300);
/// The most sign-ins that wait at once.
const MOST: usize = 8;
/// The tenant of personal accounts.
pub(super) const CONSUMERS: &str = "consumers";

/// How to sign in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoginOptions {
    /// To a personal account: through the tenant `consumers`.
    pub personal: bool,
    /// Name to suggest to the sign-in page.
    pub login_hint: Option<String>,
}

/// A browser sign-in that waits for somebody.
#[derive(Clone, PartialEq, Eq)]
pub struct BrowserPrompt {
    /// Names it.
    pub handle: String,
    /// The address to open in a browser on this machine.
    pub url: String,
}

impl fmt::Debug for BrowserPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address holds the state and perhaps a name.
        f.debug_struct("BrowserPrompt").finish_non_exhaustive()
    }
}

/// A device sign-in that waits for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePrompt {
    /// Names it. The secret device code stays here.
    pub handle: String,
    /// What to enter.
    pub user_code: String,
    /// Where to enter it.
    pub verification_uri: String,
    /// Microsoft's own words for both.
    pub message: String,
    /// How long the code was good for when the sign-in began.
    pub expires_in: Duration,
}

/// What a sign-in came to.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Who signed in.
    pub signed_in: SignedIn,
    /// The tokens, for [`Keeper::adopt`](super::Keeper::adopt); not saved yet.
    pub record: TokenRecord,
}

/// The sign-ins under way.
pub struct Logins {
    parts: Arc<Parts>,
    flows: Mutex<BTreeMap<String, Flow>>,
    /// One is begun at a time, so that two who ask at once get the same.
    beginning: tokio::sync::Mutex<()>,
}

struct Parts {
    identity: Arc<Identity>,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
}

#[derive(Clone)]
enum Prompt {
    Browser(BrowserPrompt),
    Device(DevicePrompt),
}

type Outcome = Option<Result<Finished, AuthError>>;

struct Flow {
    options: LoginOptions,
    prompt: Prompt,
    outcome: watch::Receiver<Outcome>,
    /// When it is forgotten.
    forgotten: Timestamp,
    /// How many have begun it and not given it up: whoever asks for the same gets the one that is there.
    wanted: usize,
    task: AbortHandle,
}

impl Flow {
    fn waits(&self) -> bool {
        self.outcome.borrow().is_none() && self.outcome.has_changed().is_ok()
    }
}

impl Logins {
    /// No sign-ins yet.
    pub fn new(identity: Arc<Identity>, clock: Arc<dyn Clock>, dice: Arc<dyn Dice>) -> Arc<Self> {
        let parts = Arc::new(Parts { identity, clock, dice });
        Arc::new(Self { parts, flows: Mutex::default(), beginning: tokio::sync::Mutex::default() })
    }

    /// Begins a sign-in in a browser on this machine.
    ///
    /// # Errors
    ///
    /// When no application is configured, no port is to be had, or too many sign-ins wait.
    pub async fn start_browser(&self, options: LoginOptions) -> Result<BrowserPrompt, AuthError> {
        let _one = self.beginning.lock().await;
        let same = self.waiting(&options, |prompt| if let Prompt::Browser(prompt) = prompt { Some(prompt.clone()) } else { None })?;
        if let Some(prompt) = same {
            return Ok(prompt);
        }
        let parts = &self.parts;
        let loopback = Loopback::bind().await.map_err(|error| AuthError::Loopback(error.to_string()))?;
        let (redirect, proof, tenant) = (loopback.redirect(), Proof::new(parts.dice.as_ref()), self.tenant(&options));
        let url = parts.identity.authorize_url(&tenant, &redirect, &proof, options.login_hint.as_deref())?;
        let expires = parts.clock.now().plus(BROWSER_LIFE);
        let prompt = BrowserPrompt { handle: parts.dice.hex(16), url: url.into() };
        let task = {
            let parts = parts.clone();
            async move {
                let brought = tokio::select! {
                    brought = loopback.answer(&proof.state, &parts.clock) => brought,
                    () = parts.clock.sleep(BROWSER_LIFE) => return Err(AuthError::TooLate),
                };
                let code = match brought {
                    Brought::Code(code) => code,
                    Brought::Error(error, number) => return Err(refused(error, number, &tenant)),
                };
                let reply = parts.identity.redeem(&tenant, &code, &redirect, &proof).await.map_err(|failure| failure.at_sign_in())?;
                parts.finish(reply, &tenant, Some(&proof.nonce)).await
            }
        };
        self.begin(&prompt.handle, options, Prompt::Browser(prompt.clone()), expires, task);
        Ok(prompt)
    }

    /// Begins a sign-in on whatever device the person has at hand.
    ///
    /// # Errors
    ///
    /// When the identity service cannot be reached or refuses the application, or too many sign-ins wait.
    pub async fn start_device(&self, options: LoginOptions) -> Result<DevicePrompt, AuthError> {
        let _one = self.beginning.lock().await;
        let same = self.waiting(&options, |prompt| if let Prompt::Device(prompt) = prompt { Some(prompt.clone()) } else { None })?;
        if let Some(prompt) = same {
            return Ok(prompt);
        }
        let (parts, tenant) = (&self.parts, self.tenant(&options));
        let started = parts.identity.device_start(&tenant).await.map_err(|failure| failure.at_sign_in())?;
        let prompt = DevicePrompt {
            handle: parts.dice.hex(16),
            user_code: started.user_code.clone(),
            verification_uri: started.verification_uri.clone(),
            message: started.message.clone(),
            expires_in: started.expires_in,
        };
        let expires = parts.clock.now().plus(started.expires_in);
        let task = {
            let parts = parts.clone();
            async move {
                let reply = device::wait(&parts.identity, parts.clock.as_ref(), &tenant, &started).await?;
                parts.finish(reply, &tenant, None).await
            }
        };
        self.begin(&prompt.handle, options, Prompt::Device(prompt.clone()), expires, task);
        Ok(prompt)
    }

    /// Waits until the sign-in has ended. May be given up and asked again, and by several at once; once it has been answered, the
    /// sign-in is gone, so that an old handle signs nobody in again.
    ///
    /// # Errors
    ///
    /// Why it came to nothing, or that there is no such sign-in.
    pub async fn wait(&self, handle: &str) -> Result<Finished, AuthError> {
        let outcome = self.flows().get(handle).map(|flow| flow.outcome.clone());
        let mut outcome = outcome.ok_or(AuthError::UnknownFlow)?;
        let ended = outcome.wait_for(Option::is_some).await.map_err(|_| AuthError::Cancelled)?;
        let ended = ended.clone();
        self.flows().remove(handle);
        ended.unwrap_or(Err(AuthError::Cancelled))
    }

    /// Gives a sign-in up for one of those who have begun it. It ends with the last of them; who still waits for it is told.
    pub fn cancel(&self, handle: &str) {
        let mut flows = self.flows();
        let Some(flow) = flows.get_mut(handle) else { return };
        flow.wanted = flow.wanted.saturating_sub(1);
        if flow.wanted == 0 {
            flow.task.abort();
            flows.remove(handle);
        }
    }

    fn flows(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Flow>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tenant(&self, options: &LoginOptions) -> String {
        if options.personal { CONSUMERS.to_owned() } else { self.parts.identity.settings().tenant.clone() }
    }

    /// The prompt of a sign-in with these options that still waits; an error when another one would be too many.
    fn waiting<T>(&self, options: &LoginOptions, pick: impl Fn(&Prompt) -> Option<T>) -> Result<Option<T>, AuthError> {
        self.parts.identity.client_id()?;
        let now = self.parts.clock.now();
        let mut flows = self.flows();
        flows.retain(|_, flow| now < flow.forgotten);
        let same = flows.values_mut().filter(|flow| flow.options == *options && flow.waits()).find_map(|flow| {
            let prompt = pick(&flow.prompt)?;
            flow.wanted += 1;
            Some(prompt)
        });
        let waiting = flows.values().filter(|flow| flow.waits()).count();
        if same.is_none() && waiting >= MOST {
            return Err(AuthError::TooManyFlows(waiting));
        }
        Ok(same)
    }

    fn begin(
        &self,
        handle: &str,
        options: LoginOptions,
        prompt: Prompt,
        expires: Timestamp,
        task: impl Future<Output = Result<Finished, AuthError>> + Send + 'static,
    ) {
        let (tell, outcome) = watch::channel(None);
        let task = tokio::spawn(async move {
            let result = task.await;
            match &result {
                // Not who: whoever is erased must not be found in a log.
                Ok(_) => tracing::info!("signed in"),
                Err(error) => tracing::info!(code = error.code(), "sign-in failed: {error}"),
            }
            tell.send_replace(Some(result));
        });
        let flow = Flow { options, prompt, outcome, forgotten: expires.plus(KEPT), wanted: 1, task: task.abort_handle() };
        self.flows().insert(handle.to_owned(), flow);
    }
}

impl Drop for Logins {
    fn drop(&mut self) {
        for flow in self.flows().values() {
            flow.task.abort();
        }
    }
}

impl Parts {
    /// Who signed in, and the record to keep.
    async fn finish(&self, reply: TokenReply, tenant: &str, nonce: Option<&str>) -> Result<Finished, AuthError> {
        let client_id = self.identity.client_id()?;
        let signed_in = SignedIn::from_reply(&reply, client_id, nonce)?;
        // Renewed where the account lives: personal accounts' tokens from `common` stop after an hour.
        let authority = if signed_in.personal { CONSUMERS } else { signed_in.tenant_id.as_str() };
        let scopes = self.identity.scopes(authority);
        let issuer = Issuer { cloud: self.identity.cloud(), authority, client_id };
        let make = |reply: &TokenReply| TokenRecord::first(reply, issuer, &scopes, self.clock.now(), self.dice.as_ref());
        let mut record = make(&reply).ok_or(AuthError::Unexpected("a refresh token; is `offline_access` among the scopes?"))?;
        if signed_in.personal && tenant != CONSUMERS {
            // Exchanged at once while they still work.
            match self.identity.refresh(authority, client_id, &scopes, &record.refresh, None).await {
                Ok(reply) => record = record.renewed(&reply, self.clock.now(), self.dice.as_ref()),
                Err(failure) => {
                    let error = failure.at_refresh();
                    tracing::warn!(code = error.code(), "tokens of a personal account stay those of `{tenant}` for now: {error}");
                }
            }
        }
        Ok(Finished { signed_in, record })
    }
}

/// What the browser brought in place of a code.
fn refused(error: String, number: Option<u32>, tenant: &str) -> AuthError {
    let numbers: Vec<u32> = number.into_iter().collect();
    match classify(&error, &numbers, 400, tenant) {
        Some(Reason::Expired) | None => AuthError::Unreachable { reason: format!("it answered {error}").into(), retry_after: None },
        Some(reason) => AuthError::Refused(SignInProblem { reason, aadsts: number, error, correlation: None }),
    }
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
