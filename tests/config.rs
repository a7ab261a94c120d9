//! `m365-cachectl config` on the real programs: what is shown is what the daemon has, and what is set is what it does.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio};

use m365_cached_checks::support::world::World;
use serde_json::Value;

fn shown(world: &World, key: &str) -> Value {
    world.ctl_json(&["config", "show", key]).unwrap()["settings"][0].clone()
}

#[test]
fn every_value_says_where_it_came_from() {
    let mut world = World::start().unwrap();
    world.home.variables.push(("M365_CACHED_LOG_FORMAT".into(), "json".into()));
    world.home.configure("[graph]\nconcurrency = 2\n").unwrap();
    let all = world.ctl_json(&["config", "show"]).unwrap();
    assert_eq!(all["file"], world.home.path().join("config.toml").to_str().unwrap());
    assert!(all["settings"].as_array().unwrap().len() > 60, "{all}");
    let concurrency = shown(&world, "graph.concurrency");
    assert_eq!((&concurrency["value"], &concurrency["origin"], &concurrency["default"]), (&"2".into(), &"file".into(), &"4".into()));
    let format = shown(&world, "log.format");
    assert_eq!((&format["origin"], &format["variable"]), (&"environment".into(), &"M365_CACHED_LOG_FORMAT".into()), "{format}");
    assert_eq!(shown(&world, "graph.http2")["origin"], "default");
    assert_eq!(shown(&world, "cache.tools.email_list.fresh")["value"], Value::Null);
    assert_eq!(world.ctl(&["config", "get", "graph.concurrency"]).unwrap().ok().unwrap().stdout, "2\n");
    let wrong = world.ctl(&["--json", "config", "show", "graph.htpt2"]).unwrap();
    assert!(wrong.code == Some(2) && wrong.stdout.contains("graph.http2"), "{wrong:?}");
}

#[test]
fn a_value_is_set_beside_a_running_daemon_and_holds_from_its_next_start() {
    let world = World::start().unwrap();
    let file = world.home.path().join("config.toml");
    world.home.configure("# mine, and it stays\n").unwrap();
    let pid = world.ctl_json(&["status"]).unwrap()["pid"].clone();
    let changed = world.ctl_json(&["config", "set", "cache.enabled", "false"]).unwrap();
    assert_eq!((&changed["was"], &changed["is"], &changed["changed"]), (&Value::Null, &"false".into(), &true.into()), "{changed}");
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("# mine, and it stays\n") && text.contains("[cache]\nenabled = false\n") && text.starts_with("demo = true"),
        "{text}"
    );
    let status = world.ctl_json(&["status"]).unwrap();
    assert_eq!((&status["pid"], &status["caching"]), (&pid, &true.into()), "the daemon goes on as it was");
    let mut world = world;
    world.stop_daemon().unwrap();
    world.start_daemon().unwrap();
    assert_eq!(world.ctl_json(&["status"]).unwrap()["caching"], false);
    world.ctl_json(&["config", "unset", "cache.enabled"]).unwrap();
    assert_eq!(shown(&world, "cache.enabled")["origin"], "default");
}

