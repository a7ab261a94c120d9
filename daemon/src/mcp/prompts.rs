//! Prompts: a handful of things people ask every day, with what they need read from the cache already.
//!
//! Each is a row: what a person reads, its arguments, what is read for it, and what the model is told. What was read stands behind the
//! instruction as a resource of its own, so that the host can show where it comes from. Text of other people comes in the tools' answers,
//! which mark it.

use rmcp::{
    ErrorData, RoleServer,
    model::{CacheScope, GetPromptResult, JsonObject, ListPromptsResult, Prompt, PromptArgument, PromptMessage, ResourceContents, Role},
    service::RequestContext,
};
use serde_json::{Map, Value, json};

use super::{
    handler::{Handler, refused},
    links::{Link, Thing},
    resources::{LIST_TTL_MS, accounts},
};
use crate::core::{AccountState, Problem};

/// What a prompt reads: a tool and its arguments besides the account.
type Read = (&'static str, Map<String, Value>);

/// One prompt.
struct Row {
    name: &'static str,
    title: &'static str,
    /// For people.
    about: &'static str,
    /// Its arguments besides `account`: name, what it is, whether it must be given.
    arguments: &'static [(&'static str, &'static str, bool)],
    /// What is read before the model is asked.
    reads: fn(&Given<'_>) -> Vec<Read>,
    /// What the model is asked.
    asks: fn(&Given<'_>) -> String,
}

/// The arguments of one call.
struct Given<'a>(&'a JsonObject);

impl Given<'_> {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).map(str::trim).unwrap_or_default()
    }
}

/// The argument that every prompt has.
pub(super) const ACCOUNT: &str = "account";

fn read(tool: &'static str, arguments: Value) -> Read {
    (tool, arguments.as_object().cloned().unwrap_or_default())
}

const ROWS: &[Row] = &[
    Row {
        name: "morning_brief",
        title: "Morning brief",
        about: "What today holds: meetings, and the mail that needs an answer.",
        arguments: &[],
        reads: |_| {
            vec![
                read("calendar_list_events", json!({ "days_ahead": 1, "include_details": false })),
                read("email_list", json!({ "limit": 25, "body_max_length": 300 })),
            ]
        },
        asks: |_| {
            "Brief me for today from the calendar and the newest mail below. First the meetings in order, with times in my zone, overlaps and \
             gaps of an hour or more. Then at most five messages that need an answer or a decision from me, each with sender, what is asked \
             and by when. Then one line on the rest. Name nothing that is not below."
                .to_owned()
        },
    },
    Row {
        name: "catch_up",
        title: "Catch up",
        about: "What happened in the inbox, grouped by topic.",
        arguments: &[],
        reads: |_| vec![read("email_list", json!({ "limit": 60, "body_max_length": 200 }))],
        asks: |_| {
            "Group the messages below by topic. For each topic: who wrote, what changed, and whether something is open for me. Put what is \
             open for me first. Newsletters and notices go into one line at the end."
                .to_owned()
        },
    },
    Row {
        name: "thread_summary",
        title: "Summarise a conversation",
        about: "What a conversation came to, and what is open in it.",
        arguments: &[("about", "Words of its subject, or a sender.", true)],
        reads: |given| vec![read("search_emails", json!({ "query": given.text("about"), "limit": 25 }))],
        asks: |given| {
            format!(
                "Summarise the conversation about “{}” from the messages below, oldest first: who wants what, what was decided and by whom, \
                 what is open and whose turn it is. Leave out messages of other conversations. If a body is cut where it matters, read it \
                 whole with email_get before you summarise.",
                given.text("about")
            )
        },
    },
    Row {
        name: "meeting_prep",
        title: "Prepare a meeting",
        about: "The next meeting, or one by topic: who comes, what it is about, what was said before.",
        arguments: &[("topic", "Words of the meeting's subject; the next one without it.", false)],
        reads: |given| {
            let events = read("calendar_list_events", json!({ "days_ahead": 7, "include_details": true, "limit": 15 }));
            match given.text("topic") {
                "" => vec![events],
                topic => vec![events, read("search_emails", json!({ "query": topic, "limit": 10 }))],
            }
        },
        asks: |given| {
            let which = match given.text("topic") {
                "" => "my next meeting".to_owned(),
                topic => format!("the meeting about “{topic}”"),
            };
            format!(
                "Prepare me for {which} from what is below: when and where, who comes and who has not answered, what it is for, what was \
                 written about it, three questions I should be ready for, and what I should bring. If you need mail about it that is not \
                 below, ask search_emails once."
            )
        },
    },
    Row {
        name: "find",
        title: "Find it",
        about: "Mail, events and files about something.",
        arguments: &[("topic", "What to look for.", true)],
        reads: |given| vec![read("search_unified", json!({ "query": given.text("topic"), "limit": 10 }))],
        asks: |given| {
            format!(
                "From the results below, tell me where I find “{}”: the best three, each with what it is, who it is from and when. Say what \
                 was searched. If none fits, say so and propose another search; make up nothing.",
                given.text("topic")
            )
        },
    },
];

/// The names of the prompts, for completion.
pub(super) fn knows(name: &str) -> bool {
    ROWS.iter().any(|row| row.name == name)
}

