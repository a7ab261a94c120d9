//! `email_reply`, `email_reply_all` and `email_forward`.
//!
//! Graph's `comment` keeps the quote; a body of the message itself would replace it. Microsoft does not document what a comment is. It becomes part of
//! an answer that Graph makes in HTML (Graph documentation, *message: reply*, on `outlook.timezone`), and others saw it read as HTML: line breaks
//! were lost and `<p>` made a paragraph (openai/codex#34167, openops#1473). So only a text that HTML shows as it is goes that way, in one request.
//! Everything else, and HTML, is put in front of the quote of a draft, in the form that the draft has, and the draft is sent: right whatever a
//! comment is. Rejected: an escaped comment, of which an answer in plain text would show the `&lt;`.

use serde_json::{Map, Value, json};

use super::{
    compose::{BCC, BODY_MAX, BODY_TYPE, CC, Draft, TO, is_html, sending, somebody},
    send::sent,
};
use crate::{
    cache::{Service, Touch},
    graph::GraphRequest,
    ids::ToolProfile::{Essential, Mail},
    tools::{
        Args, Asks, Does, Effect, Param, ParamType, Risk, StepError, Steps, Tool, Written,
        html::{escaped, of_text},
        mailbox::at,
        tool::{ACCOUNT, CONFIRM, MAILBOX},
    },
};

const MESSAGE: Param = Param::required("email_id", ParamType::Id, "From email_list.");
const BODY: Param = Param::required("body", ParamType::Text { max: BODY_MAX }, "What to write above the quote.");

/// What all three have in common.
const fn row(name: &'static str, title: &'static str, help: &'static str, params: &'static [Param], act: Act) -> Tool {
    Tool {
        name,
        title,
        profiles: &[Essential, Mail],
        help,
        params,
        effect: Effect::Write { service: Service::Mail },
        risk: Risk::Dangerous,
        idempotent: false,
        asks: Asks::Always,
        canonical: None,
        does: Does::Write { touches, act },
    }
}

type Act = for<'a> fn(&'a dyn Steps, &'a Args) -> futures_util::future::BoxFuture<'a, Result<Written, StepError>>;

const REPLY_PARAMS: &[Param] = &[ACCOUNT, MESSAGE, BODY, CONFIRM, BODY_TYPE.rare(), MAILBOX];

pub(in crate::tools) const TOOLS: &[Tool] = &[
    row(
        "email_reply",
        "Reply to an email",
        "Replies to the sender, with the quote below. It cannot be called back: show the user the text first. Returns status.",
        REPLY_PARAMS,
        |steps, args| Box::pin(reply(steps, args, "reply", "createReply")),
    ),
    row(
        "email_reply_all",
        "Reply to all",
        "Replies to the sender and all other recipients, with the quote below. It cannot be called back: show the user the text and who \
         gets it first. Returns status.",
        REPLY_PARAMS,
        |steps, args| Box::pin(reply(steps, args, "replyAll", "createReplyAll")),
    ),
    row(
        "email_forward",
        "Forward an email",
        "Forwards a message with its attachments. It cannot be called back: show the user the recipients first. Returns status.",
        &[
            ACCOUNT,
            MESSAGE,
            TO,
            CC,
            Param::optional("body", ParamType::Prose { max: BODY_MAX }, "null", "What to write above it."),
            CONFIRM,
            BCC,
            BODY_TYPE.rare(),
            MAILBOX,
        ],
        |steps, args| Box::pin(forward(steps, args)),
    ),
];

/// The message is marked as answered.
fn touches(args: &Args) -> Vec<Touch> {
    [vec![Touch::Item(args.text("email_id").unwrap_or_default().to_owned())], sending()].concat()
}

async fn reply(steps: &dyn Steps, args: &Args, direct: &str, draft: &str) -> Result<Written, StepError> {
    if !is_comment(args) {
        return through_draft(steps, args, draft, Map::new()).await;
    }
    let comment = json!({ "comment": words(args) });
    act(steps, args, direct, comment).await?;
    Ok(sent(None))
}

async fn forward(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let people = somebody(args)?;
    if args.has("body") && !is_comment(args) {
        return through_draft(steps, args, "createForward", people).await;
    }
    let mut body = Map::new();
    if args.has("body") {
        body.insert("comment".into(), words(args).into());
    }
    // The action itself knows only `toRecipients`; all others belong to the message, and then so do those.
    body.insert("message".into(), people.into());
    act(steps, args, "forward", body.into()).await?;
    Ok(sent(None))
}

async fn act(steps: &dyn Steps, args: &Args, action: &str, body: Value) -> Result<Value, StepError> {
    let message = at(args, &["messages", args.text("email_id").unwrap_or_default(), action]);
    Ok(steps.send(GraphRequest::post(&message, body)).await?.body)
}

async fn through_draft(steps: &dyn Steps, args: &Args, action: &str, people: Map<String, Value>) -> Result<Written, StepError> {
    let draft = Draft::of(act(steps, args, action, json!({})).await?)?;
    let mut change = people;
    let quoting = &draft.message["body"];
    let (kind, content) = match (is_html(args), is_quote_html(quoting)) {
        (true, _) => ("html", above(words(args), quoting)),
        (false, true) => ("html", above(&format!("<div>{}</div>", of_text(words(args))), quoting)),
        (false, false) => ("text", format!("{}\r\n\r\n{}", words(args), quoting["content"].as_str().unwrap_or_default())),
    };
    change.insert("body".into(), json!({ "contentType": kind, "content": content }));
    let patch = GraphRequest::patch(&at(args, &["messages", &draft.id]), change.into()).repeatable();
    steps.send(patch).await.map_err(|error| {
        let left = format!("the draft {} exists, without your text, and was not sent", draft.id);
        error.partly(&left, "Delete the draft with email_delete and try again.").about(&draft.id)
    })?;
    draft.send(steps, args).await?;
    Ok(sent(Some(draft.id)))
}

/// What to write, without what follows its last word.
fn words(args: &Args) -> &str {
    args.text("body").unwrap_or_default().trim_end()
}

/// Whether it is a text that is the same whether it is read as text or as HTML.
fn is_comment(args: &Args) -> bool {
    !is_html(args) && of_text(words(args)) == words(args)
}

fn is_quote_html(body: &Value) -> bool {
    body["contentType"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("html"))
}

/// `html` in front of what a draft quotes.
fn above(html: &str, body: &Value) -> String {
    let quote = body["content"].as_str().unwrap_or_default();
    if !is_quote_html(body) {
        return format!("{html}<br><pre>{}</pre>", escaped(quote));
    }
    // ASCII folding keeps every byte in its place.
    let lower = quote.to_ascii_lowercase();
    let start = lower.find("<body").and_then(|at| lower[at..].find('>').map(|end| at + end + 1)).unwrap_or_default();
    format!("{}{html}{}", &quote[..start], &quote[start..])
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