#[test]
fn of_changes_at_the_same_moment_none_is_lost() {
    let mut world = World::start().unwrap();
    let catalogue = world.ctl_json(&["tools"]).unwrap();
    let tools: Vec<&str> = catalogue["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).take(20).collect();
    world.stop_daemon().unwrap();
    world.home.configure("# mine, and it stays\n").unwrap();
    let key = |tool: &str| format!("cache.tools.{tool}.fresh");
    let begin = |tool: &&str| {
        let mut command = world.home.command(world.bins, &world.bins.daemon);
        command.args(["--offline", "config", "set", "--", &key(tool), "77"]).stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().unwrap()
    };
    let running: Vec<_> = tools.iter().map(begin).collect();
    for (child, tool) in running.into_iter().zip(&tools) {
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "{tool}: {done:?}");
    }
    let text = fs::read_to_string(world.home.path().join("config.toml")).unwrap();
    assert!(text.contains("# mine, and it stays\n"), "{text}");
    for tool in &tools {
        assert_eq!(shown(&world, &key(tool))["value"], "77", "{tool} in {text}");
    }
    let left = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut left: Vec<_> = fs::read_dir(world.home.path()).unwrap().map(|entry| left(entry.unwrap())).collect();
    left.retain(|name| name.starts_with("config.toml") && name != "config.toml");
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_the_daemon_could_not_work_with_is_not_written() {
    let world = World::start().unwrap();
    let file = world.home.path().join("config.toml");
    let before = fs::read(&file).unwrap();
    for (key, value, says) in [
        ("graph.concurrency", "5", "from 1 to 4"),
        ("grahp.http2", "true", "graph.http2"),
        ("client_secret", "hunter2", "secret"),
        ("cloud.graph", "https://graph.example/", "loopback"),
    ] {
        let said = world.ctl(&["config", "set", key, value]).unwrap();
        assert!(said.code == Some(2) && said.stderr.contains(says) && !said.stderr.contains("hunter2"), "{key}: {said:?}");
        assert_eq!(fs::read(&file).unwrap(), before, "{key}");
    }
}

#[test]
fn a_check_tells_wrong_from_unwise() {
    let mut world = World::start().unwrap();
    world.stop_daemon().unwrap();
    world.home.rates = true;
    let check = |world: &World| {
        let said = world.ctl(&["--json", "config", "check"]).unwrap();
        (said.code, said.json().unwrap())
    };
    let (code, well) = check(&world);
    assert!(code == Some(0) && well["valid"] == true && well["warnings"] == serde_json::json!([]), "{well}");
    world.home.variables.push(("M365_MCP_CLIENT_ID".into(), "11111111-2222-3333-4444-555555555555".into()));
    world.home.configure("[files]\nallowed_roots = [\"/\"]\n").unwrap();
    let (code, unwise) = check(&world);
    let codes: Vec<&str> = unwise["warnings"].as_array().unwrap().iter().filter_map(|warning| warning["code"].as_str()).collect();
    assert_eq!((code, codes), (Some(0), vec!["old_name", "wide_roots"]), "{unwise}");
    world.home.configure("[log]\nfilter = \"a=b=c\"\n").unwrap();
    let (code, unusable) = check(&world);
    assert!(code == Some(7) && unusable["problems"][0]["message"].as_str().unwrap().contains("log.filter"), "{unusable}");
    world.home.configure("[grahp]\nhttp2 = true\n").unwrap();
    let (code, wrong) = check(&world);
    assert_eq!((code, &wrong["valid"]), (Some(7), &false.into()));
    let problem = wrong["problems"][0].to_string();
    assert!(problem.contains("line") && problem.contains("did you mean `graph.http2`"), "{wrong}");
    // One key at a time it can be repaired.
    world.ctl(&["config", "unset", "grahp.http2"]).unwrap().ok().unwrap();
    world.ctl(&["config", "set", "log.filter", "info"]).unwrap().ok().unwrap();
    assert_eq!(check(&world).0, Some(0));
    world.start_daemon().unwrap();
    assert_eq!(world.ctl_json(&["status"]).unwrap()["state"], "ready");
}

#[test]
fn a_new_file_explains_itself_and_none_is_overwritten() {
    let mut world = World::start().unwrap();
    world.stop_daemon().unwrap();
    let file = world.home.path().join("config.toml");
    let refused = world.ctl(&["config", "init"]).unwrap();
    assert!(refused.code == Some(2) && refused.stderr.contains("already"), "{refused:?}");
    fs::remove_file(&file).unwrap();
    world.ctl(&["config", "init"]).unwrap().ok().unwrap();
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("#http2 = true") && text.lines().count() > 150);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let place = world.ctl_json(&["config", "path"]).unwrap();
    assert_eq!((place["file"].as_str(), &place["exists"]), (file.to_str(), &true.into()));
    world.ctl(&["config", "set", "graph.http2", "false"]).unwrap().ok().unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), text.replace("#http2 = true", "http2 = false"));
    let checked = world.ctl(&["--json", "config", "check"]).unwrap();
    assert_eq!(checked.json().unwrap()["valid"], true, "{checked:?}");
}
