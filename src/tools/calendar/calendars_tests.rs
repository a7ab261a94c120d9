use super::*;
use crate::{
    graph::Method,
    tools::{
        fake::{Fake, act, args, fetch, refusal},
        find,
    },
};
use serde_json::Value;

#[tokio::test]
async fn calendars_are_listed_with_what_they_depend_on() {
    let example = json!({"value": [{"@odata.id": "x", "id": "C1", "name": "Calendar", "isDefaultCalendar": true, "hexColor": ""},
        {"id": "C2", "name": "Team", "owner": {"name": "Ada", "address": "ada@x.org"}}]});
    let fake = Fake::answering([("GET /users/team%40x.org/calendars", example)]);
    let list = fetch(&fake, "calendar_list_calendars", json!({"account_id": "a", "mailbox": "team@x.org"})).await.unwrap();
    assert_eq!(list.answer["calendars"][0], json!({"id": "C1", "name": "Calendar", "isDefaultCalendar": true}));
    assert_eq!(list.answer["complete"], true);
    assert_eq!(list.scopes, [Scope::calendars()]);
    assert_eq!(list.shown[1], ("C2".to_owned(), vec![Scope::calendars()]));
}

#[tokio::test]
async fn a_new_calendar_is_made_once_and_touches_the_list() {
    let fake = Fake::answering([("POST /me/calendars", json!({"@odata.etag": "e", "id": "C", "name": "Team", "changeKey": "k"}))]);
    let written = act(&fake, "calendar_create_calendar", json!({"account_id": "a", "name": "Team"})).await.unwrap();
    assert_eq!(written.answer, json!({"id": "C", "name": "Team"}));
    assert_eq!((fake.requests()[0].body.clone(), fake.requests()[0].idempotent), (Some(json!({"name": "Team"})), false));
    let Does::Write { touches, .. } = find("calendar_create_calendar").unwrap().does else { panic!() };
    let given = args("calendar_create_calendar", json!({"account_id": "a", "name": "Team"})).unwrap();
    assert!(touches(&given).contains(&Touch::Scope(Scope::calendars())));
    assert!(args("calendar_create_calendar", json!({"account_id": "a", "name": " "})).is_err());
}

#[tokio::test]
async fn the_default_calendar_stays() {
    for kept in [json!({"isDefaultCalendar": true}), json!({"isDefaultCalendar": false, "isRemovable": false})] {
        let fake = Fake::answering([("GET /me/calendars/C", kept)]);
        let given = json!({"account_id": "a", "calendar_id": "C", "confirm": true});
        assert_eq!(act(&fake, "calendar_delete_calendar", given).await.unwrap_err().code, "default_calendar");
        assert_eq!(fake.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_calendar_goes_with_all_that_is_in_it() {
    let given = json!({"account_id": "a", "calendar_id": "C", "confirm": true});
    let removable = || json!({"isDefaultCalendar": false, "isRemovable": true});
    // Somebody else was faster, and that is what was wanted.
    let gone = Fake::answering([("GET /me/calendars/C", removable())]);
    let written = act(&gone, "calendar_delete_calendar", given.clone()).await.unwrap();
    assert_eq!(written.answer, json!({"status": "deleted"}));
    assert_eq!((gone.requests()[1].method, gone.requests()[1].idempotent), (Method::Delete, false), "it is sent once");
    let denied = Fake::new(move |request| {
        Some(if request.method == Method::Get { Ok(removable()) } else { Err::<Value, _>(refusal(403, "ErrorAccessDenied")) })
    });
    assert_eq!(act(&denied, "calendar_delete_calendar", given.clone()).await.unwrap_err().status, Some(403));
    let nothing = Fake::answering([]);
    assert_eq!(act(&nothing, "calendar_delete_calendar", given.clone()).await.unwrap_err().status, Some(404));
    let Does::Write { touches, .. } = find("calendar_delete_calendar").unwrap().does else { panic!() };
    assert_eq!(touches(&args("calendar_delete_calendar", given).unwrap()), [Touch::All]);
}
