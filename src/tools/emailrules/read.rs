//! `emailrules_list` and `emailrules_get`.

use serde_json::Value;

use super::{FIELDS, RULE, all, rule_id, rules};
use crate::{
    cache::{Scope, Service, Ttl},
    graph::GraphRequest,
    tools::{
        Args, Asks, Does, Effect, Fetched, Risk, StepError, Steps, Tool,
        shape::{id, list_answer, pick},
        tool::{ACCOUNT, FORCE_REFRESH, MAILBOX, MAX_AGE, USE_CACHE},
    },
};

const EFFECT: Effect = Effect::Read { service: Service::Rules, ttl: Ok(Ttl::seconds(900, 3600)) };

pub(in crate::tools) const TOOLS: &[Tool] = &[
    Tool {
        name: "emailrules_list",
        title: "List inbox rules",
        profiles: &[],
        help: "Lists all inbox rules under `rules`, in the order in which they run (sequence). A rule with hasError=true does not run.",
        params: &[ACCOUNT, USE_CACHE, FORCE_REFRESH, MAILBOX, MAX_AGE],
        effect: EFFECT,
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Read(|steps, args| Box::pin(list(steps, args))),
    },
    Tool {
        name: "emailrules_get",
        title: "Get an inbox rule",
        profiles: &[],
        help: "One inbox rule: its conditions, exceptions and actions, its place in the order and whether it is on.",
        params: &[RULE, ACCOUNT, USE_CACHE, FORCE_REFRESH, MAILBOX, MAX_AGE],
        effect: EFFECT,
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Read(|steps, args| Box::pin(get(steps, args))),
    },
];

fn fetched(answer: Value, list: Option<&'static str>) -> Fetched {
    Fetched { answer, list, scopes: vec![Scope::rules()], shown: Vec::new(), whole: true, more: None, etag: None, along: Vec::new() }
}

async fn list(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let found = all(steps, args).await?.iter().map(|rule| pick(rule, &FIELDS).into()).collect();
    Ok(fetched(list_answer("rules", found, true), Some("rules")))
}

async fn get(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let rule = steps.send(GraphRequest::get(&rules(args, &[rule_id(args)]))).await?.body;
    id(&rule)?;
    Ok(fetched(pick(&rule, &FIELDS).into(), None))
}
