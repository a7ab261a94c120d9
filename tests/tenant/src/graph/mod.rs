//! Microsoft Graph v1.0 over the tenant's data: mail, contacts, calendars, files, `$batch`. Knows no sockets.
//!
//! One lock guards the whole state. A read takes it shared, a write alone; nothing waits for anything else.

mod apply;
mod apply_calendar;
mod apply_drive;
mod attachment_write;
mod attachments;
mod batch;
mod calendar;
mod call;
mod categories;
mod churn;
mod contact_folders;
mod contacts;
mod delta;
mod drafting;
mod drive;
mod dump;
mod embedded;
mod errors;
mod folders;
mod mail;
mod mail_tips;
mod mail_write;
mod marks;
mod messages;
mod mime;
mod mime_read;
mod odata;
mod people;
mod replying;
mod route;
mod rule_check;
mod rules;
mod search;
mod search_folders;
mod sending;
mod settings;
pub(crate) mod store;
mod uploads;
mod view;
mod zones;

#[cfg(test)]
mod csdl;
#[cfg(test)]
mod csdl_tests;
#[cfg(test)]
mod graph_tests;
#[cfg(test)]
mod sync_tests;
#[cfg(test)]
mod testing;

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use crate::seed::{self, Size, User};
use crate::wire::{Reply, Request};
use call::Call;
use errors::Fault;
use odata::Answer;
#[doc(hidden)]
pub use odata::filter_for_fuzz;
use route::{FolderAction, MessageAction, Owner, Resource};
pub(crate) use rules::rule_id;
use store::State;
pub(crate) use uploads::{PATH as UPLOADS, Uploads};

/// The clock that the tenant runs by.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The whole state of the tenant's data and the Graph service over it.
pub struct Graph {
    state: RwLock<State>,
    clock: Clock,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph").finish_non_exhaustive()
    }
}

impl Graph {
    /// Builds the tenant. Equal sizes and seeds give equal data, ids included.
    #[must_use]
    pub fn new(size: Size, seed: u64, more_accounts: usize, clock: Clock) -> Self {
        Self { state: RwLock::new(seed::build(size, seed, more_accounts)), clock }
    }

    /// The accounts: two at work, one personal, one shared mailbox.
    #[must_use]
    pub fn users(&self) -> Vec<User> {
        self.read(|state| state.users.clone())
    }

    /// Answers one Graph request, `$batch` included; never blocks on anything but the state's lock.
    ///
    /// `gate` is asked once for each inner request of a `$batch` (throttle or fault) and may give the reply to use.
    pub fn handle(&self, request: &Request, gate: &dyn Fn(&Request) -> Option<Reply>) -> Reply {
        let now = (self.clock)();
        self.settle(now);
        let answer = if request.path.trim_matches('/').eq_ignore_ascii_case("$batch") {
            if request.method == Method::POST { batch::run(self, request, gate) } else { Err(Fault::method_not_allowed()) }
        } else {
            self.answer(request, now)
        };
        answer.unwrap_or_else(|fault| fault.reply(request, now))
    }

    /// Content behind a pre-authenticated URL, of which this is the path and query that follow the download base. `None`
    /// when the URL is unknown or has expired. Monitors of copies answer here too.
    pub(crate) fn download(&self, path_and_query: &str) -> Option<drive::Download> {
        let now = (self.clock)();
        self.settle(now);
        self.read(|state| drive::download(state, path_and_query, now))
    }

    /// Answers a request to an upload session's address, which is pre-authenticated. `None`: it is no such address.
    #[must_use]
    pub fn upload(&self, request: &Request) -> Option<Reply> {
        if !request.path.starts_with(uploads::PATH) {
            return None;
        }
        let now = (self.clock)();
        self.settle(now);
        Some(self.write(|state| uploads::serve(state, request, now)).unwrap_or_else(|fault| fault.reply(request, now)))
    }

