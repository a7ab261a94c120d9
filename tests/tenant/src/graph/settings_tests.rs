//! Mailbox settings, categories and mail tips.

use serde_json::{Value, json};

use crate::graph::testing::{Tenant, rows, text};

#[test]
fn settings_are_changed_part_by_part() {
    let tenant = Tenant::small();
    let url = "/me/mailboxSettings";
    let before = tenant.get(url);
    assert_eq!(before["timeZone"], "W. Europe Standard Time");
    let start = json!({"dateTime": "2026-12-24T18:00:00", "timeZone": "UTC"});
    let reply = tenant.ask(
        "PATCH",
        url,
        &[],
        json!({"automaticRepliesSetting": {"status": "Scheduled", "scheduledStartDateTime": start, "internalReplyMessage": "away"}}),
        200,
    );
    assert_eq!(reply.as_object().unwrap().keys().collect::<Vec<_>>(), ["@odata.context", "automaticRepliesSetting"]);
    let after = tenant.get(&format!("{url}/automaticRepliesSetting"));
    assert_eq!(
        (text(&after, "status"), text(&after, "externalAudience"), text(&after["scheduledStartDateTime"], "dateTime")),
        ("scheduled", "none", "2026-12-24T18:00:00.0000000")
    );
    tenant.ask("PATCH", url, &[], json!({"timeZone": "Tokyo Standard Time", "workingHours": {"startTime": "09:30"}}), 200);
    let now = tenant.get(url);
    assert_eq!(
        (&now["timeZone"], &now["workingHours"]["startTime"], &now["workingHours"]["endTime"]),
        (&json!("Tokyo Standard Time"), &json!("09:30:00.0000000"), &before["workingHours"]["endTime"])
    );
    for wrong in [
        json!({"timeZone": "Mars Standard Time"}),
        json!({"automaticRepliesSetting": {"status": "sometimes"}}),
        json!({"automaticRepliesSetting": {"nosuch": 1}}),
        json!({"userPurpose": "room"}),
        json!({"nosuch": 1}),
    ] {
        tenant.ask("PATCH", url, &[], wrong, 400);
    }
    let tips = json!({"EmailAddresses": ["alex@contoso.example", "x@y.example"], "MailTipsOptions": "automaticReplies, recipientScope"});
    let tips = rows(&tenant.post("/me/getMailTips", tips, 200));
    assert_eq!(
        (&tips[0]["automaticReplies"]["message"], &tips[1]["automaticReplies"]["message"], &tips[1]["recipientScope"]),
        (&json!("away"), &json!(""), &json!("external"))
    );
}

#[test]
fn categories_have_a_name_once_and_a_colour() {
    let tenant = Tenant::small();
    let url = "/me/outlook/masterCategories";
    let before = rows(&tenant.get(url)).len();
    let made = tenant.post(url, json!({"displayName": "Kites", "color": "preset9"}), 201);
    tenant.post(url, json!({"displayName": "KITES", "color": "preset1"}), 409);
    tenant.post(url, json!({"displayName": "Dragons", "color": "preset25"}), 400);
    tenant.post(url, json!({"color": "preset2"}), 400);
    let one = format!("{url}/{}", text(&made, "id"));
    assert_eq!(tenant.ask("PATCH", &one, &[], json!({"color": "preset3"}), 200)["color"], "preset3");
    tenant.ask("PATCH", &one, &[], json!({"displayName": "Other"}), 400);
    assert_eq!(rows(&tenant.get(url)).len(), before + 1);
    tenant.ask("DELETE", &one, &[], Value::Null, 204);
    tenant.refused(&one, 404);
}
