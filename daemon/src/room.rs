//! What is kept and what may be, as people are told.

use m365_cached::engine::RoomStatus;

use crate::core::{RoomState, Warning};

/// For `status`.
pub(crate) fn state(room: &RoomStatus) -> RoomState {
    let cleaned = room.cleaned.map(|cleaned| (u64::try_from(cleaned.at.0).unwrap_or(0), cleaned.gone));
    RoomState {
        bytes: room.bytes,
        max_bytes: room.limits.bytes,
        max_entries_per_account: room.limits.account_entries,
        cleaned_ms: cleaned.map_or(0, |(at, _)| at),
        cleaned_entries: cleaned.map_or(0, |(_, gone)| gone.entries),
        cleaned_bytes: cleaned.map_or(0, |(_, gone)| gone.bytes),
        swept: room.swept,
    }
}

/// That little is left for answers.
pub(crate) fn warning(room: &RoomStatus) -> Option<Warning> {
    let (taken, most) = (room.ledger? / 1_000_000, room.limits.bytes / 1_000_000);
    Some(Warning {
        code: "ledger_large".into(),
        message: format!(
            "the audit trail and what else is no answer take {taken} MB of the {most} MB of `cache.max_bytes`: few answers are kept beside them"
        ),
        hint: "Raise `cache.max_bytes`, or shorten the audit trail with `audit.keep`.".into(),
    })
}

#[cfg(test)]
mod tests {
    use m365_cached::cache::RoomLimits;

    use super::*;

    #[test]
    fn a_person_is_told_of_a_ledger_that_leaves_little_room() {
        let limits = RoomLimits { bytes: 8_000_000, ..RoomLimits::default() };
        let quiet = RoomStatus { limits, bytes: 6_000_000, ledger: None, cleaned: None, evicted: 0, swept: 0 };
        assert_eq!(warning(&quiet), None);
        let told = warning(&RoomStatus { ledger: Some(5_200_000), ..quiet }).unwrap();
        assert!(told.code == "ledger_large" && told.message.contains("5 MB of the 8 MB") && told.hint.contains("`audit.keep`"), "{told:?}");
    }
}
