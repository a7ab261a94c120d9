//! Statistics from outside: what outlives the daemon, whose figures are whose, and the endpoint for Prometheus.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use m365_cached_checks::support::{
    PATIENCE,
    mcp::Era,
    world::{ALEX, BEA, Setup, World},
};
use serde_json::{Value, json};

fn figures(stats: &Value) -> [u64; 3] {
    ["hits", "stale_hits", "misses"].map(|name| stats[name].as_u64().unwrap_or_else(|| panic!("{name}: {stats}")))
}

fn row<'a>(stats: &'a Value, table: &str, name: &str) -> &'a Value {
    let found = stats[table].as_array().unwrap().iter().find(|row| row["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {table}: {stats}"))
}

#[test]
fn figures_outlive_a_proper_end_and_a_kill() {
    let mut world = World::start().unwrap();
    let account = json!({"account_id": world.ids[0]});
    let mut client = world.client(Era::Legacy).unwrap();
    for _ in 0..4 {
        client.call("email_list", &account).unwrap().json().unwrap();
    }
    drop(client);
    // Ended before anything was flushed by itself or by somebody who asked.
    world.stop_daemon().unwrap();
    world.start_daemon().unwrap();
    let stats = world.ctl_json(&["stats"]).unwrap();
    assert_eq!(figures(&stats), [3, 0, 1], "{stats}");
    assert_eq!(
        (&stats["period"], &stats["saved_graph_calls"], &stats["graph_requests"]),
        (&json!("day"), &json!(3), &json!(2)),
        "the list, and the zone of its times"
    );
    assert!(stats["hit_us"]["p50"].as_u64() > Some(0) && stats["fetch_us"]["p99"].as_u64() > stats["hit_us"]["p50"].as_u64(), "{stats}");

    let mut client = world.client(Era::Modern).unwrap();
    assert_eq!(client.call("email_list", &account).unwrap().cache_status().unwrap(), "fresh");
    drop(client);
    // Whoever asks has it written.
    assert_eq!(figures(&world.ctl_json(&["stats", "--period", "all"]).unwrap()), [4, 0, 1]);
    world.kill_daemon().unwrap();
    world.start_daemon().unwrap();
    for period in ["hour", "day", "week", "all"] {
        let stats = world.ctl_json(&["stats", "--period", period]).unwrap();
        assert_eq!(figures(&stats), [4, 0, 1], "{period}: {stats}");
        assert_eq!(figures(row(&stats, "by_client", "checks")), [4, 0, 1], "both eras tell the client's name: {stats}");
        let drawn: u64 = stats["series"].as_array().unwrap().iter().map(|point| point["hits"].as_u64().unwrap()).sum();
        assert_eq!(drawn, 4, "{period}: {stats}");
    }
}

