//! A daemon that the keyring keeps locked sees that it was unlocked, and starts anew in its own place, under the same process id.
//!
//! A service begins with the login, often before anybody has unlocked the keyring; without this it stayed locked until somebody typed `stop`. Decision: it looks
//! whether the keyring would answer without a prompt, every half minute and soon after a client has come or asked, and begins again when that has become
//! so. The start asks as every start does, once: a prompt that a person has refused is not put before them again by itself. A keyring that
//! seems open from the beginning and did not give the key does not count, for it would have the daemon start over and over.
//! Rejected: to open the vault within the running process (every part would have to be exchangeable for one moment of its life), and to try the whole start
//! again and again (each would show a prompt). Only Linux tells; elsewhere keyrings open with the login.

use std::{sync::Arc, time::Duration};

use m365_cached::vault::Vault;

use crate::daemon::Daemon;

/// Between two looks while nobody asks.
const SELDOM: Duration = Duration::from_secs(30);
/// Between two looks while clients come and ask.
const OFTEN: Duration = Duration::from_secs(1);

/// Ends when the keyring of `vault` has been unlocked. Never without one: then the daemon is not locked, or for another reason.
pub(crate) async fn unlocked(daemon: Arc<Daemon>, vault: Option<Vault>) {
    let Some(vault) = vault else { return std::future::pending().await };
    let (mut was_closed, mut rested, mut asked) = (false, SELDOM, 0);
    loop {
        let now = daemon.asked();
        if rested >= SELDOM || now != asked {
            (rested, asked) = (Duration::ZERO, now);
            match vault.keyring_is_open().await {
                true if was_closed => return,
                open => was_closed |= !open,
            }
        }
        daemon.sleep(OFTEN).await;
        rested += OFTEN;
    }
}
