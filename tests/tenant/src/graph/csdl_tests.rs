//! Everything that is sent holds to the CSDL of v1.0: known properties, right types, no null where none may be.

use serde_json::{Value, json};

use super::testing::{Tenant, path, rows, text};

/// The types that the tenant can send.
pub(crate) struct Csdl(Value);

impl Csdl {
    pub(crate) fn load() -> Self {
        Self(serde_json::from_str(include_str!("../../data/csdl-v1.0.json")).expect("the data file is JSON"))
    }

    fn declared(&self, type_name: &str, property: &str) -> Option<String> {
        let known = &self.0["types"][type_name];
        assert!(known.is_object(), "the excerpt lacks {type_name}");
        for list in ["properties", "navigation"] {
            if let Some(declared) = known[list][property].as_str() {
                return Some(declared.to_owned());
            }
        }
        known["base"].as_str().and_then(|base| self.declared(base, property))
    }

    pub(crate) fn object(&self, type_name: &str, value: &Value, at: &str) {
        let type_name = value["@odata.type"].as_str().map_or(type_name, |name| name.trim_start_matches("#microsoft.graph."));
        for (name, value) in value.as_object().unwrap_or_else(|| panic!("{at} is no object: {value}")) {
            // Annotations are no properties; the mail address that files name people by lives off `identity` being open.
            if name.starts_with('@') || (type_name == "identity" && name == "email") {
                continue;
            }
            let at = format!("{at}.{name}");
            let declared = self.declared(type_name, name).unwrap_or_else(|| panic!("{at}: {type_name} has no such property"));
            self.value(&declared, value, &at);
        }
    }

    fn value(&self, declared: &str, value: &Value, at: &str) {
        if let Some(one) = declared.trim_end_matches('!').strip_suffix("[]") {
            for (index, item) in value.as_array().unwrap_or_else(|| panic!("{at} is no collection: {value}")).iter().enumerate() {
                self.value(&format!("{one}!"), item, &format!("{at}[{index}]"));
            }
            return;
        }
        if value.is_null() {
            assert!(!declared.ends_with('!'), "{at} is null");
            return;
        }
        let kind = declared.trim_end_matches('!');
        let fits = match kind {
            "Edm.String" => value.is_string(),
            "Edm.Boolean" => value.is_boolean(),
            "Edm.Int16" | "Edm.Int32" => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            "Edm.Int64" => value.is_i64() || value.is_u64(),
            "Edm.Double" => value.is_number(),
            "Edm.DateTimeOffset" => {
                value.as_str().is_some_and(|t| t.ends_with('Z') && (t.starts_with("0001") || t.parse::<jiff::Timestamp>().is_ok()))
            }
            "Edm.Date" => value.as_str().is_some_and(|t| t.starts_with("0001") || t.parse::<jiff::civil::Date>().is_ok()),
            "Edm.TimeOfDay" => value.as_str().is_some_and(|t| t.parse::<jiff::civil::Time>().is_ok()),
            "Edm.Guid" => value.as_str().is_some_and(|t| t.len() == 36),
            "Edm.Binary" => {
                use base64::Engine as _;
                value.as_str().is_some_and(|t| base64::engine::general_purpose::STANDARD.decode(t).is_ok())
            }
            other => {
                let known = &self.0["types"][other];
                if let Some(members) = known["enum"].as_array() {
                    members.contains(value)
                } else {
                    self.object(other, value, at);
                    true
                }
            }
        };
        assert!(fits, "{at}: {value} is no {declared}");
    }

    pub(crate) fn list(&self, type_name: &str, page: &Value, at: &str) -> usize {
        let rows = rows(page);
        assert!(!rows.is_empty(), "{at} is empty");
        for row in &rows {
            self.object(type_name, row, at);
        }
        rows.len()
    }
}

#[test]
fn every_kind_of_thing_holds_to_the_csdl() {
    let csdl = Csdl::load();
    let mut tenant = Tenant::small();
    for user in [0, 2] {
        tenant.user = user;
        csdl.object("user", &tenant.get("/me"), "me");
        csdl.object(
            "user",
            &tenant.get("/me?$select=id,accountEnabled,otherMails,proxyAddresses,userType,mailNickname,department,city"),
            "me",
        );
        csdl.object("mailboxSettings", &tenant.get("/me/mailboxSettings"), "settings");
        let messages = tenant.get("/me/messages?$top=1000&$expand=attachments");
        assert!(csdl.list("message", &messages, "messages") >= 400);
        csdl.list("message", &tenant.get("/me/messages?$select=internetMessageHeaders,uniqueBody,from&$top=20"), "headers");
        csdl.list("mailFolder", &tenant.get("/me/mailFolders?$top=100&includeHiddenFolders=true"), "folders");
        csdl.list("contact", &tenant.get("/me/contacts?$top=500"), "contacts");
        csdl.list("contactFolder", &tenant.get("/me/contactFolders"), "contactFolders");
        csdl.list("calendar", &tenant.get("/me/calendars"), "calendars");
        csdl.list("event", &tenant.get("/me/events?$top=500"), "events");
        let view = "/me/calendarView?startDateTime=2026-08-01T00:00:00Z&endDateTime=2027-06-01T00:00:00Z&$top=1000";
        let seen = tenant.get(view);
        csdl.list("event", &seen, "view");
        for kind in ["occurrence", "exception", "singleInstance"] {
            assert!(rows(&seen).iter().any(|event| event["type"] == kind), "no {kind}");
        }
        csdl.list("event", &tenant.get(&format!("{view}&$select=originalStart,subject")), "originalStart");
        csdl.object("drive", &tenant.get("/me/drive"), "drive");
        csdl.object("driveItem", &tenant.get("/me/drive/root?$expand=children"), "root");
        csdl.list("driveItem", &tenant.get("/me/drive/root/delta?$top=500"), "drive delta");
        csdl.list("driveItem", &tenant.get("/me/drive/root:/Documents:/children"), "children");
        csdl.list("driveItem", &tenant.get("/me/drive/root/search(q='e')"), "search");
    }
}

