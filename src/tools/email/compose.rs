//! An outgoing message: to whom, with which body and which files; and the draft that a large one goes through.
//!
//! What fits into one request is one request. Anything larger becomes a draft, takes its files one by one, the large ones through upload
//! sessions, and is then sent. A failure after the draft exists names it.
//!
//! A file goes in one request for as long as it fits, and only then through a session: Microsoft refuses sessions for small files. It writes of
//! 3 MB as the border (Graph documentation, *Attach large files*) and takes requests of less than 4 MiB, so that files of the last few hundred
//! bytes below 3 MiB fit into no request. They take a session: it is said to be refused below 2 MiB only (msgraph-sdk-java#52), and there is
//! no other way.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::read::containers;
use crate::{
    cache::{Scope, Touch},
    graph::{GraphRequest, Upload},
    tools::{
        Args, LocalFile, Param, ParamType, StepError, Steps, Written,
        check::LOCAL_PATH_MAX,
        mailbox::at,
        named,
        shape::{id, pick, untrusted},
    },
};

/// Most people one message goes to (Exchange Online limits).
const PEOPLE: usize = 500;
/// Largest attachment, in bytes, as the original has it.
const FILE_MAX: u64 = 25 << 20;
/// What goes into one request, in bytes of its JSON; Graph takes 4 MB.
const WHOLE: u64 = 3_000_000;
/// What Graph does not take in one request any more, in bytes.
const TOO_MUCH: u64 = 4 << 20;
/// Longest subject, in characters.
const SUBJECT_MAX: usize = 998;
/// Longest body, in characters.
pub(super) const BODY_MAX: usize = 1_000_000;

pub(super) const TO: Param = Param::required("to", ParamType::Addresses { max: PEOPLE }, "Recipients.");
pub(super) const SUBJECT: Param = Param::required("subject", ParamType::Prose { max: SUBJECT_MAX }, "The subject.");
pub(super) const BODY: Param = Param::required("body", ParamType::Prose { max: BODY_MAX }, "The body.");
pub(super) const CC: Param = Param::optional("cc", ParamType::Addresses { max: PEOPLE }, "null", "Copy recipients.");
pub(super) const BCC: Param = Param::optional("bcc", ParamType::Addresses { max: PEOPLE }, "null", "Hidden copy recipients.");
pub(super) const ATTACHMENTS: Param = Param::optional(
    "attachments",
    ParamType::Texts { least: 1, most: 10, max: LOCAL_PATH_MAX },
    "null",
    "Local files to attach, in a folder allowed for files; 25 MiB each at most.",
);
pub(super) const BODY_TYPE: Param =
    Param::optional("body_type", ParamType::Choice(&["text", "html"]), "\"text\"", "html is sent as given.");

/// Whether the body was given as HTML.
pub(super) fn is_html(args: &Args) -> bool {
    args.text("body_type") == Some("html")
}

/// What sending touches besides the message itself. Whose inbox it arrives in nobody tells us, but who writes to themselves looks there next.
pub(super) fn sending() -> Vec<Touch> {
    let lists = ["drafts", "sentitems", "inbox"].map(named::mail_folder);
    lists.into_iter().chain([named::mail_folders_by_id(), Scope::folders()]).map(Touch::Scope).collect()
}

/// What making a draft touches.
pub(super) fn drafting() -> Vec<Touch> {
    [named::mail_folder("drafts"), named::mail_folders_by_id(), Scope::folders()].map(Touch::Scope).into()
}

/// The recipients as members of a message, each address once: in To, else in Cc, else in Bcc.
pub(super) fn recipients(args: &Args) -> Result<Map<String, Value>, StepError> {
    let mut known = BTreeSet::new();
    let mut members = Map::new();
    for (name, member) in [("to", "toRecipients"), ("cc", "ccRecipients"), ("bcc", "bccRecipients")] {
        let people: Vec<Value> = args
            .texts(name)
            .into_iter()
            .filter(|address| known.insert((*address).to_owned()))
            .map(|address| json!({ "emailAddress": { "address": address } }))
            .collect();
        if !people.is_empty() {
            members.insert(member.into(), people.into());
        }
    }
    if known.len() > PEOPLE {
        let message = format!("to, cc and bcc name {} people; {PEOPLE} are allowed", known.len());
        return Err(StepError::user("too_many_recipients", message, "Send it in several messages."));
    }
    Ok(members)
}

/// The same, of which there has to be one.
pub(super) fn somebody(args: &Args) -> Result<Map<String, Value>, StepError> {
    let members = recipients(args)?;
    if members.is_empty() {
        return Err(StepError::user("no_recipients", "the message goes to nobody", "Give at least one address in `to`."));
    }
    Ok(members)
}

/// A message before it is made: what is known of it, and its files.
pub(super) struct Letter {
    message: Map<String, Value>,
    files: Vec<LocalFile>,
}

