//! A warm-up: which calls are made for which account, when, and what became of them. Pure.
//!
//! Accounts come one after the other for each operation, its throttle apart; operations run beside each other, and what is due at the same
//! time goes by priority. With the usual pauses of 5, 3 and 2 seconds twelve accounts are asked for within a minute.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{clock::Timestamp, hint::Kind, ids::AccountId};

/// How long a task may take, its retries included, before the warm-up goes on without it.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// One call for one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) account: AccountId,
    /// Number of the operation.
    pub(super) operation: usize,
    /// Not before.
    due: Timestamp,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Waiting,
    /// The task that its answer is asked for by is in the queue, since then.
    Asked(String, Timestamp),
    Done(Outcome),
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The answer was fetched, or found unchanged.
    Completed,
    /// It was fresh.
    Skipped,
    /// It could not be had; who would have to act.
    Failed(Kind),
}

/// A warm-up and the pauses it keeps.
#[derive(Debug, Default)]
pub(super) struct Round {
    steps: Vec<Step>,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    /// Accounts that have had theirs since the start.
    begun: BTreeSet<AccountId>,
    /// When each operation may be made again.
    next: BTreeMap<usize, Timestamp>,
    /// How long tasks took from the queue to their end, summed up.
    took: Duration,
}

/// Steps by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) total: usize,
    pub(super) completed: usize,
    pub(super) skipped: usize,
    pub(super) failed: usize,
}

impl Counts {
    pub(super) fn ended(self) -> usize {
        self.completed + self.skipped + self.failed
    }
}

impl Round {
    /// Accounts that have had no warm-up yet get theirs. `operations` are number and throttle, the most urgent first. Tells how many
    /// accounts are new.
    pub(super) fn plan(&mut self, accounts: &[AccountId], operations: &[(usize, Duration)], now: Timestamp) -> usize {
        let new: Vec<&AccountId> = accounts.iter().filter(|account| !self.begun.contains(*account)).collect();
        if new.is_empty() || operations.is_empty() {
            return 0;
        }
        if self.started.is_none() || self.ended.is_some() {
            *self = Self {
                started: Some(now),
                begun: std::mem::take(&mut self.begun),
                next: std::mem::take(&mut self.next),
                ..Self::default()
            };
        }
        for (operation, throttle) in operations {
            for account in &new {
                let next = self.next.entry(*operation).or_insert(now);
                // A pause longer than its throttle was left by a clock that has been set back since.
                let due = if next.since(now) > *throttle * u32::try_from(new.len()).unwrap_or(u32::MAX) { now } else { now.max(*next) };
                *next = due.plus(*throttle);
                self.steps.push(Step { account: (*account).clone(), operation: *operation, due, state: State::Waiting });
            }
        }
        self.begun.extend(new.iter().map(|account| (*account).clone()));
        new.len()
    }

    /// Accounts that had theirs may have it again. One that is having it now goes on.
    pub(super) fn again(&mut self, accounts: &[AccountId]) {
        for account in accounts {
            if !self.waiting(account) {
                self.begun.remove(account);
                self.steps.retain(|step| step.account != *account);
            }
        }
    }

    fn waiting(&self, account: &AccountId) -> bool {
        self.steps.iter().any(|step| step.account == *account && !matches!(step.state, State::Done(_)))
    }

    /// The steps of these accounts that were not made yet.
    pub(super) fn to_come(&self, accounts: &[AccountId]) -> Vec<Step> {
        self.steps.iter().filter(|step| step.state == State::Waiting && accounts.contains(&step.account)).cloned().collect()
    }

    /// The steps that are due, the most urgent first.
    pub(super) fn due(&self, now: Timestamp) -> Vec<Step> {
        self.steps.iter().filter(|step| step.state == State::Waiting && step.due <= now).cloned().collect()
    }