    /// Applies a change made by another person or program and says what changed.
    ///
    /// `change` is an object with `verb`, mostly `user` (name or object id; default: the first account) and:
    ///
    /// | verb | further members | gives |
    /// |---|---|---|
    /// | `new_message` | `folder`? (id or well-known, default inbox), `subject`?, `body`? (HTML), `from`? (address), `received`?, `is_read`?, `attachments`? (as a draft takes them) | `id`, `immutableId`, `folder` |
    /// | `update_message` | `id` and any of `subject`, `body`, `isRead`, `importance`, `categories`, `flag`, `inferenceClassification` | `id` |
    /// | `delete_message` | `id` (for good, no Deleted Items) | `id` |
    /// | `move_message` | `id`, `folder` | `id` (the new one), `immutableId` |
    /// | `new_event` | any of an event's writable properties (`subject`, `start`, `end`, `recurrence`, `attendees` …), `calendar`? | `id` |
    /// | `update_event` | `id` (also of one day of a series) and any of an event's writable properties | `id` |
    /// | `delete_event` | `id`: an organizer's event is cancelled for its attendees | `id` |
    /// | `respond_event` | `id`, `response` (accepted, tentativelyAccepted, declined), `attendee`?: an address that answers the user's meeting; without it the user answers one | `id` |
    /// | `new_calendar`, `update_calendar` | `name`, `color`?; `id` to update one | `id` |
    /// | `delete_calendar` | `id` | `id` |
    /// | `new_contact` | any of a contact's writable properties, `folder`? | `id` |
    /// | `new_file` | `parent`? (item id, default root), `name`, `content`? (text) | `id` |
    /// | `new_folder` | `parent`?, `name` | `id` |
    /// | `rename_item` | `id`, `name` | `id` |
    /// | `move_item` | `id`, `parent` | `id` |
    /// | `delete_item` | `id` | `id` |
    /// | `write_file` | `id`, `content` (text) | `id` |
    /// | `share_item` | `id`, `type`? (view, edit), `scope`? (organization, anonymous, users) | `id`, `permission` |
    /// | `sharing_policy` | `anonymous`: whether work accounts may make links that work for everybody | `anonymous` |
    /// | `new_mail_folder` | `name`, `parent`? (id or well-known, default root) | `id` |
    /// | `rename_mail_folder` | `id`, `name` | `id` |
    /// | `move_mail_folder` | `id`, `parent` | `id` |
    /// | `delete_mail_folder` | `id` (for good) | `id` |
    /// | `update_contact` | `id` and any of a contact's writable properties | `id` |
    /// | `delete_contact` | `id` | `id` |
    /// | `new_contact_folder` | `name`, `parent`? | `id` |
    /// | `rename_contact_folder` | `id`, `name` | `id` |
    /// | `delete_contact_folder` | `id` | `id` |
    /// | `new_rule` | any of a message rule's writable properties | `id` |
    /// | `update_rule` | `id` and any of them | `id` |
    /// | `delete_rule` | `id` | `id` |
    /// | `new_category` | `name`, `color`? | `id` |
    /// | `delete_category` | `id` | `id` |
    /// | `change_settings` | any of the writable `mailboxSettings` | what was changed |
    /// | `request` | `method`, `path` (with query), `body`?: what the user's other program asks of Graph, uncounted | `status`, `body` |
    /// | `expire_delta_tokens` | nothing (all accounts when `user` is absent) | `expired` |
    /// | `churn` | `count`, `seed`: that many random changes of all the kinds above | `changes`: the log |
    ///
    /// # Errors
    /// A sentence that names the member which is missing, unknown or points to nothing.
    pub fn apply(&self, change: &Value) -> Result<Value, String> {
        if change["verb"] == "request" {
            return self.ask_as(change);
        }
        let now = (self.clock)();
        self.settle(now);
        self.write(|state| apply::apply(state, change, now))
    }

    /// A request that nobody counts or throttles, made by a user's other program.
    fn ask_as(&self, change: &Value) -> Result<Value, String> {
        let text = |name: &str| change[name].as_str().ok_or_else(|| format!("the member '{name}' is missing"));
        let wanted = change["user"].as_str();
        let users = self.users();
        let user = users.iter().find(|user| wanted.is_none_or(|id| user.id == id || user.username.eq_ignore_ascii_case(id)));
        let user = user.ok_or_else(|| format!("there is no user '{}'", wanted.unwrap_or_default()))?;
        let (path, query) = text("path")?.split_once('?').unwrap_or((text("path")?, ""));
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        let method = text("method")?.to_ascii_uppercase();
        let request = Request {
            method: method.parse().map_err(|_| format!("'{method}' is no method"))?,
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: change.get("body").map_or_else(Bytes::new, |body| Bytes::from(body.to_string())),
            user: user.id.clone(),
            base: "https://graph.example/v1.0".to_owned(),
            downloads: "https://files.example".to_owned(),
        };
        let reply = self.handle(&request, &|_| None);
        let body = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
        Ok(serde_json::json!({"status": reply.status.as_u16(), "body": body}))
    }

