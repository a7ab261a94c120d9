//! What looks at the daemon come to: rates, shares and times. Pure: looks in, figures out.
//!
//! The daemon counts since its start; the difference of two looks is a moment. Figures on the screen are those of the last few moments, so that one
//! quiet second does not empty it. Another daemon counts anew: what was counted by the one before is not held against it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use m365_cached_proto::fault::NOT_RUNNING;
use m365_cached_proto::v1::{Activity, RecentCall, StatusReply};

use super::source::Look;

/// Moments that are remembered: the length of the longest curve.
const MOMENTS: usize = 240;
/// Moments that rates are the mean of.
const MEAN: usize = 10;
/// Moments whose times are shown.
const TIMES: usize = 120;
/// Calls that are remembered.
const CALLS: usize = 256;

/// How calls are answered: the word on the wire, and the one that people read.
pub(super) const ENDS: [(&str, &str); 8] = [
    ("fresh", "fresh"),
    ("stale", "stale"),
    ("miss", "miss"),
    ("coalesced", "shared"),
    ("stale_if_error", "stood in"),
    ("bypass", "past"),
    ("done", "other"),
    ("error", "errors"),
];

/// How many calls took less than so many microseconds (0: no end), and not less than the line before.
type Buckets = BTreeMap<u64, u64>;

/// What came to pass between two looks.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Moment {
    /// How long it was.
    pub(super) time: Duration,
    /// Calls, in the order of [`ENDS`].
    pub(super) counts: [u64; ENDS.len()],
    /// How long those took that the cache answered.
    pub(super) cached: Times,
    /// How long the others took.
    pub(super) others: Times,
}

/// How long calls took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Times(Buckets);

impl Times {
    fn of(buckets: &[m365_cached_proto::v1::TimeBucket]) -> Self {
        Self(buckets.iter().map(|bucket| (end(bucket.below_us), bucket.count)).collect())
    }

    fn since(&self, before: &Self) -> Self {
        let left = |(end, count): (&u64, &u64)| {
            let left = count.saturating_sub(before.0.get(end).copied().unwrap_or(0));
            (left > 0).then_some((*end, left))
        };
        Self(self.0.iter().filter_map(left).collect())
    }

    fn add(&mut self, more: &Self) {
        for (end, count) in &more.0 {
            *self.0.entry(*end).or_default() += count;
        }
    }

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// How many took from `from` to less than `to` microseconds, by the ends of their buckets.
    pub(super) fn between(&self, from: u64, to: u64) -> u64 {
        self.0.range(from.saturating_add(1)..=to).map(|(_, count)| count).sum()
    }

    /// What `share` (0 to 1) of them stayed below, in microseconds; `None` without any, or when it has no end.
    pub(super) fn below(&self, share: f64) -> Option<u64> {
        #[expect(clippy::cast_precision_loss, reason = "a rank among calls of some minutes")]
        let wanted = self.count() as f64 * share;
        let mut seen = 0;
        for (end, count) in &self.0 {
            seen += count;
            #[expect(clippy::cast_precision_loss, reason = "a rank among calls of some minutes")]
            if seen as f64 >= wanted {
                return (*end != u64::MAX).then_some(*end);
            }
        }
        None
    }
}

/// The wire says 0 for no end; here the order matters.
fn end(below_us: u64) -> u64 {
    if below_us == 0 { u64::MAX } else { below_us }
}

impl Moment {
    /// What came between `before` and `now`, if they are of one daemon.
    fn between(before: &Activity, now: &Activity, time: Duration) -> Self {
        let count =
            |activity: &Activity, word: &str| activity.counts.iter().find(|count| count.status == word).map_or(0, |count| count.count);
        Self {
            time,
            counts: ENDS.map(|(word, _)| count(now, word).saturating_sub(count(before, word))),
            cached: Times::of(&now.cached_times).since(&Times::of(&before.cached_times)),
            others: Times::of(&now.other_times).since(&Times::of(&before.other_times)),
        }
    }