    /// When something is to be done about a step.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let due = |step: &Step| match &step.state {
            State::Waiting => Some(step.due),
            State::Asked(_, since) => Some(since.plus(PATIENCE)),
            State::Done(_) => None,
        };
        self.steps.iter().filter_map(due).min()
    }

    /// The task of a step is in the queue.
    pub(super) fn asked(&mut self, step: &Step, task: &str, now: Timestamp) {
        self.set(step, State::Asked(task.to_owned(), now));
    }

    /// A step has ended without a task. Tells whether the warm-up has ended with it.
    pub(super) fn ended(&mut self, step: &Step, outcome: Outcome, now: Timestamp) -> bool {
        self.set(step, State::Done(outcome));
        self.close(now)
    }

    fn set(&mut self, step: &Step, state: State) {
        let same = |known: &&mut Step| known.account == step.account && known.operation == step.operation;
        if let Some(known) = self.steps.iter_mut().find(same) {
            known.state = state;
        }
    }

    /// A task of this key has ended, whoever asked for it. Tells whether the warm-up has ended with it.
    pub(super) fn task_ended(&mut self, task: &str, outcome: Outcome, now: Timestamp) -> bool {
        let mut took = Duration::ZERO;
        let mut any = false;
        for step in &mut self.steps {
            if let State::Asked(asked, since) = &step.state
                && asked == task
            {
                took += now.since(*since);
                step.state = State::Done(outcome);
                any = true;
            }
        }
        self.took += took;
        any && self.close(now)
    }

    /// Steps whose task was not heard of for too long have failed: the store has lost it, or the clock was moved.
    pub(super) fn give_up(&mut self, now: Timestamp) -> bool {
        let mut any = false;
        for step in &mut self.steps {
            if let State::Asked(_, since) = &step.state
                && now.since(*since) >= PATIENCE
            {
                step.state = State::Done(Outcome::Failed(Kind::Offline));
                any = true;
            }
        }
        any && self.close(now)
    }

    fn close(&mut self, now: Timestamp) -> bool {
        let open = self.ended.is_none() && self.started.is_some();
        let done = open && self.steps.iter().all(|step| matches!(step.state, State::Done(_)));
        if done {
            self.ended = Some(now);
        }
        done
    }

    /// Forgets an account that has signed out; should it come back, it gets its warm-up again.
    pub(super) fn leave(&mut self, account: &AccountId, now: Timestamp) {
        self.begun.remove(account);
        self.steps.retain(|step| step.account != *account);
        self.close(now);
    }

    pub(super) fn runs(&self) -> bool {
        self.started.is_some() && self.ended.is_none()
    }

    /// When it began and ended.
    pub(super) fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        (self.started, self.ended)
    }

    /// Steps by outcome, all or those of one operation.
    pub(super) fn counts(&self, operation: Option<usize>) -> Counts {
        self.counts_of(|step| operation.is_none_or(|operation| operation == step.operation))
    }

    /// Steps of these accounts by outcome, and who would have to act on the first that failed.
    pub(super) fn counts_for(&self, accounts: &[AccountId]) -> (Counts, Option<Kind>) {
        let of = |step: &Step| accounts.contains(&step.account);
        let failed = self.steps.iter().filter(|step| of(step)).find_map(|step| match step.state {
            State::Done(Outcome::Failed(kind)) => Some(kind),
            _ => None,
        });
        (self.counts_of(of), failed)
    }

    fn counts_of(&self, which: impl Fn(&Step) -> bool) -> Counts {
        let mut counts = Counts::default();
        for step in self.steps.iter().filter(|step| which(step)) {
            counts.total += 1;
            match step.state {
                State::Done(Outcome::Completed) => counts.completed += 1,
                State::Done(Outcome::Skipped) => counts.skipped += 1,
                State::Done(Outcome::Failed(_)) => counts.failed += 1,
                State::Waiting | State::Asked(..) => {}
            }
        }
        counts
    }

    /// Accounts of which every step has ended, and all of them.
    pub(super) fn accounts(&self) -> (usize, usize) {
        let all: BTreeSet<&AccountId> = self.steps.iter().map(|step| &step.account).collect();
        let open: BTreeSet<&AccountId> =
            self.steps.iter().filter(|step| !matches!(step.state, State::Done(_))).map(|step| &step.account).collect();
        (all.len() - open.len(), all.len())
    }

    /// When it will probably have ended: the last step when it is due, and as long as those before took on average.
    pub(super) fn estimate(&self, now: Timestamp) -> Option<Timestamp> {
        let last = self.steps.iter().filter(|step| !matches!(step.state, State::Done(_))).map(|step| step.due).max()?;
        let counts = self.counts(None);
        let average =
            u32::try_from(counts.completed + counts.failed).ok().and_then(|ended| self.took.checked_div(ended)).unwrap_or_default();
        Some(last.max(now).plus(average))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATIONS: [(usize, Duration); 3] = [(0, Duration::from_secs(5)), (1, Duration::from_secs(3)), (2, Duration::from_secs(2))];

    fn accounts(count: usize) -> Vec<AccountId> {
        (0..count).map(|number| AccountId::new(format!("a{number:02}"))).collect()
    }

    fn seconds(seconds: u64) -> Timestamp {
        Timestamp(1000).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn twelve_accounts_are_asked_for_within_a_minute_a_pause_apart() {
        let mut round = Round::default();
        assert_eq!(round.plan(&accounts(12), &OPERATIONS, seconds(0)), 12);
        let mut asked = BTreeMap::new();
        let mut tasks = Vec::new();
        for now in (0..=55).map(seconds) {
            for step in round.due(now) {
                asked.entry(step.operation).or_insert_with(Vec::new).push(now);
                tasks.push(format!("{step:?}"));
                round.asked(&step, tasks.last().unwrap(), now);
            }
        }
        assert_eq!(asked[&0].last(), Some(&seconds(55)));
        for (operation, throttle) in OPERATIONS {
            assert_eq!(asked[&operation].len(), 12);
            assert!(asked[&operation].windows(2).all(|two| two[1].since(two[0]) == throttle));
        }
        assert_eq!(round.due(seconds(0)), []);
        assert!(tasks[..35].iter().all(|task| !round.task_ended(task, Outcome::Completed, seconds(60))));
        assert!(round.runs() && round.accounts() == (11, 12));
        assert!(round.task_ended(&tasks[35], Outcome::Failed(Kind::Denied), seconds(61)), "the last one ends it");
        assert_eq!(round.counts(None), Counts { total: 36, completed: 35, skipped: 0, failed: 1 });
        assert_eq!(round.times(), (Some(seconds(0)), Some(seconds(61))));
    }

    #[test]
    fn what_is_due_at_once_goes_by_priority() {
        let mut round = Round::default();
        round.plan(&accounts(2), &OPERATIONS, seconds(0));
        let order = |round: &Round, at| round.due(seconds(at)).into_iter().map(|step| step.operation).collect::<Vec<_>>();
        assert_eq!((order(&round, 0), order(&round, 9)), (vec![0, 1, 2], vec![0, 0, 1, 1, 2, 2]));
    }

    #[test]
    fn an_account_that_comes_later_is_warmed_and_one_that_goes_is_forgotten() {
        let mut round = Round::default();
        let both = accounts(2);
        round.plan(&both[..1], &OPERATIONS, seconds(0));
        for step in round.due(seconds(0)) {
            round.ended(&step, Outcome::Skipped, seconds(1));
        }
        assert!(!round.runs());
        assert_eq!(round.plan(&both[..1], &OPERATIONS, seconds(2)), 0, "once");
        assert_eq!(round.plan(&both, &OPERATIONS, seconds(2)), 1);
        assert_eq!((round.counts(None).total, round.next()), (3, Some(seconds(2))), "a round of its own, its pauses kept");
        assert_eq!(round.due(seconds(2)).len(), 1);
        assert!(round.estimate(seconds(2)).unwrap() >= seconds(5));
        round.leave(&both[1], seconds(3));
        assert!(!round.runs() && round.estimate(seconds(3)).is_none());
        assert_eq!(round.plan(&both, &OPERATIONS, seconds(4)), 1, "it has come back");
    }

    #[test]
    fn who_asks_for_it_gets_it_again_and_nobody_twice_at_once() {
        let mut round = Round::default();
        let both = accounts(2);
        round.plan(&both, &OPERATIONS, seconds(0));
        round.again(&both);
        assert_eq!(round.plan(&both, &OPERATIONS, seconds(1)), 0, "it is under way");
        for step in round.to_come(&both[..1]) {
            round.ended(&step, Outcome::Skipped, seconds(1));
        }
        round.again(&both);
        assert_eq!(round.plan(&both, &OPERATIONS, seconds(2)), 1);
        assert_eq!((round.counts(None).total, round.to_come(&both).len()), (6, 6), "each step once");
        for step in round.to_come(&both) {
            round.ended(&step, Outcome::Failed(Kind::Denied), seconds(20));
        }
        assert_eq!(round.counts_for(&both[1..]), (Counts { total: 3, failed: 3, ..Counts::default() }, Some(Kind::Denied)));
        round.again(&both[1..]);
        assert_eq!(round.plan(&both, &OPERATIONS, seconds(90)), 1);
        assert_eq!((round.counts_for(&both).0.total, round.runs(), round.next()), (3, true, Some(seconds(90))), "a round of its own");
    }

    #[test]
    fn a_task_that_is_never_heard_of_again_does_not_hold_it_up() {
        let mut round = Round::default();
        round.plan(&accounts(1), &OPERATIONS[..1], seconds(0));
        let step = round.due(seconds(0)).pop().unwrap();
        round.asked(&step, "task", seconds(0));
        assert!(!round.give_up(seconds(899)) && round.next() == Some(seconds(900)));
        assert!(round.give_up(seconds(900)));
        assert_eq!((round.counts(None).failed, round.next()), (1, None));
    }

    #[test]
    fn a_clock_that_is_set_back_delays_nobody() {
        let mut round = Round::default();
        round.plan(&accounts(1), &OPERATIONS, seconds(100_000_000));
        round.leave(&accounts(1)[0], seconds(100_000_000));
        round.plan(&accounts(1), &OPERATIONS, seconds(5));
        assert_eq!(round.due(seconds(5)).len(), 3);
    }
}
