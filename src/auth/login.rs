//! Sign-ins in progress: begun, waited for, given up. Secrets of a sign-in stay in here; others get a handle.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, task::AbortHandle};

use super::{AuthError, Identity, SignedIn, TokenRecord, device, identity::TokenReply, loopback::Loopback, pkce::Proof};
use crate::{chance::Dice, clock::Clock};

/// How long a browser sign-in may take.
const BROWSER: Duration = Duration::from_secs(15 * 60);
/// Sign-ins that may wait at a time.
const MOST: usize = 16;
/// Tenant part of the address for personal accounts.
const CONSUMERS: &str = "consumers";

/// How to sign in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoginOptions {
    /// To a personal account.
    pub personal: bool,
    /// Name to suggest to the sign-in page.
    pub login_hint: Option<String>,
}

/// A sign-in through the browser of this machine.
#[derive(Clone, PartialEq, Eq)]
pub struct BrowserPrompt {
    /// Names the sign-in.
    pub handle: String,
    /// Where the browser goes.
    pub url: String,
}

impl fmt::Debug for BrowserPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address holds the state and perhaps a name.
        f.debug_struct("BrowserPrompt").finish_non_exhaustive()
    }
}

/// A sign-in by code on another device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePrompt {
    /// Names the sign-in.
    pub handle: String,
    /// To be entered by the person.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// Microsoft's own words for it.
    pub message: String,
    /// How long the code is good.
    pub expires_in: Duration,
}

/// A sign-in that worked.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Who.
    pub signed_in: SignedIn,
    /// Their tokens, not kept yet.
    pub record: TokenRecord,
}

type Ended = Option<Result<Finished, AuthError>>;

struct Flow {
    ended: watch::Receiver<Ended>,
    task: AbortHandle,
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Every sign-in in progress.
pub struct Logins {
    identity: Arc<Identity>,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    flows: Mutex<BTreeMap<String, Flow>>,
}

impl Logins {
    /// None yet.
    pub fn new(identity: Arc<Identity>, clock: Arc<dyn Clock>, dice: Arc<dyn Dice>) -> Arc<Self> {
        Arc::new(Self { identity, clock, dice, flows: Mutex::default() })
    }

    /// Begins a sign-in through the browser of this machine.
    ///
    /// # Errors
    ///
    /// When no application is configured, or no loopback address can be listened on.
    pub async fn start_browser(&self, options: LoginOptions) -> Result<BrowserPrompt, AuthError> {
        let tenant = self.tenant(&options);
        let proof = Proof::new(self.dice.as_ref());
        let loopback = Loopback::bind().await?;
        let url = self.identity.authorize_url(&tenant, &loopback.redirect(), &proof, options.login_hint.as_deref())?.to_string();
        let (identity, clock, dice) = (self.identity.clone(), self.clock.clone(), self.dice.clone());
        let handle = self.begin(async move {
            let code = tokio::select! {
                code = loopback.code(&proof.state) => code?,
                () = clock.sleep(BROWSER) => return Err(AuthError::TooLate),
            };
            let redirect = loopback.redirect();
            drop(loopback);
            let reply = identity.redeem(&tenant, &code, &redirect, &proof).await.map_err(super::identity::Failure::at_sign_in)?;
            finish(&identity, clock.as_ref(), dice.as_ref(), &tenant, &reply, Some(&proof.nonce)).await
        })?;
        Ok(BrowserPrompt { handle, url })
    }

    /// Begins a sign-in by code on another device.
    ///
    /// # Errors
    ///
    /// When no application is configured, or the identity service gives no code.
    pub async fn start_device(&self, options: LoginOptions) -> Result<DevicePrompt, AuthError> {
        let tenant = self.tenant(&options);
        let started = self.identity.device_start(&tenant).await.map_err(super::identity::Failure::at_sign_in)?;
        let prompt = |handle| DevicePrompt {
            handle,
            user_code: started.user_code.clone(),
            verification_uri: started.verification_uri.clone(),
            message: started.message.clone(),
            expires_in: started.expires_in,
        };
        let prompt = prompt(String::new());
        let (identity, clock, dice) = (self.identity.clone(), self.clock.clone(), self.dice.clone());
        let handle = self.begin(async move {
            let reply = device::wait(&identity, &tenant, &started, clock.as_ref()).await?;
            finish(&identity, clock.as_ref(), dice.as_ref(), &tenant, &reply, None).await
        })?;
        Ok(DevicePrompt { handle, ..prompt })
    }

    /// Waits until the sign-in has ended. May be asked again when a wait was given up; once it has been answered, the sign-in is gone.
    ///
    /// # Errors
    ///
    /// When it was refused, cancelled or too late, or there is none of that handle.
    pub async fn wait(&self, handle: &str) -> Result<Finished, AuthError> {
        let mut ended = self.lock().get(handle).map(|flow| flow.ended.clone()).ok_or(AuthError::UnknownFlow)?;
        // The sender goes without a word only when the flow is cancelled.
        let result = ended.wait_for(Option::is_some).await.map_err(|_| AuthError::Cancelled)?.clone();
        self.lock().remove(handle);
        result.unwrap_or(Err(AuthError::Cancelled))
    }

    /// Gives a sign-in up.
    pub fn cancel(&self, handle: &str) {
        self.lock().remove(handle);
    }

    fn tenant(&self, options: &LoginOptions) -> String {
        if options.personal { CONSUMERS.to_owned() } else { self.identity.settings().tenant.clone() }
    }

    fn begin(&self, flow: impl Future<Output = Result<Finished, AuthError>> + Send + 'static) -> Result<String, AuthError> {
        let mut flows = self.lock();
        if flows.len() >= MOST {
            // Sign-ins that have ended and were never asked about make room.
            flows.retain(|_, flow| flow.ended.borrow().is_none());
        }
        if flows.len() >= MOST {
            return Err(AuthError::TooManyFlows(MOST));
        }
        let (end, ended) = watch::channel(None);
        let task = tokio::spawn(async move {
            let result = flow.await;
            end.send_replace(Some(result));
        });
        let handle = self.dice.hex(16);
        flows.insert(handle.clone(), Flow { ended, task: task.abort_handle() });
        Ok(handle)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Flow>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who signed in, and their tokens, to be renewed where they will keep working.
async fn finish(
    identity: &Identity,
    clock: &dyn Clock,
    dice: &dyn Dice,
    tenant: &str,
    reply: &TokenReply,
    nonce: Option<&str>,
) -> Result<Finished, AuthError> {
    let client_id = identity.client_id()?.to_owned();
    let signed_in = SignedIn::from_reply(reply, &client_id, nonce)?;
    let scopes = &identity.settings().scopes;
    let authority = if signed_in.personal { CONSUMERS } else { &signed_in.tenant_id };
    let record =
        TokenRecord::first(reply, authority, &client_id, scopes, clock.now(), dice).ok_or(AuthError::Unexpected("a refresh token"))?;
    if !signed_in.personal || tenant == CONSUMERS {
        return Ok(Finished { signed_in, record });
    }
    // A personal account's refresh token from `common` stops after an hour; one from `consumers` does not.
    let renewed =
        identity.refresh(CONSUMERS, &client_id, scopes, &record.refresh, None).await.map_err(super::identity::Failure::at_sign_in)?;
    let record = record.renewed(&renewed, clock.now(), dice);
    Ok(Finished { signed_in, record })
}
