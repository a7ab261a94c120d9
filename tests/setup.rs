//! `m365-cachectl setup`: from nothing to a cached answer, again, and back; unattended and asking.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use m365_cached_checks::support::{
    PATIENCE,
    bins::{Bins, For, bins},
    ctl::{self, Said},
    mcp::Era,
    process::{self, Running},
    pty::Pty,
    tenant,
    world::{ALEX, BEA, Setup, World},
};
use serde_json::{Value, json};

/// A person's home with two clients in it, and nothing of ours. Ends the demo when it goes.
struct House {
    bins: &'static Bins,
    home: tempfile::TempDir,
    demo: PathBuf,
}

impl House {
    fn new() -> Self {
        let home = tempfile::Builder::new().prefix("m365-").tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::create_dir(home.path().join(".cursor")).unwrap();
        fs::write(home.path().join(".claude.json"), "{\n  \"numStartups\": 7\n}\n").unwrap();
        let demo = home.path().join("demo");
        Self { bins: bins(For::Tests).unwrap(), home, demo }
    }

    /// A command of a person who has nothing of ours in the environment.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.home.path()).env("PATH", "/usr/bin:/bin");
        // The second says where a program of `cargo coverage` leaves its counts.
        for name in ["LD_LIBRARY_PATH", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // What most people have: nobody's keyring, nobody's service manager.
        command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent").env("XDG_RUNTIME_DIR", self.home.path());
        command
    }

    fn ctl(&self, words: &[&str]) -> Command {
        let mut command = self.command(&self.bins.cachectl);
        command.args(words);
        command
    }

    fn run(&self, words: &[&str]) -> Said {
        let done = self.ctl(words).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: done.status.code(), stdout: text(done.stdout), stderr: text(done.stderr) }
    }

    /// What a run with `--json` says, line by line.
    fn lines(&self, words: &[&str]) -> Vec<Value> {
        let said = self.demo_run(words);
        assert_eq!(said.code, Some(0), "{said:?}");
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    fn demo_run(&self, words: &[&str]) -> Said {
        let profile = self.demo.to_str().unwrap();
        let words: Vec<&str> = ["--json", "--profile", profile, "setup", "--demo"].into_iter().chain(words.iter().copied()).collect();
        self.run(&words)
    }

    /// What a client's file has under that name.
    fn entry(&self, file: &str, name: &str) -> Value {
        let text = fs::read_to_string(self.home.path().join(file)).unwrap_or_else(|_| "{}".into());
        serde_json::from_str::<Value>(&text).unwrap()["mcpServers"][name].clone()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // A test that failed must not leave a tenant or a daemon behind.
        let _ = self.demo_run(&["--end", "--yes"]);
        let _ = self.run(&["stop"]);
    }
}

fn states(lines: &[Value]) -> Vec<(&str, &str)> {
    lines.iter().filter_map(|line| Some((line["step"].as_str()?, line["state"].as_str()?))).collect()
}

/// A client that was set up: started by its own entry and nothing else, as the client itself would.
fn ask_by(house: &House, entry: &Value, calls: &[Value]) -> Vec<Value> {
    let mut command = house.command(Path::new(entry["command"].as_str().unwrap()));
    command.args(entry["args"].as_array().into_iter().flatten().map(|word| word.as_str().unwrap()));
    command.envs(entry["env"].as_object().unwrap().iter().map(|(name, value)| (name, value.as_str().unwrap())));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut client = Running::new("m365-mcp", child);
    let mut lines = stdout.lines();
    let mut talk = |id: usize, method: &str, params: &Value| -> Value {
        writeln!(stdin, "{}", json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).unwrap();
        loop {
            let line: Value = serde_json::from_str(&lines.next().expect("an answer").unwrap()).unwrap();
            if line["id"] == id {
                return line;
            }
        }
    };
    let about = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a-client", "version": "1"}});
    assert_eq!(talk(0, "initialize", &about)["result"]["serverInfo"]["name"], "m365-cached");
    let answers = calls.iter().enumerate().map(|(at, call)| {
        let reply = talk(at + 1, "tools/call", call);
        serde_json::from_str(reply["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{reply}"))).unwrap()
    });
    let answers = answers.collect();
    drop(stdin);
    client.wait(PATIENCE).unwrap();
    answers
}

