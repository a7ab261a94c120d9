//! Creating, changing and deleting inbox rules.
//!
//! A rule that sends mail away or destroys it needs consent. What a change leaves of a rule shows only at Exchange: it is looked at first, and
//! the change of such a rule asks, unless it says all actions anew or leaves the rule off.

use serde_json::{Map, Value, json};

use super::{
    FIELDS, RULE,
    predicates::{ACTIONS, PREDICATES, as_graph_takes_it, grave, named_folders, sensible},
    rule_id, rules,
};
use crate::{
    cache::{Scope, Service, Touch},
    graph::GraphRequest,
    tools::{
        Args, Asks, Does, Effect, Param, ParamType, Risk, StepError, Steps, Tool, Written,
        mailbox::at,
        shape::{id, pick},
        tool::{ACCOUNT, CONFIRM, CONFIRM_TOKEN, MAILBOX},
    },
};

const NAME_MAX: usize = 255;
const SEQUENCE: ParamType = ParamType::Int { min: 1, max: 2_147_483_647 };

pub(super) const EFFECT: Effect = Effect::Write { service: Service::Rules };

pub(in crate::tools) const TOOLS: &[Tool] = &[
    Tool {
        name: "emailrules_create",
        title: "Create an inbox rule",
        profiles: &[],
        help: "Creates a rule for mail that arrives in the inbox. It runs when all conditions hold and no exception does. Sizes are in \
               kilobytes. A rule that forwards, redirects or deletes for good needs the user's consent first. Returns the rule.",
        params: &[
            ACCOUNT,
            Param::required("display_name", ParamType::Text { max: NAME_MAX }, "Its name."),
            Param::required("conditions", ParamType::Object(PREDICATES), "What a message has to be."),
            Param::required("actions", ParamType::Object(ACTIONS), "What is done with it."),
            Param::optional("sequence", SEQUENCE, "1", "Its place in the order; 1 runs first."),
            Param::optional("is_enabled", ParamType::Bool, "true", "Whether it runs."),
            Param::optional("exceptions", ParamType::Object(PREDICATES), "null", "What a message must not be; members as in conditions."),
            MAILBOX,
            CONFIRM_TOKEN,
        ],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: false,
        asks: Asks::When(|args| grave(args.object("actions"))),
        canonical: None,
        does: Does::Write { touches, act: |steps, args| Box::pin(create(steps, args)) },
    },
    Tool {
        name: "emailrules_update",
        title: "Change an inbox rule",
        profiles: &[],
        help: "Changes what is given of a rule; conditions, actions and exceptions are each replaced as a whole. A rule that forwards, \
               redirects or deletes for good needs the user's consent first. Returns the rule.",
        params: &[
            RULE,
            ACCOUNT,
            Param::optional("display_name", ParamType::Text { max: NAME_MAX }, "null", "Its name."),
            Param::optional("conditions", ParamType::Object(PREDICATES), "null", "What a message has to be."),
            Param::optional("actions", ParamType::Object(ACTIONS), "null", "What is done with it."),
            Param::optional("sequence", SEQUENCE, "null", "Its place in the order."),
            Param::optional("is_enabled", ParamType::Bool, "null", "Whether it runs."),
            Param::optional("exceptions", ParamType::Object(PREDICATES), "null", "What a message must not be."),
            MAILBOX,
            CONFIRM_TOKEN,
        ],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: true,
        asks: Asks::When(|args| grave(args.object("actions"))),
        canonical: None,
        does: Does::Write { touches, act: |steps, args| Box::pin(update(steps, args)) },
    },
    Tool {
        name: "emailrules_delete",
        title: "Delete an inbox rule",
        profiles: &[],
        help: "Deletes an inbox rule for good. Ask the user first; is_enabled=false in emailrules_update switches it off instead.",
        params: &[RULE, ACCOUNT, CONFIRM, MAILBOX],
        effect: EFFECT,
        risk: Risk::Critical,
        idempotent: true,
        asks: Asks::Always,
        canonical: None,
        does: Does::Write { touches, act: |steps, args| Box::pin(delete(steps, args)) },
    },
];

pub(super) fn touches(_: &Args) -> Vec<Touch> {
    vec![Touch::Scope(Scope::rules())]
}

/// What Graph said of the rule; where it said nothing, that the act was done.
pub(super) fn written(rule: &Value, done: &str) -> Written {
    let mut answer = pick(rule, &FIELDS);
    if answer.is_empty() {
        answer.insert("status".into(), done.into());
    }
    Written { answer: answer.into(), touches: Vec::new(), learned: Vec::new(), late: false }
}

/// What was given of the rule, as Graph takes it.
async fn rule(steps: &dyn Steps, args: &Args) -> Result<Map<String, Value>, StepError> {
    for name in ["conditions", "exceptions"] {
        sensible(args.object(name), name)?;
    }
    let mut rule = Map::new();
    for (ours, graphs) in [("display_name", "displayName"), ("sequence", "sequence"), ("is_enabled", "isEnabled")] {
        if let Some(value) = args.all().get(ours).filter(|value| !value.is_null()) {
            rule.insert(graphs.into(), value.clone());
        }
    }
    for name in ["conditions", "actions", "exceptions"] {
        if let Some(given) = args.object(name) {
            rule.insert(name.into(), as_graph_takes_it(given));
        }
    }
    // Rules take folders by id only.
    if let Some(actions) = args.object("actions") {
        for (action, folder) in named_folders(actions) {
            let request = GraphRequest::get(&at(args, &["mailFolders", folder])).with("$select", "id");
            let found = steps.send(request).await.map_err(StepError::before)?.body;
            rule["actions"][action] = id(&found).map_err(StepError::before)?.into();
        }
    }
    Ok(rule)
}

async fn create(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let rule = rule(steps, args).await?;
    Ok(written(&steps.send(GraphRequest::post(&rules(args, &[]), rule.into())).await?.body, "created"))
}

async fn update(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let change = rule(steps, args).await?;
    if change.is_empty() {
        let parts = "display_name, conditions, actions, sequence, is_enabled, exceptions";
        return Err(StepError::user("invalid_argument", "nothing to change was given", format!("Give at least one of {parts}.")));
    }
    if !args.has(CONFIRM_TOKEN.name) && keeps_actions(args) {
        let now = steps.send(GraphRequest::get(&rules(args, &[rule_id(args)]))).await.map_err(StepError::before)?.body;
        if grave(now.get("actions").and_then(Value::as_object)) {
            return Err(StepError::unconfirmed());
        }
    }
    let request = GraphRequest::patch(&rules(args, &[rule_id(args)]), change.into()).repeatable();
    Ok(written(&steps.send(request).await?.body, "updated"))
}

/// Whether the rule, with the actions it has, may do more after the change than before.
fn keeps_actions(args: &Args) -> bool {
    let switched_off = args.has("is_enabled") && !args.flag("is_enabled");
    !args.has("actions") && !switched_off && ["conditions", "exceptions", "sequence", "is_enabled"].iter().any(|name| args.has(name))
}

async fn delete(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    steps.send(GraphRequest::delete(&rules(args, &[rule_id(args)]))).await?;
    let answer = json!({ "status": "deleted", "rule_id": rule_id(args) });
    Ok(Written { answer, touches: Vec::new(), learned: Vec::new(), late: false })
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
