//! A question to Microsoft that no cache answers, for `doctor`: whether the account can be asked for, now.

use std::{sync::Arc, time::Duration};

use super::{Engine, accounts::Account};
use crate::{
    auth::Permissions,
    graph::{Context, GraphError, GraphRequest},
    ids::Urgency,
};

/// Somebody watches: whoever has not answered by then does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of asking for one account.
#[derive(Debug, Clone)]
pub struct Probed {
    /// The account, after the question.
    pub account: Account,
    /// Why it could not be asked; `None` when it was answered.
    pub error: Option<GraphError>,
    /// What its sign-in asked for and was granted; `None` when its tokens cannot be read.
    pub permissions: Option<Permissions>,
}

impl Engine {
    /// Asks Microsoft who each account is, one after the other. Empty without a Graph client.
    pub async fn probe(self: &Arc<Self>) -> Vec<Probed> {
        let Some(client) = self.graph.clone() else { return Vec::new() };
        let mut probed = Vec::new();
        for Account { row, .. } in self.accounts() {
            let deadline = self.clock.now().plus(PATIENCE);
            let context =
                Context { account: row.id.clone(), urgency: Urgency::Foreground.into(), deadline, mailbox: row.object_id.clone() };
            let error = client.send(&context, &GraphRequest::get(&["me"]).with("$select", "id")).await.err();
            let permissions = self.permissions(&row.id).await;
            // As it stands now: the question may have found out that the sign-in is lost.
            if let Some(account) = self.accounts().into_iter().find(|account| account.row.id == row.id) {
                probed.push(Probed { account, error, permissions });
            }
        }
        probed
    }
}
