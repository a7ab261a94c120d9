//! Which records are asked for.

use std::collections::BTreeSet;

use super::{Kind, Mark, Record};
use crate::clock::Timestamp;

/// Which records; every part that is `None` or empty lets all pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Numbers that stand for the account that is asked for.
    pub subjects: Option<BTreeSet<i64>>,
    /// What a client calls itself.
    pub client: Option<String>,
    /// A tool's name; with a `*` behind it, the beginning of one.
    pub tool: Option<String>,
    /// Kinds.
    pub kinds: BTreeSet<Kind>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Marks of the target that is asked for, one for each account.
    pub marks: Option<BTreeSet<Mark>>,
}

impl Filter {
    /// Whether the record is asked for.
    pub fn matches(&self, record: &Record) -> bool {
        let tool = |wanted: &String| match wanted.strip_suffix('*') {
            Some(beginning) => record.tool.starts_with(beginning),
            None => record.tool == *wanted,
        };
        self.subjects.as_ref().is_none_or(|subjects| subjects.contains(&record.subject))
            && self.client.as_ref().is_none_or(|client| record.client == *client)
            && self.tool.as_ref().is_none_or(tool)
            && (self.kinds.is_empty() || Kind::of(&record.kind).is_some_and(|kind| self.kinds.contains(&kind)))
            && self.since.is_none_or(|since| record.until >= since)
            && self.until.is_none_or(|until| record.at < until)
            && self.marks.as_ref().is_none_or(|marks| record.marks.iter().any(|mark| marks.contains(mark)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_narrows() {
        let record = Record {
            at: Timestamp(5),
            until: Timestamp(9),
            kind: "read".into(),
            subject: 2,
            tool: "email_get".into(),
            client: "claude".into(),
            marks: vec![[3; 8]],
            ..Record::default()
        };
        let passes = [
            Filter::default(),
            Filter { subjects: Some([2].into()), ..Filter::default() },
            Filter { client: Some("claude".into()), ..Filter::default() },
            Filter { tool: Some("email_*".into()), ..Filter::default() },
            Filter { kinds: [Kind::Read].into(), ..Filter::default() },
            Filter { since: Some(Timestamp(9)), until: Some(Timestamp(6)), ..Filter::default() },
            Filter { marks: Some([[3; 8], [4; 8]].into()), ..Filter::default() },
        ];
        assert!(passes.iter().all(|filter| filter.matches(&record)));
        let fails = [
            Filter { subjects: Some([1].into()), ..Filter::default() },
            Filter { client: Some("claud".into()), ..Filter::default() },
            Filter { tool: Some("email".into()), ..Filter::default() },
            Filter { kinds: [Kind::Write].into(), ..Filter::default() },
            Filter { since: Some(Timestamp(10)), ..Filter::default() },
            Filter { until: Some(Timestamp(5)), ..Filter::default() },
            Filter { marks: Some([[4; 8]].into()), ..Filter::default() },
        ];
        assert!(!fails.iter().any(|filter| filter.matches(&record)));
    }
}
