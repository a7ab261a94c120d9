//! `email_list_attachments` and `email_get_attachment`.

use serde_json::{Value, json};

use crate::{
    cache::{Scope, Service, Ttl},
    graph::{Content, GraphRequest},
    ids::ToolProfile::{Essential, Mail},
    tools::{
        Args, Asks, Does, Effect, Fetched, Param, ParamType, Risk, StepError, Steps, Tool, Written,
        mailbox::at,
        shape::{UNTRUSTED, id, list_of_others, pick, text},
        tool::{ACCOUNT, FORCE_REFRESH, MAILBOX, MAX_AGE, USE_CACHE},
    },
};

/// Largest attachment that is fetched, in bytes: the largest Exchange takes (Graph documentation, *Attach large files*).
const MOST: u64 = 150 << 20;

const MESSAGE: Param = Param::required("email_id", ParamType::Id, "From email_list.");

pub(in crate::tools) const LISTS: &[Tool] = &[Tool {
    name: "email_list_attachments",
    title: "List an email's attachments",
    profiles: &[Mail],
    help: "The attachments of one message under `attachments`: id, name, size, contentType, isInline; no bytes. Ids go to \
           email_get_attachment. Names were given by others (`_untrusted`).",
    params: &[MESSAGE, ACCOUNT, USE_CACHE, FORCE_REFRESH, MAILBOX, MAX_AGE],
    effect: Effect::Read { service: Service::Mail, ttl: Ok(Ttl::seconds(900, 3600)) },
    risk: Risk::Safe,
    idempotent: true,
    asks: Asks::Never,
    canonical: None,
    does: Does::Read(|steps, args| Box::pin(list(steps, args))),
}];

pub(in crate::tools) const SAVES: &[Tool] = &[Tool {
    name: "email_get_attachment",
    title: "Save an attachment",
    profiles: &[Essential, Mail],
    help: "Saves one attachment as a new local file at save_path, in a folder allowed for files; nothing is overwritten. An \
           attached message is saved as .eml. Its name was given by others (`_untrusted`).",
    params: &[
        MESSAGE,
        Param::required("attachment_id", ParamType::Id, "The attachment's id, from email_list_attachments or email_get."),
        Param::required("save_path", ParamType::LocalPath, "The new file's path."),
        ACCOUNT,
        MAILBOX,
    ],
    // Only this machine changes; what is cached of the mailbox stays true.
    effect: Effect::Write { service: Service::Mail },
    risk: Risk::Moderate,
    idempotent: false,
    asks: Asks::Never,
    canonical: None,
    does: Does::Write { touches: |_| Vec::new(), act: |steps, args| Box::pin(save(steps, args)) },
}];

fn message_id(args: &Args) -> &str {
    args.text("email_id").unwrap_or_default()
}

async fn list(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let request = GraphRequest::get(&at(args, &["messages", message_id(args), "attachments"]));
    let page = steps.pages(request.with("$select", "id,name,size,contentType,isInline"), &|_| false).await?;
    let fields = ["@odata.type", "id", "name", "size", "contentType", "isInline"];
    let attachments = page.items.iter().map(|attachment| pick(attachment, &fields).into()).collect();
    let answer = list_of_others("attachments", attachments, page.next.is_none());
    Ok(Fetched {
        answer,
        list: Some("attachments"),
        scopes: vec![Scope::item(message_id(args))],
        // In which folder the message lies is not said here.
        shown: vec![(message_id(args).to_owned(), Vec::new())],
        whole: true,
        more: None,
        etag: None,
        along: Vec::new(),
    })
}

async fn save(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let attachment = at(args, &["messages", message_id(args), "attachments", args.text("attachment_id").unwrap_or_default()]);
    let about = GraphRequest::get(&attachment).with("$select", "id,name,size,contentType");
    let about = steps.send(about).await.map_err(StepError::before)?.body;
    id(&about).map_err(StepError::before)?;
    if text(&about, "@odata.type").is_some_and(|kind| kind.ends_with("referenceAttachment")) {
        let message = "the attachment is a link to a file in the cloud and has no content of its own";
        return Err(StepError::user("attachment_is_a_link", message, "Find the file with search_files or open the link in the message."));
    }
    let content = GraphRequest::get(&[attachment.as_slice(), &["$value"]].concat());
    // Nothing at Microsoft changes, and a file that could not be written whole is not there.
    let saved =
        steps.files().save(Content::Graph(content), args.text("save_path").unwrap_or_default(), MOST).await.map_err(StepError::before)?;
    let content_type = text(&about, "contentType").map_or(saved.content_type, str::to_owned);
    let answer = json!({
        "name": about.get("name").cloned().unwrap_or(Value::Null),
        "content_type": content_type,
        "size": saved.size,
        "saved_to": saved.path,
        UNTRUSTED.0: UNTRUSTED.1,
    });
    Ok(Written { answer, touches: Vec::new(), learned: Vec::new(), late: false })
}

#[cfg(test)]
#[path = "attachments_tests.rs"]
mod tests;
