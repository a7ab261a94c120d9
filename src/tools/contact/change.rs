//! Creating, changing, copying and deleting contacts, and creating contact folders ("lists").

use serde_json::{Map, Value, json};

use super::{CONTACT, LIST_FIELDS, MORE_FIELDS, containers};
use crate::{
    cache::{Scope, Service, Touch},
    graph::GraphRequest,
    tools::{
        Args, Asks, Does, Effect, Param, ParamType, Risk, StepError, Steps, Tool, Written, named,
        shape::{id, pick},
        tool::{ACCOUNT, CONFIRM},
    },
};

/// Longest text of one field, in characters.
const TEXT_MAX: usize = 255;
const TEXT: ParamType = ParamType::Text { max: TEXT_MAX };
const PHONES: ParamType = ParamType::Texts { least: 0, most: 20, max: 64 };
const PHONE: ParamType = ParamType::Text { max: 64 };
const PEOPLE: ParamType = ParamType::People { max: 20 };

const EFFECT: Effect = Effect::Write { service: Service::Contacts };

/// What `updates` may hold; null clears a text.
const UPDATES: &[Param] = &[
    Param::member("givenName", TEXT, "First name."),
    Param::optional("surname", TEXT, "null", "Last name."),
    Param::member("displayName", TEXT, "Name as it is shown."),
    Param::member("emailAddresses", PEOPLE, "All addresses: texts, or objects with address and name."),
    Param::member("businessPhones", PHONES, "All business phones."),
    Param::member("homePhones", PHONES, "All home phones."),
    Param::optional("mobilePhone", PHONE, "null", "Mobile phone."),
    Param::optional("jobTitle", TEXT, "null", "Job title."),
    Param::optional("companyName", TEXT, "null", "Company."),
    Param::optional("department", TEXT, "null", "Department."),
];

const NUMBERS: &[Param] = &[
    Param::member("business", PHONE, "Business phone."),
    Param::member("home", PHONE, "Home phone."),
    Param::member("mobile", PHONE, "Mobile phone."),
];

pub(in crate::tools) const TOOLS: &[Tool] = &[
    Tool {
        name: "contact_create",
        title: "Create a contact",
        profiles: &[],
        help: "Creates a contact in the default contact folder. Returns the contact.",
        params: &[
            ACCOUNT,
            Param::required("given_name", TEXT, "First name."),
            Param::optional("surname", TEXT, "null", "Last name."),
            Param::optional("email_addresses", PEOPLE, "null", "E-mail addresses: texts, or objects with address and name."),
            Param::optional("phone_numbers", ParamType::Object(NUMBERS), "null", "One number each."),
        ],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: false,
        asks: Asks::Never,
        canonical: None,
        does: Does::Write { touches: default_folder, act: |steps, args| Box::pin(create(steps, args)) },
    },
    Tool {
        name: "contact_update",
        title: "Change a contact",
        profiles: &[],
        help: "Changes the given fields of a contact; lists of addresses and phones are replaced as a whole. Returns the contact.",
        params: &[CONTACT, Param::required("updates", ParamType::Object(UPDATES), "What to change; null clears a text."), ACCOUNT],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Write { touches: the_contact, act: |steps, args| Box::pin(update(steps, args)) },
    },
    Tool {
        name: "contact_delete",
        title: "Delete a contact",
        profiles: &[],
        help: "Deletes a contact. Ask the user first.",
        params: &[CONTACT, ACCOUNT, CONFIRM],
        effect: EFFECT,
        risk: Risk::Critical,
        idempotent: true,
        asks: Asks::Always,
        canonical: None,
        does: Does::Write { touches: gone, act: |steps, args| Box::pin(delete(steps, args)) },
    },
    Tool {
        name: "contact_create_list",
        title: "Create a contact folder",
        profiles: &[],
        help: "Creates a folder for contacts. Its id goes to contact_add_to_list and contact_list. Returns the folder.",
        params: &[ACCOUNT, Param::required("list_name", TEXT, "Its name.")],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: false,
        asks: Asks::Never,
        canonical: None,
        // No answer that is kept shows contact folders.
        does: Does::Write { touches: |_| Vec::new(), act: |steps, args| Box::pin(create_list(steps, args)) },
    },
    Tool {
        name: "contact_add_to_list",
        title: "Copy a contact into a folder",
        profiles: &[],
        help: "Puts a copy of a contact into a contact folder: Exchange keeps a contact in one folder only, so the copy has an id of its own. \
               Returns the copy.",
        params: &[ACCOUNT, CONTACT, Param::required("list_id", ParamType::Id, "The folder's id, from contact_create_list.")],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: false,
        asks: Asks::Never,
        canonical: None,
        does: Does::Write { touches: the_list, act: |steps, args| Box::pin(add_to_list(steps, args)) },
    },
];

