//! Keeping to what may be kept: clean-ups when it is too much, and the sweep of what is past use. In the background, a few entries at a time.
//!
//! **Clean-up.** A second after something was stored the store is asked what it holds, which costs it no counting; past a limit, entries
//! go in the order of `cache::room` until the limit is kept with room to spare. A step removes what takes about half a millisecond, and a
//! pause [`AT_EASE`] times as long as the step follows, so that of a client's calls one after the other fewer than one in a hundred meets a
//! step: with 2 GB (`cargo campaign limit`) the 99th percentile of calls that read the file is 1.03 times that of quiet times, and 410 MB
//! take seven minutes. With a pause four times as long it was 4.1 times, in 78 s: that pace is kept for when more is held than may be.
//!
//! **Sweep.** What may not even stand in for a failed fetch any more is removed from the disk within the hour. When the next is due is
//! known in memory, so an idle daemon looks at a number twice an hour and at no row.
//!
//! **The clock.** Entries are only swept when the clock can be believed: at a look that comes about half an hour after the one before by the
//! clock's own account, and at the first look when the clock is not before the latest fetch that the store had at the start nor a month after
//! it. For records of the audit trail its own last one of then stands in the fetch's place. A clock
//! that jumps (400 days forth, or back) therefore removes nothing until it has gone on evenly for half an hour; then it is the time. What
//! was fetched more than a day after now, while the clock was wrong, is swept like the rest, since its age will never be known.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{Engine, cursor};
use crate::{
    cache::{Excess, Group, Lane, Next, Order, Place, REST_OF, RoomLimits, Share, Ttl, excess, next, of_use},
    clock::Timestamp,
    store::{Range, Records, Room, StoreError},
    tools,
};

/// Most entries removed in one transaction, and about the bytes of the large ones.
const STEP: usize = 16;
const STEP_BYTES: u64 = 256 * 1024;
/// How much longer than a step the pause after it is: while there is room yet, and when more is held than may be.
const AT_EASE: u32 = 24;
const IN_HASTE: u32 = 4;
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// Places read at a time.
const READ: usize = 128;
/// How often a clean-up looks whether what it removed was enough.
const ROUNDS: usize = 8;
/// How long after the start the first look comes, and the pause between the others.
const FIRST_LOOK: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(30 * 60);
/// A first look is believed up to this time after what the store had last at the start.
const BELIEVABLE: Duration = Duration::from_secs(31 * 24 * 3600);
/// A fetch so long after now was stamped by a wrong clock.
const AHEAD: Duration = Duration::from_secs(24 * 3600);

/// The last clean-up that removed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleaned {
    /// When it ended.
    pub at: Timestamp,
    /// How many entries it removed, and about their bytes on the disk.
    pub gone: Share,
}

/// What is kept, what may be, and what was done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomStatus {
    /// What may be kept.
    pub limits: RoomLimits,
    /// Bytes on the disk now; 0 when the store cannot tell.
    pub bytes: u64,
    /// Bytes of these that are no answers, where they are so many that few answers can be kept beside them.
    pub ledger: Option<u64>,
    /// The last clean-up since the start.
    pub cleaned: Option<Cleaned>,
    /// Entries removed by clean-ups since the start.
    pub evicted: u64,
    /// Entries swept past their use since the start.
    pub swept: u64,
}

/// What an earlier run of the daemon stamped last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stamped {
    fetched: Option<Timestamp>,
    recorded: Option<Timestamp>,
}

impl Stamped {
    /// As it is before this run stamps anything. Of what cannot be read no clock goes on.
    pub(super) async fn before(room: Option<&dyn Room>, records: &dyn Records) -> Self {
        let unknown = Some(Timestamp(i64::MAX));
        let recorded = records.records(Range::Before(u64::MAX), 1).await.map(|records| records.last().map(|last| last.until));
        Self { fetched: last_fetch(room).await.unwrap_or(unknown), recorded: recorded.unwrap_or(unknown) }
    }
}

