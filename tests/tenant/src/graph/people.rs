//! Profiles and mailbox settings.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::Fault;
use super::odata::{Answer, MAILBOX_SETTINGS, Row, Selection, USER};
use super::store::State;
use super::zones;
use crate::seed::{Kind, User};
use crate::wire::Reply;

struct UserRow<'a>(&'a User);

impl Row for UserRow<'_> {
    fn property(&self, name: &str) -> Option<Value> {
        let user = self.0;
        let (given, family) = user.display_name.split_once(' ').unwrap_or((&user.display_name, ""));
        let personal = user.kind == Kind::Personal;
        Some(match name {
            "id" => json!(user.id),
            "displayName" => json!(user.display_name),
            "givenName" => json!(given),
            "surname" => json!(family),
            "userPrincipalName" => json!(user.username),
            "mail" => json!(user.username),
            "businessPhones" | "otherMails" => json!([]),
            "proxyAddresses" => json!([format!("SMTP:{}", user.username)]),
            "mailNickname" => json!(user.username.split('@').next()),
            "accountEnabled" => json!(user.kind != Kind::Shared),
            "userType" => json!("Member"),
            "preferredLanguage" if !personal => json!("en-US"),
            "jobTitle" if user.kind == Kind::Work => json!("Planner"),
            "department" if user.kind == Kind::Work => json!("Operations"),
            "companyName" if !personal => json!("Contoso, Ltd."),
            _ => Value::Null,
        })
    }
}

/// `GET /me`, `GET /users/{id}`.
pub(crate) fn user(state: &State, call: &Call<'_>) -> Answer<Reply> {
    let selection = Selection::parse(&call.query, &USER)?;
    let mut out = Map::new();
    selection.write(&UserRow(&state.users[call.owner]), &mut out);
    Ok(call.json(StatusCode::OK, &call.plain_context(&format!("users{}/$entity", selection.context())), out))
}

struct Settings<'a> {
    zone: &'a str,
    archive: String,
}

impl Row for Settings<'_> {
    fn property(&self, name: &str) -> Option<Value> {
        let days = ["monday", "tuesday", "wednesday", "thursday", "friday"];
        let zone = zones::windows_name(self.zone);
        let moment = || json!({"dateTime": "2026-11-21T09:00:00.0000000", "timeZone": "UTC"});
        Some(match name {
            "archiveFolder" => json!(self.archive),
            "timeZone" => json!(zone),
            "delegateMeetingMessageDeliveryOptions" => json!("sendToDelegateOnly"),
            "dateFormat" => json!("yyyy-MM-dd"),
            "timeFormat" => json!("HH:mm"),
            "userPurpose" => json!("user"),
            "automaticRepliesSetting" => {
                json!({"status": "disabled", "externalAudience": "none", "internalReplyMessage": "", "externalReplyMessage": "",
                "scheduledStartDateTime": moment(), "scheduledEndDateTime": moment()})
            }
            "language" => json!({"locale": "en-US", "displayName": "English (United States)"}),
            "workingHours" => {
                json!({"daysOfWeek": days, "startTime": "08:00:00.0000000", "endTime": "17:00:00.0000000", "timeZone": {"name": zone}})
            }
            _ => return None,
        })
    }
}

/// `GET /me/mailboxSettings` and one of its properties.
pub(crate) fn mailbox_settings(state: &State, call: &Call<'_>, property: Option<&str>) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let archive = mailbox.well_known("archive").map(|number| mailbox.folder_id(number)).unwrap_or_default();
    let settings = Settings { zone: mailbox.zone, archive };
    let mut out = Map::new();
    if let Some(name) = property {
        let value = settings.property(name).ok_or_else(|| Fault::unknown_segment(name))?;
        let context = call.context(&format!("/mailboxSettings/{name}"));
        match value {
            Value::Object(fields) => out.extend(fields),
            value => {
                out.insert("value".to_owned(), value);
            }
        }
        return Ok(call.json(StatusCode::OK, &context, out));
    }
    let selection = Selection::parse(&call.query, &MAILBOX_SETTINGS)?;
    selection.write(&settings, &mut out);
    Ok(call.json(StatusCode::OK, &call.context("/mailboxSettings"), out))
}