fn contact_id(args: &Args) -> &str {
    args.text("contact_id").unwrap_or_default()
}

fn default_folder(_: &Args) -> Vec<Touch> {
    vec![Touch::Scope(named::default_contacts()), Touch::Scope(named::contact_folders_by_id())]
}

fn the_contact(args: &Args) -> Vec<Touch> {
    vec![Touch::Item(contact_id(args).to_owned())]
}

fn gone(args: &Args) -> Vec<Touch> {
    vec![Touch::Item(contact_id(args).to_owned()), Touch::Scope(Scope::moves(Service::Contacts))]
}

fn the_list(args: &Args) -> Vec<Touch> {
    let list = args.text("list_id").unwrap_or_default();
    // It may be the default folder, which is listed without its id.
    vec![Touch::Scope(Scope::contacts(list)), Touch::Scope(named::default_contacts())]
}

/// The contact as Graph now has it, and where it is.
fn written(contact: &Value, done: &str) -> Written {
    let mut answer = pick(contact, &LIST_FIELDS);
    let containers = containers(contact);
    let touches = containers.iter().cloned().map(Touch::Scope).collect();
    let learned = match id(contact) {
        Ok(id) if !containers.is_empty() => vec![(id.to_owned(), containers)],
        _ => Vec::new(),
    };
    if answer.is_empty() {
        answer.insert("status".into(), done.into());
    }
    Written { answer: answer.into(), touches, learned, late: false }
}

async fn create(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let mut contact = Map::new();
    contact.insert("givenName".into(), args.text("given_name").into());
    if let Some(surname) = args.text("surname") {
        contact.insert("surname".into(), surname.into());
    }
    if args.has("email_addresses") {
        contact.insert("emailAddresses".into(), args.list("email_addresses").into());
    }
    if let Some(numbers) = args.object("phone_numbers") {
        for (name, number) in numbers {
            let (name, value) = match name.as_str() {
                "business" => ("businessPhones", json!([number])),
                "home" => ("homePhones", json!([number])),
                _ => ("mobilePhone", number.clone()),
            };
            contact.insert(name.into(), value);
        }
    }
    let made = steps.send(GraphRequest::post(&["me", "contacts"], contact.into())).await?.body;
    Ok(written(&made, "created"))
}

async fn update(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let change = args.object("updates").cloned().unwrap_or_default();
    let request = GraphRequest::patch(&["me", "contacts", contact_id(args)], change.into()).repeatable();
    Ok(written(&steps.send(request).await?.body, "updated"))
}

async fn delete(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    steps.send(GraphRequest::delete(&["me", "contacts", contact_id(args)])).await?;
    let learned = vec![(contact_id(args).to_owned(), Vec::new())];
    Ok(Written { answer: json!({ "status": "deleted" }), touches: Vec::new(), learned, late: false })
}

async fn create_list(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let body = json!({ "displayName": args.text("list_name") });
    let made = steps.send(GraphRequest::post(&["me", "contactFolders"], body)).await?.body;
    let answer = pick(&made, &["id", "displayName", "parentFolderId"]).into();
    Ok(Written { answer, touches: Vec::new(), learned: Vec::new(), late: false })
}

