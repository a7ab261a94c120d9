//! The budget of requests to Microsoft by mailbox, as `status` shows it: how much of it is in use, and who is held back because Microsoft said so.

use m365_cached_proto::v1::Lane;
use serde::Serialize;

use crate::output::seconds;
use crate::views::{AccountView, known};

/// A mailbox or drive that is asked now, or held back. `account_id` is `null` for a shared one.
#[derive(Debug, Serialize)]
pub(super) struct LaneView {
    account_id: Option<String>,
    /// Requests under way.
    used: u32,
    /// Requests that wait for their turn.
    waiting: u32,
    /// Nobody is let in for this long.
    held_back_ms: u64,
}

impl From<Lane> for LaneView {
    fn from(lane: Lane) -> Self {
        Self { account_id: known(&lane.account), used: lane.used, waiting: lane.waiting, held_back_ms: lane.paused_ms }
    }
}

/// One line on all of them, of which each may have so many `places` at a time.
pub(super) fn text(places: u32, lanes: &[LaneView], accounts: &[AccountView]) -> String {
    if lanes.is_empty() {
        return format!("{places} at a time for each mailbox; none is asked or held back now");
    }
    lanes.iter().map(|lane| lane.text(places, accounts)).collect::<Vec<_>>().join("; ")
}

impl LaneView {
    fn text(&self, places: u32, accounts: &[AccountView]) -> String {
        let name = match &self.account_id {
            Some(id) => accounts.iter().find(|account| account.id == *id).map_or(id.as_str(), |account| &account.username),
            None => "a shared one",
        };
        let mut text = format!("{name} {} of {places}", self.used);
        match self.waiting {
            0 => {}
            1 => text += ", 1 waits",
            waiting => text += &format!(", {waiting} wait"),
        }
        if self.held_back_ms > 0 {
            text += &format!(", held back {}", seconds(self.held_back_ms.div_ceil(1000)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_well() {
        let accounts: Vec<AccountView> = crate::commands::accounts::tests::two().into_iter().map(AccountView::from).collect();
        let lane = |account: &str, used, waiting, paused_ms| LaneView::from(Lane { account: account.into(), used, waiting, paused_ms });
        assert_eq!(text(4, &[], &accounts), "4 at a time for each mailbox; none is asked or held back now");
        let lanes = [lane("work-1", 3, 1, 11_001), lane("", 4, 2, 0), lane("gone", 0, 0, 60_000)];
        let expected = "ada@contoso.example 3 of 4, 1 waits, held back 12 s; a shared one 4 of 4, 2 wait; gone 0 of 4, held back 1 min 0 s";
        assert_eq!(text(4, &lanes, &accounts), expected);
    }
}