#[test]
fn from_nothing_to_a_cached_answer_in_a_client_and_back() {
    let house = House::new();
    let lines = house.lines(&["--yes"]);
    let expected =
        [("settings", "done"), ("key", "done"), ("service", "skipped"), ("sign_in", "done"), ("clients", "done"), ("call", "done")];
    assert_eq!(states(&lines), expected, "{lines:#?}");
    let last = lines.last().unwrap();
    assert_eq!((&last["setup"], &last["demo"], &last["account"]), (&json!("complete"), &json!(true), &json!(ALEX)), "{last}");
    assert!(last["cached_ms"].as_f64().unwrap() > 0.0 && last["asked_ms"].as_f64().unwrap() > 0.0, "{last}");
    assert_eq!(last["clients"], json!(["claude-code", "cursor"]));

    // All of it lies in the demo's folder and beside it; the person's own profile has not come to be.
    let key = fs::metadata(house.home.path().join("demo.key")).unwrap();
    assert_eq!((key.permissions().mode() & 0o777, fs::metadata(&house.demo).unwrap().permissions().mode() & 0o777), (0o600, 0o700));
    for own in [".config/m365-cached", ".local/share/m365-cached"] {
        assert!(!house.home.path().join(own).exists(), "{own}");
    }

    // The entry that was written, as the client starts it.
    let entry = house.entry(".cursor/mcp.json", "m365-demo");
    assert_eq!(entry["env"], json!({"M365_CACHED_DIR": house.demo}));
    let list = json!({"name": "email_list", "arguments": {"account_id": ALEX, "limit": 5}});
    let answers = ask_by(&house, &entry, &[json!({"name": "account_list", "arguments": {}}), list.clone(), list]);
    assert_eq!(answers[0]["accounts"][0]["username"], ALEX, "{}", answers[0]);
    assert_eq!(answers[1]["_cache_status"], "fresh", "{}", answers[1]);
    assert_eq!(answers[2]["messages"], answers[1]["messages"]);

    // Again: everything stands.
    let again = house.lines(&["--yes"]);
    let expected = [
        ("settings", "unchanged"),
        ("key", "unchanged"),
        ("service", "skipped"),
        ("sign_in", "unchanged"),
        ("clients", "unchanged"),
        ("call", "done"),
    ];
    assert_eq!(states(&again), expected, "{again:#?}");

    // The tenant has gone, as with the machine: another one takes its place, and the same person signs in anew.
    let mark = || -> Value { serde_json::from_str(&fs::read_to_string(house.demo.join("demo.json")).unwrap()).unwrap() };
    let before = mark();
    process::send(u32::try_from(before["pid"].as_u64().unwrap()).unwrap(), rustix::process::Signal::KILL).unwrap();
    process::wait_for_stranger(u32::try_from(before["pid"].as_u64().unwrap()).unwrap(), PATIENCE).unwrap();
    let anew = house.lines(&["--yes"]);
    assert_eq!(states(&anew)[0], ("settings", "done"), "{anew:#?}");
    assert_eq!((states(&anew)[3], states(&anew)[5]), (("sign_in", "done"), ("call", "done")), "{anew:#?}");
    assert_ne!(mark()["control"], before["control"]);

    // And back.
    let would = house.lines(&["--end", "--dry-run"]).remove(0);
    assert_eq!((&would["demo"], &would["clients"]), (&json!("would_end"), &json!(["claude-code", "cursor"])), "{would}");
    let pid = u32::try_from(mark()["pid"].as_u64().unwrap()).unwrap();
    let ended = house.lines(&["--end", "--yes"]).remove(0);
    assert_eq!(
        (&ended["demo"], &ended["tenant"], &ended["clients"]),
        (&json!("ended"), &json!(true), &json!(["claude-code", "cursor"])),
        "{ended}"
    );
    process::wait_for_stranger(pid, PATIENCE).unwrap();
    assert!(process::of_profile(&house.demo).unwrap().is_empty());
    assert!(!house.demo.exists() && !house.home.path().join("demo.key").exists());
    assert_eq!(fs::read_to_string(house.home.path().join(".claude.json")).unwrap(), "{\n  \"numStartups\": 7\n}\n");
    assert_eq!(house.lines(&["--end", "--yes"])[0]["demo"], "none");
}