#[test]
fn each_tool_account_and_client_has_its_own() {
    let world = World::with(Setup { accounts: &[ALEX, BEA], stopped_clock: true, ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    for (who, times) in [(ALEX, 1), (BEA, 3)] {
        for _ in 0..times {
            client.call("email_list", &json!({"account_id": who})).unwrap().json().unwrap();
        }
    }
    let account = format!("account_id={BEA}");
    world.ctl_json(&["call", "contact_list", &account]).unwrap();
    world.advance(Duration::from_secs(200)).unwrap();
    assert_eq!(client.call("email_list", &json!({"account_id": BEA})).unwrap().cache_status().unwrap(), "stale");
    world.until(|status| status["queue"]["queued"] == 0 && status["queue"]["running"] == 0).unwrap();

    let stats = world.ctl_json(&["stats"]).unwrap();
    assert_eq!(figures(&stats), [2, 1, 3], "{stats}");
    assert_eq!(figures(row(&stats, "by_tool", "email_list")), [2, 1, 2]);
    assert_eq!(figures(row(&stats, "by_account", &world.ids[1])), [2, 1, 2]);
    assert_eq!(row(&stats, "by_account", &world.ids[0])["username"], ALEX);
    assert_eq!(figures(row(&stats, "by_client", "cachectl")), [0, 0, 1]);
    assert_eq!(row(&stats, "by_client", "worker")["refreshes"], 1, "{stats}");

    // One that asks for an account hears nothing of another.
    let told = client.call("cache_get_stats", &json!({"account_id": ALEX})).unwrap().plain().unwrap();
    assert_eq!((&told["hit_count"], &told["miss_count"], &told["hit_rate"]), (&json!(0), &json!(1), &json!(0.0)), "{told}");
    assert_eq!(told["by_resource"]["email_list"]["entry_count"], 1, "{told}");
    let text = told.to_string();
    assert!(!text.contains(&world.ids[1]) && !text.contains("contact_list") && !text.contains("cachectl"), "{text}");
    let told = world.ctl_json(&["stats", "--account", ALEX]).unwrap();
    assert_eq!((figures(&told), told["by_account"].as_array().unwrap().len()), ([0, 0, 1], 1));

    // Figures leave with their account.
    world.ctl_json(&["logout", BEA, "--yes"]).unwrap();
    let stats = world.ctl_json(&["stats", "--period", "all"]).unwrap();
    assert_eq!(figures(&stats), [0, 0, 1], "{stats}");
    assert!(!stats.to_string().contains(&world.ids[1]), "{stats}");
    world.sign_in(BEA).unwrap();
    assert_eq!(figures(&world.ctl_json(&["stats", "--period", "all", "--account", BEA]).unwrap()), [0, 0, 0]);
}

#[test]
fn people_read_tables_and_mistakes_are_told() {
    let world = World::start().unwrap();
    let account = format!("account_id={}", world.ids[0]);
    for _ in 0..2 {
        world.ctl_json(&["call", "email_list", &account]).unwrap();
    }
    for (by, name) in [("tool", "email_list"), ("account", ALEX), ("client", "cachectl")] {
        let said = world.ctl(&["stats", "--period", "hour", "--by", by]).unwrap().ok().unwrap().stdout;
        assert!(said.contains("50.0 % without waiting") && said.contains(name) && said.contains("the last hour"), "{said}");
        assert!(!said.contains(['\u{1b}', '█']) && said.contains("trend"), "no drawing outside a terminal: {said}");
    }
    for wrong in [["--period", "year"], ["--by", "colour"]] {
        assert_eq!(world.ctl(&["stats", wrong[0], wrong[1]]).unwrap().code, Some(2));
    }
    assert_eq!(world.ctl(&["stats", "--account", "nobody"]).unwrap().code, Some(3));
}

/// A port that was free a moment ago.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn restart(world: &mut World, listen: &str) {
    world.stop_daemon().unwrap();
    world.words = vec!["--set".into(), format!("metrics.listen={listen}")];
    world.start_daemon().unwrap();
}

/// Sends a request as it is, and returns status and all that came.
fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let status = reply.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{request:?}: {reply:?}")), reply)
}

fn get(address: SocketAddr, path: &str, headers: &[&str]) -> (u16, String) {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    ask(address, &format!("GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"))
}

