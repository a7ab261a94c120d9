//! A lost sign-in as a client meets it: one typed answer with one link, and the link before the user where the client can show it. The same where nobody
//! has ever signed in: then the link is for whoever opens it.

use m365_cached::{hint::Kind, ids::Caller, tools::ACCOUNT_ID};
use rmcp::{
    RoleServer,
    model::{
        ClientCapabilities, ClientResult, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, InputRequest, InputRequests,
        InputRequiredResult, ServerRequest,
    },
    service::{PeerRequestOptions, RequestContext},
};
use serde_json::{Map, Value, json};

use super::{consent::PATIENCE, handler::Handler, resources::accounts};
use crate::core::{AccountState, Problem, SignInLink};

/// The key of the one question of a result that asks for input, and the state that comes back with its answer.
pub(super) const SIGN_IN: &str = "sign_in";

/// Whether a client with these capabilities can put an address before its user.
fn can_show(capabilities: Option<&ClientCapabilities>) -> bool {
    capabilities.and_then(|all| all.elicitation.as_ref()).is_some_and(|modes| modes.url.is_some())
}

/// The question as it goes to the client.
fn question(account: &AccountState, link: &SignInLink) -> Option<ElicitRequestParams> {
    let whom = if is_nobody(account) { String::new() } else { format!(" as {}", account.username) };
    let message = match &link.code {
        None => format!("Sign in to Microsoft 365{whom} in a browser on this machine."),
        Some(code) => format!("Sign in to Microsoft 365{whom}: enter the code {code} there."),
    };
    serde_json::from_value(
        json!({ "mode": "url", "message": message, "url": link.url, "elicitationId": format!("sign-in-{}", account.id) }),
    )
    .ok()
}

/// Stands for whoever will sign in first.
fn nobody() -> AccountState {
    AccountState::default()
}

fn is_nobody(account: &AccountState) -> bool {
    account.id.is_empty()
}

/// The account that the arguments name or leave to the default.
fn meant(all: Vec<AccountState>, arguments: &Map<String, Value>) -> Option<AccountState> {
    let name = arguments.get(ACCOUNT_ID).and_then(Value::as_str);
    all.into_iter().find(|account| name.map_or(account.default, |name| account.is_called(name)))
}

impl Handler {
    /// The account that a failed call is about, when only its sign-in is missing and the caller may know of it.
    async fn lost(&self, problem: &Problem, arguments: &Map<String, Value>, caller: &Caller) -> Option<AccountState> {
        let kept_from_it = caller.fence.as_ref().is_some_and(|fence| fence.read_only);
        if problem.kind != Kind::SignIn || problem.code != "sign_in_required" || kept_from_it {
            return None;
        }
        let core = self.daemon.core().ok()?;
        // Of everybody: accounts that are kept from this client are signed in all the same.
        if core.accounts().await.ok()?.is_empty() {
            return Some(nobody());
        }
        meant(accounts(core.as_ref(), caller).await.ok()?, arguments)
    }

    /// The problem with the link that solves it, where a sign-in is all that is missing.
    pub(super) async fn with_link(&self, problem: Problem, arguments: &Map<String, Value>, caller: &Caller) -> Problem {
        let (Some(account), Ok(core)) = (self.lost(&problem, arguments, caller).await, self.daemon.core()) else { return problem };
        match self.daemon.sign_ins.link(core, &account).await {
            // Nothing can be signed in to before that, and what is to be done first is in its hint.
            Err(why) if why.code == "no_client_id" => Problem { hint: format!("{} {}", why.hint, problem.hint), ..problem },
            Err(_) => problem,
            Ok(link) => {
                let hint = match &link.code {
                    None => "Show the user this link: they open it in a browser on this machine and sign in. Then call again.".to_owned(),
                    Some(code) => format!("Show the user this link: they open it anywhere, enter {code} and sign in. Then call again."),
                };
                // What people do who have a shell stays said.
                let hint = format!("{hint} {}", problem.hint);
                Problem { hint, sign_in: Some(Box::new(link)), ..problem }
            }
        }
    }

    /// The link as a result that asks for input, for the one client of 2026-07-28 that is to show it.
    pub(super) async fn show_later(
        &self,
        problem: &Problem,
        arguments: &Map<String, Value>,
        context: &RequestContext<RoleServer>,
    ) -> Option<InputRequiredResult> {
        let (account, link) = self.to_show(problem, arguments, context).await?;
        let asked = InputRequest::Elicitation(ElicitRequest::new(question(&account, &link)?));
        Some(InputRequiredResult::new(Some(InputRequests::from([(SIGN_IN.to_owned(), asked)])), Some(SIGN_IN.to_owned())))
    }