#[test]
fn what_is_no_demo_is_neither_made_one_nor_removed() {
    let house = House::new();
    fs::create_dir(&house.demo).unwrap();
    fs::write(house.demo.join("thesis.txt"), "years").unwrap();
    for words in [["--yes"].as_slice(), &["--end", "--yes"]] {
        let said = house.demo_run(words);
        assert_eq!((said.code, said.json().unwrap()["error"]["code"].as_str()), (Some(2), Some("not_a_demo")), "{said:?}");
    }
    assert_eq!(fs::read_dir(&house.demo).unwrap().count(), 1);
}

#[test]
fn a_dry_run_changes_nothing_and_nobody_agrees_without_a_terminal() {
    let house = House::new();
    let before = fs::read_to_string(house.home.path().join(".claude.json")).unwrap();
    let lines = house.lines(&["--dry-run"]);
    assert_eq!(states(&lines).iter().filter(|(_, state)| *state == "would").count(), 5, "{lines:#?}");
    assert_eq!(lines.last().unwrap()["setup"], "dry_run");
    let own = house.run(&["--json", "setup", "--dry-run", "--client-id", "11111111-2222-3333-4444-555555555555"]);
    assert_eq!(own.code, Some(0), "{own:?}");
    assert!(!house.demo.exists() && !house.home.path().join(".config/m365-cached").exists());
    assert_eq!(fs::read_to_string(house.home.path().join(".claude.json")).unwrap(), before);

    let said = house.demo_run(&[]);
    let (steps, error) = said.stdout.trim_end().rsplit_once('\n').unwrap();
    let error: Value = serde_json::from_str(error).unwrap();
    assert_eq!((said.code, error["error"]["code"].as_str()), (Some(2), Some("confirmation_required")), "{said:?}");
    assert!(error["error"]["hint"].as_str().unwrap().contains("--yes"), "{error}");
    assert!(error["error"]["message"].as_str().unwrap().starts_with("nothing of this was done: "), "{error}");
    let failed: Value = serde_json::from_str(steps.lines().last().unwrap()).unwrap();
    assert_eq!((failed["step"].as_str(), failed["state"].as_str()), (Some("clients"), Some("failed")), "{failed}");
}

/// Through a terminal: an application is asked for, its registration explained; a key file is offered where there is no keyring; a client is shown and
/// refused. Nobody signs in: there is no Microsoft here.
#[test]
fn in_a_terminal_it_asks() {
    let house = House::new();
    let mut person = Pty::spawn(house.ctl(&["setup"])).unwrap();
    let said = person.until("Application (client) id:").unwrap();
    assert!(said.contains("1/6 settings:") && said.contains("az ad app create") && said.contains("App registrations"), "{said}");
    // Whoever has none yet comes back later.
    person.type_line("").unwrap();
    let (status, said) = person.finish().unwrap();
    assert_eq!(status.code(), Some(7), "{said}");
    assert!(said.contains("no application is registered to sign in with"), "{said}");
    assert!(!house.home.path().join(".config/m365-cached/config.toml").exists());

    let mut person = Pty::spawn(house.ctl(&["setup", "--no-login", "--client-id", "11111111-2222-3333-4444-555555555555"])).unwrap();
    let said = person.until("[y/N]").unwrap();
    assert!(said.contains("2/6 key:") && said.contains("master.key") && said.contains("no safe place"), "{said}");
    person.type_line("y").unwrap();
    let said = person.until("[y/N]").unwrap();
    assert!(said.contains("done") && said.contains("4/6 sign-in:") && said.contains(".claude.json") && said.contains("m365-mcp"), "{said}");
    person.type_line("n").unwrap();
    let said = person.until("[y/N]").unwrap();
    assert!(said.contains(".cursor/mcp.json"), "{said}");
    person.type_line("yes").unwrap();
    let (status, said) = person.finish().unwrap();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("Claude Code: declined") && said.contains("Cursor: installed") && said.contains("6/6 call:"), "{said}");
    assert_eq!(house.entry(".claude.json", "m365"), Value::Null);
    assert_eq!(house.entry(".cursor/mcp.json", "m365")["command"], house.bins.shim.to_str().unwrap());
    let text = fs::read_to_string(house.home.path().join(".config/m365-cached/config.toml")).unwrap();
    assert!(text.contains("\nclient_id = \"11111111-2222-3333-4444-555555555555\"\n") && text.contains("\nsource = \"file\"\n"), "{text}");
}

