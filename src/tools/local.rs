//! By which clock the owner of an account lives, and the times of what answers show by it.
//!
//! Graph says in UTC when mail came and when a file was changed, and a model that is asked "what came this morning" gets that wrong. So answers
//! show the same moment by the owner's clock with its offset, `2026-11-20T10:00:00+01:00`, which costs no member of its own: answers of reads and
//! of writes, of mail, of events (whose clock is that of the call) and of files. Where the zone is not to be had the times stay as Graph writes
//! them, in UTC with their `Z`: no call fails for it, and none waits for it beyond [`Steps::aside`].
//!
//! The zone is that of the account's own mailbox, whichever mailbox or drive the call is about: local times are for the person who asks. It is
//! asked beside the thing itself and remembered for an hour (`engine/facts.rs`).
//!
//! Times are known by their members' names, at any depth: a list of them for each tool would be the same one, told thirty times. What Graph
//! writes as a clock on a wall with its zone (`start`, a flag's `dueDateTime`) is an object and no such time.

use futures_util::future::try_join;
use serde_json::{Map, Value};

use super::{Fetched, Reply, StepError, Steps, Written, shape::text, time::local, zone::Zone};
use crate::graph::GraphRequest;

/// The members that Graph writes as moments, and ours that show one of them.
const TIMES: [&str; 6] = ["receivedDateTime", "sentDateTime", "createdDateTime", "lastModifiedDateTime", "expirationDateTime", "modified"];

/// Asks for the zone of the account's own mailbox.
pub(super) fn ask_zone() -> GraphRequest {
    GraphRequest::get(&["me", "mailboxSettings", "timeZone"])
}

/// A mailbox without settings, or whose settings may not be read, has no zone we know; nor has one with a zone made by hand.
pub(super) fn read_zone(reply: Result<Reply, StepError>) -> Result<Option<Zone>, StepError> {
    match reply {
        Ok(reply) => Ok(zone_in(&reply)),
        Err(error) if matches!(error.status, Some(403 | 404)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn zone_in(reply: &Reply) -> Option<Zone> {
    text(&reply.body, "value").and_then(Zone::find)
}

/// What a tool answers, with times in it.
pub(super) trait Timed {
    /// Gives each answer to `show`.
    fn each_answer(&mut self, show: &dyn Fn(&mut Value));
}

impl Timed for Fetched {
    fn each_answer(&mut self, show: &dyn Fn(&mut Value)) {
        show(&mut self.answer);
        self.along.iter_mut().for_each(|along| along.fetched.each_answer(show));
    }
}

impl Timed for Written {
    fn each_answer(&mut self, show: &dyn Fn(&mut Value)) {
        show(&mut self.answer);
    }
}

/// What `asked` comes to, its times by the clock of the owner, whose zone is asked beside it. A failure waits for no zone.
pub(super) async fn by_the_clock<T: Timed>(steps: &dyn Steps, asked: impl Future<Output = Result<T, StepError>>) -> Result<T, StepError> {
    let zone = async { Ok(steps.aside(ask_zone()).await.as_ref().and_then(zone_in)) };
    // What is asked goes first: some of what is learnt by the way holds for a first request only (`engine/watch.rs`).
    let (mut came, zone) = try_join(asked, zone).await?;
    if let Some(zone) = zone {
        came.each_answer(&|answer| to_zone(answer, &zone));
    }
    Ok(came)
}

/// Shows the times in an answer by the clock of `zone`; those of UTC's are Graph's, for `Z` says it shorter.
pub(super) fn to_zone(answer: &mut Value, zone: &Zone) {
    if *zone != Zone::utc() {
        each_time(answer, &|at| shown(at, zone));
    }
}

/// The same for members.
pub(super) fn members_to_zone(members: &mut Map<String, Value>, zone: &Zone) {
    let mut answer = Value::Object(std::mem::take(members));
    to_zone(&mut answer, zone);
    if let Value::Object(shown) = answer {
        *members = shown;
    }
}

/// Shows them in UTC again, as Graph wrote them. What is in UTC stays as it is.
pub(super) fn to_utc(answer: &mut Value) {
    each_time(answer, &|at| if at.ends_with('Z') { None } else { shown(at, &Zone::utc()).map(|at| at.replace("+00:00", "Z")) });
}

/// What is no moment stays as it is.
fn each_time(value: &mut Value, shown: &dyn Fn(&str) -> Option<String>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| each_time(item, shown)),
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(at) if TIMES.contains(&name.as_str()) => {
                        if let Some(at) = shown(at) {
                            *value = at.into();
                        }
                    }
                    _ => each_time(value, shown),
                }
            }
        }
        _ => {}
    }
}

