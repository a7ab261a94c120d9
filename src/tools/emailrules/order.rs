//! The order in which rules run.
//!
//! Exchange keeps a sequence number for each rule; numbers may have gaps, and rules may share one. So a rule is moved by giving every rule
//! whose number is then wrong a new one: in a list without ties that is the two that change places, and nothing else is touched. Each is one
//! PATCH of an absolute value; when one fails after others were done, the answer is an error that says which.

use serde_json::{Value, json};

use super::{
    FIELDS, RULE, all,
    change::{EFFECT, touches},
    place, rule_id, rules, sequence,
};
use crate::{
    graph::GraphRequest,
    tools::{
        Args, Asks, Does, Risk, StepError, Steps, Tool, Written,
        shape::{pick, text},
        tool::{ACCOUNT, MAILBOX},
    },
};

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Top,
    Bottom,
    Up,
    Down,
}

macro_rules! row {
    ($name:literal, $title:literal, $help:literal, $to:expr) => {
        Tool {
            name: $name,
            title: $title,
            profiles: &[],
            help: $help,
            params: &[RULE, ACCOUNT, MAILBOX],
            effect: EFFECT,
            risk: Risk::Moderate,
            idempotent: matches!($to, To::Top | To::Bottom),
            asks: Asks::Never,
            canonical: None,
            does: Does::Write { touches, act: |steps, args| Box::pin(shift(steps, args, $to)) },
        }
    };
}

pub(in crate::tools) const TOOLS: &[Tool] = &[
    row!("emailrules_move_top", "Run a rule first", "Makes an inbox rule run before all others. Returns the rule.", To::Top),
    row!("emailrules_move_bottom", "Run a rule last", "Makes an inbox rule run after all others. Returns the rule.", To::Bottom),
    row!("emailrules_move_up", "Run a rule earlier", "Swaps an inbox rule with the one before it. Returns the rule.", To::Up),
    row!("emailrules_move_down", "Run a rule later", "Swaps an inbox rule with the one after it. Returns the rule.", To::Down),
];

/// The new numbers: pairs of a rule's place in `now` and its number, for those that change. `now` is sorted.
fn renumbered(now: &[i64], from: usize, to: usize) -> Vec<(usize, i64)> {
    let mut order: Vec<usize> = (0..now.len()).collect();
    let moved = order.remove(from);
    order.insert(to, moved);
    // The numbers that are there are given out anew, raised where they would tie.
    let mut last = 0;
    let mut numbers = Vec::with_capacity(now.len());
    for number in now {
        last = (*number).max(last + 1);
        numbers.push(last);
    }
    order.into_iter().zip(numbers).filter(|(rule, number)| now[*rule] != *number).collect()
}

async fn shift(steps: &dyn Steps, args: &Args, to: To) -> Result<Written, StepError> {
    let all = all(steps, args).await.map_err(StepError::before)?;
    let from = place(&all, rule_id(args))?;
    let last = all.len() - 1;
    let goal = match to {
        To::Top => 0,
        To::Bottom => last,
        To::Up if from > 0 => from - 1,
        To::Down if from < last => from + 1,
        To::Up => return Err(StepError::user("already_first", "the rule already runs first", "Nothing has to be done.")),
        To::Down => return Err(StepError::user("already_last", "the rule already runs last", "Nothing has to be done.")),
    };
    let mut rule = all[from].clone();
    let numbers: Vec<i64> = all.iter().map(sequence).collect();
    let changes = if goal == from { Vec::new() } else { renumbered(&numbers, from, goal) };
    for (done, (at, number)) in changes.iter().enumerate() {
        let other = text(&all[*at], "id").ok_or_else(|| StepError::unexpected("a rule's id"))?;
        let request = GraphRequest::patch(&rules(args, &[other]), json!({ "sequence": number })).repeatable();
        let reply = steps.send(request).await.map_err(|error| half_done(error, done, changes.len()))?;
        if *at == from {
            let said = Some(reply.body).filter(Value::is_object);
            rule = said.unwrap_or_else(|| {
                rule["sequence"] = (*number).into();
                rule.clone()
            });
        }
    }
    Ok(Written { answer: pick(&rule, &FIELDS).into(), touches: Vec::new(), learned: Vec::new(), late: false })
}

