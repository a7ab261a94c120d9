//! Contacts of the default contact folder.

use super::{
    Args, Asks, Does, Effect, Fetched, Param, ParamType, Risk, StepError, Steps, Tool,
    listing::{every, read_list},
    named,
    shape::{etag, id, list_answer, pick, text},
    tool::{ACCOUNT, FORCE_REFRESH, MAX_AGE, USE_CACHE},
};
use crate::{
    cache::{Scope, Service, Ttl},
    graph::GraphRequest,
};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "contact_list",
        title: "List contacts",
        help: "Lists contacts by display name under `contacts`: names, email addresses, phone numbers, job and company; `complete` is false \
               when there are more than `limit`. Ids go to contact_get, which has all fields. Answers come from the local cache (fresh for \
               20 minutes).",
        params: &[
            ACCOUNT,
            Param::optional("limit", ParamType::Int { min: 1, max: 500 }, "50", "Most contacts to return."),
            USE_CACHE,
            FORCE_REFRESH,
            MAX_AGE,
        ],
        effect: Effect::Read { service: Service::Contacts, ttl: Ok(Ttl::seconds(1200, 7200)) },
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Read(|steps, args| Box::pin(list(steps, args))),
    },
    Tool {
        name: "contact_get",
        title: "Get a contact",
        help: "One contact by id with all its fields: names, addresses, phones, birthday, notes and so on.",
        params: &[
            Param::required("contact_id", ParamType::Id, "The contact's id, from contact_list."),
            ACCOUNT,
            USE_CACHE,
            FORCE_REFRESH,
            MAX_AGE,
        ],
        effect: Effect::Read { service: Service::Contacts, ttl: Ok(Ttl::seconds(1800, 14_400)) },
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Read(|steps, args| Box::pin(get(steps, args))),
    },
];

const LIST_FIELDS: [&str; 11] = [
    "id",
    "displayName",
    "givenName",
    "surname",
    "emailAddresses",
    "businessPhones",
    "homePhones",
    "mobilePhone",
    "jobTitle",
    "companyName",
    "department",
];

async fn list(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let limit = args.count("limit");
    let request = GraphRequest::get(&["me", "contacts"])
        .with("$top", limit.to_string())
        // Graph states no order of its own; without one a cut list would be any part of the whole.
        .with("$orderby", "displayName")
        .with("$select", format!("{},parentFolderId", LIST_FIELDS.join(",")));
    let found = read_list(steps, request, limit, every).await?;
    let folders: BTreeSet<&str> = found.items.iter().filter_map(|contact| text(contact, "parentFolderId")).collect();
    let mut scopes: Vec<Scope> = folders.into_iter().map(Scope::contacts).collect();
    scopes.push(named::default_contacts());
    if found.several_pages {
        scopes.push(Scope::moves(Service::Contacts));
    }
    let shown = found.items.iter().map(|contact| Ok((id(contact)?.to_owned(), containers(contact)))).collect::<Result<_, StepError>>()?;
    let contacts = found.items.iter().map(|contact| pick(contact, &LIST_FIELDS).into()).collect();
    Ok(Fetched {
        answer: list_answer("contacts", contacts, found.complete),
        list: Some("contacts"),
        scopes,
        shown,
        whole: true,
        more: None,
        etag: None,
    })
}

async fn get(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let asked = args.text("contact_id").unwrap_or_default();
    let mut contact = steps.send(GraphRequest::get(&["me", "contacts", asked])).await?.body;
    let ids = BTreeSet::from([asked.to_owned(), id(&contact)?.to_owned()]);
    let etag = etag(&contact);
    let containers = containers(&contact);
    if let Some(fields) = contact.as_object_mut() {
        fields.retain(|name, _| !name.starts_with("@odata."));
    }
    Ok(Fetched {
        answer: contact,
        list: None,
        scopes: ids.iter().map(|id| Scope::item(id)).collect(),
        shown: ids.into_iter().map(|id| (id, containers.clone())).collect(),
        whole: true,
        more: None,
        etag,
    })
}

/// Where a contact is, when it says so.
fn containers(contact: &Value) -> Vec<Scope> {
    text(contact, "parentFolderId").map(Scope::contacts).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::{Fake, fetch};
    use serde_json::json;

    #[tokio::test]
    async fn a_list_has_its_fields_its_folder_and_the_default_name_as_scopes() {
        let contact =
            |id: &str, name: &str| json!({"@odata.etag": "W/\"1\"", "id": id, "displayName": name, "surname": null, "parentFolderId": "F"});
        let fake = Fake::answering([
            ("GET /me/contacts", json!({"value": [contact("1", "Ada"), contact("2", "Bo")], "@odata.nextLink": "https://graph/p2"})),
            ("GET https://graph/p2", json!({"value": [contact("2", "Bo"), contact("3", "Cy")]})),
        ]);
        let list = fetch(&fake, "contact_list", json!({"account_id": "a"})).await.unwrap();
        assert_eq!(
            list.answer.to_string(),
            r#"{"contacts":[{"id":"1","displayName":"Ada","surname":null},{"id":"2","displayName":"Bo","surname":null},{"id":"3","displayName":"Cy","surname":null}],"complete":true}"#
        );
        assert_eq!(list.scopes, [Scope::contacts("F"), Scope::contacts("default"), Scope::moves(Service::Contacts)]);
        assert_eq!(list.shown[2], ("3".into(), vec![Scope::contacts("F")]));
    }

    #[tokio::test]
    async fn no_contacts_is_an_answer() {
        let fake = Fake::answering([("GET /me/contacts", json!({"value": []}))]);
        let list = fetch(&fake, "contact_list", json!({"account_id": "a"})).await.unwrap();
        assert_eq!(list.answer, json!({"contacts": [], "complete": true}));
        assert_eq!(list.scopes, [Scope::contacts("default")]);
    }

    #[tokio::test]
    async fn one_contact_has_all_its_fields_and_no_annotations() {
        let body: Value = serde_json::from_str(include_str!("data/contact-get.json")).unwrap();
        let mut annotated = body.clone();
        annotated["@odata.etag"] = "W/\"EQAA\"".into();
        annotated["@odata.context"] = "c".into();
        let fake = Fake::answering([("GET /me/contacts/AAMkAGI2THk0AAA%3D", annotated)]);
        let got = fetch(&fake, "contact_get", json!({"contact_id": "AAMkAGI2THk0AAA=", "account_id": "a"})).await.unwrap();
        assert_eq!(got.answer, body);
        assert_eq!(got.etag.as_deref(), Some("W/\"EQAA\""));
        assert_eq!(got.scopes, [Scope::item("AAMkAGI2THk0AAA=")]);
        assert_eq!(got.shown, [("AAMkAGI2THk0AAA=".into(), vec![Scope::contacts("AAMkAGI2AAEOAAA=")])]);
    }
}