    /// The whole state as deterministic JSON: `{"users":[{"username","id","messages":[…],"mailFolders":[…],"driveItems":[…],
    /// "contacts":[…],"calendars":[…],"events":[…],
    /// "uploadSessions":[…],"messageRules":[…],"masterCategories":[…],"contactFolders":[…],"mailboxSettings":[…]}]}`; optionally of one user (name or object id) or one kind (one of those names).
    /// Rows are as Graph sends them with all properties but bodies, plus `immutableId`.
    #[must_use]
    pub fn dump(&self, user: Option<&str>, kind: Option<&str>) -> Value {
        let now = (self.clock)();
        self.settle(now);
        self.read(|state| dump::dump(state, user, kind, now))
    }

    /// Which mailbox or drive a request counts against for concurrency: `mailbox:<id>` or `drive:<id>`; `None` for
    /// profiles and for addresses that name nothing.
    #[must_use]
    pub fn owner(&self, request: &Request) -> Option<String> {
        let (owner, resource) = route::parse(&request.path).ok()?;
        self.read(|state| {
            let user = match &owner {
                Owner::Me => state.users.iter().find(|user| user.id == request.user)?,
                Owner::User(id) => &state.users[call::find_user(state, id)?],
                Owner::Drive(id) => state.users.iter().find(|user| user.drive_id.eq_ignore_ascii_case(id))?,
            };
            match resource {
                Resource::User | Resource::SearchQuery => None,
                Resource::Drive | Resource::Drives | Resource::Item(..) => Some(format!("drive:{}", user.drive_id)),
                _ => Some(format!("mailbox:{}", user.mailbox_id)),
            }
        })
    }

    /// A route label for counting: `GET /me/mailFolders/{id}/messages`.
    #[must_use]
    pub fn route(&self, request: &Request) -> String {
        route::label(&request.method, &request.path)
    }

