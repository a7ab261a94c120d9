//! Extensions and extended properties, from the body that brings them to the answer that shows them.

use serde_json::{Value, json};

use crate::graph::testing::{Tenant, path, rows, text};

const COLOR: &str = "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name Color";
const EXPAND: &str =
    "$expand=singleValueExtendedProperties($filter=id%20eq%20'String%20{66F5a359-4659-4830-9070-00047ec6ac6e}%20Name%20Color')";

fn referral() -> Value {
    json!({"@odata.type": "microsoft.graph.openTypeExtension", "extensionName": "Com.Contoso.Referral", "dealValue": 10_000})
}

#[test]
fn extended_properties_are_shown_to_those_who_name_them() {
    let tenant = Tenant::small();
    let property = json!([{"id": COLOR, "value": "Green"}]);
    let time = json!({"dateTime": "2026-12-01T10:00:00", "timeZone": "UTC"});
    for (collection, body) in [
        ("messages", json!({"subject": "x", "singleValueExtendedProperties": property})),
        ("events", json!({"subject": "x", "start": time, "end": time, "singleValueExtendedProperties": property})),
        ("contacts", json!({"givenName": "x", "singleValueExtendedProperties": property})),
    ] {
        let made = tenant.post(&format!("/me/{collection}"), body, 201);
        let url = format!("/me/{collection}/{}", path(text(&made, "id")));
        assert_eq!(tenant.get(&format!("{url}?{EXPAND}"))["singleValueExtendedProperties"], property, "{collection}");
        assert!(tenant.get(&url).get("singleValueExtendedProperties").is_none());
        tenant.refused(&format!("{url}?$expand=singleValueExtendedProperties"), 400);
        let other = json!({"singleValueExtendedProperties": [{"id": COLOR, "value": "Red"}]});
        tenant.ask("PATCH", &url, &[], other, 200);
        assert_eq!(tenant.get(&format!("{url}?{EXPAND}"))["singleValueExtendedProperties"][0]["value"], "Red");
    }
}

#[test]
fn extensions_are_made_with_an_item_or_later_and_can_be_changed() {
    let tenant = Tenant::small();
    let made = tenant.post("/me/messages", json!({"subject": "x", "extensions": [referral()]}), 201);
    assert_eq!(made["extensions"][0]["dealValue"], 10_000);
    let url = format!("/me/messages/{}", path(text(&made, "id")));
    assert_eq!(rows(&tenant.get(&format!("{url}/extensions"))).len(), 1);
    let one = format!("{url}/extensions/{}", path(text(&made["extensions"][0], "id")));
    let before = tenant.get(&url);
    let changed = tenant.ask("PATCH", &one, &[], json!({"dealValue": 7, "more": ["a"]}), 200);
    assert_eq!((changed["dealValue"].clone(), changed["more"].clone()), (json!(7), json!(["a"])));
    assert_ne!(tenant.get(&url)["changeKey"], before["changeKey"]);
    let filter = "$expand=Extensions($filter=id%20eq%20'com.contoso.referral')";
    assert_eq!(tenant.get(&format!("{url}?{filter}"))["extensions"][0]["extensionName"], "Com.Contoso.Referral");
    tenant.ask("DELETE", &one, &[], Value::Null, 204);
    assert!(tenant.get(&format!("{url}?$expand=extensions")).get("extensions").is_none());
    tenant.refused(&one, 404);
}

#[test]
fn a_profile_has_extensions_too() {
    let tenant = Tenant::small();
    let made = tenant.post("/me/extensions", referral(), 201);
    assert_eq!(text(&made, "id"), "Com.Contoso.Referral");
    let answer = tenant.raw("POST", "/me/extensions", &[], referral().to_string().into());
    assert_eq!(answer.status.as_u16(), 409);
    tenant.ask("PATCH", "/me/extensions/Com.Contoso.Referral", &[], json!({"dealValue": 1}), 204);
    assert_eq!(tenant.get("/me?$select=id&$expand=extensions")["extensions"][0]["dealValue"], 1);
    tenant.post("/me/extensions", json!({"extensionName": "x"}), 400);
}
