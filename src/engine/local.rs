//! What the daemon answers by itself: accounts, the cache, the version. Its tasks are in `tasks.rs`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Answer, CallError, Engine, LoginStart};
use crate::{
    audit::Kind,
    cache::KeyPattern,
    graph::GraphError,
    ids::{AccountId, Caller},
    store::Invalidation,
    tools::{self, Args, Does, Local, StepError, Tool},
};

impl Engine {
    /// Runs a tool that asks nothing of Microsoft's data.
    pub(super) async fn local(self: &Arc<Self>, caller: &Caller, tool: &'static Tool, args: Args) -> Result<Answer, CallError> {
        let Does::Local(local) = tool.does else { return Err(CallError::Broken) };
        match local {
            Local::AccountList => Ok(self.account_list(caller)),
            Local::AccountAuthenticate => self.account_authenticate(args.flag("personal")).await,
            Local::AccountCompleteAuth => self.account_complete_auth(args.text("flow_cache").unwrap_or_default()).await,
            Local::AccountRemove => self.account_remove(caller, tool, args).await,
            Local::CacheTask => self.task_status(args.text("task_id").unwrap_or_default()).await,
            Local::CacheTasks => self.task_list(&args).await,
            Local::CacheWarming => Ok(self.warming_status()),
            Local::CacheStats => self.cache_stats(&args).await,
            Local::CacheInvalidate => self.cache_invalidate(caller, &args).await,
            Local::ServerVersion => Ok(Answer::plain(&json!({ "package": "m365-cached", "version": env!("CARGO_PKG_VERSION") }))),
        }
    }

    fn account_list(&self, caller: &Caller) -> Answer {
        let within =
            |account: &super::Account| caller.fence.as_ref().is_none_or(|fence| fence.admits(&account.row.id, &account.row.username));
        let accounts: Vec<Value> = self
            .accounts()
            .into_iter()
            .filter(within)
            .map(|account| {
                let mut shown = json!({
                    "username": account.row.username,
                    "account_id": account.row.id.as_str(),
                    "account_type": account.account_type(),
                });
                if let Some(alias) = &account.alias {
                    shown["alias"] = alias.as_str().into();
                }
                if account.default {
                    shown["default"] = true.into();
                }
                shown
            })
            .collect();
        Answer::plain(&json!({ "accounts": accounts, "complete": true }))
    }

    async fn account_authenticate(self: &Arc<Self>, personal: bool) -> Result<Answer, CallError> {
        let start = LoginStart { device: true, personal, username: None };
        let flow = self.login(start).await.map_err(sign_in)?;
        let Some(device) = &flow.device else { return Err(CallError::Broken) };
        Ok(Answer::plain(&json!({
            "status": "authentication_required",
            "instructions": device.message,
            "step1": format!("Open {}", device.verification_uri),
            "step2": format!("Enter the code {}", device.user_code),
            "step3": "Sign in and accept the permissions",
            "step4": "Then call account_complete_auth with this _flow_cache as its flow_cache",
            "device_code": device.user_code,
            "verification_url": device.verification_uri,
            "expires_in": device.expires_in.as_secs(),
            // A handle: the secret device code stays in the daemon.
            "_flow_cache": flow.handle,
        })))
    }

    async fn account_complete_auth(self: &Arc<Self>, handle: &str) -> Result<Answer, CallError> {
        match self.finish_login(handle).await.map_err(sign_in)? {
            Some(row) => Ok(Answer::plain(&json!({
                "status": "success",
                "username": row.username,
                "account_id": row.id.as_str(),
                "account_type": super::accounts::account_type(&row),
                "message": "Signed in.",
            }))),
            None => Ok(Answer::plain(&json!({
                "status": "pending",
                "message": "Nobody has entered the code yet.",
                "instructions": "Finish the sign-in in the browser, then call account_complete_auth again.",
            }))),
        }
    }

    async fn account_remove(self: &Arc<Self>, caller: &Caller, tool: &'static Tool, args: Args) -> Result<Answer, CallError> {
        let account = self.accounts.find(args.text("account_id").unwrap_or_default())?;
        let mut call = self.begin(tool, args, account).asked_by(caller);
        self.consented(&mut call)?;
        let (row, entries) = self.logout(call.account.id.as_str(), caller).await?;
        Ok(Answer::plain(&json!({
            "status": "removed",
            "username": row.username,
            "account_id": row.id.as_str(),
            "entries_deleted": entries,
        })))
    }

    async fn cache_invalidate(&self, caller: &Caller, args: &Args) -> Result<Answer, CallError> {
        let account = args.text("account_id").map(|name| self.accounts.find(name)).transpose()?.map(|row| row.id.clone());
        let reason = args.text("reason").unwrap_or("manual_invalidation").to_owned();
        let (pattern, deleted) = self.invalidate(args.text("pattern").unwrap_or_default(), account.clone(), reason.clone(), caller).await?;
        Ok(Answer::plain(&json!({
            "entries_deleted": deleted,
            "pattern": pattern.to_string(),
            "account_id": account.as_ref().map(AccountId::as_str),
            "reason": reason,
            "timestamp": self.clock.now().rfc3339(),
        })))
    }

    /// Removes entries by pattern; who asked and why is kept.
    ///
    /// # Errors
    ///
    /// A pattern that cannot be read, or a store that does not do its work.
    pub async fn invalidate(
        &self,
        pattern: &str,
        account: Option<AccountId>,
        reason: String,
        caller: &Caller,
    ) -> Result<(KeyPattern, u64), CallError> {
        let pattern = KeyPattern::parse(&self.pattern_by_id(pattern, account.as_ref()).await?).map_err(|error| {
            StepError::user("invalid_pattern", error.to_string(), "Write type[:account][:name=value], such as email_list:*:folder=sent*.")
        })?;
        let mut event = self.event(Kind::Invalidation, caller);
        event.account.clone_from(&account);
        // A pattern is somebody's text; what begins the name of a tool of ours is not.
        if tools::all().any(|tool| tool.name.starts_with(pattern.tool.prefix())) {
            event.tool = format!("{}{}", pattern.tool.prefix(), if pattern.tool.exact().is_some() { "" } else { "*" });
        }
        let what = Invalidation { pattern: pattern.clone(), account, reason, by: caller.client.clone(), at: self.clock.now() };
        let deleted = self.entries.invalidate(what).await?;
        // Which of the entries in memory it named would cost more to find out than to read the rest again.
        self.hot.clear();
        self.record(event.ended("removed").times(deleted)).await;
        Ok((pattern, deleted))
    }
}

fn sign_in(error: super::LoginError) -> CallError {
    CallError::Step(GraphError::from(error).into())
}
