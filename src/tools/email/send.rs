//! `email_create_draft`, `email_send` and `email_send_draft`.

use serde_json::json;

use super::compose::{ATTACHMENTS, BCC, BODY, BODY_TYPE, CC, Letter, SUBJECT, TO, drafting, recipients, send_request, sending, somebody};
use crate::{
    cache::{Scope, Service, Touch},
    graph::GraphRequest,
    ids::ToolProfile::{Essential, Mail},
    tools::{
        Args, Asks, Does, Effect, Param, ParamType, Risk, StepError, Steps, Tool, Written,
        local::by_the_clock,
        mailbox::at,
        tool::{ACCOUNT, CONFIRM, MAILBOX},
    },
};

const EFFECT: Effect = Effect::Write { service: Service::Mail };

pub(in crate::tools) const TOOLS: &[Tool] = &[
    Tool {
        name: "email_create_draft",
        title: "Create an email draft",
        profiles: &[Essential, Mail],
        help: "Creates a message in Drafts; nothing is sent. Returns it with its id: email_send_draft sends it, after the user has \
               agreed.",
        params: &[ACCOUNT, TO, SUBJECT, BODY, CC, ATTACHMENTS, BCC, BODY_TYPE, MAILBOX],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: false,
        asks: Asks::Never,
        canonical: None,
        does: Does::Write { touches: |_| drafting(), act: |steps, args| Box::pin(by_the_clock(steps, create_draft(steps, args))) },
    },
    Tool {
        name: "email_send",
        title: "Send an email",
        profiles: &[Essential, Mail],
        help: "Sends a new message. It cannot be called back: show the user the recipients and the text first. Large attachments go \
               through a draft, and an error says when one is left.",
        params: &[ACCOUNT, TO, SUBJECT, BODY, CC, ATTACHMENTS, CONFIRM, BCC, BODY_TYPE, MAILBOX],
        effect: EFFECT,
        risk: Risk::Dangerous,
        idempotent: false,
        asks: Asks::Always,
        canonical: None,
        does: Does::Write { touches: |_| sending(), act: |steps, args| Box::pin(send(steps, args)) },
    },
    Tool {
        name: "email_send_draft",
        title: "Send a draft",
        profiles: &[Essential, Mail],
        help: "Sends a draft as it is. It cannot be called back: show the user the recipients and the text first (email_get). Returns status.",
        params: &[
            Param::required("draft_id", ParamType::Id, "The draft's id, from email_create_draft or email_list."),
            ACCOUNT,
            CONFIRM,
            MAILBOX,
        ],
        effect: EFFECT,
        risk: Risk::Dangerous,
        idempotent: false,
        asks: Asks::Always,
        canonical: None,
        does: Does::Write { touches: send_draft_touches, act: |steps, args| Box::pin(send_draft(steps, args)) },
    },
];

/// A message that was sent. What the copy in Sent Items is called shows later; a draft that it was until then may have been looked at.
pub(super) fn sent(gone: Option<String>) -> Written {
    let touches = gone.iter().map(|draft| Touch::Scope(Scope::item(draft))).collect();
    let learned = gone.map(|draft| (draft, Vec::new())).into_iter().collect();
    Written { answer: json!({ "status": "sent" }), touches, learned, late: true }
}

async fn create_draft(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    Ok(Letter::new(steps, args, recipients(args)?).await?.draft(steps, args).await?.written())
}

async fn send(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let letter = Letter::new(steps, args, somebody(args)?).await?;
    if letter.is_small() {
        let message = letter.whole(steps).await?;
        let request = GraphRequest::post(&at(args, &["sendMail"]), json!({ "message": message, "saveToSentItems": true }));
        steps.send(request).await?;
        return Ok(sent(None));
    }
    let draft = letter.draft(steps, args).await?;
    draft.send(steps, args).await?;
    Ok(sent(Some(draft.id)))
}

fn draft_id(args: &Args) -> &str {
    args.text("draft_id").unwrap_or_default()
}

fn send_draft_touches(args: &Args) -> Vec<Touch> {
    [vec![Touch::Item(draft_id(args).to_owned())], sending()].concat()
}

async fn send_draft(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    steps.send(send_request(args, draft_id(args))).await?;
    Ok(sent(Some(draft_id(args).to_owned())))
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