/// An error after some numbers were changed says so: the rules may run in another order than before and than asked.
fn half_done(error: StepError, done: usize, of: usize) -> StepError {
    if done == 0 {
        return error;
    }
    StepError {
        message: format!("{} ({done} of {of} rules had been renumbered, so the order is between the old and the new one)", error.message),
        hint: Some("Look at emailrules_list, then move the rule again.".into()),
        // Some of it happened, whatever became of the last step.
        unknown_outcome: true,
        never_sent: false,
        ..error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::{Fake, act, named, refusal};
    use proptest::prelude::*;

    fn fake(rows: &'static [(&'static str, i64)], broken: &'static str) -> Fake {
        Fake::new(move |request| {
            let name = named(request);
            if name == "GET /me/mailFolders/inbox/messageRules" {
                let rules: Vec<_> = rows.iter().map(|(id, sequence)| json!({"id": id, "sequence": sequence, "@odata.x": 1})).collect();
                return Some(Ok(json!({ "value": rules })));
            }
            if name.ends_with(broken) {
                return Some(Err(refusal(500, "broken")));
            }
            let id = name.rsplit('/').next().unwrap().to_owned();
            Some(Ok(json!({"id": id, "sequence": request.body.as_ref().unwrap()["sequence"]})))
        })
    }

    fn patches(fake: &Fake) -> Vec<String> {
        let requests = fake.requests();
        requests[1..]
            .iter()
            .map(|request| format!("{}={}", request.path.rsplit('/').next().unwrap(), request.body.as_ref().unwrap()["sequence"]))
            .collect()
    }

    #[tokio::test]
    async fn neighbours_change_places_and_gaps_stay() {
        let fake = fake(&[("c", 30), ("a", 10), ("b", 20)], "-");
        let up = act(&fake, "emailrules_move_up", json!({"account_id": "x", "rule_id": "b"})).await.unwrap();
        assert_eq!((patches(&fake), up.answer), (vec!["b=10".into(), "a=20".into()], json!({"id": "b", "sequence": 10})));
    }

    #[tokio::test]
    async fn ties_are_dissolved_and_ends_are_ends() {
        let tied = fake(&[("a", 1), ("b", 1), ("c", 1)], "-");
        act(&tied, "emailrules_move_top", json!({"account_id": "x", "rule_id": "c"})).await.unwrap();
        assert_eq!(patches(&tied), ["a=2", "b=3"]);
        let ends = fake(&[("a", 1), ("b", 2)], "-");
        for (tool, rule, code) in [
            ("emailrules_move_up", "a", "already_first"),
            ("emailrules_move_down", "b", "already_last"),
            ("emailrules_move_up", "z", "unknown_rule"),
        ] {
            assert_eq!(act(&ends, tool, json!({"account_id": "x", "rule_id": rule})).await.unwrap_err().code, code);
        }
        let stays = act(&ends, "emailrules_move_bottom", json!({"account_id": "x", "rule_id": "b"})).await.unwrap();
        assert_eq!(stays.answer, json!({"id": "b", "sequence": 2}));
        assert!(ends.requests().iter().all(|request| request.body.is_none()));
    }

    #[tokio::test]
    async fn a_failure_half_way_says_so() {
        let fake = fake(&[("a", 1), ("b", 2)], "/a");
        let error = act(&fake, "emailrules_move_up", json!({"account_id": "x", "rule_id": "b"})).await.unwrap_err();
        assert!(error.message.contains("1 of 2") && error.unknown_outcome, "{error:?}");
    }

    proptest! {
        #[test]
        fn the_new_numbers_give_the_order_asked_for(mut now in proptest::collection::vec(1i64..9, 1..8), from: prop::sample::Index, to: prop::sample::Index) {
            now.sort_unstable();
            let (from, to) = (from.index(now.len()), to.index(now.len()));
            let mut numbers = now.clone();
            for (rule, number) in renumbered(&now, from, to) {
                numbers[rule] = number;
            }
            let mut expected: Vec<usize> = (0..now.len()).collect();
            let moved = expected.remove(from);
            expected.insert(to, moved);
            let mut found: Vec<usize> = (0..now.len()).collect();
            found.sort_by_key(|rule| numbers[*rule]);
            prop_assert_eq!(found, expected);
            let mut unique = numbers.clone();
            unique.sort_unstable();
            unique.dedup();
            prop_assert_eq!(unique.len(), numbers.len());
        }
    }
}
