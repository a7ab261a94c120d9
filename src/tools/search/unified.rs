//! `search_unified`: mail, events and files at once.
//!
//! Each type is searched as its own tool does it, at the same time as the others. One that fails is named under `errors` with its reason,
//! and the answer is then not kept; when all fail, so does the call.
//!
//! Messages and files are asked for at the length at which their own tools ask by default, which is one request too, and kept as those tools'
//! answers. Events are not: theirs are cut by rank and then put in order of time, so that a longer list does not hold a shorter one.

use futures_util::future::join3;
use serde_json::{Map, json};

use super::{Found, LIMIT, Outcome, QUERY, SHORT_LIMIT, TTL, call_of, emails, events, files};
use crate::{
    cache::{Scope, Service},
    ids::ToolProfile::Essential,
    tools::{
        Along, Args, Asks, Does, Effect, Fetched, Param, ParamType, Risk, StepError, Steps, Tool,
        calendar::clocks,
        local::by_the_clock,
        shape::untrusted,
        tool::{ACCOUNT, FORCE_REFRESH, MAX_AGE, MAX_TOKENS_ONCE, USE_CACHE},
    },
};

const TYPES: &[&str] = &["message", "event", "driveItem"];

pub(in crate::tools) const TOOLS: &[Tool] = &[Tool {
    name: "search_unified",
    title: "Search mail, events and files",
    profiles: &[Essential],
    help: "Searches messages, events (a year back and ahead; on work accounts the default calendar's) and files at once, under message, event and driveItem. A type that \
           could not be searched is named under `errors`.",
    params: &[
        QUERY,
        ACCOUNT,
        Param::optional("entity_types", ParamType::Choices(TYPES), "null", "Which of message, event and driveItem; all by default."),
        Param::optional("limit", ParamType::Int { min: 1, max: 500 }, "10", "Most results of each type."),
        USE_CACHE,
        FORCE_REFRESH,
        MAX_TOKENS_ONCE,
        MAX_AGE,
    ],
    effect: Effect::Read { service: Service::Mail, ttl: Ok(TTL) },
    risk: Risk::Safe,
    idempotent: true,
    asks: Asks::Never,
    canonical: Some(all_types),
    does: Does::ReadAcross { also: Service::Files, fetch: |steps, args| Box::pin(by_the_clock(steps, search(steps, args))) },
}];

/// All types by name and no types are the same question.
fn all_types(args: &mut Args) {
    if args.texts("entity_types").is_empty() {
        args.set("entity_types", TYPES.to_vec());
    }
}

async fn search(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let types = args.texts("entity_types");
    let limit = args.count("limit");
    let of_messages = call_of(&emails::TOOLS[0], args, limit.max(default_of(&SHORT_LIMIT)))?;
    let of_files = call_of(&files::TOOLS[0], args, limit.max(default_of(&LIMIT)))?;
    let (mut messages, events, mut items) = join3(
        asked(&types, TYPES[0], emails::find(steps, &of_messages)),
        asked(&types, TYPES[1], async {
            let clocks = clocks(steps, args).await?;
            events::find(steps, args, events::EVERYTHING, &clocks).await
        }),
        asked(&types, TYPES[2], files::find(steps, &of_files)),
    )
    .await;
    let mut along = Vec::new();
    if let Some(Ok(found)) = &mut messages {
        let whole = Found { items: found.items.clone(), shown: found.shown.clone(), more: found.more.take(), complete: found.complete };
        along.push(Along { tool: emails::TOOLS[0].name, fetched: emails::answer(whole, &of_messages), args: of_messages });
        found.cut(limit);
    }
    if let Some(Ok(found)) = &mut items {
        let whole = Found { items: found.items.clone(), shown: found.shown.clone(), more: found.more.take(), complete: found.complete };
        along.push(Along { tool: files::TOOLS[0].name, fetched: files::answer(whole), args: of_files });
        found.cut(limit);
    }

    let (mut answer, mut errors, mut complete, mut failure) = (Map::new(), Map::new(), true, None);
    let (mut shown, mut scopes) = (Vec::new(), vec![Scope::any(Service::Calendar), Scope::all(Service::Calendar)]);
    for (name, outcome) in TYPES.iter().zip([messages, events, items]) {
        match outcome {
            None => {}
            Some(Ok(found)) => {
                complete &= found.complete;
                // Events and files show their items too, but their places belong to other services.
                if *name == TYPES[0] {
                    scopes.extend(found.scopes_of_mail(args.text("query").unwrap_or_default()));
                    shown = found.shown;
                }
                answer.insert((*name).to_owned(), found.items.into());
            }
            Some(Err(error)) => {
                errors.insert((*name).to_owned(), json!({ "code": error.code, "message": error.message }));
                failure = Some(error);
            }
        }
    }
    if let (true, Some(failure)) = (answer.is_empty(), failure) {
        return Err(failure);
    }
    let whole = errors.is_empty();
    if !whole {
        answer.insert("errors".into(), errors.into());
    }
    answer.insert("complete".into(), (complete && whole).into());
    Ok(Fetched { answer: untrusted(answer).into(), list: None, scopes, shown, whole, more: None, etag: None, along })
}

