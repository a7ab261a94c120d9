//! Which mailbox or drive a call is about, asked once where the account does not tell.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;

use super::{Call, CallError, Engine, fetch::Position};
use crate::{
    cache::{Service, SourceId},
    graph::GraphRequest,
    hint::Kind,
    ids::PERSONAL_TENANT,
    store::AccountRow,
    tools::{Effect, StepError, Steps},
};

/// The argument that names another mailbox.
const MAILBOX: &str = "mailbox";

/// Object ids of mailboxes by tenant and address.
///
/// A shared mailbox has several addresses and one truth, so its source is named by the id and not by the address that was given. What was
/// found holds until the daemon ends: an address that moves to another mailbox within that time is a matter for the administrator who
/// moved it, and shows after the next start.
#[derive(Default)]
pub(super) struct Mailboxes(Mutex<BTreeMap<(String, String), Arc<str>>>);

impl Engine {
    /// The account's own mailbox needs no name: one key, one source, one address.
    pub(super) fn own_mailbox(call: &mut Call) {
        if call.args.text(MAILBOX).is_some_and(|given| given.eq_ignore_ascii_case(&call.account.username)) {
            call.args.set(MAILBOX, Value::Null);
        }
    }

    /// The mailbox or drive the call is about; `None` when it has to be asked for first.
    pub(super) fn source(&self, call: &Call) -> Option<SourceId> {
        let (Effect::Read { service, .. } | Effect::Write { service }) = call.tool.effect else { return None };
        let (cloud, account) = (&self.policy.cloud, &call.account);
        match (service, call.args.text(MAILBOX)) {
            (Service::Files, _) => account.drive_id.as_deref().map(|drive| SourceId::drive(cloud, &account.tenant_id, drive)),
            (_, None) => Some(SourceId::mailbox(cloud, &account.tenant_id, &account.object_id)),
            (_, Some(_)) => call.mailbox.as_deref().map(|id| SourceId::mailbox(cloud, &account.tenant_id, id)),
        }
    }

    /// The call with its source known.
    pub(super) async fn with_source(&self, mut call: Call) -> Result<Call, CallError> {
        if self.source(&call).is_some() {
            return Ok(call);
        }
        match call.args.text(MAILBOX).map(str::to_owned) {
            Some(address) => call.mailbox = Some(self.learn_mailbox(&call, address).await?),
            None => call.account = self.learn_drive(&call).await?,
        }
        Ok(call)
    }

    /// Where the source of `call` stands now, to be read before it is asked.
    pub(super) async fn position(&self, call: &Call) -> Result<Position, CallError> {
        let Effect::Read { service, .. } = call.tool.effect else { return Err(CallError::Broken) };
        let source = self.source(call).ok_or(CallError::Broken)?;
        self.truth.load(&source).await?;
        let (epoch, read_seq) = self.truth.position(&source).ok_or(CallError::Broken)?;
        Ok(Position { service, source, epoch, read_seq })
    }

    /// A way to Microsoft for `call`, which may take as long as a call may.
    pub(super) fn steps(&self, call: &Call) -> Box<dyn Steps> {
        let now = self.clock.now();
        self.remote.steps(&call.account, call.mailbox.as_deref(), call.urgency, now.plus(self.policy.deadline), now)
    }

    /// Asks which mailbox has `address`.
    async fn learn_mailbox(&self, call: &Call, address: String) -> Result<Arc<str>, CallError> {
        if call.account.tenant_id == PERSONAL_TENANT {
            let what = "a personal account has no other mailboxes";
            return Err(StepError::user("no_shared_mailboxes", what, "Leave `mailbox` out.").into());
        }
        let name = (call.account.tenant_id.clone(), address);
        let known = |known: &Mailboxes| known.0.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        if let Some(id) = known(&self.mailboxes) {
            return Ok(id);
        }
        let reply = self.steps(call).send(GraphRequest::get(&["users", &name.1]).with("$select", "id")).await;
        let id = match reply {
            Ok(reply) => {
                reply.body.get("id").and_then(Value::as_str).map(Arc::from).ok_or_else(|| StepError::unexpected("the id of the mailbox"))?
            }
            Err(error) if error.status == Some(404) => {
                let what = "there is no mailbox of that address in the organisation";
                return Err(StepError {
                    kind: Kind::User,
                    status: error.status,
                    ..StepError::user("unknown_mailbox", what, "Check `mailbox`.")
                }
                .into());
            }
            Err(error) => return Err(error.into()),
        };
        self.mailboxes.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::clone(&id));
        Ok(id)
    }

    /// Asks which drive is behind `/me/drive` and remembers it with the account.
    async fn learn_drive(&self, call: &Call) -> Result<Arc<AccountRow>, CallError> {
        let reply = self.steps(call).send(GraphRequest::get(&["me", "drive"]).with("$select", "id")).await?;
        let id = reply.body.get("id").and_then(Value::as_str).ok_or_else(|| StepError::unexpected("the id of the drive"))?;
        let known = AccountRow { drive_id: Some(id.to_owned()), ..AccountRow::clone(&call.account) };
        if let Err(error) = self.ledger.save_account(known.clone()).await {
            // It will be asked again after the next start; nothing else is lost.
            self.note_store(Some(error.to_string()));
        }
        self.accounts.replace(known)
    }
}