async fn last_fetch(room: Option<&dyn Room>) -> Result<Option<Timestamp>, StoreError> {
    let Some(room) = room else { return Ok(None) };
    let mut latest = None;
    for group in room.groups().await? {
        latest = latest.max(room.fetched(&group).await?.map(|(_, last)| last));
    }
    Ok(latest)
}

/// Whether a clock that shows `now` goes on from `latest`.
fn goes_on(latest: Timestamp, now: Timestamp) -> bool {
    latest <= now.plus(AHEAD) && now.since(latest) <= BELIEVABLE
}

/// The state of clean-ups and sweeps.
pub(super) struct Limits {
    room: Option<Arc<dyn Room>>,
    stamped: Stamped,
    stirred: Notify,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    looked: Option<Timestamp>,
    /// When the first entry goes past its use; `None` while that has to be looked up.
    due: Option<Timestamp>,
    cleaned: Option<Cleaned>,
    evicted: u64,
    swept: u64,
}

impl Limits {
    pub(super) fn new(room: Option<Arc<dyn Room>>, stamped: Stamped) -> Self {
        Self { room, stamped, stirred: Notify::new(), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Other limits and times hold: what is kept may be too much, and what is past its use is looked up anew.
    pub(super) fn changed(&self) {
        self.known().due = None;
        self.stirred.notify_one();
    }

    /// An answer was stored.
    pub(super) fn stored(&self, fetched: Timestamp, ttl: Ttl) {
        let mut known = self.known();
        known.due = known.due.map(|due| due.min(fetched.plus(of_use(ttl))));
        drop(known);
        self.stirred.notify_one();
    }
}

impl Engine {
    /// Waits until something was stored, lets a while pass, then makes room when too much is kept.
    pub async fn clean_after(self: &Arc<Self>, pause: Duration) {
        self.limits.stirred.notified().await;
        self.clock.sleep(pause).await;
        if let Err(error) = self.clean().await {
            self.note_store(Some(&error));
        }
    }

    /// Waits for the time of the next look, and sweeps what is past use.
    pub async fn sweep_after(self: &Arc<Self>) {
        let first = self.limits.known().looked.is_none();
        self.clock.sleep(if first { FIRST_LOOK } else { LOOK }).await;
        self.look().await;
    }

    /// What is kept and what may be; `None` for entries that nobody cleans up.
    pub(super) async fn room_status(&self) -> Option<RoomStatus> {
        let room = self.limits.room.as_ref()?;
        let (held, limits) = (room.held().await.unwrap_or_default(), self.policy().room);
        let ledger = Some(held.ledger()).filter(|_| held.is_mostly_ledger(&limits));
        let known = self.limits.known();
        Some(RoomStatus { limits, bytes: held.bytes, ledger, cleaned: known.cleaned, evicted: known.evicted, swept: known.swept })
    }

    /// The times of a tool's entries by its name in the store.
    pub(super) fn ttl_named(&self, tool: &str) -> Ttl {
        if tool.starts_with(REST_OF) {
            return cursor::GOOD_FOR;
        }
        // One that this version does not have is never asked for.
        tools::find(tool).ok().and_then(|tool| self.ttl(tool)).unwrap_or(Ttl::seconds(0, 0))
    }

    /// Makes room until every limit is kept. Returns what has gone.
    pub(super) async fn clean(&self) -> Result<Share, StoreError> {
        let Some(room) = &self.limits.room else { return Ok(Share::default()) };
        let mut limits = self.policy().room;
        let mut gone = Share::default();
        let mut pace = AT_EASE;
        for _ in 0..ROUNDS {
            let held = room.held().await?;
            pace = if held.is_over(&limits) { IN_HASTE } else { AT_EASE };
            let over = excess(&held, &limits);
            if over.is_empty() {
                break;
            }
            if gone == Share::default() {
                // What is used now must not be taken for unused.
                self.flush_uses().await;
                tracing::info!(limits = over.len(), "more is kept than may be: a clean-up begins");
            }
            // Once begun, it goes on until it may end.
            limits.clean_from = limits.clean_to;
            let before = gone;
            for cut in over {
                self.cut(&**room, cut, pace, &mut gone).await?;
            }
            if gone == before {
                break;
            }
        }
        if gone != Share::default() {
            while paced(pace, room.give_back()).await? {}
            let cleaned = Cleaned { at: self.clock.now(), gone };
            tracing::info!(entries = gone.entries, bytes = gone.bytes, "the clean-up has ended");
            let mut known = self.limits.known();
            (known.cleaned, known.evicted) = (Some(cleaned), known.evicted + gone.entries);
        }
        Ok(gone)
    }

    /// Removes what is past use, then what ranks lowest, until `cut` is made.
    async fn cut(&self, room: &dyn Room, cut: Excess, pace: u32, gone: &mut Share) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut groups = room.groups().await?;
        groups.retain(|group| cut.account.as_ref().is_none_or(|account| *account == group.account));
        let mut left = Left { over: cut.over, step: 1, pace, for_room: true };
        for group in &groups {
            let until = now.minus(of_use(self.ttl_named(&group.tool)));
            while !left.done() {
                let mut places = room.places(group, Order::Fetched, None, left.step()).await?;
                places.retain(|place| place.at < until);
                if places.is_empty() || self.remove(room, Order::Fetched, places, &mut left, gone).await? == 0 {
                    break;
                }
            }
        }
        let mut lanes: Vec<Lane> =
            groups.into_iter().map(|group| (self.ttl_named(&group.tool), group)).map(|(ttl, group)| Lane::new(group, ttl)).collect();
        while !left.done() {
            match next(&mut lanes, now, left.step()) {
                Next::Go(places) => {
                    self.remove(room, Order::Used, places, &mut left, gone).await?;
                }
                Next::Read(nth) => {
                    let lane = &mut lanes[nth];
                    let places = room.places(&lane.group, Order::Used, lane.read_to(), READ).await?;
                    lane.extend(&places, READ);
                }
                Next::Nothing => break,
            }
        }
        Ok(())
    }

    /// Removes these from disk and memory, and pauses. Returns how many have gone.
    async fn remove(
        &self,
        room: &dyn Room,
        order: Order,
        places: Vec<Place>,
        left: &mut Left,
        gone: &mut Share,
    ) -> Result<u64, StoreError> {
        let begun = Instant::now();
        let evicted = room.evict(order, places).await?;
        let took = begun.elapsed();
        evicted.keys.iter().for_each(|key| self.hot.remove(*key));
        if left.for_room {
            let count = |(group, share): (&Group, &Share)| self.counters.evicted(&group.account, &group.tool, share.entries, share.bytes);
            evicted.shares.iter().for_each(count);
        }
        let share = Share { entries: u64::try_from(evicted.keys.len()).unwrap_or(u64::MAX), bytes: evicted.bytes };
        if !left.for_room {
            self.limits.known().swept += share.entries;
        }
        left.take(share);
        (gone.entries, gone.bytes) = (gone.entries + share.entries, gone.bytes + share.bytes);
        rest(left.pace, took).await;
        Ok(share.entries)
    }

    /// Sweeps what is past use when something is due and the clock can be believed.
    pub(super) async fn look(&self) {
        let now = self.clock.now();
        let before = self.limits.known().looked.replace(now);
        let evenly = before.map(|before| (LOOK / 2..=LOOK + LOOK / 2).contains(&now.since(before)));
        let Stamped { fetched, recorded } = self.limits.stamped;
        // What there was none of at the start has nothing old in it.
        if evenly.unwrap_or_else(|| recorded.is_some_and(|latest| goes_on(latest, now))) {
            self.prune_trail(now).await;
        }
        let done = if !evenly.unwrap_or_else(|| fetched.is_none_or(|latest| goes_on(latest, now))) {
            self.limits.known().due = None;
            Ok(())
        } else if self.limits.known().due.is_some_and(|due| now < due) {
            Ok(())
        } else {
            self.sweep(now).await
        };
        if let Err(error) = done {
            self.limits.known().due = None;
            self.note_store(Some(&error));
        }
    }

    /// Removes what is past use, and notes when the next is.
    async fn sweep(&self, now: Timestamp) -> Result<(), StoreError> {
        let Some(room) = &self.limits.room else { return Ok(()) };
        // What is stored from here on brings it forward again.
        self.limits.known().due = Some(Timestamp(i64::MAX));
        let (mut gone, mut next_due) = (Share::default(), Timestamp(i64::MAX));
        let ahead = Place { at: now.plus(AHEAD), id: i64::MAX };
        for group in room.groups().await? {
            let window = of_use(self.ttl_named(&group.tool));
            let mut left = Left { over: Share { entries: u64::MAX, bytes: u64::MAX }, step: 1, pace: AT_EASE, for_room: false };
            loop {
                let mut places = room.places(&group, Order::Fetched, None, left.step()).await?;
                places.retain(|place| now.since(place.at) > window);
                if places.is_empty() {
                    places = room.places(&group, Order::Fetched, Some(ahead), left.step()).await?;
                }
                if places.is_empty() || self.remove(&**room, Order::Fetched, places, &mut left, &mut gone).await? == 0 {
                    break;
                }
            }
            if let Some((first, _)) = room.fetched(&group).await? {
                next_due = next_due.min(first.plus(window));
            }
        }
        // Those that were read from the store just before they went.
        self.hot.retain(|entry| {
            let fetched = entry.meta.fetch_started;
            fetched <= ahead.at && now.since(fetched) <= of_use(self.ttl_named(&entry.meta.key.tool))
        });
        let mut known = self.limits.known();
        known.due = known.due.map(|due| due.min(next_due));
        drop(known);
        if gone.entries > 0 {
            tracing::info!(entries = gone.entries, "answers past their use were removed");
        }
        Ok(())
    }
}

/// What still has to go, and how many at a time.
struct Left {
    over: Share,
    step: usize,
    pace: u32,
    /// It goes for lack of room, not because it is past use.
    for_room: bool,
}

impl Left {
    fn done(&self) -> bool {
        self.over == Share::default()
    }