    fn add(&mut self, more: &Self) {
        self.time += more.time;
        for (sum, more) in self.counts.iter_mut().zip(more.counts) {
            *sum += more;
        }
        self.cached.add(&more.cached);
        self.others.add(&more.others);
    }

    /// Calls a second, in the order of [`ENDS`]; `None` for a moment without length.
    pub(super) fn rates(&self) -> Option<[f64; ENDS.len()]> {
        let seconds = self.time.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "calls of some seconds")]
        (seconds > 0.0).then(|| self.counts.map(|count| count as f64 / seconds))
    }

    /// The share of cached reads that did not wait for Microsoft, 0 to 1; `None` without any.
    pub(super) fn hit_rate(&self) -> Option<f64> {
        let [fresh, stale, miss, shared, stood_in, ..] = self.counts;
        let (hits, reads) = (fresh + stale, fresh + stale + miss + shared + stood_in);
        #[expect(clippy::cast_precision_loss, reason = "a share for people")]
        (reads > 0).then(|| hits as f64 / reads as f64)
    }
}

/// Everything that was seen so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch {
    /// The last answer of a daemon, and when it came.
    last: Option<(Duration, Box<StatusReply>)>,
    /// Why there was none at the last look.
    trouble: Option<String>,
    /// The oldest first.
    moments: VecDeque<Moment>,
    /// The oldest first.
    calls: VecDeque<RecentCall>,
}

impl Watch {
    /// Takes in a look; what came since the one before, when that can be told.
    pub(super) fn take(&mut self, look: Look) -> Option<Moment> {
        let Look { at, seen } = look;
        let mut reply = match seen {
            Ok(reply) => reply,
            Err(fault) => {
                self.trouble = Some(if fault.code == NOT_RUNNING { "no daemon runs".to_owned() } else { fault.message });
                return None;
            }
        };
        let same = self.last.as_ref().is_some_and(|(_, last)| last.instance == reply.instance);
        if !same {
            self.calls.clear();
        }
        let mut moment = None;
        // After a gap rates would be those of a time that nobody saw.
        if let (true, None, Some((then, last))) = (same, &self.trouble, &self.last)
            && let (Some(before), Some(now)) = (&last.activity, &reply.activity)
        {
            moment = Some(Moment::between(before, now, at.saturating_sub(*then)));
        }
        self.moments.extend(moment.clone());
        let surplus = self.moments.len().saturating_sub(MOMENTS);
        self.moments.drain(..surplus);
        self.calls.extend(reply.activity.iter_mut().flat_map(|activity| std::mem::take(&mut activity.recent)));
        let surplus = self.calls.len().saturating_sub(CALLS);
        self.calls.drain(..surplus);
        self.trouble = None;
        self.last = Some((at, reply));
        moment
    }

    /// The daemon's last word.
    pub(super) fn reply(&self) -> Option<&StatusReply> {
        self.last.as_ref().map(|(_, reply)| &**reply)
    }

    /// Why the daemon did not answer at the last look.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// The mean of the last moments.
    pub(super) fn now(&self) -> Moment {
        self.sum(MEAN)
    }

    /// The last moments together whose times are shown.
    pub(super) fn while_ago(&self) -> Moment {
        self.sum(TIMES)
    }

    fn sum(&self, last: usize) -> Moment {
        self.moments.iter().rev().take(last).fold(Moment::default(), |mut sum, moment| {
            sum.add(moment);
            sum
        })
    }

    /// Every moment, the oldest first.
    pub(super) fn moments(&self) -> impl DoubleEndedIterator<Item = &Moment> + ExactSizeIterator {
        self.moments.iter()
    }

