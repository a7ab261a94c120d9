//! Habits: which answers are really used, so that they can be renewed ahead of their next use. Pure.
//!
//! Fed with the uses that are recorded for the store anyway, a few seconds late and in batches, never on the way of a call. An answer is in
//! use when it was asked for [`OFTEN`] times lately, the last time within [`WORKING`]: nobody is there at night, so nothing is renewed at
//! night. Kept in memory: after a restart the usual operations are warmed, and use shows the rest again within minutes.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    cache::{CacheKey, KeyHash},
    clock::Timestamp,
    ids::AccountId,
};

/// Uses, as they fade, that make an answer worth renewing.
const OFTEN: f64 = 3.0;
/// A use counts half after this time.
const HALF: Duration = Duration::from_secs(3600);
/// Nothing is renewed for somebody who has not asked for it for so long.
const WORKING: Duration = Duration::from_secs(15 * 60);
/// A conversation in which something was looked at goes on for so long.
const TALKING: Duration = Duration::from_secs(5 * 60);
/// An answer is not renewed again before, whatever becomes of it: one that a write keeps overtaking would use up everything.
pub(super) const GAP: Duration = Duration::from_secs(60);
/// Uses that have to be expected of a renewed answer before it is too old: a renewal costs a request as a miss does.
const LIKELY: f64 = 1.0;
/// Answers whose use is remembered.
const MOST: usize = 1000;
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone)]
struct Habit {
    key: CacheKey,
    uses: f64,
    last: Timestamp,
    /// When it was renewed last.
    renewed: Option<Timestamp>,
}

/// An answer in use.
#[derive(Debug, Clone)]
pub(super) struct InUse {
    pub(super) key: CacheKey,
    /// The earliest time at which it may be renewed.
    pub(super) not_before: Timestamp,
    /// How often it is used, on average over the last hours, most weight on the last.
    pub(super) per_hour: f64,
    /// Nobody has used it since it was renewed: a renewal that was for nobody is not repeated.
    pub(super) unused: bool,
}

impl InUse {
    /// Whether it is likely to be used while a renewed answer can be served.
    pub(super) fn is_worth_renewing(&self, served_for: Duration) -> bool {
        self.per_hour * served_for.div_duration_f64(HOUR) >= LIKELY
    }
}

impl Habit {
    fn in_use(&self, now: Timestamp) -> InUse {
        // Uses that come at an even pace and fade by half in `HALF` add up to those of `HALF / ln 2`.
        let per_hour = self.faded(now) * std::f64::consts::LN_2 * HOUR.div_duration_f64(HALF);
        let not_before = self.renewed.map_or(Timestamp(0), |at| at.plus(GAP));
        InUse { key: self.key.clone(), not_before, per_hour, unused: self.renewed.is_some_and(|at| at > self.last) }
    }

    fn faded(&self, now: Timestamp) -> f64 {
        self.uses * (-now.since(self.last).div_duration_f64(HALF)).exp2()
    }
}

/// What is used, and what has been renewed for it.
#[derive(Debug, Default)]
pub(super) struct Habits {
    known: BTreeMap<KeyHash, Habit>,
    /// Renewals of each account in the hour that began then.
    spent: BTreeMap<AccountId, (Timestamp, u64)>,
}

impl Habits {
    /// Takes in recorded uses of an answer.
    pub(super) fn used(&mut self, key: &CacheKey, times: u32, at: Timestamp) {
        if let Some(known) = self.known.get_mut(&key.hash) {
            known.uses = known.faded(at) + f64::from(times);
            known.last = known.last.max(at);
            return;
        }
        if self.known.len() >= MOST {
            let least = self.known.values().min_by(|a, b| a.faded(at).total_cmp(&b.faded(at))).map(|habit| habit.key.hash);
            least.and_then(|hash| self.known.remove(&hash));
        }
        self.known.insert(key.hash, Habit { key: key.clone(), uses: f64::from(times), last: at, renewed: None });
    }

    /// What lies behind `now` was noted before the clock was set back: it is taken for what has just been.
    fn until(&mut self, now: Timestamp) {
        for habit in self.known.values_mut() {
            habit.last = habit.last.min(now);
            habit.renewed = habit.renewed.map(|at| at.min(now));
        }
    }

    /// The answers in use, the most used first.
    pub(super) fn in_use(&mut self, now: Timestamp) -> Vec<InUse> {
        self.until(now);
        let used = |habit: &&Habit| habit.faded(now) >= OFTEN && now.since(habit.last) <= WORKING;
        let mut found: Vec<&Habit> = self.known.values().filter(used).collect();
        found.sort_by(|a, b| b.faded(now).total_cmp(&a.faded(now)));
        found.into_iter().map(|habit| habit.in_use(now)).collect()
    }

    /// The answers that were looked at in a conversation that may go on, the last one first.
    pub(super) fn just_used(&mut self, now: Timestamp) -> Vec<InUse> {
        self.until(now);
        let mut found: Vec<&Habit> = self.known.values().filter(|habit| now.since(habit.last) <= TALKING).collect();
        found.sort_by_key(|habit| std::cmp::Reverse(habit.last));
        found.into_iter().map(|habit| habit.in_use(now)).collect()
    }

    /// Takes one renewal of `key` out of the account's budget for the hour; `Err` tells when there is one again.
    pub(super) fn spend(&mut self, key: &CacheKey, budget: u64, now: Timestamp) -> Result<(), Timestamp> {
        let (since, spent) = self.spent.entry(key.account.clone()).or_insert((now, 0));
        // Also when the clock was set back.
        if now.since(*since) >= HOUR || *since > now {
            (*since, *spent) = (now, 0);
        }
        if *spent >= budget {
            return Err(since.plus(HOUR));
        }
        *spent += 1;
        if let Some(habit) = self.known.get_mut(&key.hash) {
            habit.renewed = Some(now);
        }
        Ok(())
    }