/// The moment `at` by the clock of `zone`, its fraction of a second as it was written; `None` for what is no moment, and for one from the days
/// of local mean time, such as Exchange's year 1 for "never": an offset cannot say its seconds.
fn shown(at: &str, zone: &Zone) -> Option<String> {
    let moment: jiff::Timestamp = at.parse().ok()?;
    if zone.rules().to_offset(moment).seconds() % 60 != 0 {
        return None;
    }
    let mut shown = local(moment, zone);
    if let Some((_, behind)) = at.split_once('.') {
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        shown.insert_str("2026-11-20T10:00:00".len(), at.get(at.len() - behind.len() - 1..at.len() - behind.len() + digits)?);
    }
    Some(shown)
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

    fn by(mut answer: Value, zone: &str) -> Value {
        if let Some(zone) = Zone::find(zone) {
            to_zone(&mut answer, &zone);
        }
        answer
    }

    #[test]
    fn the_moment_stays_and_the_offset_is_that_of_its_day() {
        let answer = json!({"receivedDateTime": "2026-11-20T09:00:00Z", "items": [{"modified": "2026-06-20T09:00:00.123Z"}],
            "subject": "2026-11-20T09:00:00Z", "flag": {"dueDateTime": {"dateTime": "2026-11-20T09:00:00", "timeZone": "UTC"}}});
        let mut expected = answer.clone();
        expected["receivedDateTime"] = json!("2026-11-20T10:00:00+01:00");
        expected["items"][0]["modified"] = json!("2026-06-20T11:00:00.123+02:00");
        assert_eq!(by(answer.clone(), "W. Europe Standard Time"), expected);
        assert_eq!(by(answer.clone(), "UTC"), answer, "`Z` says it shorter");
    }

    #[test]
    fn every_time_that_graph_writes_is_known_by_its_name() {
        for name in ["receivedDateTime", "sentDateTime", "createdDateTime", "lastModifiedDateTime", "expirationDateTime", "modified"] {
            let shown = by(json!({ name: "2026-11-20T09:00:00Z" }), "Asia/Tokyo");
            assert_eq!(shown[name], "2026-11-20T18:00:00+09:00", "{name}");
        }
    }

    #[test]
    fn what_is_no_moment_stays_as_it_is() {
        for odd in [json!(null), json!(7), json!("soon"), json!(""), json!("2026-11-20"), json!("0001-01-01T00:00:00Z")] {
            let message = json!({ "receivedDateTime": odd });
            assert_eq!(by(message.clone(), "Europe/Berlin"), message);
            let mut again = message.clone();
            to_utc(&mut again);
            assert_eq!(again, message);
        }
    }

    async fn written(reply: Option<Result<Value, StepError>>) -> Value {
        let steps = Fake::new(move |_| reply.clone());
        let answer = json!({ "lastModifiedDateTime": "2026-11-20T09:00:00Z" });
        let act = async { Ok(Written { answer, touches: Vec::new(), learned: Vec::new(), late: false }) };
        by_the_clock(&steps, act).await.unwrap().answer["lastModifiedDateTime"].clone()
    }

    #[tokio::test]
    async fn no_call_fails_for_a_zone() {
        assert_eq!(written(Some(Ok(json!({"value": "Tokyo Standard Time"})))).await, "2026-11-20T18:00:00+09:00");
        let none = [
            Some(Ok(json!({"value": "tzone://Microsoft/Utc"}))),
            Some(Ok(json!({"value": "Customized Time Zone"}))),
            None,
            Some(Err(refusal(403, "no right"))),
            Some(Err(StepError { kind: Kind::Offline, ..refusal(503, "gone") })),
        ];
        for none in none {
            assert_eq!(written(none.clone()).await, "2026-11-20T09:00:00Z", "{none:?}");
        }
    }

    #[tokio::test]
    async fn a_call_that_fails_does_not_wait_for_the_zone() {
        let failed = async { Err::<Written, _>(refusal(409, "no")) };
        let error = by_the_clock(&Fake::new(|_| None), failed).await.unwrap_err();
        assert_eq!(error.status, Some(409));
    }

    proptest! {
        #[test]
        fn there_and_back_is_what_graph_wrote(
            second in -2_000_000_000i64..4_000_000_000,
            fraction in prop::sample::select(vec!["", ".5", ".120", ".0000000", ".1234567"]),
            zone in prop::sample::select(vec!["Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Europe/London", "UTC"]),
        ) {
            let at = jiff::Timestamp::from_second(second).unwrap().strftime("%Y-%m-%dT%H:%M:%S").to_string();
            let at = format!("{at}{fraction}Z");
            let mut message = by(json!({ "receivedDateTime": at }), zone);
            let moment: jiff::Timestamp = message["receivedDateTime"].as_str().unwrap().parse().unwrap();
            prop_assert_eq!(moment, at.parse().unwrap());
            to_utc(&mut message);
            prop_assert_eq!(message["receivedDateTime"].as_str().unwrap(), at);
        }
    }
}