impl Letter {
    /// As the arguments describe it, to `people`. Opens its files.
    pub(super) async fn new(steps: &dyn Steps, args: &Args, people: Map<String, Value>) -> Result<Self, StepError> {
        let kind = if is_html(args) { "html" } else { "text" };
        let mut message = Map::new();
        message.insert("subject".into(), args.text("subject").unwrap_or_default().into());
        message.insert("body".into(), json!({ "contentType": kind, "content": args.text("body").unwrap_or_default() }));
        message.extend(people);
        if Value::from(message.clone()).to_string().len() as u64 > WHOLE {
            return Err(StepError::user("body_too_long", "the body is too long for one message", "Shorten it, or attach it as a file."));
        }
        let mut files = Vec::new();
        for path in args.texts("attachments") {
            files.push(steps.files().open_local(path, FILE_MAX).await.map_err(StepError::before)?);
        }
        Ok(Self { message, files })
    }

    /// Whether it goes into one request with all its files.
    pub(super) fn is_small(&self) -> bool {
        let files: u64 = self.files.iter().map(|file| file.size / 3 * 4 + 1024).sum();
        Value::from(self.message.clone()).to_string().len() as u64 + files <= WHOLE
    }

    /// The whole message as JSON; only for a small one.
    pub(super) async fn whole(mut self, steps: &dyn Steps) -> Result<Value, StepError> {
        if !self.files.is_empty() {
            let mut files = Vec::new();
            for file in &self.files {
                files.push(inline(steps, file).await.map_err(StepError::before)?);
            }
            self.message.insert("attachments".into(), files.into());
        }
        Ok(self.message.into())
    }

    /// Makes it a draft with all its files.
    pub(super) async fn draft(self, steps: &dyn Steps, args: &Args) -> Result<Draft, StepError> {
        if self.is_small() {
            let whole = self.whole(steps).await?;
            return Draft::of(steps.send(GraphRequest::post(&at(args, &["messages"]), whole)).await?.body);
        }
        let draft = Draft::of(steps.send(GraphRequest::post(&at(args, &["messages"]), self.message.into())).await?.body)?;
        for (done, file) in self.files.iter().enumerate() {
            attach(steps, args, &draft.id, file).await.map_err(|error| {
                let left = format!("the draft {} exists with {done} of {} attachments and was not sent", draft.id, self.files.len());
                error.partly(&left, "Delete the draft with email_delete and begin again, or finish it in Outlook.").about(&draft.id)
            })?;
        }
        Ok(draft)
    }
}

/// A file as an attachment inside JSON.
async fn inline(steps: &dyn Steps, file: &LocalFile) -> Result<Value, StepError> {
    let bytes = steps.files().read_local(file).await?;
    Ok(attachment(file, STANDARD.encode(bytes)))
}

fn attachment(file: &LocalFile, content: String) -> Value {
    json!({
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": file.name,
        "contentType": file.content_type,
        "contentBytes": content,
    })
}

/// Whether a file as an attachment fits into one request of its own.
fn is_inline(file: &LocalFile) -> bool {
    attachment(file, String::new()).to_string().len() as u64 + file.size.div_ceil(3) * 4 < TOO_MUCH
}

async fn attach(steps: &dyn Steps, args: &Args, draft: &str, file: &LocalFile) -> Result<(), StepError> {
    let message = at(args, &["messages", draft]);
    if is_inline(file) {
        let file = inline(steps, file).await?;
        steps.send(GraphRequest::post(&[message.as_slice(), &["attachments"]].concat(), file)).await?;
    } else {
        steps.files().upload(Upload::to_attachment(&message, &file.name, &file.content_type, file.size), file).await?;
    }
    Ok(())
}

/// A draft that exists.
pub(super) struct Draft {
    /// Its id, which stays the same when it is sent.
    pub(super) id: String,
    /// As Graph told of it when it was made.
    pub(super) message: Value,
}

impl Draft {
    /// From Graph's answer to its making.
    pub(super) fn of(message: Value) -> Result<Self, StepError> {
        // Without an id nobody can tell which it is: the outcome is unknown, as the error says.
        let id = id(&message)?.to_owned();
        Ok(Self { id, message })
    }

    /// What a tool that leaves a draft says and has learnt. Who looked at it before it had all its files saw another.
    pub(super) fn written(&self) -> Written {
        let containers = containers(&self.message);
        let touches = containers.iter().cloned().chain([Scope::item(&self.id)]).map(Touch::Scope).collect();
        let learned = if containers.is_empty() { Vec::new() } else { vec![(self.id.clone(), containers)] };
        let answer = untrusted(pick(&self.message, &super::read::GET_FIELDS)).into();
        Written { answer, touches, learned, late: false }
    }

    /// Sends it, once.
    pub(super) async fn send(&self, steps: &dyn Steps, args: &Args) -> Result<(), StepError> {
        steps.send(send_request(args, &self.id)).await.map(drop).map_err(|error| {
            if error.is_refusal() {
                let left = format!("the draft {} exists and was not sent", self.id);
                return error.partly(&left, "Send it with email_send_draft, or delete it with email_delete.").about(&self.id);
            }
            StepError {
                message: format!("{} (the draft {} was made before; look whether it is still one)", error.message, self.id),
                ..error
            }
            .about(&self.id)
        })
    }
}

/// `POST …/messages/{id}/send`, which has no body.
pub(super) fn send_request(args: &Args, draft: &str) -> GraphRequest {
    GraphRequest { body: None, ..GraphRequest::post(&at(args, &["messages", draft, "send"]), Value::Null) }
}
