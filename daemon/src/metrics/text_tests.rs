//! The text as Prometheus reads it.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use m365_cached::ids::AccountId;

use super::*;
use crate::core::{AccountState, GraphState, QueueState, StoreState};

fn figures() -> Figures {
    let mut counts =
        Counts { hits: 90, stale_hits: 5, misses: 6, bypassed: 1, stale_if_error: 2, saved_milli: 97_500, ..Counts::default() };
    for micros in [3, 17, 90, 90, 5_000] {
        counts.hit_times.note(micros);
    }
    counts.fetch_times.note(400_000_000);
    let row = |name: &str| BTreeMap::from([(name.to_owned(), counts.clone())]);
    let stats = Stats {
        total: counts.clone(),
        by_tool: row("email_list"),
        by_account: BTreeMap::from([(AccountId::new("0b1e.9188"), counts.clone())]),
        by_client: row("Ada's \"own\" client\n").into_iter().chain(row("claude")).chain(row("worker")).collect(),
        overtaken: 1,
    };
    let status = CoreStatus {
        warming: Default::default(),
        store: StoreState { healthy: true, path: "/home/ada/x".into(), entries: 4, ..StoreState::default() },
        accounts: vec![AccountState { id: "0b1e.9188".into(), username: "ada@contoso.example".into(), ..AccountState::default() }],
        graph: GraphState { breaker: "open".into(), requests: 12, ..GraphState::default() },
        queue: QueueState { queued: 1, running: 2, failed: 3 },
        warnings: Vec::new(),
    };
    let usage = Usage { calls: 3, held_bytes: 99, limits: vec![("calls", 1024)], refused: vec![("calls", 7)] };
    let warnings = ["low_disk", "sign_in_required", "sign_in_required"].map(str::to_owned).to_vec();
    Figures { started_s: 1_795_165_200.5, clients: 2, usage, warnings, engine: Some((stats, status)) }
}

#[test]
fn the_text_reads_well_and_names_nobody() {
    let text = render(&figures());
    insta::assert_snapshot!(text);
    for secret in ["ada", "Ada", "0b1e", "9188", "claude", "home"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn a_locked_daemon_says_so_and_no_more() {
    let text = render(&Figures { engine: None, ..figures() });
    assert!(text.contains("\nm365_cached_locked 1\n") && !text.contains("entries"), "{text}");
    assert!(text.contains("\nm365_cached_warning{code=\"sign_in_required\"} 2\n"), "{text}");
}

#[test]
fn buckets_rise_to_the_count() {
    let text = render(&figures());
    let buckets: Vec<u64> = text
        .lines()
        .filter(|line| line.starts_with("m365_cached_response_seconds_bucket{source=\"cache\""))
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(buckets.len(), ENDS.len() + 1);
    assert!(buckets.is_sorted() && buckets.first() == Some(&1) && buckets.last() == Some(&5), "{buckets:?}");
    assert!(text.contains("bucket{source=\"graph\",le=\"67.108864\"} 0") && text.contains("bucket{source=\"graph\",le=\"+Inf\"} 1"));
}

/// Prometheus's own linter. `.ci/run` installs it.
#[test]
fn promtool_finds_nothing() {
    let fresh = Figures { engine: Some((Stats::default(), CoreStatus::default())), ..figures() };
    for figures in [figures(), fresh, Figures { engine: None, ..figures() }] {
        let mut promtool = Command::new("promtool");
        promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut promtool = match promtool.spawn() {
            Ok(promtool) => promtool,
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "skipped: promtool cannot be run ({error}); it is in Debian's package `prometheus`");
                return;
            }
        };
        promtool.stdin.take().unwrap().write_all(render(&figures).as_bytes()).unwrap();
        let said = promtool.wait_with_output().unwrap();
        let all = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        assert!(said.status.success() && all.trim().is_empty(), "{all}");
    }
}