#[test]
fn without_a_terminal_a_registration_is_named_with_what_to_do() {
    let house = House::new();
    let said = house.run(&["--json", "setup", "--yes"]);
    let error: Value = serde_json::from_str(said.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((said.code, error["error"]["code"].as_str()), (Some(7), Some("no_client_id")), "{said:?}");
    let hint = error["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("az ad app permission add") && hint.contains("--client-id"), "{error}");
    let wrong = house.run(&["--json", "setup", "--yes", "--client-id", "my-app"]);
    let error: Value = serde_json::from_str(wrong.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((wrong.code, error["error"]["code"].as_str()), (Some(2), Some("not_set")), "{wrong:?}");
}

/// A person's own profile: somebody signs in at the page that is shown, and the service is left out where it could not see the key.
#[test]
fn somebody_signs_in_and_a_key_of_this_terminal_keeps_a_service_away() {
    let world = World::with(Setup::default()).unwrap();
    let words = ["--json", "setup", "--yes", "--no-clients", "--no-browser", "--username", ALEX];
    let mut talk = ctl::start(world.bins, &world.home, &words).unwrap();
    let mut lines = Vec::new();
    while let Some(line) = talk.event().unwrap() {
        if line["event"] == "open_url" {
            let page = world.block_on(async { tenant::http().unwrap().get(line["url"].as_str().unwrap()).send().await.unwrap() });
            assert!(page.status().is_success());
        }
        lines.push(line);
    }
    talk.finish(String::new()).unwrap().ok().unwrap();
    let expected = [
        ("settings", "unchanged"),
        ("key", "unchanged"),
        ("service", "skipped"),
        ("sign_in", "done"),
        ("clients", "skipped"),
        ("call", "done"),
    ];
    assert_eq!(states(&lines), expected, "{lines:#?}");
    let last = lines.last().unwrap();
    assert_eq!((&last["setup"], &last["demo"], &last["account"]), (&json!("complete"), &json!(false), &json!(ALEX)), "{last}");

    // Nothing is fetched twice for the sake of it: a cache that is switched off is told, and not taken for success.
    let again = world.ctl(&["--json", "setup", "--yes", "--no-clients"]).unwrap().ok().unwrap();
    assert!(again.stdout.contains("\"step\":\"sign_in\",\"number\":4,\"of\":6,\"state\":\"unchanged\""), "{again:?}");
    let mut world = world;
    world.home.configure("[cache]\nenabled = false").unwrap();
    world.stop_daemon().unwrap();
    world.start_daemon().unwrap();
    let off = world.ctl(&["--json", "setup", "--yes", "--no-clients"]).unwrap();
    let error: Value = serde_json::from_str(off.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((off.code, &error["error"]["code"]), (Some(7), &json!("not_cached")), "{off:?}");
}

/// An address is only suggested to the sign-in page: whoever chooses another account there goes on with that one, and is told.
#[test]
fn whoever_signs_in_goes_on_whoever_was_suggested() {
    let world = World::with(Setup::default()).unwrap();
    let words = ["--json", "setup", "--yes", "--no-clients", "--no-browser", "--username", BEA];
    let mut talk = ctl::start(world.bins, &world.home, &words).unwrap();
    let mut lines = Vec::new();
    let in_address = |name: &str| name.replace('@', "%40");
    while let Some(line) = talk.event().unwrap() {
        if line["event"] == "open_url" {
            let suggested = line["url"].as_str().unwrap();
            let chosen = suggested.replace(&in_address(BEA), &in_address(ALEX));
            assert_ne!(chosen, suggested);
            let page = world.block_on(async { tenant::http().unwrap().get(&chosen).send().await.unwrap() });
            assert!(page.status().is_success());
        }
        lines.push(line);
    }
    talk.finish(String::new()).unwrap().ok().unwrap();
    let step = lines.iter().find(|line| line["step"] == "sign_in").unwrap();
    assert_eq!((&step["state"], &step["message"]), (&json!("done"), &json!(ALEX)), "{lines:#?}");
    let told = step["details"][0].as_str().unwrap();
    assert!(told.contains(BEA) && told.contains(&format!("`--username {ALEX}`")), "{told}");
    let last = lines.last().unwrap();
    assert_eq!((&last["setup"], &last["account"]), (&json!("complete"), &json!(ALEX)), "{last}");
}

/// What a verb does with the files of a profile may take minutes: a person who watches is told what it is.
#[test]
fn a_person_is_told_what_takes_long() {
    let house = House::new();
    // A program in the daemon's place that ends when it is told to.
    let (answer, program) = (house.home.path().join("answer"), house.home.path().join("slow"));
    assert!(Command::new("mkfifo").arg(&answer).status().unwrap().success());
    let mut line = fs::File::options().read(true).write(true).open(&answer).unwrap();
    fs::write(&program, format!("#!/bin/sh\nexec head -n 1 '{}'\n", answer.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = house.ctl(&["reset", "--yes"]);
    command.env("M365_CACHED_DAEMON", &program);
    let mut person = Pty::spawn(command).unwrap();
    person.until("putting data and keys aside ...").unwrap();
    line.write_all(b"{\"quarantine\":null}\n").unwrap();
    let (status, said) = person.finish().unwrap();
    assert!(status.success() && said.contains("there was nothing to put aside"), "{said}");
}

/// A key that works goes where it is wanted, or the settings are left as they were: a daemon that worked works afterwards.
#[test]
fn another_place_for_the_key_locks_no_daemon() {
    let mut world = World::start().unwrap();
    world.expect_log("locked");
    world.expect_log("not rotated");
    let ask = |world: &World| {
        let list = json!({"account_id": ALEX, "limit": 4});
        world.client(Era::Modern).unwrap().call("email_list", &list).unwrap().cache_status().unwrap()
    };
    assert_eq!(ask(&world), "miss");
    let folder = tempfile::tempdir().unwrap();
    let (file, other) = (folder.path().join("m365.key"), folder.path().join("other.key"));
    let setup = |world: &World, words: &[&str]| {
        let usual = ["--json", "setup", "--yes", "--no-clients", "--no-service", "--no-login"];
        world.ctl(&usual.iter().chain(words).copied().collect::<Vec<_>>()).unwrap()
    };
    let key_step = |said: &Said| -> Value {
        let lines = said.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.into_iter().find(|line| line["step"] == "key").unwrap()
    };
    let key = |world: &World| world.ctl_json(&["status"]).unwrap()["key"].clone();
    let settings = |world: &World| {
        ["keys.source", "keys.file"].map(|key| world.ctl_json(&["config", "show", key]).unwrap()["settings"][0]["value"].clone())
    };

    // The file is in the way of the new key: nothing is changed.
    fs::write(&file, "somebody's").unwrap();
    let before = settings(&world);
    let refused = setup(&world, &["--key-source", "file", "--key-file", file.to_str().unwrap()]);
    let fault: Value = serde_json::from_str(refused.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((refused.code, &fault["error"]["code"]), (Some(7), &json!("key_file_exists")), "{refused:?}");
    assert_eq!((settings(&world), ask(&world).as_str()), (before, "fresh"));

    fs::remove_file(&file).unwrap();
    let moved = setup(&world, &["--key-source", "file", "--key-file", file.to_str().unwrap()]);
    assert_eq!(key_step(&moved)["state"], "done", "{moved:?}");
    assert_eq!(key(&world), json!({"source": "file", "location": file}));
    assert_eq!(ask(&world), "fresh");
    // The variable is needed no more. Whoever calls starts the daemon.
    world.ctl_json(&["stop"]).unwrap();
    world.home.key = None;
    assert_eq!(ask(&world), "fresh");

    // A file without the key.
    let before = settings(&world);
    let refused = setup(&world, &["--key-file", other.to_str().unwrap()]);
    let fault: Value = serde_json::from_str(refused.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((refused.code, &fault["error"]["code"]), (Some(7), &json!("key_missing")), "{refused:?}");
    assert_eq!((settings(&world), ask(&world).as_str()), (before.clone(), "fresh"));
    // And a variable, which is its owner's.
    let refused = setup(&world, &["--key-source", "environment"]);
    let fault: Value = serde_json::from_str(refused.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((refused.code, &fault["error"]["code"]), (Some(2), &json!("key_is_elsewhere")), "{refused:?}");
    assert_eq!((settings(&world), ask(&world).as_str()), (before, "fresh"));

    // Once it has been moved there.
    world.ctl_json(&["stop"]).unwrap();
    fs::rename(&file, &other).unwrap();
    let found = setup(&world, &["--key-file", other.to_str().unwrap()]);
    assert_eq!(key_step(&found)["state"], "done", "{found:?}");
    assert_eq!(ask(&world), "fresh");
    world.ctl_json(&["stop"]).unwrap();
}

/// A client id that stands in the environment alone is seen by no service and by no client with a window: it is put into the file, once.
#[test]
fn an_application_of_this_terminal_is_written_down() {
    const ID: &str = "11111111-2222-3333-4444-555555555555";
    const OTHER: &str = "99999999-2222-3333-4444-555555555555";
    for variable in ["M365_MCP_CLIENT_ID", "M365_CACHED_CLIENT_ID"] {
        let house = House::new();
        let words = ["--json", "setup", "--yes", "--no-login", "--no-service", "--no-clients"];
        let step = |more: &[&str]| -> Value {
            let done = house.ctl(&[words.as_slice(), more].concat()).env(variable, ID).stdin(Stdio::null()).output().unwrap();
            assert_eq!(done.status.code(), Some(0), "{done:?}");
            serde_json::from_slice(done.stdout.split(|byte| *byte == b'\n').next().unwrap()).unwrap()
        };
        let file = || fs::read_to_string(house.home.path().join(".config/m365-cached/config.toml")).unwrap();
        let written = step(&[]);
        assert!(written["state"] == "done" && written["message"].as_str().unwrap().contains(variable), "{written}");
        assert!(file().contains(&format!("\nclient_id = \"{ID}\"\n")), "{}", file());
        assert_eq!(step(&[])["state"], "unchanged");
        let other = step(&["--client-id", OTHER]);
        assert!(other["state"] == "done" && file().contains(&format!("\nclient_id = \"{OTHER}\"\n")), "{other}");
        let over = other["details"].to_string().contains(variable);
        // The original's variables stand below the file.
        assert_eq!(over, variable == "M365_CACHED_CLIENT_ID", "{other}");
    }
}

/// An entry that leads to another profile does not serve this one.
#[test]
fn a_client_that_was_led_to_another_profile_is_led_back() {
    let house = House::new();
    let work = house.home.path().join("work");
    house.run(&["--profile", work.to_str().unwrap(), "install", "cursor", "--yes"]).ok().unwrap();
    assert_eq!(house.entry(".cursor/mcp.json", "m365")["env"]["M365_CACHED_DIR"], json!(work));
    let words = ["--json", "setup", "--yes", "--no-login", "--no-service", "--client", "cursor"];
    let said = house.run(&words).ok().unwrap();
    let lines: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let clients = lines.iter().find(|line| line["step"] == "clients").unwrap();
    assert!(clients["state"] == "done" && clients["details"][0].as_str().unwrap().contains(work.to_str().unwrap()), "{clients}");
    assert_eq!(house.entry(".cursor/mcp.json", "m365"), json!({"command": house.bins.shim}));
}

/// A client that cannot be set up does not keep the rest from it, and is not passed over in silence.
#[test]
fn a_client_that_cannot_be_set_up_is_told_and_the_others_are_served() {
    let house = House::new();
    fs::write(house.home.path().join(".claude.json"), "{ broken").unwrap();
    let said = house.demo_run(&["--yes"]);
    let lines: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((states(&lines)[4], states(&lines)[5]), (("clients", "failed"), ("call", "done")), "{lines:#?}");
    let last = lines.last().unwrap();
    assert_eq!((&last["setup"], &last["clients"]), (&json!("incomplete"), &json!(["cursor"])), "{last}");
    assert!(said.code.is_some_and(|code| code != 0), "{said:?}");
    assert_eq!(fs::read_to_string(house.home.path().join(".claude.json")).unwrap(), "{ broken");
}

/// The question that `install` asks in a terminal: shown first, and nothing but a yes is one.
#[test]
fn install_asks_in_a_terminal() {
    let house = House::new();
    for (answer, code, there) in [("", 2, false), ("n", 2, false), ("y", 0, true)] {
        let mut person = Pty::spawn(house.ctl(&["install", "cursor"])).unwrap();
        let shown = person.until("[y/N]").unwrap();
        assert!(shown.contains(".cursor/mcp.json") && shown.contains("m365-mcp"), "{shown}");
        person.type_line(answer).unwrap();
        let (status, said) = person.finish().unwrap();
        assert_eq!(status.code(), Some(code), "{answer}: {said}");
        assert_eq!(house.entry(".cursor/mcp.json", "m365")["command"].is_string(), there, "{answer}: {said}");
    }
}

/// Before anybody signs in, and without a daemon.
#[test]
fn permissions_are_told_before_anybody_signs_in() {
    let house = House::new();
    let all = house.run(&["--json", "permissions", "--by-tool"]).ok().unwrap().json().unwrap();
    assert_eq!((all["admin_consent_url"].clone(), all["portal"].as_str()), (Value::Null, Some("https://entra.microsoft.com")));
    let scopes = |tool: &str| all["tools"].as_array().unwrap().iter().find(|one| one["tool"] == tool).unwrap()["scopes"].clone();
    assert!(scopes("email_send").as_array().unwrap().contains(&json!("Mail.Send")) && scopes("account_list") == json!([]));
    house.run(&["config", "set", "client_id", "11111111-2222-3333-4444-555555555555"]).ok().unwrap();
    house.run(&["config", "set", "cloud.name", "dod"]).ok().unwrap();
    let calendar = house.run(&["--json", "permissions", "--tools-profile", "calendar"]).ok().unwrap().json().unwrap();
    let url = calendar["admin_consent_url"].as_str().unwrap();
    assert!(url.starts_with("https://login.microsoftonline.us/organizations/v2.0/adminconsent?client_id=11111111-"), "{url}");
    let named: Vec<&str> = calendar["permissions"].as_array().unwrap().iter().map(|one| one["scope"].as_str().unwrap()).collect();
    assert!(named.contains(&"Calendars.ReadWrite") && !named.contains(&"Mail.Send"), "{named:?}");
    assert!(process::of_profile(house.home.path()).unwrap().is_empty(), "it needs no daemon");
}

/// An alias is taken wherever an account is named, and the default decides only where none is.
#[test]
fn an_account_has_a_short_name_and_one_is_meant_where_none_is_named() {
    let world = World::with(Setup { accounts: &[ALEX, BEA], ..Setup::default() }).unwrap();
    let call = |world: &World, words: &[&str]| world.ctl(&[["call", "email_list", "limit=3"].as_slice(), words].concat()).unwrap();
    let unnamed = call(&world, &[]);
    assert!(unnamed.code == Some(2) && unnamed.stderr.contains("account_id"), "{unnamed:?}");

    let stranger = world.ctl(&["--json", "accounts", "alias", "nobody@contoso.example", "work"]).unwrap();
    assert_eq!((stranger.code, stranger.json().unwrap()["error"]["code"].clone()), (Some(3), json!("unknown_account")), "{stranger:?}");
    let set = world.ctl_json(&["accounts", "alias", "bea@contoso.example", "work"]).unwrap();
    assert_eq!((&set["key"], &set["is"]), (&json!("accounts.\"bea@contoso.example\".alias"), &json!("\"work\"")), "{set}");
    let doubled = world.ctl(&["accounts", "alias", ALEX, "Work"]).unwrap();
    assert!(doubled.code == Some(2) && doubled.stderr.contains("bea@contoso.example"), "{doubled:?}");
    world.ctl_json(&["accounts", "default", "bea@contoso.example"]).unwrap();

    let shown = world.ctl_json(&["accounts"]).unwrap();
    let names: Vec<(&Value, &Value)> = shown["accounts"].as_array().unwrap().iter().map(|one| (&one["alias"], &one["default"])).collect();
    assert!(names.contains(&(&Value::Null, &json!(false))) && names.contains(&(&json!("work"), &json!(true))), "{shown}");
    assert!(world.ctl(&["accounts"]).unwrap().stdout.contains("work (default)"));
    let list = |words: &[&str]| call(&world, words).ok().unwrap().json().unwrap()["messages"].clone();
    let (bea, alex) = (list(&["account_id=bea@contoso.example"]), list(&[&format!("account_id={ALEX}")]));
    assert_ne!(bea, alex);
    assert_eq!((list(&["account_id=WORK"]), list(&[])), (bea.clone(), bea));
    let unknown = world.ctl(&["--json", "call", "email_list", "account_id=home"]).unwrap();
    assert_eq!(unknown.json().unwrap()["error"]["code"], "unknown_account", "{unknown:?}");

    // A client is told, need not name it, and cannot sign anybody out by naming nobody.
    let mut client = world.client(Era::Legacy).unwrap();
    let tools = client.request("tools/list", json!({})).unwrap();
    let tool = |name: &str| tools["result"]["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == name).cloned();
    assert!(!tool("email_list").unwrap()["inputSchema"]["required"].to_string().contains("account_id"));
    assert_eq!(client.call("email_list", &json!({"limit": 3})).unwrap().cache_status().unwrap(), "fresh");
    assert_eq!(client.call("account_remove", &json!({"confirm": true})).unwrap().fault().unwrap().0, "missing_argument");
    let accounts = client.call("account_list", &json!({})).unwrap().json().unwrap();
    let default = accounts["accounts"].as_array().unwrap().iter().find(|one| one["default"] == true).unwrap().clone();
    assert_eq!((&default["username"], &default["alias"]), (&json!("bea@contoso.example"), &json!("work")), "{accounts}");

    // The verbs of people take it, too; and it can be taken back, also of one who has left.
    world.ctl_json(&["logout", "work", "--yes"]).unwrap();
    let gone = world.ctl(&["--json", "call", "email_list", "limit=3"]).unwrap();
    let error = gone.json().unwrap()["error"].clone();
    assert!(error["message"].as_str().unwrap().contains("accounts.default"), "{error}");
    let warnings = world.ctl_json(&["status"]).unwrap()["warnings"].clone();
    assert!(warnings.as_array().unwrap().iter().any(|warning| warning["code"] == "default_account"), "{warnings}");
    world.ctl_json(&["accounts", "default", "--unset"]).unwrap();
    world.ctl_json(&["accounts", "alias", "bea@contoso.example", "--unset"]).unwrap();
    let file = fs::read_to_string(world.home.path().join("config.toml")).unwrap();
    assert!(!file.contains("alias") && !file.contains("default ="), "{file}");
}
