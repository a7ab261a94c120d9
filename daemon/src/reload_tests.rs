//! Every key, one after the other: changed in the file, reloaded, looked for where it has to have an effect, or must have none before a restart.
//! What an effect is for whoever asks, `tests/reload.rs` shows.

use std::{collections::BTreeSet, fs, sync::atomic::AtomicU64, time::Duration};

use m365_cached::{
    chance::SeededDice,
    clock::{ManualClock, Timestamp},
    config::keys,
};

use super::*;
use crate::{
    core::Core,
    engine, parts,
    settings_tests::OTHERWISE,
    testing::{self, FakeCore},
};

/// Keys that are no objects by themselves, with another value than their default.
const FURTHER: &[(&str, &str)] = &[
    ("keys.rotate_every", "keys.rotate_every = \"91d\""),
    ("cache.hot_bytes", "cache.hot_bytes = 1"),
    ("cache.min_free_bytes", "cache.min_free_bytes = 1"),
    ("store.backend", "store.backend = \"memory\""),
    ("store.memory_bytes", "store.memory_bytes = 2000000"),
    ("graph.request_timeout_s", "graph.request_timeout_s = 61"),
    ("graph.concurrency", "graph.concurrency = 3"),
    ("worker.count", "worker.count = 3"),
    ("daemon.idle_s", "daemon.idle_s = 3601"),
    ("log.format", "log.format = \"json\""),
    ("log.filter", "log.filter = \"debug\""),
];

/// Only a demo has these, and no demo becomes another one by a reload.
const OF_A_DEMO: [&str; 5] = ["demo", "cloud.identity", "cloud.graph", "cloud.downloads", "cloud.ca"];

struct Bench {
    _dir: tempfile::TempDir,
    profile: Profile,
    core: Arc<FakeCore>,
    daemon: Arc<Daemon>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::TempDir::new().unwrap();
        let profile = Profile::at(dir.path()).unwrap();
        fs::write(dir.path().join("authority.pem"), include_str!("../../src/auth/authority_for_tests.pem")).unwrap();
        let core = Arc::new(FakeCore::default());
        let config = parts::configuration(&profile, &[]).unwrap();
        let settings = Some(Settings::new(profile.clone(), Vec::new(), config.clone()));
        let clock = Arc::new(ManualClock::at(Timestamp(1_000)));
        let parts = parts::Parts {
            settings,
            limits: config.limits,
            ..testing::parts(Ok(core.clone() as Arc<dyn Core>), Duration::from_secs(5), clock)
        };
        let daemon = Arc::new(Daemon::new(parts, Arc::new(AtomicU64::new(0)), &SeededDice::new(1)));
        Self { _dir: dir, profile, core, daemon }
    }

    fn reload(&self, text: &str) -> Result<Reloaded, Problem> {
        fs::write(self.profile.config_file(), text).unwrap();
        reload(&self.daemon)
    }

    /// What holds now, as text: what the daemon itself looks at, and what the engine was told last.
    fn holds(&self) -> String {
        let taken = self.core.taken.lock().unwrap().clone().unwrap_or_default();
        let mut policy = engine::whole_policy(&taken).unwrap();
        // As the engine does it.
        (policy.cloud, policy.compat, policy.short_ids) = Default::default();
        let daemon = &self.daemon;
        format!("{policy:?} {:?} {:?} {} {:?}", daemon.gate.limits(), daemon.policies, daemon.caching(), daemon.manner())
    }
}

#[test]
fn every_key_takes_effect_when_it_says_and_not_before() {
    let mut tried = BTreeSet::new();
    for (key, text) in OTHERWISE.iter().chain(FURTHER) {
        let bench = Bench::new();
        let before = bench.holds();
        let Reloaded { changed, waiting } = bench.reload(text).unwrap_or_else(|problem| panic!("{key}: {}", problem.message));
        let takes = keys().into_iter().find(|row| row.name == *key).unwrap().takes;
        let named = |all: &[Changed]| all.iter().any(|one| m365_cached::config::key_of(&one.key).unwrap().name == *key);
        assert_eq!((named(&changed), named(&waiting)), (takes == Takes::Reload, takes == Takes::Restart), "{key}");
        // The filter is tracing's own.
        if *key != "log.filter" {
            assert_eq!(bench.holds() != before, takes == Takes::Reload, "{key}");
        }
        let again = reload(&bench.daemon).unwrap();
        assert_eq!((again.changed.len(), again.waiting), (0, waiting), "{key}: what waits is named until it holds");
        bench.reload("").unwrap();
        assert_eq!(bench.holds(), before, "{key}: taken back");
        tried.insert(*key);
    }
    let all: BTreeSet<&str> = keys().into_iter().map(|row| row.name).filter(|name| !OF_A_DEMO.contains(name)).collect();
    assert_eq!(tried, all, "left: what is tried; right: every key");
}

#[test]
fn what_is_wrong_changes_nothing_at_all() {
    let bench = Bench::new();
    bench.reload("limits.calls = 7").unwrap();
    let before = bench.holds();
    for (wrong, says) in [
        ("limits.calls = 8\n[grahp]\nhttp2 = true", "graph.http2"),
        ("limits.calls = 8\nlog.filter = \"a=b=c\"", "log.filter"),
        ("limits.calls = 8\nnetwork.ca = \"nowhere.pem\"", "nowhere.pem"),
        ("limits.calls = 8\nwarming.operations.email_send.enabled = true", "email_send"),
        ("limits.calls = \"hunter2\"", "limits.calls"),
    ] {
        let problem = bench.reload(wrong).unwrap_err();
        assert!(problem.message.starts_with("nothing was changed: ") && problem.message.contains(says), "{}", problem.message);
        assert!(!problem.message.contains("hunter2"), "{}", problem.message);
        assert_eq!(bench.holds(), before, "{wrong}");
    }
    // Nor is it remembered as taken.
    let Reloaded { changed, .. } = bench.reload("limits.calls = 8").unwrap();
    assert_eq!((changed[0].key.as_str(), changed[0].was.as_str(), changed[0].is.as_str()), ("limits.calls", "7", "8"));
}

#[test]
fn a_daemon_without_settings_says_what_it_needs() {
    let daemon = testing::daemon(Err(testing::locked()));
    let problem = reload(&daemon).unwrap_err();
    assert!(problem.code == "not_reloadable" && problem.hint.contains("restart"), "{problem:?}");
}

#[test]
fn a_locked_daemon_takes_what_is_its_own() {
    let dir = tempfile::TempDir::new().unwrap();
    let profile = Profile::at(dir.path()).unwrap();
    let config = parts::configuration(&profile, &[]).unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp(1_000)));
    let settings = Some(Settings::new(profile.clone(), Vec::new(), config));
    let parts = parts::Parts { settings, ..testing::parts(Err(testing::locked()), Duration::from_secs(5), clock) };
    let daemon = Daemon::new(parts, Arc::new(AtomicU64::new(0)), &SeededDice::new(1));
    fs::write(profile.config_file(), "limits.calls = 7\npolicy.default.read_only = true").unwrap();
    assert_eq!(reload(&daemon).unwrap().changed.len(), 2);
    assert_eq!(daemon.gate.limits().calls, 7);
    assert!(daemon.policies.get().fence(None, "anybody").unwrap().read_only);
}
