//! What a policy keeps from a client, whatever it asks for and however often it asks. The refusal says which policy, so that a person can
//! change it and a model stops trying.
//!
//! Decision: a client that may use only some accounts sees nothing that tells of all of them. The daemon's own tools answer it about an
//! account within its fence, or not at all; `account_list` shows those within it.

use super::{Call, CallError, Engine};
use crate::{
    ids::{AccountId, Caller, Fence},
    tools::{ACCOUNT_ID, Args, CONSENTS, Effect, Risk, Tool},
};

/// Local tools that tell nothing of an account, or only of those within the fence.
const HARMLESS: [&str; 2] = ["account_list", "server_get_version"];

impl Engine {
    /// Whether `caller` may do this. The account that is admitted is the one that is meant from here on, by its id: a reload may give its alias
    /// to another one meanwhile.
    pub(super) fn fenced(&self, caller: &Caller, tool: &Tool, args: &mut Args) -> Result<(), CallError> {
        let Some(fence) = &caller.fence else { return Ok(()) };
        if fence.read_only_tools && tool.risk != Risk::Safe {
            return Err(CallError::ReadOnly);
        }
        if fence.read_only && tool.risk != Risk::Safe {
            return Err(refusal(fence, "everything that changes something", "read_only"));
        }
        if fence.no_send && tool.reaches_others(args) {
            return Err(refusal(fence, OTHERS, "no_send"));
        }
        if fence.accounts.is_empty() || HARMLESS.contains(&tool.name) {
            return Ok(());
        }
        let outside = || refusal(fence, "every account but those it names", "accounts");
        match args.text(ACCOUNT_ID) {
            // One that is not known is refused alike: who is signed in is not theirs to find out.
            Some(name) => match self.accounts.find(name) {
                Ok(account) if fence.admits(&account.id, &account.username) => {
                    args.set(ACCOUNT_ID, account.id.as_str());
                    Ok(())
                }
                Err(ambiguous @ CallError::AmbiguousAccount(_)) if fence.admits(&AccountId::new(name), name) => Err(ambiguous),
                _ => Err(outside()),
            },
            None if tool.effect == Effect::Local => Err(outside()),
            None => Err(CallError::Broken),
        }
    }

    /// Takes consent away from a call that must not reach others: an act that sees at Microsoft that it would then stops and asks.
    pub(super) fn fence_act(&self, call: &mut Call) {
        if call.caller.as_ref().and_then(|caller| caller.fence.as_ref()).is_some_and(|fence| fence.no_send) && call.takes(CONSENTS[1]) {
            call.args.set(CONSENTS[1], serde_json::Value::Null);
        }
    }

    /// The refusal of an act that has seen at Microsoft that it reaches others, where a policy keeps that from its client.
    pub(super) fn fenced_from_others(&self, call: &Call) -> Option<CallError> {
        let fence = call.caller.as_ref()?.fence.as_ref()?;
        fence.no_send.then(|| refusal(fence, OTHERS, "no_send"))
    }
}

/// What `no_send` keeps from a client.
const OTHERS: &str = "everything that reaches other people";

fn refusal(fence: &Fence, what: &'static str, setting: &'static str) -> CallError {
    let names: Vec<String> = fence.policies.iter().map(|name| format!("`{name}`")).collect();
    let word = if names.len() == 1 { "the policy" } else { "the policies" };
    CallError::Fenced { what, policy: format!("{word} {}", names.join(" and ")), setting }
}

#[cfg(test)]
#[path = "fence_tests.rs"]
mod tests;
