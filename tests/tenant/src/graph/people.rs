//! Profiles: who somebody is, as colleagues may see it.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::Fault;
use super::marks::Wanted;
use super::odata::{Answer, Query, Row, Selection, USER};
use super::store::{Marked, State};
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
    let mut wanted = Wanted::default();
    match call.query.get("expand").map(str::trim).filter(|text| !text.is_empty()) {
        Some("extensions") => {
            wanted.read("extensions", &Query::default())?;
        }
        Some(other) => return Err(Fault::unknown_property(other, USER.name)),
        None => {}
    }
    wanted.write(call.mailbox(state), Marked::Profile, &call.context(""), &mut out);
    Ok(call.json(StatusCode::OK, &call.plain_context(&format!("users{}/$entity", selection.context())), out))
}