    /// The last calls, the newest first.
    pub(super) fn calls(&self) -> impl Iterator<Item = &RecentCall> {
        self.calls.iter().rev()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use m365_cached_proto::v1::{CallCount, Fault, Kind, TimeBucket};

    use super::*;

    /// What a daemon says after `fresh` hits and `miss` misses.
    pub(in super::super) fn reply(instance: &str, fresh: u64, miss: u64) -> StatusReply {
        let count = |status: &str, count| CallCount { status: status.into(), count };
        let activity = Activity {
            now_ms: 1_790_000_000_000,
            counts: vec![count("fresh", fresh), count("miss", miss), count("a word of tomorrow", 9)],
            cached_times: vec![TimeBucket { below_us: 128, count: fresh }],
            other_times: vec![TimeBucket { below_us: 0, count: miss }],
            last_call: fresh + miss,
            recent: vec![RecentCall { number: fresh + miss, tool: "email_list".into(), ..RecentCall::default() }],
            ..Activity::default()
        };
        StatusReply { instance: instance.into(), state: "ready".into(), activity: Some(activity), ..StatusReply::default() }
    }

    pub(in super::super) fn look(seconds: u64, reply: StatusReply) -> Look {
        Look { at: Duration::from_secs(seconds), seen: Ok(Box::new(reply)) }
    }

    #[test]
    fn two_looks_make_a_moment() {
        let mut watch = Watch::default();
        assert_eq!(watch.take(look(0, reply("a", 100, 10))), None, "nothing is known of the time before");
        let moment = watch.take(look(2, reply("a", 130, 20))).unwrap();
        assert_eq!((moment.rates().unwrap()[0], moment.rates().unwrap()[2]), (15.0, 5.0));
        assert_eq!((moment.hit_rate(), moment.cached.below(0.5), moment.others.below(0.5)), (Some(0.75), Some(128), None));
        assert_eq!(watch.calls().map(|call| call.number).collect::<Vec<_>>(), [150, 110]);
        assert_eq!(watch.take(look(3, reply("a", 130, 20))).unwrap().hit_rate(), None);
        assert_eq!(watch.now().rates().unwrap()[0], 10.0, "the mean of both");
    }

    #[test]
    fn another_daemon_and_a_gap_begin_anew() {
        let mut watch = Watch::default();
        watch.take(look(0, reply("a", 100, 0)));
        assert_eq!(watch.take(look(1, reply("b", 3, 0))), None, "it has counted less");
        assert_eq!(watch.calls().count(), 1, "calls of the one before are gone");
        let gone = Fault::new(Kind::Config, "daemon_not_running", "no daemon is running", "");
        assert_eq!(watch.take(Look { at: Duration::from_secs(2), seen: Err(gone) }), None);
        assert_eq!(watch.trouble(), Some("no daemon runs"));
        assert_eq!(watch.take(look(9, reply("b", 80, 0))), None, "nobody saw these seconds");
        assert_eq!((watch.trouble(), watch.moments().len()), (None, 0));
        assert!(watch.take(look(10, reply("b", 81, 0))).is_some());
    }

    #[test]
    fn a_daemon_that_tells_nothing_of_calls_is_watched_all_the_same() {
        let mut watch = Watch::default();
        let older = |instance: &str| StatusReply { activity: None, ..reply(instance, 0, 0) };
        watch.take(look(0, older("a")));
        assert_eq!(watch.take(look(1, older("a"))), None);
        assert_eq!((watch.reply().unwrap().state.as_str(), watch.now().rates()), ("ready", None));
    }

    #[test]
    fn only_so_much_is_remembered() {
        let mut watch = Watch::default();
        for second in 0..1_000 {
            watch.take(look(second, reply("a", second, 0)));
        }
        assert_eq!((watch.moments().len(), watch.calls().count()), (MOMENTS, CALLS));
        assert_eq!(watch.while_ago().time, Duration::from_secs(TIMES as u64));
    }

    #[test]
    fn times_lie_between_the_ends_of_their_buckets() {
        let bucket = |below_us, count| TimeBucket { below_us, count };
        let times = Times::of(&[bucket(0, 1), bucket(96, 50), bucket(1_024, 40), bucket(2_000_000, 9)]);
        assert_eq!((times.count(), times.between(0, 100), times.between(100, 10_000)), (100, 50, 40));
        assert_eq!((times.between(1_000_000, u64::MAX), times.below(0.99), times.below(1.0)), (10, Some(2_000_000), None));
    }
}
