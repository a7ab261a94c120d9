//! Telling clients what changed: a resource they watch, who is signed in, and how the tools are listed.
//!
//! A client of 2026-07-28 asks once and listens (`subscriptions/listen`); an older one names resources (`resources/subscribe`) and is told of
//! the list unasked. Either is told of writes through any client, and of other people's changes as soon as the daemon learns of them; what
//! has changed is not said. A watcher that falls behind is told of everything it watches.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use m365_cached::{
    cache::{Scope, Service},
    engine::Change,
};
use rmcp::{
    ErrorData, RoleServer,
    model::{ResourceUpdatedNotificationParam, SubscriptionFilter},
    service::{Peer, SubscriptionContext},
};
use tokio::{sync::broadcast, task::AbortHandle};

use super::{
    handler::Session,
    links::{Link, Thing},
    resources::accounts,
};
use crate::daemon::Daemon;

/// Addresses that one client may watch; more of them are not taken.
const MOST: usize = 256;

/// A resource that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Watch {
    /// What the mailbox's source ends with.
    mailbox: String,
    thing: Thing,
}

impl Watch {
    /// Whether what it stands for may look different after `change`.
    fn is_touched_by(&self, change: &Change) -> bool {
        let Change::Pieces { source, scopes } = change else { return false };
        let has = |scope: Scope| scopes.contains(&scope);
        let of = |service: Service, id: &str| has(Scope::item(id)) || has(Scope::all(service));
        match &self.thing {
            Thing::Inbox => source.as_str().ends_with(&self.mailbox) && has(Scope::any(Service::Mail)),
            Thing::Calendar => source.as_str().ends_with(&self.mailbox) && has(Scope::any(Service::Calendar)),
            // Which drive is the account's is not known here: told once too often rather than not at all.
            Thing::Drive => has(Scope::any(Service::Files)),
            Thing::Message(id) | Thing::Attachments(id) | Thing::Attachment(id, _) => of(Service::Mail, id),
            Thing::Event(id) => of(Service::Calendar, id),
            Thing::File(id) => of(Service::Files, id),
        }
    }
}

/// What one session watches, by address.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched(Arc<Mutex<BTreeMap<String, Watch>>>);

impl Watched {
    /// Watches `address` from now on.
    pub(super) async fn add(&self, address: &str, daemon: &Daemon, session: &Session) -> Result<(), ErrorData> {
        let watch = watch(address, daemon, session).await;
        let watch = watch.ok_or_else(|| ErrorData::resource_not_found("no resource has this address", None))?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && !all.contains_key(address) {
            return Err(ErrorData::invalid_params(format!("{MOST} resources are watched already: unsubscribe from some"), None));
        }
        all.insert(address.to_owned(), watch);
        Ok(())
    }

    /// Watches `address` no more.
    pub(super) fn remove(&self, address: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(address);
    }

    /// The addresses that a change touches; all of them when it is not known which it was.
    fn touched(&self, change: Option<&Change>) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let touched = |watch: &Watch| change.is_none_or(|change| watch.is_touched_by(change));
        all.iter().filter(|(_, watch)| touched(watch)).map(|(address, _)| address.clone()).collect()
    }
}

/// What an address stands for, when its account is one that the session may use.
async fn watch(address: &str, daemon: &Daemon, session: &Session) -> Option<Watch> {
    let link = Link::parse(address)?;
    let core = daemon.core().ok()?;
    let accounts = accounts(core.as_ref(), &session.caller()).await.ok()?;
    let account = accounts.iter().find(|account| account.is_called(&link.account))?;
    // `<object id>.<tenant id>`.
    let object = account.id.split('.').next().unwrap_or_default();
    // Changes are told by Microsoft's ids.
    let id = async |text: String| core.graph_id(&account.id, &text).await.ok();
    let thing = match link.thing {
        Thing::Message(message) => Thing::Message(id(message).await?),
        Thing::Attachments(message) => Thing::Attachments(id(message).await?),
        Thing::Attachment(message, attachment) => Thing::Attachment(id(message).await?, attachment),
        Thing::Event(event) => Thing::Event(id(event).await?),
        Thing::File(file) => Thing::File(id(file).await?),
        whole @ (Thing::Inbox | Thing::Calendar | Thing::Drive) => whole,
    };
    Some(Watch { mailbox: format!("/mailbox/{object}"), thing })
}

/// What tells one session of changes; it ends with the session.
#[derive(Debug, Default)]
pub(super) struct Telling(Mutex<Option<AbortHandle>>);