async fn add_to_list(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let list = args.text("list_id").unwrap_or_default();
    let fields = [&LIST_FIELDS[1..], &MORE_FIELDS].concat();
    let request = GraphRequest::get(&["me", "contacts", contact_id(args)]).with("$select", fields.join(","));
    let mut copy = pick(&steps.send(request).await.map_err(StepError::before)?.body, &fields);
    // What is not set need not be copied, and Graph takes no null for a list.
    copy.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()));
    let made = steps.send(GraphRequest::post(&["me", "contactFolders", list, "contacts"], copy.into())).await?.body;
    Ok(written(&made, "copied"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::{Fake, act, args, refusal};

    fn contact() -> Value {
        // Shape: microsoft-graph-docs, api-reference/v1.0/api/user-post-contacts.md.
        json!({"@odata.etag": "e", "id": "C", "parentFolderId": "F", "displayName": "Pavel Bansky", "givenName": "Pavel", "surname": "Bansky",
            "emailAddresses": [{"name": "Pavel", "address": "pavelb@fabrikam.example"}], "businessPhones": ["1"], "homePhones": [],
            "mobilePhone": null, "personalNotes": "note", "changeKey": "k", "createdDateTime": "x"})
    }

    #[tokio::test]
    async fn a_new_contact_is_sent_as_graph_takes_it_and_teaches_its_folder() {
        let fake = Fake::answering([("POST /me/contacts", contact())]);
        let given = json!({"account_id": "a", "given_name": "Pavel", "email_addresses": "PavelB@fabrikam.example",
            "phone_numbers": {"business": "1", "mobile": "2"}});
        let written = act(&fake, "contact_create", given).await.unwrap();
        let sent = json!({"givenName": "Pavel", "emailAddresses": [{"address": "pavelb@fabrikam.example"}], "businessPhones": ["1"], "mobilePhone": "2"});
        assert_eq!((fake.requests()[0].body.clone(), fake.requests()[0].idempotent), (Some(sent), false));
        assert_eq!(written.learned, [("C".into(), vec![Scope::contacts("F")])]);
        assert_eq!(written.touches, [Touch::Scope(Scope::contacts("F"))]);
        assert!(written.answer.get("changeKey").is_none() && written.answer["givenName"] == "Pavel");
    }

    #[tokio::test]
    async fn an_update_replaces_what_it_names_and_null_clears() {
        let fake = Fake::answering([("PATCH /me/contacts/C%2F1", contact())]);
        let updates = json!({"mobilePhone": null, "homePhones": [], "emailAddresses": [{"address": "A@b.c", "name": "A"}]});
        act(&fake, "contact_update", json!({"account_id": "a", "contact_id": "C/1", "updates": updates})).await.unwrap();
        let sent = json!({"emailAddresses": [{"address": "a@b.c", "name": "A"}], "homePhones": [], "mobilePhone": null});
        assert_eq!(fake.requests()[0].body, Some(sent));
        for wrong in [json!({}), json!({"emailAddresses": ["x"]}), json!({"title": "x"}), json!({"givenName": null})] {
            assert!(args("contact_update", json!({"account_id": "a", "contact_id": "C", "updates": wrong})).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_copy_has_all_that_is_set_and_no_id_of_the_old_one() {
        let fake = Fake::answering([
            ("GET /me/contacts/C", contact()),
            ("POST /me/contactFolders/L/contacts", json!({"id": "D", "parentFolderId": "L"})),
        ]);
        let written = act(&fake, "contact_add_to_list", json!({"account_id": "a", "contact_id": "C", "list_id": "L"})).await.unwrap();
        assert_eq!(written.answer, json!({"id": "D"}));
        assert_eq!(written.learned, [("D".into(), vec![Scope::contacts("L")])]);
        let sent = fake.requests()[1].body.clone().unwrap();
        let names: Vec<&String> = sent.as_object().unwrap().keys().collect();
        assert_eq!(names, ["displayName", "givenName", "surname", "emailAddresses", "businessPhones", "personalNotes"]);
    }

    #[tokio::test]
    async fn deleting_and_lists_and_refusals() {
        let fake = Fake::answering([
            ("DELETE /me/contacts/C", Value::Null),
            ("POST /me/contactFolders", json!({"id": "L", "displayName": "VIP", "@odata.context": "x"})),
        ]);
        let gone = act(&fake, "contact_delete", json!({"account_id": "a", "contact_id": "C", "confirm": true})).await.unwrap();
        assert_eq!((gone.answer, gone.learned), (json!({"status": "deleted"}), vec![("C".into(), vec![])]));
        let list = act(&fake, "contact_create_list", json!({"account_id": "a", "list_name": "VIP"})).await.unwrap();
        assert_eq!(list.answer, json!({"id": "L", "displayName": "VIP"}));
        let refused = Fake::new(|_| Some(Err(refusal(404, "ErrorItemNotFound"))));
        for (tool, given) in [
            ("contact_update", json!({"account_id": "a", "contact_id": "C", "updates": {"surname": "x"}})),
            ("contact_delete", json!({"account_id": "a", "contact_id": "C", "confirm": true})),
            ("contact_add_to_list", json!({"account_id": "a", "contact_id": "C", "list_id": "L"})),
        ] {
            assert_eq!(act(&refused, tool, given).await.unwrap_err().status, Some(404), "{tool}");
        }
    }
}
