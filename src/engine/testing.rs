//! What tests of the engine share: one account, and an engine without a network.

use std::sync::Arc;

use super::{Engine, Parts, Policy, Remote};
use crate::{
    auth,
    cache::SourceId,
    chance::Dice,
    clock::{Clock, Timestamp},
    ids::AccountId,
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
    let (logins, keeper) = auth::unconnected(clock.clone(), dice.clone());
    let parts = Parts {
        entries,
        ledger,
        hot: HotTier::new(1 << 20),
        remote,
        graph: None,
        logins,
        keeper,
        clock,
        dice,
        policy: Policy::default(),
    };
    Engine::start(parts).await.unwrap()
}
