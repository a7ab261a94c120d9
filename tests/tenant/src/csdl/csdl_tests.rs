//! The checker finds what is wrong and lets pass what Microsoft's own examples show.

use serde_json::{Value, json};

use super::{Csdl, Exchange, Gives};

fn found(method: &str, path: &str, status: u16, body: &Value) -> Vec<String> {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let exchange = Exchange { method, path, request: &[], status, content_type: "application/json", body: &body };
    Csdl::v1().check(&exchange).offences.into_iter().map(|(at, what, _)| format!("{at} {what}")).collect()
}

fn gives(method: &str, path: &str) -> Gives {
    Csdl::v1().gives(method, path).unwrap_or_else(|why| panic!("{method} {path}: {why}"))
}

#[test]
fn addresses_give_what_is_declared() {
    let one = |name: &str| Gives::One(format!("microsoft.graph.{name}"));
    let many = |name: &str| Gives::Many(format!("microsoft.graph.{name}"));
    for (method, path, expected) in [
        ("GET", "/me", one("user")),
        ("GET", "/users", many("user")),
        ("GET", "/users/x@y.example/messages", many("message")),
        ("GET", "/me/mailfolders('inbox')/messages", many("message")),
        ("POST", "/me/mailFolders/a/messages", one("message")),
        ("GET", "/me/mailFolders/a/messages/delta", many("message")),
        ("GET", "/me/messages/AA%2FB/attachments/c", one("attachment")),
        ("GET", "/me/messages/a/attachments/c/$value", Gives::Raw),
        ("GET", "/me/messages/$count", Gives::Raw),
        ("POST", "/me/messages/a/move", one("message")),
        ("POST", "/me/messages/a/send", Gives::Nothing),
        ("POST", "/me/sendMail", Gives::Nothing),
        ("DELETE", "/me/messages/a", Gives::Nothing),
        ("POST", "/me/messages/a/attachments/createUploadSession", one("uploadSession")),
        ("GET", "/me/mailboxSettings", one("mailboxSettings")),
        ("GET", "/me/mailboxSettings/timeZone", Gives::Value("Edm.String".to_owned(), false)),
        ("GET", "/me/outlook/masterCategories", many("outlookCategory")),
        ("GET", "/me/mailFolders/inbox/messageRules", many("messageRule")),
        ("GET", "/me/calendar/calendarView/delta()", many("event")),
        ("GET", "/me/events/a/instances", many("event")),
        ("POST", "/me/calendar/getSchedule", many("scheduleInformation")),
        ("GET", "/me/drive/root:/a/b c.txt", one("driveItem")),
        ("GET", "/me/drive/root:/a/b%20c:/children", many("driveItem")),
        ("PUT", "/me/drive/items/1:/new.txt:/content", one("driveItem")),
        ("GET", "/me/drive/items/1/content", Gives::Raw),
        ("GET", "/drives/b!1/items/1/permissions", many("permission")),
        ("GET", "/me/drive/root/search(q='a')", many("driveItem")),
        ("GET", "/me/drive/root/delta(token='x')", many("driveItem")),
        ("POST", "/search/query", many("searchResponse")),
        ("POST", "/$batch", Gives::Batch),
    ] {
        assert_eq!(gives(method, path), expected, "{method} {path}");
    }
    for path in ["/nonsense", "/me/frob", "/me/messages/a/frobnicate", "/me/sendMail/x"] {
        assert!(Csdl::v1().gives("GET", path).is_err(), "{path}");
    }
}

#[test]
fn what_is_right_passes() {
    let message = json!({"@odata.context": "c", "@odata.etag": "W/\"1\"", "id": "a", "subject": null, "isRead": true,
        "receivedDateTime": "2026-01-02T03:04:05Z", "importance": "low", "flag": {"flagStatus": "flagged"}, "categories": [],
        "from": {"emailAddress": {"address": "a@b.example"}},
        "attachments@odata.context": "c", "attachments": [{"@odata.type": "#microsoft.graph.fileAttachment", "size": 3, "contentBytes": "YWJj"}]});
    assert_eq!(found("GET", "/me/messages/a", 200, &message), [""; 0]);
    let page = json!({"@odata.context": "c", "@odata.count": 1, "@odata.nextLink": "n", "value": [message, {"id": "b", "@removed": {"reason": "deleted"}}]});
    assert_eq!(found("GET", "/me/mailFolders/a/messages/delta", 200, &page), [""; 0]);
    assert_eq!(found("DELETE", "/me/messages/a", 204, &Value::Null), [""; 0]);
    assert_eq!(found("GET", "/me/mailboxSettings/timeZone", 200, &json!({"@odata.context": "c", "value": "UTC"})), [""; 0]);
    let error = json!({"error": {"code": "c", "message": "m", "innerError": {}}});
    assert_eq!(found("GET", "/anything", 404, &error), [""; 0]);
}