/// The limit that a tool has by default.
fn default_of(limit: &Param) -> usize {
    limit.default.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The search of one type, when it is asked for.
async fn asked(types: &[&str], name: &str, search: impl Future<Output = Outcome>) -> Option<Result<Found, StepError>> {
    if types.contains(&name) { Some(search.await) } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::tools::fake::{Fake, args, named, refusal};

    fn fake(broken: &'static [&'static str]) -> Fake {
        Fake::new(move |request| {
            let name = named(request);
            let kind = request
                .body
                .as_ref()
                .and_then(|body| body["requests"][0]["entityTypes"][0].as_str().map(str::to_owned))
                .unwrap_or_default();
            if broken.iter().any(|broken| name.contains(broken) || kind == *broken) {
                return Some(Err(refusal(503, "busy")));
            }
            Some(Ok(match (name.as_str(), kind.as_str()) {
                ("GET /me/messages", _) => json!({"value": [{"id": "m", "parentFolderId": "F"}]}),
                ("GET /me/mailboxSettings/timeZone", _) => json!({"value": "UTC"}),
                (_, "driveItem") => {
                    json!({"value": [{"hitsContainers": [{"hits": [{"hitId": "f", "resource": {"name": "n"}}], "moreResultsAvailable": false}]}]})
                }
                _ => json!({"value": [{"hitsContainers": [{"total": 0, "moreResultsAvailable": false}]}]}),
            }))
        })
    }

    async fn read(fake: &Fake, given: Value) -> Result<Fetched, StepError> {
        search(fake, &args("search_unified", given).unwrap()).await
    }

    #[tokio::test]
    async fn each_type_has_its_list() {
        let got = read(&fake(&[]), json!({"account_id": "a", "query": "x"})).await.unwrap();
        assert_eq!(got.answer["message"][0]["id"], "m");
        assert_eq!(
            (&got.answer["event"], &got.answer["driveItem"][0]["id"], &got.answer["complete"]),
            (&json!([]), &json!("f"), &json!(true))
        );
        assert!(got.whole && got.answer.get("errors").is_none());
        let along: Vec<_> = got.along.iter().map(|along| (along.tool, along.args.count("limit"), along.fetched.scopes.clone())).collect();
        let mail = vec![Scope::found(), Scope::hit("m")];
        assert_eq!(along, [("search_emails", 25, mail), ("search_files", 50, vec![Scope::any(Service::Files)])]);
        let one = read(&fake(&["event"]), json!({"account_id": "a", "query": "x", "entity_types": ["driveItem"]})).await.unwrap();
        assert_eq!(one.answer.as_object().unwrap().keys().collect::<Vec<_>>(), ["driveItem", "complete", "_untrusted"]);
    }

    #[tokio::test]
    async fn a_type_that_fails_is_named_and_the_answer_not_kept() {
        let got = read(&fake(&["event"]), json!({"account_id": "a", "query": "x"})).await.unwrap();
        assert!(got.answer.get("event").is_none() && !got.whole);
        assert_eq!((&got.answer["errors"]["event"]["message"], &got.answer["complete"]), (&json!("busy"), &json!(false)));
        let none = read(&fake(&["/me/messages", "event", "driveItem"]), json!({"account_id": "a", "query": "x"})).await.unwrap_err();
        assert_eq!(none.status, Some(503));
    }

    #[test]
    fn all_types_and_none_share_one_key() {
        let key = |types: Value| args("search_unified", json!({"account_id": "a", "query": "x", "entity_types": types})).unwrap().shaping();
        assert_eq!(key(Value::Null), key(json!(["driveItem", "event", "message"])));
        assert_ne!(key(Value::Null), key(json!("event")));
    }
}
