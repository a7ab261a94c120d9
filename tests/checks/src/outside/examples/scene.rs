//! The things that examples are about: found in the tenant's mailbox and drive, or made there.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail, ensure};
use m365_cached_tenant::csdl;
use serde_json::{Value, json};

use super::aim::{Hint, Request};
use crate::{
    outside::stand::Stand,
    support::world::{ALEX, BEA},
};

/// An answer of the tenant.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// JSON, or null when it is something else.
    pub(super) body: Value,
}

/// A tenant in which examples are asked.
pub(super) struct Scene {
    stand: Stand,
    made: AtomicU64,
}

impl Scene {
    pub(super) async fn new(stand: Stand) -> anyhow::Result<Self> {
        Ok(Self { stand, made: AtomicU64::new(1) })
    }

    /// Ends the tenant; what its answers were like.
    pub(super) async fn end(self) -> anyhow::Result<csdl::Report> {
        self.stand.stop().await
    }

    /// A number that was not given before.
    pub(super) fn number(&self) -> u64 {
        self.made.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends a request.
    pub(super) async fn ask(&self, request: &Request) -> anyhow::Result<Answer> {
        let url =
            if request.target.starts_with("http") { request.target.clone() } else { format!("{}{}", self.stand.graph(), request.target) };
        let mut sending = self.stand.http.request(request.method.parse()?, url).bearer_auth(self.stand.token(request.personal));
        for (name, value) in &request.headers {
            sending = sending.header(name, value);
        }
        let typed = request.headers.iter().any(|(name, _)| name == "content-type");
        sending = match &request.body {
            None => sending,
            Some(Value::String(text)) if typed => sending.body(text.clone()),
            Some(Value::String(text)) => sending.header("content-type", "text/plain").body(text.clone()),
            Some(body) if typed => sending.body(body.to_string()),
            Some(body) => sending.json(body),
        };
        let answer = sending.send().await?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await?;
        Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_default() })
    }

    async fn call(&self, method: &str, target: &str, body: Option<Value>) -> anyhow::Result<Value> {
        self.call_as(false, method, target, body).await
    }

    async fn call_as(&self, personal: bool, method: &str, target: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let request = Request { personal, method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body };
        let answer = self.ask(&request).await?;
        ensure!(answer.status < 300, "{method} {target}: {} {}", answer.status, answer.body["error"]["message"]);
        Ok(answer.body)
    }

    async fn get(&self, target: &str) -> anyhow::Result<Value> {
        self.call("GET", target, None).await
    }

    async fn post(&self, target: &str, body: Value) -> anyhow::Result<Value> {
        self.call("POST", target, Some(body)).await
    }

    async fn rows(&self, target: &str) -> anyhow::Result<Vec<Value>> {
        Ok(self.get(target).await?["value"].as_array().cloned().unwrap_or_default())
    }

    /// The id of the first row that fits.
    async fn first(&self, target: &str, fits: impl Fn(&Value) -> bool) -> anyhow::Result<String> {
        let rows = self.rows(target).await?;
        id(rows.iter().find(|row| fits(row)).with_context(|| format!("nothing that fits in {target}"))?)
    }

    /// The id of something that is in `collection` below `parent`, as the example's request needs it.
    pub(super) async fn thing(&self, collection: &str, parent: &str, hint: Hint<'_>) -> anyhow::Result<String> {
        match (collection, hint.next) {
            ("users", _) => id(&self.get("/me").await?),
            ("drives", _) => self.drive_id().await,
            ("special", _) => Ok("documents".to_owned()),
            ("messages", _) => self.message(hint).await,
            ("mailfolders" | "childfolders", "messages") => id(&self.get("/me/mailFolders/inbox").await?),
            ("mailfolders" | "childfolders", "childfolders") if hint.method == "GET" => self.parent_folder().await,
            ("mailfolders" | "childfolders", "") if kind(hint.shown) == Some("#microsoft.graph.mailSearchFolder") => {
                self.search_folder(parent).await
            }
            ("mailfolders" | "childfolders", _) => self.new_mail_folder().await,
            ("messagerules", _) => self.new_rule().await,
            ("mastercategories", _) => {
                let category = json!({"displayName": format!("Category {}", self.number()), "color": "preset1"});
                id(&self.post(parent, category).await?)
            }
            ("contactfolders", _) => {
                let folder = id(&self.post("/me/contactFolders", json!({"displayName": format!("Folder {}", self.number())})).await?)?;
                self.post(&format!("/me/contactFolders/{folder}/contacts"), contact()).await?;
                Ok(folder)
            }
            ("contacts", _) => id(&self.post("/me/contacts", contact()).await?),
            ("calendars", _) if hint.method == "GET" || hint.next == "events" => id(&self.get("/me/calendar").await?),
            ("calendars", _) => id(&self.post("/me/calendars", json!({"name": format!("Calendar {}", self.number())})).await?),
            ("calendargroups", _) if hint.method == "GET" => self.first(parent, |_| true).await,
            ("calendargroups", _) => id(&self.post(parent, json!({"name": format!("Group {}", self.number())})).await?),
            ("events", next) => self.event(next, hint).await,
            ("extensions", _) => id(&self.post(parent, extension(self.number())).await?),
            ("attachments", _) => self.attachment(parent, hint).await,
            ("items", _) => self.item(hint).await,
            ("permissions", _) => self.first(parent, |_| true).await,
            (other, _) => bail!("nothing is known of {other}"),
        }
    }

    async fn message(&self, hint: Hint<'_>) -> anyhow::Result<String> {
        let changes = matches!(hint.method, "PATCH" | "DELETE") || (hint.method == "POST" && hint.next == "attachments");
        match hint.next {
            "attachments" if !changes => self.with_attachment(kind(hint.shown), hint.shown).await,
            "send" | "move" | "copy" => self.draft().await,
            _ if changes => self.draft().await,
            _ => {
                let wanted = kind(hint.shown).unwrap_or_default();
                if wanted.contains("eventMessage") {
                    return self.meeting_mail(&hint.shown["meetingMessageType"]).await;
                }
                if hint.shown["singleValueExtendedProperties"].is_array() {
                    return id(&self.post("/me/messages", coloured()).await?);
                }
                self.first("/me/mailFolders/inbox/messages?$top=50", |row| row["hasAttachments"] == true).await
            }
        }
    }

    async fn draft(&self) -> anyhow::Result<String> {
        let to = json!([{"emailAddress": {"address": BEA}}]);
        let draft = json!({"subject": "A draft", "body": {"contentType": "text", "content": "hello"}, "toRecipients": to});
        id(&self.post("/me/messages", draft).await?)
    }

    /// A draft with an attachment of this kind (`#microsoft.graph.itemAttachment`).
    async fn with_attachment(&self, kind: Option<&str>, shown: &Value) -> anyhow::Result<String> {
        let draft = self.draft().await?;
        let item = match shown["item"]["@odata.type"].as_str().map(|kind| kind.rsplit('.').next().unwrap_or(kind)) {
            Some("contact") => {
                json!({"@odata.type": "#microsoft.graph.contact", "displayName": "Ann Example", "emailAddresses": contact()["emailAddresses"]})
            }
            Some("event") => {
                json!({"@odata.type": "#microsoft.graph.event", "subject": "inside", "start": {"dateTime": "2026-12-01T10:00:00", "timeZone": "UTC"},
                "end": {"dateTime": "2026-12-01T11:00:00", "timeZone": "UTC"}, "body": {"contentType": "html", "content": "<b>x</b>"}})
            }
            _ => {
                let file = json!({"@odata.type": "#microsoft.graph.fileAttachment", "name": "in it.txt", "contentBytes": "YWJj"});
                let files = if shown["item"]["attachments"].is_array() { vec![file] } else { Vec::new() };
                json!({"@odata.type": "#microsoft.graph.message", "subject": "inside", "body": {"contentType": "html", "content": "<b>x</b>"},
                    "attachments": files})
            }
        };
        let attachment = match kind.map(|kind| kind.rsplit('.').next().unwrap_or(kind)) {
            Some("itemAttachment") => json!({"@odata.type": "#microsoft.graph.itemAttachment", "name": "An item", "item": item}),
            Some("referenceAttachment") => {
                json!({"@odata.type": "#microsoft.graph.referenceAttachment", "name": "A link", "sourceUrl": "https://contoso.example/a"})
            }
            _ => {
                json!({"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentType": "text/plain", "contentBytes": "YWJj"})
            }
        };
        self.post(&format!("/me/messages/{draft}/attachments"), attachment).await?;
        Ok(draft)
    }

    /// The first attachment of what `parent` names.
    async fn attachment(&self, parent: &str, hint: Hint<'_>) -> anyhow::Result<String> {
        let wanted = kind(hint.shown);
        self.first(parent, |row| wanted.is_none_or(|wanted| row["@odata.type"] == wanted)).await
    }

    /// A message about a meeting: what a colleague asks for, or what a colleague answers.
    async fn meeting_mail(&self, wanted: &Value) -> anyhow::Result<String> {
        if wanted == "meetingRequest" {
            let at = |hour: u8| json!({"dateTime": format!("2026-12-01T{hour:02}:00:00"), "timeZone": "Pacific Standard Time"});
            self.stand.apply(&json!({"verb": "new_event", "user": BEA, "subject": "A meeting", "start": at(10), "end": at(11),
                "body": {"contentType": "html", "content": "x"}, "location": {"displayName": "There"},
                "attendees": [{"type": "required", "emailAddress": {"address": ALEX, "name": "Alex"}}]}))?;
        } else {
            let event = self.new_event("Answered").await?;
            self.stand.apply(&json!({"verb": "respond_event", "id": event, "response": "tentativelyAccepted", "attendee": BEA}))?;
        }
        self.first("/me/messages?$top=20", |row| row["meetingMessageType"] == *wanted).await
    }

    /// A search folder among the folders that `parent` names.
    async fn search_folder(&self, parent: &str) -> anyhow::Result<String> {
        let source = self.new_mail_folder().await?;
        let folder = json!({"@odata.type": "microsoft.graph.mailSearchFolder", "displayName": format!("Found {}", self.number()),
            "includeNestedFolders": true, "sourceFolderIds": [source], "filterQuery": "contains(subject, 'digest')"});
        id(&self.post(parent, folder).await?)
    }

    /// What a program keeps with the profile.
    pub(super) async fn profile_extension(&self) -> anyhow::Result<()> {
        let fields = json!({"@odata.type": "microsoft.graph.openTypeExtension", "extensionName": format!("com.contoso.kept{}", self.number()),
            "theme": "dark", "color": "purple", "lang": "Japanese"});
        self.post("/me/extensions", fields).await?;
        Ok(())
    }

    /// A rule that does what the documentation's rules do.
    pub(super) async fn new_rule(&self) -> anyhow::Result<String> {
        let to = json!([{"emailAddress": {"address": BEA, "name": "Bea"}}]);
        let rule = json!({"displayName": format!("Rule {}", self.number()), "sequence": 2, "isEnabled": true,
            "conditions": {"senderContains": ["adele"]}, "actions": {"forwardTo": to, "delete": true, "stopProcessingRules": true}});
        id(&self.post("/me/mailFolders/inbox/messageRules", rule).await?)
    }

    pub(super) async fn new_mail_folder(&self) -> anyhow::Result<String> {
        id(&self.post("/me/mailFolders", json!({"displayName": format!("Folder {}", self.number())})).await?)
    }

    /// A mail folder with a folder and a message in it.
    async fn parent_folder(&self) -> anyhow::Result<String> {
        let folder = self.new_mail_folder().await?;
        self.post(&format!("/me/mailFolders/{folder}/childFolders"), json!({"displayName": "Below"})).await?;
        Ok(folder)
    }

    async fn event(&self, next: &str, hint: Hint<'_>) -> anyhow::Result<String> {
        let events = "/me/events?$top=500";
        match next {
            "accept" | "decline" | "tentativelyaccept" => {
                self.first(events, |event| {
                    event["isOrganizer"] == false && event["responseRequested"] == true && event["isCancelled"] == false
                })
                .await
            }
            "instances" => self.first(events, |event| event["type"] == "seriesMaster").await,
            "" if hint.method == "GET" => {
                self.first(events, |event| event["attendees"].as_array().is_some_and(|who| !who.is_empty())).await
            }
            _ => {
                let event = self.new_event("An event").await?;
                if next == "attachments" && hint.method == "GET" {
                    let file = json!({"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "YWJj"});
                    self.post(&format!("/me/events/{event}/attachments"), file).await?;
                }
                Ok(event)
            }
        }
    }

    pub(super) async fn new_event(&self, subject: &str) -> anyhow::Result<String> {
        let who = json!([{"type": "required", "emailAddress": {"address": BEA, "name": "Bea"}}]);
        let at = |hour: u8| json!({"dateTime": format!("2026-12-01T{hour:02}:00:00"), "timeZone": "Pacific Standard Time"});
        let event = json!({"subject": subject, "start": at(10), "end": at(11), "attendees": who,
            "body": {"contentType": "html", "content": "x"}, "location": there()});
        id(&self.post("/me/events", event).await?)
    }

    pub(super) async fn drive_id(&self) -> anyhow::Result<String> {
        id(&self.get("/me/drive").await?)
    }

    async fn item(&self, hint: Hint<'_>) -> anyhow::Result<String> {
        let folder = hint.next == "children" || hint.shown["folder"].is_object() || hint.shown["children"].is_array();
        if folder {
            let folder = self.new_folder().await?;
            self.call("PUT", &format!("/me/drive/items/{folder}:/in%20it.txt:/content"), Some(json!("in it"))).await?;
            self.post(&format!("/me/drive/items/{folder}/children"), json!({"name": "below", "folder": {}})).await?;
            return Ok(folder);
        }
        let file = self.call("PUT", &format!("/me/drive/root:/file%20{}.txt:/content", self.number()), Some(json!("some text"))).await?;
        let file = id(&file)?;
        if hint.next == "permissions" {
            self.post(&format!("/me/drive/items/{file}/createLink"), json!({"type": "view", "scope": "organization"})).await?;
        }
        Ok(file)
    }

    pub(super) async fn new_folder(&self) -> anyhow::Result<String> {
        id(&self.post("/me/drive/root/children", json!({"name": format!("folder {}", self.number()), "folder": {}})).await?)
    }

    /// The path of a drive item: one that is there for a read, a new one for a write.
    pub(super) async fn path(&self, hint: Hint<'_>) -> anyhow::Result<String> {
        if hint.method == "GET" {
            return Ok(if hint.next == "children" { "Documents".to_owned() } else { self.file_name().await? });
        }
        Ok(format!("Documents/new file {}.txt", self.number()))
    }

    async fn file_name(&self) -> anyhow::Result<String> {
        let rows = self.rows("/me/drive/root/children").await?;
        let file = rows.iter().find(|row| row["file"].is_object()).context("no file in the root")?;
        Ok(file["name"].as_str().context("a file without name")?.to_owned())
    }

    /// A word by which a file is found.
    pub(super) async fn file_word(&self) -> anyhow::Result<String> {
        self.call("PUT", "/me/drive/root:/findme.txt:/content", Some(json!("text"))).await?;
        self.post("/me/drive/root/children", json!({"name": format!("findme {}", self.number()), "folder": {}})).await?;
        Ok("findme".to_owned())
    }

    /// A word by which a message is found.
    pub(super) async fn mail_word(&self) -> anyhow::Result<String> {
        self.post("/me/messages", json!({"subject": "a findme message", "body": {"contentType": "text", "content": "findme"}})).await?;
        Ok("findme".to_owned())
    }

    /// A word by which things of this kind are found.
    pub(super) async fn word_of(&self, kinds: Option<&Value>) -> anyhow::Result<String> {
        match kinds.and_then(|kinds| kinds[0].as_str()) {
            Some("message") => self.mail_word().await,
            Some("event") => {
                self.new_event("a findme event").await?;
                Ok("findme".to_owned())
            }
            _ => self.file_word().await,
        }
    }

    /// Who may be invited to a file.
    pub(super) fn invited(&self) -> Vec<Value> {
        vec![json!({"email": BEA})]
    }

    /// An address that may be sent from, or that may not.
    pub(super) async fn sender(&self, allowed: bool) -> anyhow::Result<Value> {
        Ok(json!({"emailAddress": {"address": if allowed { ALEX } else { BEA }}}))
    }

    /// The id of a new file of the personal account.
    pub(super) async fn personal_file(&self) -> anyhow::Result<String> {
        let target = format!("/me/drive/root:/file%20{}.txt:/content", self.number());
        id(&self.call_as(true, "PUT", &target, Some(json!("some text"))).await?)
    }

    /// Whose calendars may be asked about.
    pub(super) fn colleagues(&self) -> Vec<Value> {
        vec![json!(ALEX), json!(BEA)]
    }

    /// The link by which the list at `path` goes on: to its next page, or to what changed since its end.
    pub(super) async fn link(&self, path: &str, query: &str) -> anyhow::Result<String> {
        let window = if path.to_ascii_lowercase().contains("calendarview") {
            "?startDateTime=2026-11-16T00:00:00Z&endDateTime=2026-12-16T00:00:00Z"
        } else {
            ""
        };
        let next = query.to_ascii_lowercase().contains("skiptoken");
        let mut target = format!("{path}{window}");
        loop {
            let headers = vec![("prefer".to_owned(), format!("odata.maxpagesize={}", if next { 60 } else { 500 }))];
            let page = self.ask(&Request { personal: false, method: "GET".to_owned(), target, headers, body: None }).await?.body;
            let link = |name: &str| page[name].as_str().map(str::to_owned);
            match (link("@odata.nextLink"), link("@odata.deltaLink")) {
                (Some(link), _) if next => return Ok(link),
                (Some(link), _) => target = link,
                (None, Some(link)) => {
                    // Something that changed, and something that is gone.
                    if window.is_empty() {
                        self.file_word().await?;
                        return Ok(link);
                    }
                    self.new_event("made since").await?;
                    let single = |event: &Value| event["type"] == "singleInstance" && event["isOrganizer"] == true;
                    let gone = self.first(&format!("/me/calendarView{window}&$top=200"), single).await?;
                    self.call("DELETE", &format!("/me/events/{gone}"), None).await?;
                    return Ok(link);
                }
                (None, None) => bail!("{path} has no link to go on: {}", page["error"]["message"]),
            }
        }
    }
}

fn id(thing: &Value) -> anyhow::Result<String> {
    Ok(thing["id"].as_str().with_context(|| format!("no id in {thing}"))?.to_owned())
}

/// What a shown answer says that it is.
fn kind(shown: &Value) -> Option<&str> {
    shown["@odata.type"].as_str()
}

/// An extension as a program keeps it.
fn extension(number: u64) -> Value {
    json!({"@odata.type": "microsoft.graph.openTypeExtension", "extensionName": format!("Com.Contoso.Kept{number}"), "theme": "dark"})
}

/// A message with the extended property of the documentation.
fn coloured() -> Value {
    json!({"subject": "Coloured", "toRecipients": [{"emailAddress": {"address": BEA}}],
        "singleValueExtendedProperties": [{"id": "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name Color", "value": "Green"}]})
}

/// A place with all that can be said of one.
fn there() -> Value {
    json!({"displayName": "There", "address": {"street": "1 Some Street", "city": "Redmond", "state": "WA", "countryOrRegion": "USA",
        "postalCode": "98052"}, "coordinates": {"latitude": 47.6, "longitude": -122.3}})
}

fn contact() -> Value {
    let address = json!({"street": "1 Some Street", "city": "Redmond", "state": "WA", "countryOrRegion": "USA", "postalCode": "98052"});
    json!({"givenName": "Ann", "surname": "Example", "emailAddresses": [{"address": "ann@example.com", "name": "Ann"}], "businessPhones": ["+1 2"],
        "businessAddress": address, "homeAddress": address, "otherAddress": address})
}