#[test]
fn what_is_made_and_removed_holds_to_the_csdl_too() {
    let csdl = Csdl::load();
    let tenant = Tenant::small();
    let draft = json!({"subject": "s", "body": {"contentType": "HTML", "content": "<b>x</b>"}, "importance": "High", "flag": {"flagStatus": "flagged"},
        "toRecipients": [{"emailAddress": {"address": "a@b.example"}}],
        "attachments": [{"@odata.type": "#microsoft.graph.fileAttachment", "name": "n.txt", "contentBytes": "YWJj"}]});
    let message = tenant.post("/me/messages", draft, 201);
    csdl.object("message", &message, "draft");
    csdl.list("attachment", &tenant.get(&format!("/me/messages/{}/attachments", path(text(&message, "id")))), "attachments");
    csdl.object("mailFolder", &tenant.post("/me/mailFolders", json!({"displayName": "new"}), 201), "folder");
    csdl.object(
        "contact",
        &tenant.post("/me/contacts", json!({"givenName": "G", "emailAddresses": [{"address": "g@x.example"}]}), 201),
        "contact",
    );
    csdl.object("contactFolder", &tenant.post("/me/contactFolders", json!({"displayName": "new"}), 201), "contact folder");
    let event = json!({"subject": "e", "start": {"dateTime": "2026-12-01T10:00:00", "timeZone": "Pacific Standard Time"},
        "end": {"dateTime": "2026-12-01T11:00:00", "timeZone": "Pacific Standard Time"}, "attendees": [{"emailAddress": {"address": "x@y.example"}}],
        "body": {"contentType": "text", "content": "one\ntwo"}, "location": {"displayName": "there"},
        "recurrence": {"pattern": {"type": "absoluteMonthly", "interval": 1, "dayOfMonth": 1}, "range": {"type": "noEnd", "startDate": "2026-12-01"}}});
    csdl.object("event", &tenant.post("/me/events", event, 201), "event");
    let folder = tenant.post("/me/drive/root/children", json!({"name": "new", "folder": {}}), 201);
    csdl.object("driveItem", &folder, "new folder");
    let link =
        tenant.post(&format!("/me/drive/items/{}/createLink", text(&folder, "id")), json!({"type": "view", "scope": "organization"}), 201);
    csdl.object("permission", &link, "link");
    let token = tenant.get("/me/drive/root/delta?token=latest");
    tenant.ask("DELETE", &format!("/me/drive/items/{}", text(&folder, "id")), &[], Value::Null, 204);
    let changes = tenant.get(text(&token, "@odata.deltaLink"));
    csdl.list("driveItem", &changes, "deleted");
    assert!(rows(&changes).iter().any(|item| item["deleted"]["state"] == "deleted"));
}

#[test]
fn the_schemas_hold_to_the_csdl() {
    use super::odata::*;
    let csdl = Csdl::load();
    for schema in [
        &MESSAGE,
        &MAIL_FOLDER,
        &ATTACHMENT,
        &CONTACT,
        &CONTACT_FOLDER,
        &CALENDAR,
        &CALENDAR_GROUP,
        &EVENT,
        &DRIVE_ITEM,
        &DRIVE,
        &USER,
        &MAILBOX_SETTINGS,
    ] {
        let type_name = schema.name.trim_start_matches("microsoft.graph.");
        for (name, kind) in schema.properties.iter().chain(schema.on_request).filter(|(name, _)| !name.starts_with('@')) {
            let declared = csdl.declared(type_name, name).unwrap_or_else(|| panic!("{type_name} has no {name}"));
            let expected = match declared.trim_end_matches('!') {
                many if many.ends_with("[]") => Ty::Many,
                "Edm.Boolean" => Ty::Bool,
                "Edm.DateTimeOffset" => Ty::Date,
                "Edm.Int32" | "Edm.Int64" => Ty::Number,
                "Edm.String" | "Edm.Binary" | "Edm.Guid" => Ty::Text,
                other if csdl.0["types"][other]["enum"].is_array() => Ty::Text,
                _ => Ty::Complex,
            };
            assert_eq!(*kind, expected, "{type_name}.{name}");
        }
    }
}