    /// From now on copies, what was sent, and search results become visible this long after the write's reply.
    pub fn set_lag(&self, lag: std::time::Duration) {
        self.write(|state| state.lag = lag);
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn settle(&self, now: Timestamp) {
        if self.read(|state| state.late.iter().any(|(due, _)| *due <= now)) {
            self.write(|state| state.settle(now));
        }
    }

    /// Answers one plain request.
    fn answer(&self, request: &Request, now: Timestamp) -> Answer<Reply> {
        let (owner, resource) = route::parse(&request.path)?;
        // The server leaves the body of an answer to HEAD unsent.
        if matches!(request.method, Method::GET | Method::HEAD) {
            return self.read(|state| get(state, &Call::new(state, request, &owner, &resource, now)?, &resource));
        }
        self.write(|state| {
            let call = Call::new(state, request, &owner, &resource, now)?;
            change(state, &call, &resource)
        })
    }
}

fn get(state: &State, call: &Call<'_>, resource: &Resource) -> Answer<Reply> {
    match resource {
        Resource::User => people::user(state, call),
        Resource::MailboxSettings(property) => settings::get(state, call, property.as_deref()),
        Resource::MailFolders => folders::list(state, call, None),
        Resource::ChildFolders(id) => folders::list(state, call, Some(id)),
        Resource::MailFolder(id) => folders::get(state, call, id),
        Resource::MailFoldersDelta => folders::delta(state, call),
        Resource::Messages(folder) => messages::list(state, call, folder.as_deref()),
        Resource::MessagesCount(folder) => messages::count(state, call, folder.as_deref()),
        Resource::MessagesDelta(folder) => messages::delta(state, call, folder),
        Resource::Message(id) => messages::get(state, call, id),
        Resource::MessageMime(id) => messages::mime(state, call, id),
        Resource::Attachments(id) => messages::attachments(state, call, id),
        Resource::Attachment(id, attachment) => messages::attachment(state, call, id, attachment),
        Resource::AttachmentContent(id, attachment) => messages::attachment_content(state, call, id, attachment),
        Resource::MessageRules(folder) => rules::list(state, call, folder),
        Resource::MessageRule(folder, id) => rules::get(state, call, folder, id),
        Resource::Categories => categories::list(state, call),
        Resource::Category(id) => categories::get(state, call, id),
        Resource::ContactFolders(parent) => contact_folders::list(state, call, parent.as_deref()),
        Resource::ContactFoldersDelta => contact_folders::delta(state, call),
        Resource::ContactFolder(id) => contact_folders::get(state, call, id),
        Resource::Contacts(folder) => contacts::list(state, call, folder.as_deref()),
        Resource::ContactsDelta(folder) => contacts::delta(state, call, folder.as_deref()),
        Resource::Contact(id) => contacts::get(state, call, id),
        Resource::Calendar(part) => calendar::get(state, call, part),
        Resource::Extensions(on) => marks::list(state, call, on),
        Resource::Extension(on, id) => marks::get(state, call, on, id),
        Resource::Drives => drive::drives(state, call),
        Resource::Drive => drive::drive(state, call),
        Resource::Item(at, part) => drive::get(state, call, at, part),
        Resource::SearchQuery | Resource::MailTips => Err(Fault::method_not_allowed()),
        Resource::SendMail | Resource::AttachmentUpload(..) | Resource::MailFolderAction(..) | Resource::MessageAction(..) => {
            Err(Fault::method_not_allowed())
        }
    }
}

fn change(state: &mut State, call: &Call<'_>, resource: &Resource) -> Answer<Reply> {
    match (call.request.method.as_str(), resource) {
        ("POST", Resource::MailFolders) => folders::create(state, call, None),
        ("POST", Resource::ChildFolders(id)) => folders::create(state, call, Some(id)),
        ("PATCH", Resource::MailFolder(id)) => folders::rename(state, call, id),
        ("DELETE", Resource::MailFolder(id)) => folders::delete(state, call, id),
        ("POST", Resource::MailFolderAction(id, FolderAction::Move)) => folders::shift(state, call, id),
        ("POST", Resource::MailFolderAction(id, FolderAction::Copy)) => folders::copy(state, call, id),
        ("POST", Resource::Messages(folder)) => mail_write::draft(state, call, folder.as_deref()),
        ("PATCH", Resource::Message(id)) => mail_write::update(state, call, id),
        ("DELETE", Resource::Message(id)) => mail_write::delete(state, call, id),
        ("POST", Resource::MessageAction(id, MessageAction::Move)) => mail_write::shift(state, call, id),
        ("POST", Resource::MessageAction(id, MessageAction::Copy)) => mail_write::copy(state, call, id),
        ("POST", Resource::MessageAction(id, MessageAction::Send)) => sending::send(state, call, id),
        ("POST", Resource::MessageAction(id, MessageAction::PermanentDelete)) => mail_write::purge(state, call, id),
        ("POST", Resource::MessageAction(id, MessageAction::Answer(kind))) => replying::answer(state, call, id, *kind),
        ("POST", Resource::MessageAction(id, MessageAction::Draft(kind))) => replying::draft(state, call, id, *kind),
        ("POST", Resource::Attachments(id)) => attachment_write::add(state, call, id),
        ("DELETE", Resource::Attachment(id, attachment)) => attachment_write::remove(state, call, id, attachment),
        ("POST", Resource::AttachmentUpload(id)) => attachment_write::begin(state, call, id),
        ("POST", Resource::SendMail) => sending::send_mail(state, call),
        ("POST", Resource::SearchQuery) => search::query(state, call),
        ("PATCH", Resource::MailboxSettings(None)) => settings::update(state, call),
        ("POST", Resource::MailTips) => mail_tips::tips(state, call),
        ("POST", Resource::MessageRules(folder)) => rules::create(state, call, folder),
        ("PATCH", Resource::MessageRule(folder, id)) => rules::update(state, call, folder, id),
        ("DELETE", Resource::MessageRule(folder, id)) => rules::delete(state, call, folder, id),
        ("POST", Resource::Categories) => categories::create(state, call),
        ("PATCH", Resource::Category(id)) => categories::update(state, call, id),
        ("DELETE", Resource::Category(id)) => categories::delete(state, call, id),
        ("POST", Resource::ContactFolders(parent)) => contact_folders::create(state, call, parent.as_deref()),
        ("PATCH", Resource::ContactFolder(id)) => contact_folders::rename(state, call, id),
        ("DELETE", Resource::ContactFolder(id)) => contact_folders::delete(state, call, id),
        ("POST", Resource::Contacts(folder)) => contacts::create(state, call, folder.as_deref()),
        ("PATCH", Resource::Contact(id)) => contacts::update(state, call, id),
        ("DELETE", Resource::Contact(id)) => contacts::delete(state, call, id),
        ("POST", Resource::Extensions(on)) => marks::create(state, call, on),
        ("PATCH", Resource::Extension(on, id)) => marks::update(state, call, on, id),
        ("DELETE", Resource::Extension(on, id)) => marks::delete(state, call, on, id),
        (_, Resource::Calendar(part)) => calendar::change(state, call, part),
        (_, Resource::Item(at, part)) => drive::change(state, call, at, part),
        _ => Err(Fault::method_not_allowed()),
    }
}

/// A reply without a body.
fn empty(status: StatusCode) -> Reply {
    Reply { status, headers: http::HeaderMap::new(), body: Bytes::new() }
}