    /// The answer is gone; should it be asked for again, that counts anew.
    pub(super) fn forget(&mut self, key: &CacheKey) {
        self.known.remove(&key.hash);
    }

    /// Renewals in the hour that runs, over all accounts.
    pub(super) fn spent(&self, now: Timestamp) -> u64 {
        self.spent.values().filter(|(since, _)| now.since(*since) < HOUR).map(|(_, spent)| spent).sum()
    }

    /// Forgets an account that has signed out.
    pub(super) fn leave(&mut self, account: &AccountId) {
        self.known.retain(|_, habit| habit.key.account != *account);
        self.spent.remove(account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(number: usize) -> CacheKey {
        CacheKey::new("email_list", AccountId::new("a"), BTreeMap::from([("limit".to_owned(), number.into())]))
    }

    fn seconds(seconds: u64) -> Timestamp {
        Timestamp(0).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn what_is_used_often_and_lately_is_in_use_and_the_most_used_comes_first() {
        let mut habits = Habits::default();
        habits.used(&key(1), 2, seconds(0));
        habits.used(&key(2), 4, seconds(0));
        habits.used(&key(3), 9, seconds(0));
        let now = |habits: &mut Habits, at| habits.in_use(seconds(at)).into_iter().map(|used| used.key.hash).collect::<Vec<_>>();
        assert_eq!(now(&mut habits, 1), [key(3).hash, key(2).hash]);
        habits.used(&key(1), 2, seconds(10));
        assert_eq!(now(&mut habits, 11).len(), 3);
        assert_eq!(now(&mut habits, 901), [key(1).hash], "the others were last asked for a quarter of an hour ago");
        // Uses of the morning do not count in the evening.
        habits.used(&key(3), 1, seconds(6 * 3600));
        assert!(now(&mut habits, 6 * 3600).is_empty());
        habits.leave(&AccountId::new("a"));
        assert!(habits.known.is_empty());
    }

    #[test]
    fn what_was_looked_at_just_now_is_known_even_when_it_was_only_once() {
        let mut habits = Habits::default();
        habits.used(&key(1), 1, seconds(0));
        habits.used(&key(2), 1, seconds(60));
        let now = |habits: &mut Habits, at| habits.just_used(seconds(at)).into_iter().map(|used| used.key.hash).collect::<Vec<_>>();
        assert_eq!(now(&mut habits, 61), [key(2).hash, key(1).hash]);
        assert_eq!(now(&mut habits, 301), [key(2).hash]);
        assert!(habits.in_use(seconds(61)).is_empty() && now(&mut habits, 400).is_empty());
        habits.spend(&key(2), 5, seconds(100)).unwrap();
        assert_eq!(habits.just_used(seconds(101))[0].not_before, seconds(160), "no sooner than a while after it was renewed");
        assert!(habits.just_used(seconds(101))[0].unused && !habits.just_used(seconds(101))[1].unused);
        habits.used(&key(2), 1, seconds(120));
        assert!(!habits.just_used(seconds(121))[0].unused);
    }

    #[test]
    fn what_was_used_before_the_clock_was_set_back_is_not_in_use_until_that_time_comes_again() {
        let mut habits = Habits::default();
        habits.used(&key(1), 9, seconds(900_000));
        habits.spend(&key(1), 5, seconds(900_000)).unwrap();
        let [used] = habits.in_use(seconds(1000)).try_into().unwrap();
        assert_eq!(used.not_before, seconds(1060));
        assert!(habits.just_used(seconds(1301)).is_empty() && habits.in_use(seconds(1901)).is_empty());
        habits.used(&key(1), 1, seconds(1910));
        assert_eq!(habits.just_used(seconds(1911)).len(), 1);
    }

    #[test]
    fn what_is_used_seldom_is_not_worth_an_answer_that_is_soon_too_old() {
        let mut habits = Habits::default();
        for minute in 0..60 {
            if minute % 10 == 0 {
                habits.used(&key(1), 1, seconds(minute * 60));
            }
        }
        let [used] = habits.in_use(seconds(3600)).try_into().unwrap();
        assert!((2.0..6.0).contains(&used.per_hour), "six in the hour, the older ones faded: {}", used.per_hour);
        assert!(used.is_worth_renewing(Duration::from_secs(1800)) && !used.is_worth_renewing(Duration::from_secs(300)));
    }

    #[test]
    fn memory_is_bounded_and_keeps_what_is_used_most() {
        let mut habits = Habits::default();
        habits.used(&key(0), 50, seconds(0));
        for number in 1..2 * MOST {
            habits.used(&key(number), 1, seconds(number as u64));
        }
        assert_eq!(habits.known.len(), MOST);
        assert!(habits.known.contains_key(&key(0).hash));
    }

    proptest! {
        #[test]
        fn no_hour_takes_more_than_its_budget(steps in prop::collection::vec((0_usize..5, 0_u64..400), 1..200), budget in 0_u64..9) {
            let mut habits = Habits::default();
            let (mut now, mut made) = (0, Vec::new());
            for (number, pause) in steps {
                now += pause;
                match habits.spend(&key(number), budget, seconds(now)) {
                    Ok(()) => made.push(now),
                    Err(until) => prop_assert!(until > seconds(now)),
                }
            }
            // An hour that begins anywhere lies in two of the budget's hours.
            for from in &made {
                prop_assert!(made.iter().filter(|at| (*from..from + 3600).contains(*at)).count() as u64 <= 2 * budget);
            }
        }
    }
}
