//! `/search/query` as Graph has it, over mail.

use serde_json::{Value, json};

use super::summary;
use crate::graph::testing::{Tenant, path, text};
use crate::seed::CANARY;

fn ask(tenant: &Tenant, request: Value, status: u16) -> Value {
    tenant.post("/search/query", json!({"requests": [request]}), status)
}

#[test]
fn mail_is_found_in_pages_with_ids_that_open() {
    let tenant = Tenant::small();
    let request =
        |from: usize, size: usize| json!({"entityTypes": ["message"], "query": {"queryString": CANARY}, "from": from, "size": size});
    let (mut seen, mut from) = (Vec::new(), 0);
    loop {
        let answer = ask(&tenant, request(from, 4), 200);
        let container = &answer["value"][0]["hitsContainers"][0];
        let hits = container["hits"].as_array().unwrap();
        for hit in hits {
            assert_eq!(hit["rank"].as_u64().unwrap() as usize, seen.len() + 1);
            let open = tenant.get(&format!("/me/messages/{}?$select=subject", path(text(hit, "hitId"))));
            assert_eq!(open["subject"], hit["resource"]["subject"]);
            seen.push(text(hit, "hitId").to_owned());
        }
        from += 4;
        if container["moreResultsAvailable"] == false {
            assert_eq!(container["total"], seen.len());
            break;
        }
    }
    assert!(seen.len() > 8, "{}", seen.len());
    let marked = ask(&tenant, request(0, 25), 200).to_string();
    assert!(marked.contains(&format!("<c0>{CANARY}</c0>")));
    let fields = json!({"entityTypes": ["message"], "query": {"queryString": "from:contoso"}, "fields": ["subject", "from"]});
    let hit = ask(&tenant, fields, 200)["value"][0]["hitsContainers"][0]["hits"][0].clone();
    assert_eq!(hit["resource"].as_object().unwrap().keys().collect::<Vec<_>>(), ["@odata.type", "subject", "from"]);
}

#[test]
fn what_the_service_refuses_is_refused() {
    let mut tenant = Tenant::small();
    let words = json!({"queryString": "plan"});
    for request in [
        json!({"entityTypes": ["message"], "query": words, "size": 26}),
        json!({"entityTypes": ["message"], "query": words, "size": 0}),
        json!({"entityTypes": ["message", "event"], "query": words}),
        json!({"entityTypes": ["nonsense"], "query": words}),
        json!({"entityTypes": ["message"], "query": {}}),
        json!({"entityTypes": ["message"], "query": {"queryString": "(plan"}}),
        json!({"query": words}),
    ] {
        ask(&tenant, request, 400);
    }
    let one = json!({"entityTypes": ["message"], "query": words});
    tenant.post("/search/query", json!({"requests": [one, one]}), 400);
    assert_eq!(tenant.refused("/search/query", 405), "Request_BadRequest");
    tenant.user = 2;
    let refusal = ask(&tenant, one, 400);
    assert!(text(&refusal["error"], "message").starts_with("This API is not supported for MSA accounts"));
}

#[test]
fn summaries_mark_the_words() {
    assert_eq!(summary("Take the plan and go", &["plan"]), "Take the <c0>plan</c0> and go");
    assert_eq!(summary("Größe und Plan", &["plan"]), "Größe und <c0>Plan</c0>");
    let long = format!("{} plan {}", "a ".repeat(100), "b ".repeat(100));
    let out = summary(&long, &["plan"]);
    assert!(out.starts_with("...") && out.contains("<c0>plan</c0>") && out.ends_with("<ddd/>"), "{out}");
    assert_eq!(summary("İstanbul plan", &["plan"]), "İstanbul plan", "lower case of another length");
}
