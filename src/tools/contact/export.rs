//! `contact_export`.

use serde_json::{Value, json};

use super::{CONTACT, LIST_FIELDS, MORE_FIELDS, containers, vcard::vcard};
use crate::{
    cache::{Scope, Service},
    graph::GraphRequest,
    tools::{
        Args, Asks, Does, Effect, Fetched, Param, ParamType, Risk, StepError, Steps, Tool,
        shape::{id, text},
        tool::ACCOUNT,
    },
};

pub(in crate::tools) const TOOLS: &[Tool] = &[Tool {
    name: "contact_export",
    title: "Export a contact as vCard",
    profiles: &[],
    help: "One contact as a vCard 3.0, under `vcard`.",
    params: &[ACCOUNT, CONTACT, Param::optional("format", ParamType::Choice(&["vcard"]), "\"vcard\"", "The only format there is.")],
    effect: Effect::Read { service: Service::Contacts, ttl: Err("an export shows the contact as it is now") },
    risk: Risk::Safe,
    idempotent: true,
    asks: Asks::Never,
    canonical: None,
    does: Does::Read(|steps, args| Box::pin(export(steps, args))),
}];

async fn export(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let asked = args.text("contact_id").unwrap_or_default();
    let fields = [LIST_FIELDS.as_slice(), &MORE_FIELDS, &["parentFolderId"]].concat();
    let contact = steps.send(GraphRequest::get(&["me", "contacts", asked]).with("$select", fields.join(","))).await?.body;
    let real = id(&contact)?;
    let card = vcard(&contact);
    let answer = json!({
        "contact_id": real,
        "display_name": text(&contact, "displayName").map(Value::from).unwrap_or_default(),
        "format": "vcard",
        "size_bytes": card.len(),
        "vcard": card,
    });
    Ok(Fetched {
        answer,
        list: None,
        scopes: vec![Scope::item(real)],
        shown: vec![(real.to_owned(), containers(&contact))],
        whole: true,
        more: None,
        etag: None,
        along: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::{Fake, fetch};

    #[tokio::test]
    async fn a_contact_becomes_a_card() {
        let fake = Fake::answering([(
            "GET /me/contacts/C",
            json!({"id": "C", "displayName": null, "givenName": "Ada", "surname": null, "mobilePhone": "1"}),
        )]);
        let got = fetch(&fake, "contact_export", json!({"account_id": "a", "contact_id": "C"})).await.unwrap();
        let card = got.answer["vcard"].as_str().unwrap();
        assert_eq!(card, "BEGIN:VCARD\r\nVERSION:3.0\r\nN:;Ada;;;\r\nFN:Ada\r\nTEL;TYPE=CELL:1\r\nUID:C\r\nEND:VCARD\r\n");
        assert_eq!((&got.answer["size_bytes"], &got.answer["format"]), (&json!(card.len()), &json!("vcard")));
    }
}