impl Telling {
    /// Begins, once: a shim that repeats its handshake is told by the same task.
    pub(super) fn begin(&self, begin: impl FnOnce() -> Option<AbortHandle>) {
        let mut telling = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if telling.is_none() {
            *telling = begin();
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        let telling = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(telling) = telling {
            telling.abort();
        }
    }
}

/// What came next.
enum Next {
    Change(Change),
    /// Some were missed.
    Missed,
    End,
}

async fn next(changes: &mut broadcast::Receiver<Change>) -> Next {
    match changes.recv().await {
        Ok(change) => Next::Change(change),
        Err(broadcast::error::RecvError::Lagged(_)) => Next::Missed,
        Err(broadcast::error::RecvError::Closed) => Next::End,
    }
}

/// Tells a client of 2025-11-25 and older, until it is gone.
pub(super) fn tell(daemon: &Daemon, watched: Watched, peer: Peer<RoleServer>) -> Option<AbortHandle> {
    let mut changes = daemon.core().ok()?.changes();
    let mut listed = daemon.list_changes();
    let telling = async move {
        loop {
            let next = tokio::select! {
                next = next(&mut changes) => next,
                Ok(()) = listed.changed() => match peer.notify_tool_list_changed().await {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            let (list, touched) = match next {
                Next::Change(Change::Accounts) => (true, Vec::new()),
                Next::Change(change) => (false, watched.touched(Some(&change))),
                Next::Missed => (true, watched.touched(None)),
                Next::End => return,
            };
            if list && peer.notify_resource_list_changed().await.is_err() {
                return;
            }
            for address in touched {
                if peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(address)).await.is_err() {
                    return;
                }
            }
        }
    };
    Some(tokio::spawn(telling).abort_handle())
}

/// What of a request to listen is taken.
pub(super) fn accepted(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let mut accepted = SubscriptionFilter::builder().tools_list_changed().resources_list_changed();
    let addresses = requested.resource_subscriptions.iter().flatten().filter(|address| Link::parse(address).is_some()).take(MOST);
    for address in addresses {
        accepted = accepted.resource_subscription(address.as_str());
    }
    accepted.build()
}

/// Tells a client of 2026-07-28 until it has heard enough. When the daemon stops, nothing is said: the shim asks the next one for the same. Nor when the
/// client has closed its side.
pub(super) async fn listen(daemon: &Daemon, session: &Session, context: SubscriptionContext) -> Result<(), ErrorData> {
    let unasked = async {
        tokio::select! {
            () = daemon.stopping() => {}
            () = session.has_left() => {}
        }
    };
    tokio::select! {
        told = tell_listener(daemon, session, &context) => return told,
        () = context.cancelled() => {}
        () = unasked => session.silence(context.sink().id().clone()),
    }
    Ok(())
}

async fn tell_listener(daemon: &Daemon, session: &Session, context: &SubscriptionContext) -> Result<(), ErrorData> {
    // From before it is looked who is signed in, so that no change is missed.
    let Ok(core) = daemon.core() else { return std::future::pending().await };
    let (mut changes, watched) = (core.changes(), Watched::default());
    for address in context.accepted().resource_subscriptions.iter().flatten() {
        // One that stands for nothing here is never told of.
        let _ = watched.add(address, daemon, session).await;
    }
    let mut tools = daemon.fixtures.as_ref().map(super::Fixtures::tool_changes);
    let mut listed = daemon.list_changes();
    let sink = context.sink();
    loop {
        let next = tokio::select! {
            next = next(&mut changes) => next,
            () = super::fixtures::changed(&mut tools) => {
                // Not wanted, or the client is gone: then the next wait ends it.
                let _ = sink.notify_tool_list_changed().await;
                continue;
            }
            Ok(()) = listed.changed() => {
                if context.accepted().tools_list_changed == Some(true) {
                    let _ = sink.notify_tool_list_changed().await;
                }
                continue;
            }
        };
        let (list, touched) = match next {
            Next::Change(Change::Accounts) => (true, Vec::new()),
            Next::Change(change) => (false, watched.touched(Some(&change))),
            Next::Missed => (true, watched.touched(None)),
            Next::End => return Ok(()),
        };
        if list && context.accepted().resources_list_changed == Some(true) {
            let _ = sink.notify_resource_list_changed().await;
        }
        for address in touched {
            let _ = sink.notify_resource_updated(address).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use m365_cached::cache::SourceId;

    fn pieces(source: SourceId, scopes: &[Scope]) -> Change {
        Change::Pieces { source, scopes: scopes.into() }
    }

    #[test]
    fn a_change_touches_what_shows_it() {
        let watch = |thing| Watch { mailbox: "/mailbox/1".into(), thing };
        let (mine, other) = (SourceId::mailbox("global", "2", "1"), SourceId::mailbox("global", "2", "11"));
        let mail = [Scope::item("m"), Scope::messages("f"), Scope::any(Service::Mail)];
        let (inbox, message) = (watch(Thing::Inbox), watch(Thing::Message("m".into())));
        assert!(inbox.is_touched_by(&pieces(mine.clone(), &mail)) && message.is_touched_by(&pieces(mine.clone(), &mail)));
        assert!(!inbox.is_touched_by(&pieces(other, &mail)), "another mailbox");
        assert!(!watch(Thing::Message("n".into())).is_touched_by(&pieces(mine.clone(), &mail)), "another message");
        assert!(!watch(Thing::Calendar).is_touched_by(&pieces(mine.clone(), &mail)));
        assert!(watch(Thing::Event("e".into())).is_touched_by(&pieces(mine.clone(), &[Scope::all(Service::Calendar)])), "any may have");
        assert!(watch(Thing::Drive).is_touched_by(&pieces(SourceId::drive("global", "2", "d"), &[Scope::any(Service::Files)])));
        assert!(!inbox.is_touched_by(&Change::Accounts));
    }

    #[test]
    fn only_addresses_of_ours_are_listened_for() {
        let asked = SubscriptionFilter::builder().resource_subscriptions(["m365://a/inbox", "file:///etc/passwd"]).build();
        assert_eq!(accepted(&asked).resource_subscriptions, Some(vec!["m365://a/inbox".to_owned()]));
        assert_eq!(accepted(&SubscriptionFilter::new()).resource_subscriptions, None);
    }
}