    /// No more than are too many, where they are counted.
    fn step(&self) -> usize {
        let counted = if self.over.bytes == 0 { usize::try_from(self.over.entries).unwrap_or(usize::MAX) } else { usize::MAX };
        self.step.min(counted).max(1)
    }

    /// So much has gone; the next step follows its size.
    fn take(&mut self, share: Share) {
        self.over.entries = self.over.entries.saturating_sub(share.entries);
        self.over.bytes = self.over.bytes.saturating_sub(share.bytes);
        if let Some(each) = share.bytes.checked_div(share.entries) {
            // Neither more than a step may take nor, where bytes count, more than are still too many.
            let bytes = if self.over.entries == 0 { STEP_BYTES.min(self.over.bytes) } else { STEP_BYTES };
            let fit = usize::try_from(bytes.div_ceil(each.max(1))).unwrap_or(STEP);
            // Grows slowly: what goes first need not be what follows.
            self.step = fit.clamp(1, STEP).min(self.step * 2);
        }
    }
}

/// Does a step, and pauses `pace` times as long as it took.
async fn paced<T>(pace: u32, step: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let done = step.await;
    rest(pace, begun.elapsed()).await;
    done
}

/// Pauses `pace` times as long as a step took. By the runtime's timer, whatever the clock shows: it is the store's thread that is spared.
async fn rest(pace: u32, took: Duration) {
    sleep((took * pace).clamp(Duration::from_millis(1), LONGEST_PAUSE)).await;
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
