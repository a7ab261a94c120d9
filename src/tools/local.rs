//! By which clock the owner of an account lives, and the times of mail by it.
//!
//! Graph says when mail came in UTC, and a model that is asked "what came this morning" gets that wrong. So answers show the same moment by
//! the owner's clock with its offset, `2026-11-20T10:00:00+01:00`, which costs no member of its own. Where the zone is not to be had the
//! times stay as Graph writes them, in UTC with their `Z`: no call fails for it.
//!
//! The zone is that of the account's own mailbox, whichever mailbox the call is about: local times are for the person who asks. It is asked
//! beside the mail itself and remembered for an hour (`engine/facts.rs`).

use serde_json::{Map, Value};

use super::{Reply, StepError, Steps, shape::text, time::local, zone::Zone};
use crate::graph::GraphRequest;

/// The times of a message that Graph writes as moments.
const TIMES: [&str; 4] = ["receivedDateTime", "sentDateTime", "createdDateTime", "lastModifiedDateTime"];

/// Asks for the zone of the account's own mailbox.
pub(super) fn ask_zone() -> GraphRequest {
    GraphRequest::get(&["me", "mailboxSettings", "timeZone"])
}

/// A mailbox without settings, or whose settings may not be read, has no zone we know; nor has one with a zone made by hand.
pub(super) fn read_zone(reply: Result<Reply, StepError>) -> Result<Option<Zone>, StepError> {
    match reply {
        Ok(reply) => Ok(text(&reply.body, "value").and_then(Zone::find)),
        Err(error) if matches!(error.status, Some(403 | 404)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The zone for the times of mail; `None` for UTC, and when it is not to be had.
pub(super) async fn zone_of_mail(steps: &dyn Steps) -> Option<Zone> {
    read_zone(steps.send(ask_zone()).await).ok().flatten().filter(|zone| *zone != Zone::utc())
}

/// Shows the times of a message by the clock of `zone`.
pub(super) fn by_the_clock(message: &mut Map<String, Value>, zone: Option<&Zone>) {
    let Some(zone) = zone else { return };
    for name in TIMES {
        change(message, name, |moment| local(moment, zone));
    }
}

/// Shows them in UTC again, as Graph writes them. What is in UTC stays as it is.
pub(super) fn by_utc(message: &mut Map<String, Value>) {
    for name in TIMES {
        if !message.get(name).and_then(Value::as_str).is_some_and(|at| at.ends_with('Z')) {
            change(message, name, |moment| moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
    }
}

/// What is no moment stays as it is.
fn change(message: &mut Map<String, Value>, name: &str, shown: impl Fn(jiff::Timestamp) -> String) {
    if let Some(value) = message.get_mut(name)
        && let Some(moment) = value.as_str().and_then(|at| at.parse().ok())
    {
        *value = shown(moment).into();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{
        hint::Kind,
        tools::fake::{Fake, refusal},
    };

    fn shown(message: Value, zone: &str) -> Value {
        let mut message = message.as_object().unwrap().clone();
        by_the_clock(&mut message, Zone::find(zone).as_ref());
        message.into()
    }

    #[test]
    fn the_moment_stays_and_the_offset_is_that_of_its_day() {
        let message =
            json!({"receivedDateTime": "2026-11-20T09:00:00Z", "sentDateTime": "2026-06-20T09:00:00Z", "subject": "2026-11-20T09:00:00Z"});
        let expected = json!({"receivedDateTime": "2026-11-20T10:00:00+01:00", "sentDateTime": "2026-06-20T11:00:00+02:00",
            "subject": "2026-11-20T09:00:00Z"});
        assert_eq!(shown(message.clone(), "W. Europe Standard Time"), expected);
        assert_eq!(shown(message.clone(), "Mars/Olympus"), message, "no zone: as it was");
    }

    #[test]
    fn what_is_no_moment_stays_as_it_is() {
        for odd in [json!(null), json!(7), json!("soon"), json!("")] {
            let message = json!({ "receivedDateTime": odd });
            assert_eq!(shown(message.clone(), "Europe/Berlin"), message);
        }
    }

    #[tokio::test]
    async fn no_call_fails_for_a_zone() {
        let zone = |reply: Option<Result<Value, StepError>>| async move {
            let steps = Fake::new(move |_| reply.clone());
            zone_of_mail(&steps).await.map(|zone| zone.name().to_owned())
        };
        assert_eq!(zone(Some(Ok(json!({"value": "Tokyo Standard Time"})))).await.as_deref(), Some("Asia/Tokyo"));
        assert_eq!(zone(Some(Ok(json!({"value": "tzone://Microsoft/Utc"})))).await, None, "`Z` says it shorter");
        assert_eq!(zone(Some(Ok(json!({"value": "Customized Time Zone"})))).await, None);
        assert_eq!(zone(None).await, None, "404");
        assert_eq!(zone(Some(Err(refusal(403, "no right")))).await, None);
        assert_eq!(zone(Some(Err(StepError { kind: Kind::Offline, ..refusal(503, "gone") }))).await, None);
    }

    proptest! {
        #[test]
        fn there_and_back_is_what_graph_wrote(second in 0i64..4_000_000_000, zone in prop::sample::select(vec!["Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "UTC"])) {
            let at = jiff::Timestamp::from_second(second).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let mut message = shown(json!({ "receivedDateTime": at }), zone).as_object().unwrap().clone();
            by_utc(&mut message);
            prop_assert_eq!(message["receivedDateTime"].as_str().unwrap(), at);
        }
    }
}
