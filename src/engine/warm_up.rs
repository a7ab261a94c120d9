//! A warm-up that a person asks for: now, and also where the cache is not warmed by itself.

use std::sync::Arc;

use tokio::sync::watch;

use super::{CallError, Engine};
use crate::{hint::Kind, ids::AccountId, tools::StepError};

/// How the warm-up of some accounts stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WarmUp {
    /// Accounts it is for.
    pub accounts: u64,
    /// Answers it is for.
    pub total: u64,
    /// Fetched, or found unchanged.
    pub fetched: u64,
    /// Fresh already.
    pub fresh: u64,
    /// Not to be had.
    pub failed: u64,
    /// Who would have to act on one that is not.
    pub failure: Option<Kind>,
}

impl WarmUp {
    /// Whether nothing of it is left to do.
    pub fn ended(&self) -> bool {
        self.fetched + self.fresh + self.failed >= self.total
    }
}

impl Engine {
    /// Asks for the usual answers of an account, by id or name, or of every account that is signed in and cached; those that are fresh are
    /// left as they are. An account that is being warmed is not asked for again. Gives the accounts it is for.
    ///
    /// # Errors
    ///
    /// An account that is not known or not cached, nobody to warm for, or no operations.
    pub async fn warm_up(self: &Arc<Self>, account: Option<&str>) -> Result<Vec<AccountId>, CallError> {
        let all = self.warmable();
        let accounts = match account {
            None => all,
            Some(name) => {
                let id = self.accounts.find(name)?.id.clone();
                let cached = self.accounts().iter().any(|known| known.row.id == id && known.caching);
                if cached { vec![id] } else { Vec::new() }
            }
        };
        if accounts.is_empty() {
            if self.accounts().is_empty() {
                return Err(CallError::UnknownAccount { any: false });
            }
            let hint = "Look at `cache.enabled` and `cache.accounts` in config.toml, and at `m365-cachectl accounts`.";
            let error = StepError::user("nothing_to_warm", "there is no account that is signed in and cached", hint);
            return Err(StepError { kind: Kind::Config, ..error }.into());
        }
        let order = self.in_order();
        if order.is_empty() {
            let hint = "Switch one on under `[warming.operations]` in config.toml.";
            let error = StepError::user("no_operations", "no operation is set up to be made ahead of use", hint);
            return Err(StepError { kind: Kind::Config, ..error }.into());
        }
        let steps = self.warmth.begin_again(&accounts, &order, self.clock.now());
        // What is fresh is known at once; the warmer asks for the rest.
        for step in steps {
            if let Err(outcome) = self.to_be_asked(&step).await {
                self.step_ended(&step, outcome);
            }
        }
        self.warmth.stir();
        Ok(accounts)
    }

    /// How the latest warm-up of `accounts` stands. Those that have signed out since are not counted.
    pub fn warmed_up(&self, accounts: &[AccountId]) -> WarmUp {
        self.warmth.warmed_up(accounts)
    }

    /// Is changed whenever a warm-up gets on.
    pub fn warming_moves(&self) -> watch::Receiver<()> {
        self.warmth.moves()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};
    use std::time::Duration;

    use super::*;
    use crate::{
        auth::testing::within,
        chance::SeededDice,
        clock::{ManualClock, Timestamp},
        engine::{
            Next, Operation,
            testing::{self, ACCOUNT, Scripted, call, engine_with, failure, reply},
        },
        hint::Hint as _,
        store::{Ledger as _, Limits, Memory},
    };

    fn operation(tool: &str, priority: u8) -> Operation {
        Operation { tool: tool.into(), args: Map::new(), priority, throttle: Duration::from_secs(3) }
    }