/// The answer to `prompts/list`.
pub(super) fn list() -> ListPromptsResult {
    let prompts = ROWS.iter().map(|row| {
        let argument =
            |(name, about, required): &(&str, &str, bool)| PromptArgument::new(*name).with_description(*about).with_required(*required);
        let account = PromptArgument::new(ACCOUNT)
            .with_description("Id, username or alias; may be left out when one account is signed in or one is the default.");
        let arguments: Vec<PromptArgument> = row.arguments.iter().map(argument).chain([account.with_required(false)]).collect();
        Prompt::new(row.name, Some(row.about), Some(arguments)).with_title(row.title)
    });
    ListPromptsResult::with_all_items(prompts.collect()).with_ttl_ms(LIST_TTL_MS).with_cache_scope(CacheScope::Private)
}

/// The answer to `prompts/get`.
pub(super) async fn get(
    handler: &Handler,
    name: &str,
    arguments: &JsonObject,
    context: &RequestContext<RoleServer>,
) -> Result<GetPromptResult, ErrorData> {
    let wrong = |message: String| ErrorData::invalid_params(message, None);
    let row = ROWS.iter().find(|row| row.name == name).ok_or_else(|| {
        let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        wrong(format!("there is no such prompt; there are {}", names.join(", ")))
    })?;
    let given = Given(arguments);
    let known = |name: &String| name == ACCOUNT || row.arguments.iter().any(|(own, ..)| own == name);
    if let Some(unknown) = arguments.keys().find(|name| !known(name)) {
        let unknown: String = unknown.chars().filter(|letter| !letter.is_control()).take(40).collect();
        return Err(wrong(format!("{name} has no argument `{unknown}`")));
    }
    if let Some((missing, what, _)) = row.arguments.iter().find(|(own, _, required)| *required && given.text(own).is_empty()) {
        return Err(wrong(format!("{name} needs `{missing}`: {what}")));
    }
    let core = handler.daemon.core().map_err(refused)?;
    let all = accounts(core.as_ref(), &handler.session.caller()).await.map_err(|problem| refused(&problem))?;
    let account = chosen(&all, given.text(ACCOUNT)).map_err(|problem| refused(&problem))?;
    let mut messages = vec![PromptMessage::new_text(Role::User, (row.asks)(&given))];
    for (tool, mut arguments) in (row.reads)(&given) {
        arguments.insert("account_id".into(), account.id.clone().into());
        let answer = handler.called(tool, &arguments, context).await.map_err(|problem| refused(&problem))?;
        messages.push(shown(tool, &account.id, answer.text()));
    }
    Ok(GetPromptResult::new(messages).with_description(row.about))
}

/// What was read, as a resource where it has an address, and as text where it has none.
fn shown(tool: &str, account: &str, text: String) -> PromptMessage {
    let thing = match tool {
        "email_list" => Thing::Inbox,
        "calendar_list_events" => Thing::Calendar,
        _ => return PromptMessage::new_text(Role::User, format!("{tool} answered: {text}")),
    };
    let address = Link { account: account.to_owned(), thing }.to_string();
    let contents = ResourceContents::text(text, address).with_mime_type("application/json");
    PromptMessage::new(Role::User, rmcp::model::ContentBlock::resource(contents))
}

/// The account that is named, or the only one, or the one that is meant where none is named.
fn chosen<'a>(all: &'a [AccountState], name: &str) -> Result<&'a AccountState, Problem> {
    use m365_cached::hint::Kind;
    let names = || all.iter().map(|account| account.username.as_str()).collect::<Vec<_>>().join(", ");
    let problem = |kind, code: &str, message: &str, hint: String| Problem::new(kind, code, message, hint);
    match (name, all) {
        (_, []) => Err(problem(Kind::SignIn, "no_account", "nobody is signed in", "Sign in with `m365-cachectl login`.".into())),
        ("", [only]) => Ok(only),
        ("", _) => all
            .iter()
            .find(|account| account.default)
            .ok_or_else(|| problem(Kind::User, "which_account", "several accounts are signed in", format!("Give `account`: {}.", names()))),
        (name, _) => all.iter().find(|account| account.is_called(name)).ok_or_else(|| {
            problem(Kind::User, "unknown_account", "no account of that name is signed in", format!("There is {}.", names()))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: &str) -> AccountState {
        AccountState { id: id.into(), username: format!("{id}@x.example"), ..AccountState::default() }
    }

    #[test]
    fn every_prompt_reads_what_its_tools_take() {
        for row in ROWS {
            let arguments: JsonObject = row.arguments.iter().map(|(name, ..)| ((*name).to_owned(), json!("budget"))).collect();
            for (tool, mut arguments) in (row.reads)(&Given(&arguments)) {
                arguments.insert("account_id".into(), "a".into());
                let tool = m365_cached::tools::find(tool).unwrap();
                assert!(tool.annotations().read_only, "{}: a prompt only reads", row.name);
                m365_cached::tools::Args::check(tool, &arguments).unwrap_or_else(|error| panic!("{}: {error}", row.name));
            }
            assert!((row.asks)(&Given(&arguments)).len() > 80 && knows(row.name));
            assert!(row.arguments.iter().all(|(name, ..)| *name != ACCOUNT));
        }
    }

    #[test]
    fn the_account_is_the_named_one_or_the_only_one() {
        let (one, two) = ([account("a")], [account("a"), account("b")]);
        assert_eq!(chosen(&one, "").unwrap().id, "a");
        assert_eq!(chosen(&two, "B@X.example").unwrap().id, "b");
        assert_eq!(chosen(&two, "").unwrap_err().code, "which_account");
        assert!(chosen(&two, "").unwrap_err().hint.contains("a@x.example, b@x.example"));
        assert_eq!(
            (chosen(&two, "c").unwrap_err().code, chosen(&[], "").unwrap_err().code),
            ("unknown_account".into(), "no_account".into())
        );
    }
}
