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
    tools::{Does, Effect, StepError, Steps},
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

impl Mailboxes {
    /// Forgets every address.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

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
        match (service, call.args.text(MAILBOX)) {
            (Service::Files, _) | (_, None) => self.own_source(service, &call.account),
            (_, Some(_)) => call.mailbox.as_deref().map(|id| SourceId::mailbox(&self.policy().cloud, &call.account.tenant_id, id)),
        }
    }

    /// The account's own mailbox or drive; `None` when the drive is not known yet.
    fn own_source(&self, service: Service, account: &AccountRow) -> Option<SourceId> {
        let policy = self.policy();
        let (cloud, tenant) = (&policy.cloud, &account.tenant_id);
        match service {
            Service::Files => account.drive_id.as_deref().map(|drive| SourceId::drive(cloud, tenant, drive)),
            _ => Some(SourceId::mailbox(cloud, tenant, &account.object_id)),
        }
    }

    /// The call with its sources known.
    pub(super) async fn with_source(&self, mut call: Call) -> Result<Call, CallError> {
        if self.source(&call).is_none() {
            match call.args.text(MAILBOX).map(str::to_owned) {
                Some(address) => call.mailbox = Some(self.learn_mailbox(&call, address).await?),
                None => call.account = self.learn_drive(&call).await?,
            }
        }
        if matches!(call.tool.does, Does::ReadAcross { also: Service::Files, .. }) && call.account.drive_id.is_none() {
            call.account = self.learn_drive(&call).await?;
        }
        Ok(call)
    }

    /// Where the sources of `call` stand now, its own first; to be read before they are asked.
    pub(super) async fn positions(&self, call: &Call) -> Result<Vec<Position>, CallError> {
        let Effect::Read { service, .. } = call.tool.effect else { return Err(CallError::Broken) };
        let mut sources = vec![(service, self.source(call).ok_or(CallError::Broken)?)];
        if let Does::ReadAcross { also, .. } = call.tool.does {
            sources.push((also, self.own_source(also, &call.account).ok_or(CallError::Broken)?));
        }
        let mut positions = Vec::with_capacity(sources.len());
        for (service, source) in sources {
            let (epoch, read_seq) = loop {
                self.truth.load(&source).await?;
                // Unless it was dropped this very moment.
                if let Some(position) = self.truth.position(&source) {
                    break position;
                }
            };
            positions.push(Position { service, source, epoch, read_seq });
        }
        Ok(positions)
    }

    /// A way to Microsoft for `call`, which may take as long as a call may.
    pub(super) fn steps(&self, call: &Call) -> Box<dyn Steps> {
        let now = self.clock.now();
        let inner = self.remote.steps(&call.account, call.mailbox.as_deref(), &call.urgency, now.plus(self.policy().deadline), now);
        match &call.stop {
            Some(stop) => Box::new(super::stop::Stoppable { inner, stop: stop.clone() }),
            None => inner,
        }
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
        self.counters.checked(call, 1);
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
        self.counters.checked(call, 1);
        let reply = self.steps(call).send(GraphRequest::get(&["me", "drive"]).with("$select", "id")).await?;
        let id = reply.body.get("id").and_then(Value::as_str).ok_or_else(|| StepError::unexpected("the id of the drive"))?;
        let known = AccountRow { drive_id: Some(id.to_owned()), ..AccountRow::clone(&call.account) };
        let _staying = self.leaving.read().await;
        // Not for one that has signed out meanwhile: it would be back after the next start.
        let known = self.accounts.replace(known)?;
        if let Err(error) = self.ledger.save_account(known.as_ref().clone()).await {
            // It will be asked again after the next start; nothing else is lost.
            self.note_store(Some(&error));
        }
        Ok(known)
    }
}
