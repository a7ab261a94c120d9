//! The agenda of the next day out of a longer one, as `calendar_list_events` answers `days_ahead: 1`.
//!
//! Who looks at the week looks at today as well, and what the next day holds has just been read. Graph's window decides by an event's
//! beginning and end; for whole days it does so by clocks that it does not tell. So where one of them may lie on either side of the day's end
//! nothing is said.

use std::time::Duration;

use serde_json::Value;

use super::{
    events::{DAY, is_agenda},
    says,
};
use crate::{
    clock::Timestamp,
    tools::{Args, time::moment_of},
};

/// How far the clocks of the world are from UTC at most.
const CLOCKS: Duration = Duration::from_secs(14 * 3600);

/// The call for the next day, when `args` ask for more than that.
pub(super) fn call(args: &Args) -> Option<Args> {
    (is_agenda(args) && args.int("days_ahead") > 1).then(|| {
        let mut today = args.clone();
        today.set("days_ahead", 1);
        today
    })
}

/// Those of `events`, all that a longer window from `from` on holds, that the window of one day holds; `None` when that cannot be said.
pub(super) fn of(events: &[Value], from: Timestamp) -> Option<Vec<Value>> {
    let end = from.plus(Duration::from_secs(DAY));
    let mut today = Vec::new();
    for event in events {
        let begins = Timestamp(event.get("start").and_then(moment_of)?.as_millisecond());
        let doubt = if says(event, "isAllDay", false) { CLOCKS } else { Duration::ZERO };
        if begins.plus(doubt) < end {
            today.push(event.clone());
        } else if begins <= end.plus(doubt) {
            return None;
        }
    }
    Some(today)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// 2026-11-20T09:00Z
    const NOW: Timestamp = Timestamp(1_795_165_200_000);

    fn held(start: &str, all_day: bool) -> Option<usize> {
        let event = json!({ "start": { "dateTime": start, "timeZone": "UTC" }, "isAllDay": all_day });
        of(&[event], NOW).map(|events| events.len())
    }

    #[test]
    fn what_begins_within_a_day_is_held_and_where_the_end_is_in_doubt_nothing_is_said() {
        assert_eq!(held("2026-11-20T08:30:00.0000000", false), Some(1), "it runs");
        assert_eq!(held("2026-11-21T08:59:00", false), Some(1));
        assert_eq!(held("2026-11-21T09:00:00", false), None, "at the very end");
        assert_eq!(held("2026-11-21T09:01:00", false), Some(0));
        assert_eq!(held("2026-11-20T00:00:00", true), Some(1));
        assert_eq!(held("2026-11-21T00:00:00", true), None, "by which clocks does that day begin?");
        assert_eq!(held("2026-11-22T00:00:00", true), Some(0));
        assert_eq!(of(&[json!({})], NOW), None);
    }
}
