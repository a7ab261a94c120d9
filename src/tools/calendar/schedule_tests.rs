use super::*;
use crate::tools::fake::{Fake, args, fetch};
use proptest::prelude::*;

fn window(minutes: i64, step: i64) -> Window {
    let start: Timestamp = "2026-11-20T08:00:00Z".parse().unwrap();
    Window { start, end: start + SignedDuration::from_mins(minutes), step: SignedDuration::from_mins(step) }
}

/// Answers each schedule with the view that its address begins with.
fn office() -> Fake {
    Fake::new(|request| {
        Some(Ok(match request.path.as_str() {
            "/me" => json!({"mail": null, "userPrincipalName": "0020@x.org"}),
            "/me/mailboxSettings/timeZone" => json!({"value": "W. Europe Standard Time"}),
            "/me/calendar/getSchedule" => {
                let asked = request.body.as_ref()?["schedules"].as_array()?.clone();
                let told = |who: Value| match who.as_str().unwrap().split('@').next().unwrap() {
                    "nobody" => json!({"scheduleId": who, "error": {"message": "no", "responseCode": "ErrorMailRecipientNotFound"}}),
                    view => json!({"scheduleId": who, "availabilityView": view, "scheduleItems": [], "@odata.type": "x"}),
                };
                json!({"value": asked.into_iter().map(told).collect::<Vec<_>>()})
            }
            _ => return None,
        }))
    })
}

#[tokio::test]
async fn an_own_schedule_is_told_in_words_and_with_others() {
    let fake = office();
    let given = json!({"account_id": "a", "start": "2026-11-20T09:00", "end": "2026-11-20T11:00", "attendees": "0001@x.org, 0020@X.org"});
    let answer = fetch(&fake, "calendar_check_availability", given).await.unwrap().answer;
    let question = fake.requests().pop().unwrap().body.unwrap();
    assert_eq!(question["schedules"], json!(["0020@x.org", "0001@x.org"]), "the owner first, and nobody twice");
    assert_eq!(question["startTime"], json!({"dateTime": "2026-11-20T08:00:00", "timeZone": "UTC"}));
    assert_eq!(question["availabilityViewInterval"], 30);
    let span = |from: &str, to: &str| (format!("2026-11-20T{from}:00+01:00"), format!("2026-11-20T{to}:00+01:00"));
    let stretch = |status: &str, from: &str, to: &str| {
        let (start, end) = span(from, to);
        json!({"status": status, "start": start, "end": end})
    };
    assert_eq!(
        answer["value"][0]["availability"],
        json!([stretch("free", "09:00", "10:00"), stretch("busy", "10:00", "10:30"), stretch("free", "10:30", "11:00")])
    );
    assert_eq!(answer["value"][0]["availabilityView"], "0020");
    let (start, end) = span("09:00", "10:00");
    assert_eq!(answer["everyone_free"], json!([{"start": start, "end": end}]));
    assert_eq!(answer["timezone"], "Europe/Berlin");
}

#[tokio::test]
async fn many_people_are_asked_about_twenty_at_a_time_and_one_unknown_leaves_nobody_sure() {
    let fake = office();
    let people: Vec<String> = (0..45).map(|n| format!("0@p{n}.org")).collect();
    let given =
        |people: &[String]| json!({"account_id": "a", "attendees": people, "start": "2026-11-20T08:00Z", "end": "2026-11-20T08:30Z"});
    let answer = fetch(&fake, "calendar_get_free_busy", given(&people)).await.unwrap().answer;
    assert_eq!(answer["value"].as_array().unwrap().len(), 45);
    assert_eq!(answer["everyone_free"].as_array().unwrap().len(), 1);
    let asked: Vec<usize> = fake
        .requests()
        .iter()
        .filter_map(|request| request.body.as_ref().map(|body| body["schedules"].as_array().unwrap().len()))
        .collect();
    assert_eq!(asked, [20, 20, 5]);
    assert!(fake.requests().iter().all(|request| request.idempotent), "a question may be repeated");
    let answer = fetch(&fake, "calendar_get_free_busy", given(&["0@p.org".into(), "nobody@p.org".into()])).await.unwrap().answer;
    assert!(answer.get("everyone_free").is_none());
    assert_eq!(answer["value"][1]["error"], json!({"responseCode": "ErrorMailRecipientNotFound", "message": "no"}));
}

#[tokio::test]
async fn what_graph_would_refuse_is_refused_with_a_reason() {
    let given = |start: &str, end: &str| json!({"account_id": "a", "attendees": "0@x.org", "start": start, "end": end});
    for (start, end, why) in [("2026-11-20T09:00", "2026-11-20T09:00", "before end"), ("2026-01-01T00:00", "2026-03-05T00:00", "62 days")] {
        let error = fetch(&office(), "calendar_get_free_busy", given(start, end)).await.unwrap_err();
        assert!(error.message.contains(why), "{error}");
    }
    let error = fetch(&office().of_personal(), "calendar_get_free_busy", given("2026-11-20T09:00", "2026-11-20T10:00")).await.unwrap_err();
    assert_eq!(error.code, "work_account_needed");
    let mut empty = given("2026-11-20T09:00", "2026-11-20T10:00");
    empty["attendees"] = json!([]);
    assert!(fetch(&office(), "calendar_get_free_busy", empty.clone()).await.unwrap_err().message.contains("nobody"));
    empty["time_interval"] = 4.into();
    assert!(args("calendar_get_free_busy", empty).is_err());
}

#[tokio::test]
async fn the_official_example_is_read() {
    let example: Value = serde_json::from_str(include_str!("../data/calendar-getschedule.json")).unwrap();
    let fake = Fake::answering([("POST /me/calendar/getSchedule", example.clone())]);
    let given = json!({"account_id": "a", "attendees": "adelev@contoso.onmicrosoft.com,meganb@contoso.onmicrosoft.com",
        "start": "2019-03-15T09:00", "end": "2019-03-15T18:00", "timezone": "Pacific Standard Time", "time_interval": 60});
    let answer = fetch(&fake, "calendar_get_free_busy", given).await.unwrap().answer;
    let adele = &answer["value"][0];
    assert_eq!(adele["workingHours"], example["value"][0]["workingHours"]);
    assert_eq!(adele["scheduleItems"][0]["subject"], "Let's go for lunch");
    assert_eq!(adele["scheduleItems"][0]["start"]["local"], "2019-03-15T12:00:00-07:00");
    assert_eq!(
        adele["availability"][1],
        json!({"status": "busy", "start": "2019-03-15T12:00:00-07:00", "end": "2019-03-15T14:00:00-07:00"})
    );
    assert_eq!(answer["everyone_free"].as_array().unwrap().len(), 3);
}

proptest! {
    #[test]
    fn stretches_cover_the_window_without_gaps_and_neighbours_differ(view in "[0-4?]{1,60}", step in 5i64..120) {
        let length = i64::try_from(view.len()).unwrap() * step;
        let window = window(length - step / 2, step);
        let runs = runs(&view, &window);
        prop_assert_eq!(runs.first().unwrap().1, window.start);
        prop_assert_eq!(runs.last().unwrap().2, window.end);
        prop_assert!(runs.windows(2).all(|two| two[0].2 == two[1].1 && two[0].0 != two[1].0));
    }
}