    /// Shows the link through the one client of 2025-11-25 and older that is to show it; whether its user has signed in.
    pub(super) async fn show_now(&self, problem: &Problem, arguments: &Map<String, Value>, context: &RequestContext<RoleServer>) -> bool {
        let Some((account, link)) = self.to_show(problem, arguments, context).await else { return false };
        let Some(params) = question(&account, &link) else { return false };
        let request = ServerRequest::ElicitRequest(ElicitRequest::new(params));
        let Ok(mut asked) = context.peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await else { return false };
        let why = tokio::select! {
            answer = &mut asked.rx => {
                return matches!(answer, Ok(Ok(ClientResult::ElicitResult(answer))) if accepted(&answer)) && self.signed_in(&account.id, context).await;
            }
            () = self.daemon.sign_ins.ended(&account.id) => "somebody has signed in",
            () = self.daemon.sleep(PATIENCE) => "nobody answered in time",
            () = context.ct.cancelled() => "the call was cancelled",
            () = self.daemon.stopping() => "the daemon is stopping",
        };
        // A client that is gone needs no word.
        let _ = asked.cancel(Some(why.into())).await;
        why == "somebody has signed in"
    }

    /// Waits for the sign-in that the user has agreed to, for as long as there is patience; whether it has ended.
    pub(super) async fn signed_in(&self, account: &str, context: &RequestContext<RoleServer>) -> bool {
        tokio::select! {
            () = self.daemon.sign_ins.ended(account) => true,
            () = self.daemon.sleep(PATIENCE) => false,
            () = context.ct.cancelled() => false,
            () = self.daemon.stopping() => false,
        }
    }

    /// Waits for the sign-in when the client says that its user has opened the link.
    pub(super) async fn wait_for_sign_in(
        &self,
        responses: &std::collections::BTreeMap<String, Value>,
        arguments: &Map<String, Value>,
        context: &RequestContext<RoleServer>,
    ) {
        let answer = responses.get(SIGN_IN).and_then(|answer| serde_json::from_value::<ElicitResult>(answer.clone()).ok());
        let Ok(core) = self.daemon.core() else { return };
        let Ok(all) = accounts(core.as_ref(), &self.caller(context)).await else { return };
        let account = if all.is_empty() { Some(nobody()) } else { meant(all, arguments) };
        if let (Some(account), true) = (account, answer.is_some_and(|answer| accepted(&answer))) {
            self.signed_in(&account.id, context).await;
        }
    }

    /// Account and link, when this client can show it and is the first to do so.
    async fn to_show(
        &self,
        problem: &Problem,
        arguments: &Map<String, Value>,
        context: &RequestContext<RoleServer>,
    ) -> Option<(AccountState, SignInLink)> {
        let link = problem.sign_in.as_deref()?.clone();
        if !can_show(context.client_capabilities().as_ref()) {
            return None;
        }
        let account = self.lost(problem, arguments, &self.caller(context)).await?;
        self.daemon.sign_ins.may_show(&account.id).then_some((account, link))
    }
}

fn accepted(answer: &ElicitResult) -> bool {
    answer.action == ElicitationAction::Accept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_by_those_who_can() {
        let can = |given: Value| can_show(Some(&serde_json::from_value(given).unwrap()));
        assert!(can(json!({ "elicitation": { "url": {} } })) && can(json!({ "elicitation": { "form": {}, "url": {} } })));
        assert!(!can(json!({ "elicitation": {} })) && !can(json!({ "elicitation": { "form": {} } })) && !can(json!({})) && !can_show(None));
    }

    #[test]
    fn the_question_names_the_account_and_the_address() {
        let account = AccountState { id: "1.2".into(), username: "ada@x.example".into(), ..AccountState::default() };
        let asked = |code: Option<&str>| {
            let link = SignInLink { url: "https://login.example/x".into(), code: code.map(str::to_owned) };
            serde_json::to_value(question(&account, &link).unwrap()).unwrap()
        };
        let browser = asked(None);
        assert_eq!((&browser["mode"], &browser["url"]), (&json!("url"), &json!("https://login.example/x")));
        assert!(browser["message"].as_str().unwrap().contains("ada@x.example"));
        assert!(asked(Some("ABC-1"))["message"].as_str().unwrap().contains("ABC-1"));
        let link = SignInLink { url: "https://login.example/x".into(), code: None };
        let first = serde_json::to_value(question(&nobody(), &link).unwrap()).unwrap();
        assert_eq!(first["message"], "Sign in to Microsoft 365 in a browser on this machine.");
    }
}
