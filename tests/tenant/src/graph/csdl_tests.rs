//! Everything that is sent holds to the CSDL of v1.0: known properties, right types, no null where none may be.

use serde_json::{Value, json};

use super::csdl::Csdl;
use super::testing::{Tenant, path, rows, text};

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
        &MESSAGE_RULE,
        &CATEGORY,
    ] {
        let type_name = schema.name.trim_start_matches("microsoft.graph.");
        let type_name = if type_name == "attachment" { "fileAttachment" } else { type_name };
        for (name, kind) in schema.properties.iter().chain(schema.on_request).filter(|(name, _)| !name.starts_with('@')) {
            let declared = csdl.0.declared(type_name, name).unwrap_or_else(|| panic!("{type_name} has no {name}"));
            let expected = match declared.as_str() {
                many if many.ends_with("[]") => Ty::Many,
                "Edm.Boolean" => Ty::Bool,
                "Edm.DateTimeOffset" => Ty::Date,
                "Edm.Int32" | "Edm.Int64" => Ty::Number,
                "Edm.String" | "Edm.Binary" | "Edm.Guid" => Ty::Text,
                other if csdl.0.is_enum(other) => Ty::Text,
                _ => Ty::Complex,
            };
            assert_eq!(*kind, expected, "{type_name}.{name}");
        }
    }
}

#[test]
fn searches_tips_and_sessions_hold_to_the_csdl() {
    let csdl = Csdl::load();
    let tenant = Tenant::small();
    let request = json!({"requests": [{"entityTypes": ["message"], "query": {"queryString": "the"}, "size": 25}]});
    let found = tenant.post("/search/query", request, 200);
    assert_eq!(csdl.list("searchResponse", &found, "search"), 1);
    let hits = &found["value"][0]["hitsContainers"][0]["hits"];
    assert!(hits.as_array().is_some_and(|hits| hits.len() == 25), "{found}");
    let options = "automaticReplies, mailboxFullStatus, maxMessageSize, deliveryRestriction, recipientScope";
    let tips = tenant.post("/me/getMailTips", json!({"EmailAddresses": ["bea@contoso.example"], "MailTipsOptions": options}), 200);
    csdl.list("mailTips", &tips, "tips");
    let draft = tenant.post("/me/messages", json!({}), 201);
    let url = format!("/me/messages/{}/attachments/createUploadSession", path(text(&draft, "id")));
    let item = json!({"AttachmentItem": {"attachmentType": "file", "name": "x", "size": 5_000_000}});
    csdl.object("uploadSession", &tenant.post(&url, item, 201), "session");
    csdl.list("messageRule", &tenant.get("/me/mailFolders/inbox/messageRules"), "rules");
    csdl.list("outlookCategory", &tenant.get("/me/outlook/masterCategories"), "categories");
}