    /// One whose cache is not warmed by itself. Contacts cannot be had.
    async fn engine(change: impl FnOnce(&mut crate::engine::Policy)) -> Arc<Engine> {
        let memory = Arc::new(Memory::new(Arc::new(SeededDice::new(4)), Limits::default()));
        memory.save_account(testing::account()).await.unwrap();
        let graph = Scripted::new(|request| match request.path.contains("contacts") {
            true => Err(failure(Some(403), false)),
            false => reply(json!({ "id": "F", "value": [] })),
        });
        let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
        engine_with(memory.clone(), memory, graph.remote(), clock, Arc::new(SeededDice::new(5)), |parts| {
            parts.policy.warming.operations = vec![operation("contact_list", 2), operation("email_list", 1)];
            change(&mut parts.policy);
        })
        .await
    }

    async fn code(engine: &Arc<Engine>, account: Option<&str>) -> (&'static str, Kind) {
        let error = engine.warm_up(account).await.unwrap_err();
        (error.code(), error.kind())
    }

    #[tokio::test]
    async fn it_is_done_where_nothing_is_warmed_by_itself_and_tells_what_came_of_it() {
        let engine = engine(|_| ()).await;
        assert_eq!(engine.warm().await, None, "nothing by itself");
        let mut moves = engine.warming_moves();
        let accounts = engine.warm_up(Some("alex@contoso.example")).await.unwrap();
        let begun = WarmUp { accounts: 1, total: 2, ..WarmUp::default() };
        assert_eq!((accounts[0].as_str(), engine.warmed_up(&accounts), begun.ended()), (ACCOUNT, begun, false));
        assert_eq!(engine.warm_up(None).await.unwrap(), accounts);
        assert_eq!(engine.warmed_up(&accounts), begun, "it is under way and not begun again");
        engine.warm().await;
        while let Next::Run(run) = engine.next_task().await {
            let result = engine.refresh(&run).await;
            engine.settle(run, result).await;
            within(moves.changed()).await.unwrap();
        }
        let ended = WarmUp { fetched: 1, failed: 1, failure: Some(Kind::Denied), ..begun };
        assert_eq!((engine.warmed_up(&accounts), ended.ended()), (ended, true));
        assert_eq!(call(&engine, "email_list", json!({})).await.unwrap()["_cache_status"], "fresh");
        // Once more: what is fresh is left as it is, and told at once.
        engine.warm_up(None).await.unwrap();
        assert_eq!(engine.warmed_up(&accounts), WarmUp { fresh: 1, ..begun });
        within(engine.logout(ACCOUNT, &crate::ids::Caller::default())).await.unwrap();
        assert_eq!(engine.warmed_up(&accounts).total, 0);
        assert_eq!(code(&engine, None).await, ("sign_in_required", Kind::SignIn));
    }

    #[tokio::test]
    async fn a_task_that_is_cancelled_while_it_waits_is_told_of() {
        let engine = engine(|policy| policy.warming.operations.truncate(1)).await;
        let accounts = engine.warm_up(None).await.unwrap();
        engine.warm().await;
        let list = call(&engine, "cache_task_list", json!({})).await.unwrap();
        engine.cancel(list["tasks"][0]["task_id"].as_str().unwrap()).await.unwrap();
        let ended = engine.warmed_up(&accounts);
        assert_eq!((ended.failed, ended.failure, ended.ended()), (1, Some(Kind::User), true));
    }

    #[tokio::test]
    async fn what_cannot_be_warmed_is_told() {
        assert_eq!(code(&engine(|_| ()).await, Some("nobody")).await, ("unknown_account", Kind::SignIn));
        assert_eq!(code(&engine(|policy| policy.caching = false).await, None).await, ("nothing_to_warm", Kind::Config));
        let uncached = engine(|policy| policy.uncached_accounts = vec![ACCOUNT.into()]).await;
        assert_eq!(code(&uncached, Some(ACCOUNT)).await, ("nothing_to_warm", Kind::Config));
        assert_eq!(code(&engine(|policy| policy.warming.operations.clear()).await, None).await, ("no_operations", Kind::Config));
    }
}