fn value(text: &str, sample: &str) -> String {
    let line = text.lines().find(|line| line.strip_prefix(sample).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("no {sample} in\n{text}")).rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn prometheus_is_served_on_request_and_nobody_else() {
    let mut world = World::start().unwrap();
    let address = free();
    assert!(TcpStream::connect(address).is_err(), "nothing is served unless it is asked for");
    restart(&mut world, &address.to_string());
    let account = json!({"account_id": world.ids[0]});
    let mut client = world.client(Era::Legacy).unwrap();
    for _ in 0..3 {
        client.call("email_list", &account).unwrap().json().unwrap();
    }
    let host = format!("Host: {address}");
    let (status, reply) = get(address, "/metrics", &[&host]);
    let (head, text) = reply.split_once("\r\n\r\n").unwrap();
    assert!(status == 200 && head.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert_eq!(value(text, "m365_cached_answers_total{tool=\"email_list\",result=\"fresh\"}"), "2");
    assert_eq!(value(text, "m365_cached_client_answers_total{client=\"mcp\",result=\"miss\"}"), "1");
    assert_eq!(value(text, "m365_cached_response_seconds_count{source=\"graph\"}"), "1");
    assert_eq!((value(text, "m365_cached_clients"), value(text, "m365_cached_locked")), ("1".into(), "0".into()));
    assert!(value(text, "m365_cached_stored_bytes").parse::<u64>().unwrap() > 0, "{text}");
    for secret in [ALEX, &world.ids[0], "checks", "contoso"] {
        assert!(!text.contains(secret), "{secret}:\n{text}");
    }
    lint(text);

    let port = address.port();
    let evil = format!("Host: evil.example:{port}");
    for (path, headers, expected) in [
        ("/metrics", vec![format!("Host: localhost:{port}")], 200),
        ("/metrics", vec![evil], 403),
        ("/metrics", vec!["Host: 127.0.0.1".into()], 403),
        ("/metrics", vec![host.clone(), host.clone()], 403),
        ("/metrics", vec![host.clone(), format!("Origin: http://localhost:{port}")], 403),
        ("/metrics", vec![host.clone(), "Origin: null".into()], 403),
        ("/", vec![host.clone()], 404),
    ] {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let (status, reply) = get(address, path, &headers);
        assert_eq!(status, expected, "{path} {headers:?}: {reply}");
        assert!(status == 200 || !reply.contains("m365_cached_"), "{reply}");
    }
    assert_eq!(ask(address, &format!("POST /metrics HTTP/1.1\r\n{host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")).0, 405);
    assert_eq!(ask(address, "nonsense\r\n\r\n").0, 400);

    let statuses: Vec<u16> = (0..30).map(|_| get(address, "/metrics", &[&host]).0).collect();
    assert!(statuses.contains(&429) && statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    let (status, reply) = (0..30).map(|_| get(address, "/metrics", &[&host])).find(|(status, _)| *status == 429).unwrap();
    assert!(reply.to_lowercase().contains("retry-after: 1"), "{status}: {reply}");
    assert_eq!(client.call("email_list", &account).unwrap().cache_status().unwrap(), "fresh", "tools are served as ever");
}

/// Whoever watches by figures hears of a broken configuration, too: the address is taken from what of it can be read.
#[test]
fn a_broken_configuration_is_told_by_figures_as_well() {
    let mut world = World::start().unwrap();
    world.expect_log("locked");
    let address = free();
    world.stop_daemon().unwrap();
    let file = world.home.path().join("config.toml");
    let before = std::fs::read_to_string(&file).unwrap();
    world.home.configure(&format!("[metrics]\nlisten = \"{address}\"\n\n[log]\nfilter_ = 1")).unwrap();
    world.start_daemon().unwrap();
    let (status, reply) = get(address, "/metrics", &[&format!("Host: {address}")]);
    assert!(status == 200 && value(&reply, "m365_cached_locked") == "1", "{reply}");
    world.stop_daemon().unwrap();
    std::fs::write(file, before).unwrap();
    world.start_daemon().unwrap();
}

#[test]
fn an_address_that_cannot_be_had_or_must_not_be_had_is_told() {
    let mut world = World::start().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    world.expect_log("figures for Prometheus cannot be served");
    restart(&mut world, &taken.local_addr().unwrap().to_string());
    let status = world.ctl_json(&["status"]).unwrap();
    assert_eq!((&status["state"], &status["warnings"][0]["code"]), (&json!("ready"), &json!("metrics_unavailable")), "{status}");

    world.expect_log("locked");
    restart(&mut world, "0.0.0.0:9464");
    let said = world.ctl(&["--json", "status"]).unwrap();
    assert_eq!(said.code, Some(7), "{said:?}");
    assert!(said.stdout.contains("metrics.listen") && said.stdout.contains("loopback"), "{said:?}");
    world.stop_daemon().unwrap();
    world.words.clear();
    world.start_daemon().unwrap();
}

/// Prometheus's own linter, where it is installed. `.ci/run` installs it.
fn lint(text: &str) {
    let promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut promtool = match promtool {
        Ok(promtool) => promtool,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "skipped: promtool cannot be run ({error}); it is in Debian's package `prometheus`");
            return;
        }
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let all = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && all.trim().is_empty(), "{all}");
}
