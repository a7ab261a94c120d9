//! For tests: which reads each write makes untrue, every write against every read of one small mailbox or drive. The families' scenes are in
//! `matrix_*_tests.rs`; the page `packaging/manual/writes-and-reads.md` is made of their snapshots.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Does, Effect,
    fake::{Fake, act, args, fetch},
    find,
};
use crate::cache::{Scope, SourceId, Touch, Touched, spread};

/// What it is called, the tool, and its arguments as JSON; the account may be left out.
pub(super) type Asked = (&'static str, &'static str, &'static str);

fn given(text: &str) -> Value {
    let mut given: Value = serde_json::from_str(text).unwrap();
    given["account_id"] = "a".into();
    given
}

/// By `tool: what`, the reads that are asked anew after that write.
pub(super) async fn matrix(scene: &Fake, reads: &[Asked], writes: &[Asked]) -> BTreeMap<String, Vec<&'static str>> {
    let mut known: BTreeMap<String, BTreeSet<Scope>> = BTreeMap::new();
    let mut kept = Vec::new();
    for (label, tool, arguments) in reads {
        let fetched = fetch(scene, tool, given(arguments)).await.unwrap_or_else(|error| panic!("{tool} {label}: {error}"));
        for (item, containers) in fetched.shown {
            known.entry(item).or_default().extend(containers);
        }
        let Effect::Read { service, .. } = find(tool).unwrap().effect else { panic!("{tool} is not a read") };
        kept.push((*label, fetched.scopes.into_iter().chain([Scope::all(service)]).collect::<BTreeSet<_>>()));
    }
    let mut matrix = BTreeMap::new();
    for (label, tool, arguments) in writes {
        let row = find(tool).unwrap();
        let (Does::Write { touches, .. }, Effect::Write { service }) = (row.does, row.effect) else { panic!("{tool} is not a write") };
        let before = touches(&args(tool, given(arguments)).unwrap());
        let written = act(scene, tool, given(arguments)).await.unwrap_or_else(|error| panic!("{tool} {label}: {error}"));
        let hit = |touches: Vec<Touch>| -> Vec<&'static str> {
            let touched = Touched { source: SourceId::mailbox("c", "t", "m"), service, touches };
            let bumped = spread(&touched, |item| known.get(item).map(|containers| containers.iter().cloned().collect()));
            kept.iter().filter(|(_, scopes)| !scopes.is_disjoint(&bumped)).map(|(label, _)| *label).collect()
        };
        // When the reply is lost only what was known before is touched: it has to reach as far.
        let lost = hit(before.clone());
        let all = hit(before.into_iter().chain(written.touches).collect());
        assert_eq!(lost, all, "{tool} {label}");
        assert!(matrix.insert(format!("{tool}: {label}"), all).is_none(), "{tool} {label} comes twice");
    }
    matrix
}
