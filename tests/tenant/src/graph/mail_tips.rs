//! `getMailTips`: what is worth knowing of recipients before writing to them.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::Fault;
use super::odata::{Answer, Row as _};
use super::settings::SettingsRow;
use super::store::State;
use crate::wire::Reply;

/// `POST …/getMailTips`
pub(crate) fn tips(state: &State, call: &Call<'_>) -> Answer<Reply> {
    let body = call.body()?;
    let member = |wanted: &str| body.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
    let missing = || Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidRequest", "The required parameter 'EmailAddresses' is missing.");
    let addresses = member("EmailAddresses").and_then(Value::as_array).ok_or_else(missing)?;
    let options = member("MailTipsOptions").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    let asked = |option: &str| options.split(',').any(|part| part.trim() == option);
    let me = &state.users[call.caller];
    let value = addresses.iter().filter_map(Value::as_str).map(|address| {
        let known = state.users.iter().position(|user| user.username.eq_ignore_ascii_case(address));
        let mut out = Map::new();
        out.insert("emailAddress".to_owned(), json!({"name": "", "address": address}));
        if asked("automaticreplies") {
            let replies = known.and_then(|index| SettingsRow(&state.mailboxes[index]).property("automaticRepliesSetting"));
            let on = replies.as_ref().is_some_and(|setting| setting["status"] != "disabled");
            let message = replies.filter(|_| on).map_or(Value::from(""), |setting| setting["internalReplyMessage"].clone());
            out.insert("automaticReplies".to_owned(), json!({"message": message}));
        }
        if asked("mailboxfullstatus") {
            out.insert("mailboxFull".to_owned(), json!(false));
        }
        if asked("maxmessagesize") {
            out.insert("maxMessageSize".to_owned(), json!(37_748_736));
        }
        if asked("deliveryrestriction") {
            out.insert("deliveryRestricted".to_owned(), json!(false));
        }
        if asked("recipientscope") {
            let internal = known.is_some_and(|index| state.users[index].tenant_id == me.tenant_id);
            out.insert("recipientScope".to_owned(), json!(if internal { "internal" } else { "external" }));
        }
        Value::Object(out)
    });
    let mut out = Map::new();
    out.insert("value".to_owned(), Value::Array(value.collect()));
    Ok(call.json(StatusCode::OK, &call.plain_context("Collection(microsoft.graph.mailTips)"), out))
}
