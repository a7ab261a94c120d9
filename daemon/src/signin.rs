//! Signing in again from within a client: one prompt for an account, however many clients meet the lost sign-in.
//!
//! Whoever meets it first makes the daemon begin a sign-in in the browser, or by device code where no browser's answer can be received.
//! Everybody is told the same link until it has ended. The daemon waits for the end by itself, so that the next call succeeds whoever makes
//! it. Only one client may put the link before its user: a second window for the same account asks for nothing new.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::core::{AccountState, Core, LoginOptions, LoginStep, Problem, SignInLink};

/// Sign-ins that wait for somebody, by account.
#[derive(Default)]
pub(crate) struct SignIns {
    waiting: Arc<Mutex<BTreeMap<String, Waiting>>>,
    /// One is begun at a time, so that two who ask at once get the same.
    beginning: tokio::sync::Mutex<()>,
}

struct Waiting {
    link: SignInLink,
    ended: watch::Receiver<bool>,
    /// A client shows it to its user.
    shown: bool,
}

fn lock(waiting: &Mutex<BTreeMap<String, Waiting>>) -> MutexGuard<'_, BTreeMap<String, Waiting>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SignIns {
    /// The link for `account`: of the sign-in that waits, or of one that is begun now. An account without a name stands for whoever signs in first.
    ///
    /// # Errors
    /// Why none can be begun.
    pub(crate) async fn link(&self, core: &Arc<dyn Core>, account: &AccountState) -> Result<SignInLink, Problem> {
        let _one = self.beginning.lock().await;
        let known = lock(&self.waiting).get(&account.id).map(|waiting| waiting.link.clone());
        if let Some(known) = known {
            return Ok(known);
        }
        let username = Some(account.username.clone()).filter(|name| !name.is_empty());
        let options = |device| LoginOptions { device, username: username.clone(), personal: account.personal };
        let flow = match core.login(options(false)).await {
            Ok(flow) => flow,
            Err(browser) => core
                .login(options(true))
                .await
                .inspect_err(|device| tracing::info!(browser = browser.code, code = device.code, "no sign-in could be begun"))?,
        };
        let link = match flow.step {
            LoginStep::OpenUrl(url) => SignInLink { url, code: None },
            LoginStep::DeviceCode { user_code, verification_uri, .. } => SignInLink { url: verification_uri, code: Some(user_code) },
        };
        let (tell, ended) = watch::channel(false);
        lock(&self.waiting).insert(account.id.clone(), Waiting { link: link.clone(), ended, shown: false });
        let (all, id) = (Arc::clone(&self.waiting), account.id.clone());
        tokio::spawn(async move {
            // How it ended is in the log; a failed one is begun anew by the next call.
            let _ = flow.done.await;
            lock(&all).remove(&id);
            tell.send_replace(true);
        });
        Ok(link)
    }

    /// Whether the caller is the one to show the link for `account` to its user: true once for each sign-in.
    pub(crate) fn may_show(&self, account: &str) -> bool {
        lock(&self.waiting).get_mut(account).is_some_and(|waiting| !std::mem::replace(&mut waiting.shown, true))
    }

    /// How many sign-ins wait for somebody.
    pub(crate) fn waiting(&self) -> u64 {
        u64::try_from(lock(&self.waiting).len()).unwrap_or(u64::MAX)
    }

    /// Ends when no sign-in waits for `account` any more.
    pub(crate) async fn ended(&self, account: &str) {
        let ended = lock(&self.waiting).get(account).map(|waiting| waiting.ended.clone());
        if let Some(mut ended) = ended {
            // A sender that is gone has ended, too.
            let _ = ended.wait_for(|ended| *ended).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeCore, ada, soon};

    #[tokio::test]
    async fn one_link_and_one_who_shows_it_until_it_has_ended() {
        let (fake, signs) = (Arc::new(FakeCore::default()), SignIns::default());
        let core: Arc<dyn Core> = fake.clone();
        let account = ada();
        let (one, two) = tokio::join!(signs.link(&core, &account), signs.link(&core, &account));
        assert_eq!(one, two);
        assert!(one.unwrap().url.ends_with("hint=ada@contoso.example"));
        assert_eq!(signs.waiting(), 1);
        assert_eq!((signs.may_show(&account.id), signs.may_show(&account.id), signs.may_show("other")), (true, false, false));
        fake.sign_in.notify_one();
        soon(signs.ended(&account.id)).await;
        assert!(!signs.may_show(&account.id) && signs.waiting() == 0, "nothing waits any more");
        assert!(signs.link(&core, &account).await.is_ok() && signs.may_show(&account.id), "a new one is shown again");
    }
}
