//! The end of a daemon that has a write under way: whoever asked for it waits until it has come, and clients notice nothing.

use m365_cached_checks::support::{
    PATIENCE, ctl,
    mcp::{Era, Mcp},
    process,
    terminal::Terminal,
    world::{ALEX, Setup, World},
};
use m365_cached_tenant::{At, Effect, Fault, Wait};
use serde_json::json;

/// A world in which Graph does not answer a write that somebody has begun.
struct Writing {
    /// Before the world, which waits for its end.
    _client: Mcp,
    world: World,
    pid: u32,
    hold: u64,
}

impl Writing {
    fn new() -> Self {
        let setup = Setup { accounts: &[ALEX], config: "[daemon]\ndrain_s = 1\n", ..Setup::default() };
        let mut world = World::with(setup).unwrap();
        world.expect_log("calls still in flight were given up");
        let account = world.ids[0].clone();
        let mut client = world.client(Era::Modern).unwrap();
        let list = client.call("email_list", &json!({"account_id": account})).unwrap().json().unwrap();
        let hold = world.control().fault(Fault::always("/move", Effect::Hold { at: At::Before }));
        let arguments = json!({"account_id": account, "email_id": list["messages"][0]["id"], "destination_folder": "archive"});
        let (_, line) = client.line("tools/call", json!({"name": "email_move", "arguments": arguments}));
        client.send(&line).unwrap();
        assert!(world.block_on(world.control().wait(&Wait { route: "/move".into(), concurrent: 1, ..Wait::default() })).reached);
        let pid = world.daemon().pid();
        Self { _client: client, world, pid, hold }
    }

    /// Runs a verb at a terminal until it says that it waits.
    fn waits(&self, words: &[&str]) -> Terminal {
        let terminal = Terminal::start(self.world.bins, &self.world.home, &self.world.bins.cachectl, words, (120, 24)).unwrap();
        let said = terminal.until(|text| text.contains("waiting for what has been begun") || text.contains("pid")).unwrap();
        assert!(said.contains("waiting for what has been begun"), "{words:?}: {said}");
        terminal
    }

    /// Graph answers.
    fn release(&self) {
        self.world.control().release(Some(self.hold));
    }

    fn written_once(&self) {
        assert_eq!(self.world.control().stats().count("/move"), 1);
    }
}

#[test]
fn stop_returns_when_the_daemon_has_ended() {
    let mut writing = Writing::new();
    let mut first = writing.waits(&["stop"]);
    let second = ctl::start(writing.world.bins, &writing.world.home, &["--json", "stop"]).unwrap();
    writing.release();
    first.until(|text| text.contains(&format!("stopped (pid {})", writing.pid))).unwrap();
    assert!(first.wait().unwrap().success());
    process::wait_for_stranger(writing.pid, PATIENCE).unwrap();
    assert!(writing.world.daemon().wait().unwrap().success());
    // Asked for a second time while it was ending, or after it had ended.
    let said = second.finish(String::new()).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    writing.written_once();
}

#[test]
fn a_verb_on_the_files_waits_for_the_daemon_to_end() {
    let mut writing = Writing::new();
    let mut repair = writing.waits(&["repair"]);
    writing.release();
    assert!(repair.wait().unwrap().success(), "{}", repair.until(|_| true).unwrap());
    process::wait_for_stranger(writing.pid, PATIENCE).unwrap();
    assert!(writing.world.daemon().wait().unwrap().success());
    writing.written_once();
}

/// The daemon takes no connections until its write has ended, and keeps every other one out.
#[test]
fn a_call_in_the_midst_of_a_restart_is_answered_by_the_next_daemon() {
    let mut writing = Writing::new();
    let mut reader = writing.world.client(Era::Legacy).unwrap();
    let mut restart = writing.waits(&["restart"]);
    // Its shim knows that the daemon is on its way out; one that begins now has to find out.
    let account = writing.world.ids[0].clone();
    let (id, line) = reader.line("tools/call", json!({"name": "email_list", "arguments": {"account_id": account}}));
    reader.send(&line).unwrap();
    let late = std::thread::scope(|scope| {
        let (bins, home) = (writing.world.bins, &writing.world.home);
        let late = scope.spawn(|| Mcp::start(bins, home, Era::Legacy).unwrap());
        // It has tried to start a daemon, which has ended at once.
        let log = home.path().join("m365-cached.log");
        while !std::fs::read_to_string(&log).unwrap().contains("another daemon serves the profile") {
            std::thread::yield_now();
        }
        writing.release();
        late.join().unwrap()
    });
    assert_eq!(reader.reply_to(id).unwrap()["result"]["isError"], json!(false));
    drop(late);
    restart.until(|text| text.contains("stopped (pid") && text.contains("runs (pid")).unwrap();
    assert!(restart.wait().unwrap().success());
    assert!(writing.world.daemon().wait().unwrap().success());
    writing.written_once();
}
