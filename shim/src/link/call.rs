//! A request on its way: what to do with it when the daemon goes away.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::peek::{self, Id};

/// A request may be sent this often; one that outlives as many daemons is likely what ends them.
pub(super) const MAX_SENDS: u8 = 3;

/// A request of the client that has no answer yet.
#[derive(Debug)]
pub(super) struct Call {
    pub id: Id,
    pub raw_id: Box<str>,
    pub line: Bytes,
    pub what: What,
    /// How often it was handed to a daemon that has not taken it up since.
    pub sends: u8,
    /// Of a subscription: its client was told that it is open.
    pub acknowledged: bool,
}

/// What kind of request it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The legacy handshake.
    Initialize,
    /// `subscriptions/listen`: open for long; asking again is invisible when every acknowledgement but the first is swallowed.
    Listen,
    /// `resources/subscribe` of this address: the daemon has to remember it, and asking twice is asking once.
    Watch(String),
    /// `resources/unsubscribe`.
    Unwatch(String),
    /// Changes nothing, whatever the daemon.
    Safe,
    /// `tools/call`; the daemon's list of read-only tools decides.
    Tool { name: String, modern: bool },
    /// Anything else.
    Other,
}

impl What {
    pub(super) fn of(method: &str, params: Option<&RawValue>) -> Self {
        match method {
            "initialize" => Self::Initialize,
            "subscriptions/listen" => Self::Listen,
            "tools/call" => {
                let (name, modern) = peek::tool_call(params);
                Self::Tool { name: name.unwrap_or_default(), modern }
            }
            "resources/subscribe" => peek::address(params).map_or(Self::Safe, Self::Watch),
            "resources/unsubscribe" => peek::address(params).map_or(Self::Safe, Self::Unwatch),
            "ping" | "server/discover" | "completion/complete" | "prompts/get" | "logging/setLevel" | "tasks/get" => Self::Safe,
            _ if method.ends_with("/list") || method.ends_with("/read") => Self::Safe,
            _ => Self::Other,
        }
    }
}

impl Call {
    pub(super) fn new(id: Id, raw_id: &str, method: &str, params: Option<&RawValue>, line: Bytes) -> Self {
        Self { id, raw_id: raw_id.into(), line, what: What::of(method, params), sends: 0, acknowledged: false }
    }

    /// Whether it is a subscription that its client was told is open: nobody waits for an answer to it.
    pub(super) fn is_promised(&self) -> bool {
        self.what == What::Listen && self.acknowledged
    }

    /// True when sending it a second time cannot do anything twice.
    pub(super) fn may_repeat(&self, read_only: &BTreeSet<String>) -> bool {
        match &self.what {
            What::Initialize | What::Listen | What::Watch(_) | What::Unwatch(_) | What::Safe => true,
            What::Tool { name, .. } => read_only.contains(name),
            What::Other => false,
        }
    }
}
