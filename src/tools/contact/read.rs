//! `contact_list` and `contact_get`.

use std::collections::BTreeSet;

use super::{CONTACT, LIST_FIELDS, MORE_FIELDS, containers};
use crate::{
    cache::{Feed, Scope, Service, Ttl},
    graph::GraphRequest,
    tools::{
        Args, Asks, Does, Effect, Fetched, Param, ParamType, Risk, StepError, Steps, Tool,
        listing::{every, read_list},
        named,
        shape::{etag, id, list_answer, pick, text},
        tool::{ACCOUNT, CURSOR, FORCE_REFRESH, MAX_AGE, USE_CACHE},
    },
};

pub(in crate::tools) const TOOLS: &[Tool] = &[
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
            Param::optional("folder_id", ParamType::Id, "null", "A contact folder, from contact_create_list; without it the default one."),
            CURSOR,
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
        params: &[CONTACT, ACCOUNT, USE_CACHE, FORCE_REFRESH, MAX_AGE],
        effect: Effect::Read { service: Service::Contacts, ttl: Ok(Ttl::seconds(1800, 14_400)) },
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Read(|steps, args| Box::pin(get(steps, args))),
    },
];

async fn list(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let limit = args.count("limit");
    let (path, named_scope): (&[&str], _) = match args.text("folder_id") {
        Some(folder) => (&["me", "contactFolders", folder, "contacts"], named::contact_folders_by_id()),
        None => (&["me", "contacts"], named::default_contacts()),
    };
    let request = GraphRequest::get(path)
        .with("$top", limit.to_string())
        // Graph states no order of its own; without one a cut list would be any part of the whole.
        .with("$orderby", "displayName")
        .with("$select", format!("{},parentFolderId", LIST_FIELDS.join(",")));
    let found = read_list(steps, request, limit, every).await?;
    let folders: BTreeSet<&str> = found.items.iter().filter_map(|contact| text(contact, "parentFolderId")).collect();
    let feed = match (folders.len(), folders.first()) {
        (1, Some(only)) if args.text("folder_id").is_none_or(|asked| asked == *only) => Some(Scope::fed(&Feed::contacts(only))),
        _ => None,
    };
    let mut scopes: Vec<Scope> = folders.into_iter().chain(args.text("folder_id")).map(Scope::contacts).collect();
    scopes.push(named_scope);
    scopes.extend(feed);
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
        more: found.more,
        etag: None,
        along: Vec::new(),
    })
}

async fn get(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let asked = args.text("contact_id").unwrap_or_default();
    let fields =
        [LIST_FIELDS.as_slice(), &MORE_FIELDS, &["parentFolderId", "changeKey", "createdDateTime", "lastModifiedDateTime"]].concat();
    let contact = steps.send(GraphRequest::get(&["me", "contacts", asked]).with("$select", fields.join(","))).await?.body;
    let ids = BTreeSet::from([asked.to_owned(), id(&contact)?.to_owned()]);
    let etag = etag(&contact);
    let containers = containers(&contact);
    let feed = text(&contact, "parentFolderId").map(|folder| Scope::fed(&Feed::contacts(folder)));
    Ok(Fetched {
        answer: pick(&contact, &fields).into(),
        list: None,
        scopes: ids.iter().map(|id| Scope::item(id)).chain(feed).collect(),
        shown: ids.into_iter().map(|id| (id, containers.clone())).collect(),
        whole: true,
        more: None,
        etag,
        along: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::{Fake, fetch};
    use serde_json::{Value, json};

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
        assert_eq!(
            list.scopes,
            [Scope::contacts("F"), Scope::contacts("default"), Scope::fed(&Feed::contacts("F")), Scope::moves(Service::Contacts)]
        );
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
        let body: Value = serde_json::from_str(include_str!("../data/contact-get.json")).unwrap();
        let mut annotated = body.clone();
        annotated["@odata.etag"] = "W/\"EQAA\"".into();
        annotated["@odata.context"] = "c".into();
        let fake = Fake::answering([("GET /me/contacts/AAMkAGI2THk0AAA%3D", annotated)]);
        let got = fetch(&fake, "contact_get", json!({"contact_id": "AAMkAGI2THk0AAA=", "account_id": "a"})).await.unwrap();
        assert_eq!(got.answer, body);
        assert_eq!(got.etag.as_deref(), Some("W/\"EQAA\""));
        assert_eq!(got.scopes, [Scope::item("AAMkAGI2THk0AAA="), Scope::fed(&Feed::contacts("AAMkAGI2AAEOAAA="))]);
        assert_eq!(got.shown, [("AAMkAGI2THk0AAA=".into(), vec![Scope::contacts("AAMkAGI2AAEOAAA=")])]);
    }
}