#[test]
fn what_is_wrong_is_found() {
    let in_message = |more: Value, expected: &str| {
        assert_eq!(found("GET", "/me/messages/a", 200, &more), [expected], "{more}");
    };
    in_message(json!({"subjekt": "a"}), "message.subjekt is not declared by microsoft.graph.message");
    in_message(json!({"subject": 1}), "message.subject is no Edm.String");
    in_message(json!({"isRead": "true"}), "message.isRead is no Edm.Boolean");
    in_message(json!({"importance": "Low"}), "message.importance is no microsoft.graph.importance");
    in_message(json!({"categories": null}), "message.categories is no collection of Edm.String");
    in_message(json!({"toRecipients": [null]}), "message.toRecipients[] is no object");
    in_message(
        json!({"from": {"emailAddress": {"mail": "x"}}}),
        "message.from.emailAddress.mail is not declared by microsoft.graph.emailAddress",
    );
    in_message(json!({"sentDateTime": "2026-01-02T03:04:05"}), "message.sentDateTime is no Edm.DateTimeOffset");
    in_message(json!({"@odata.etag": 1}), "message.@odata.etag is an annotation with a wrong value");
    in_message(json!({"@odata.frob": "x"}), "message.@odata.frob is an annotation that Graph does not send");
    in_message(json!({"frob@odata.count": 1}), "message.frob@odata.count annotates what microsoft.graph.message does not declare");
    in_message(
        json!({"@odata.type": "#microsoft.graph.event"}),
        "message is of type microsoft.graph.event, which is no microsoft.graph.message",
    );
    let attachments = found("GET", "/me/messages/a/attachments", 200, &json!({"value": [{"id": "a"}]}));
    assert_eq!(attachments, ["attachment is of the abstract type microsoft.graph.attachment and does not say which it really is"]);
    assert_eq!(found("GET", "/me/messages", 200, &json!({"value": [], "more": 1})), ["more does not belong into the envelope of a page"]);
    assert_eq!(found("GET", "/me/messages", 200, &Value::Null), ["body is missing"]);
    assert_eq!(found("POST", "/me/messages/a/send", 202, &json!({"id": "a"})), ["body is there, and nothing is declared"]);
    assert_eq!(found("GET", "/me/frob", 200, &json!({})), ["address microsoft.graph.user declares no frob"]);
    assert_eq!(found("GET", "/me/messages", 400, &json!({"error": {"code": "c"}})), ["error has no code or no message"]);
    let null = found("GET", "/me/outlook/masterCategories", 200, &json!({"value": [null]}));
    assert_eq!(null, ["outlookCategory is no object"]);
}

#[test]
fn each_answer_of_a_batch_is_held_to_its_own_request() {
    let asked = json!({"requests": [{"id": "1", "method": "GET", "url": "/me"}, {"id": 2, "method": "get", "url": "me/messages?$top=1"}]});
    let answer = json!({"responses": [
        {"id": "2", "status": 200, "headers": {"Content-Type": "application/json"}, "body": {"value": [{"frob": 1}]}},
        {"id": "1", "status": 200, "headers": {}, "body": {"displayName": "A", "frob": 1}}]});
    let (asked, answer) = (asked.to_string(), answer.to_string());
    let exchange = Exchange {
        method: "POST",
        path: "/$batch",
        request: asked.as_bytes(),
        status: 200,
        content_type: "application/json",
        body: answer.as_bytes(),
    };
    let findings = Csdl::v1().check(&exchange);
    let places: Vec<&str> = findings.offences.iter().map(|(at, ..)| at.as_str()).collect();
    assert_eq!((places.as_slice(), findings.responses), (&["message.frob", "user.frob"][..], 3));
}
