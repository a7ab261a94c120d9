//! A short working day: whatever the cache answers is true within its contract. The whole day is `cargo bench --bench workday`.

use std::time::Duration;

use m365_cached::tools::{Effect, find};
use m365_cached_checks::support::workday::{CONTRACT, Plan, run};

#[test]
fn no_answer_of_a_morning_is_wrong() {
    let figures = run(Plan { seed: 7, length: Duration::from_secs(75 * 60), pace: 2.0 }).unwrap();
    let table = figures.table().unwrap();
    assert!(figures.calls > 100 && figures.writes > 3 && figures.changes_by_others > 20, "too little happened:\n{table}");
    assert_eq!((figures.contract_violations, figures.contradictions), (0, 0), "{table}");
    // Of a morning that begins with next to nothing in the cache.
    assert!(figures.hit_rate > 0.3, "{table}");
}

#[test]
fn the_contract_is_the_catalogues() {
    for contract in CONTRACT {
        let Effect::Read { ttl: Ok(ttl), .. } = find(contract.tool).unwrap().effect else { panic!("{}", contract.tool) };
        let seconds = |seconds: i64| Duration::from_secs(seconds.try_into().unwrap());
        assert_eq!((ttl.fresh, ttl.stale), (seconds(contract.fresh), seconds(contract.stale)), "{}", contract.tool);
    }
}
