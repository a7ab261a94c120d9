//! What tests of the engine share: one account, and an engine without a network.

use std::sync::Arc;

use super::{Engine, Parts, Policy, Remote};
use crate::{
    auth::{AuthError, Http, HttpSettings, Identity, IdentitySettings, Keeper, Logins, TokenPort},
    cache::SourceId,
    chance::Dice,
    clock::{Clock, Timestamp},
    cloud::Cloud,
    ids::AccountId,
    secret::Secret,
    store::{AccountRow, Entries, HotTier, Ledger},
};

/// Id of the one account.
pub(super) const ACCOUNT: &str = "oid.tid";

pub(super) fn account() -> AccountRow {
    AccountRow {
        id: AccountId::new(ACCOUNT),
        username: "Alex@contoso.example".into(),
        display_name: "Alex".into(),
        tenant_id: "tid".into(),
        object_id: "oid".into(),
        drive_id: None,
        added_at: Timestamp(0),
    }
}

/// The source of the account's mailbox.
pub(super) fn mailbox() -> SourceId {
    SourceId::mailbox("global", "tid", "oid")
}

pub(super) async fn engine(
    entries: Arc<dyn Entries>,
    ledger: Arc<dyn Ledger>,
    remote: Arc<dyn Remote>,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
) -> Arc<Engine> {
    let http = Arc::new(Http::new(Cloud::named("global").unwrap(), HttpSettings::default()));
    let identity = Arc::new(Identity::new(http, IdentitySettings::default(), clock.clone()));
    let keeper = Keeper::new(identity.clone(), Arc::new(NoTokens), clock.clone(), dice.clone());
    let logins = Logins::new(identity, clock.clone(), dice.clone());
    let parts =
        Parts { entries, ledger, hot: HotTier::new(1 << 20), remote, graph: None, logins, keeper, clock, dice, policy: Policy::default() };
    Engine::start(parts).await.unwrap()
}

/// These tests ask nobody for tokens.
struct NoTokens;

#[async_trait::async_trait]
impl TokenPort for NoTokens {
    async fn load(&self, _account: &AccountId) -> Result<Option<Secret<Vec<u8>>>, AuthError> {
        Ok(None)
    }

    async fn save(&self, _account: &AccountId, _record: Secret<Vec<u8>>) -> Result<(), AuthError> {
        Ok(())
    }
}
