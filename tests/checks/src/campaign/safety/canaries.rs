//! `canaries`: texts that are planted in every argument of every tool, in names and in what nobody understands, while everything is logged
//! at TRACE. None of them may be found in the profile's files, the logs among them, in the figures for Prometheus, in what the system shows
//! of the process, or in a core file.
//!
//! The master key comes from a file: a key in an environment variable stands in that environment, whatever the daemon does.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
};

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, Signal, geteuid, getrlimit, setrlimit};
use serde_json::{Map, Value, json};

use super::{Run, found};
use crate::support::{
    PATIENCE, ctl,
    mcp::Mcp,
    scan::Needles,
    world::{ALEX, Setup, World},
};

/// What every canary has in it.
const BREED: &str = "zebra-quartz";
/// How the tokens of the tenant begin: no piece of one may be seen.
const TOKENS: [&str; 2] = ["eyJ0eXAiOiJKV1Qi", "eyJhbGciOi"];

pub(super) fn run(run: &mut Run, rounds: usize) -> anyhow::Result<()> {
    let mut world = World::with(Setup { keyless: true, config: "[log]\nformat = \"json\"\n", ..Setup::default() })?;
    // The refusals and warnings of this daemon are looked at here: it is asked nonsense.
    for expected in ["locked", "WARN", "ERROR"] {
        world.expect_log(expected);
    }
    world.stop_daemon()?;
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("master.key");
    let figures = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    for setting in [
        "keys.source=file".to_owned(),
        format!("keys.file={}", key.display()),
        format!("metrics.listen={figures}"),
        "log.filter=trace".to_owned(),
    ] {
        world.words.extend(["--set".to_owned(), setting]);
    }
    // It is the daemon that writes no core files, and not whoever started it.
    let inherited = allow_core_files()?;
    world.start_daemon()?;
    let account = world.sign_in(ALEX)?;
    let mut client = Mcp::named(world.bins, &world.home, &format!("{BREED}-client"), &["--tools", "full"])?;
    let tools = client.request("tools/list", json!({}))?["result"]["tools"].as_array().cloned().unwrap_or_default();
    anyhow::ensure!(tools.len() > 80, "only {} tools", tools.len());
    let secret = std::fs::read_to_string(&key).context("reading the key file")?.trim().to_owned();
    let texts = [BREED, secret.as_str(), m365_cached_tenant::seed::CANARY, ALEX, "alex@contoso", TOKENS[0], TOKENS[1]];
    let needles = Needles::new(texts);
    let mut hits: Vec<String> = Vec::new();
    let mut bytes = 0;
    let (mut calls, mut done) = (0, 0);
    for round in 0..rounds {
        for tool in &tools {
            if run.leaves() {
                break;
            }
            let name = tool["name"].as_str().context("a tool without a name")?;
            // Whoever signs out has nothing left to tell.
            if name.starts_with("account_") {
                continue;
            }
            let mut arguments = filled(&tool["inputSchema"], round);
            arguments["account_id"] = account.as_str().into();
            calls += 1;
            done += usize::from(!answered(&mut client, name, &arguments)?);
            arguments[format!("{BREED}-argument")] = format!("{BREED}-unknown").into();
            answered(&mut client, name, &arguments)?;
        }
        // What a later call writes over is looked for as well.
        bytes += scan(&world, &needles, "", &mut hits)?;
    }
    done += sound(&mut client, &account)?;
    let nonsense = [
        json!({ "jsonrpc": "2.0", "id": 1, "method": format!("{BREED}/method"), "params": { "a": BREED } }).to_string(),
        json!({ "jsonrpc": "2.0", "id": format!("{BREED}-id"), "method": "tools/call", "params": { "name": format!("{BREED}_tool") } })
            .to_string(),
        format!("{{\"{BREED}\": "),
        format!("{BREED} is no message"),
    ];
    for line in nonsense {
        client.send(&line)?;
    }
    client.call("server_get_version", &json!({}))?;
    let _ = world.ctl(&["call", &format!("{BREED}_tool")])?;
    // Given up once it has said what to do.
    let mut login =
        ctl::start(world.bins, &world.home, &["--json", "login", "--device", "--username", &format!("{BREED}@contoso.example")])?;
    login.event()?;
    drop(login);
    let _ = world.ctl(&["invalidate", &format!("{BREED}:*")])?;

    bytes += scan(&world, &needles, "", &mut hits)?;
    let log = world.daemon().log()?;
    run.must(log.contains("\"level\":\"DEBUG\""), "the log is not as full as it was asked to be");
    let metrics = scrape(figures)?;
    run.must(metrics.contains("m365_cached_answers_total"), "there are no figures for Prometheus");
    hits.extend(texts.iter().filter(|text| metrics.contains(*text)).map(|text| format!("{text} in metrics")));
    let pid = world.daemon().pid();
    let process = process(pid, &texts, &mut hits)?;
    let core = core(&mut world, run)?;
    bytes += scan(&world, &needles, " after the end", &mut hits)?;
    hits.sort();
    hits.dedup();
    let more = json!({ "calls_done": done, "bytes_scanned": bytes, "core_files_allowed": inherited, "log_lines": log.lines().count(), "process": process,
                       "core_files": core, "needles": needles.len(), "where": hits.iter().take(20).collect::<Vec<_>>() });
    found(run, "canaries", calls, hits.len() + core, more);
    run.must(done > 10, "hardly a call was carried out, so that nothing is shown");
    Ok(())
}

/// Lets the programs that are started from now on write core files, as far as the system lets us; whether they may.
fn allow_core_files() -> anyhow::Result<bool> {
    let most = getrlimit(Resource::Core).maximum;
    let wanted = if geteuid().is_root() { None } else { most };
    setrlimit(Resource::Core, Rlimit { current: wanted, maximum: wanted }).context("allowing core files")?;
    Ok(wanted != Some(0))
}

/// Looks through every file of the profile; how many bytes that were.
fn scan(world: &World, needles: &Needles, when: &str, hits: &mut Vec<String>) -> anyhow::Result<u64> {
    // What was asked to be saved is content, and the user's.
    let _ = std::fs::remove_dir_all(world.home.path().join("downloads"));
    let (found, bytes) = needles.scan(world.home.path())?;
    hits.extend(found.iter().map(|hit| format!("{} ({}) in {}{when}", hit.text, hit.form, hit.file.display())));
    Ok(bytes)
}

/// Calls; whether it failed. A protocol error is an answer too.
fn answered(client: &mut Mcp, tool: &str, arguments: &Value) -> anyhow::Result<bool> {
    let reply = client.request("tools/call", json!({ "name": tool, "arguments": arguments }))?;
    Ok(reply["result"]["isError"] != false)
}

/// A canary for every parameter, of its type as far as that goes.
fn filled(schema: &Value, round: usize) -> Value {
    let mut filled = Map::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let text = match round % 3 {
            0 => format!("{BREED}-{name}"),
            1 => format!("{BREED}-{name}@contoso.example"),
            _ => format!("/{BREED}/{name}.txt"),
        };
        let value = match property["type"].as_str().unwrap_or_default() {
            "string" => property["enum"][0].as_str().map_or_else(|| text.clone().into(), Value::from),
            "array" => json!([if property["items"]["type"] == "object" {
                filled_or_text(&property["items"], round, &text)
            } else {
                text.clone().into()
            }]),
            "object" => filled_or_text(property, round, &text),
            // What is not given has its default.
            _ => continue,
        };
        // A time or a path of the right kind lets a call get further now and then.
        let value = match name.as_str() {
            "start" | "end" if round % 2 == 1 => format!("2027-06-08T{}:00Z", if name == "start" { "09" } else { "10" }).into(),
            "cursor" | "time_zone" | "timezone" => continue,
            _ => value,
        };
        filled.insert(name.clone(), value);
    }
    filled.into()
}

fn filled_or_text(schema: &Value, round: usize, text: &str) -> Value {
    match filled(schema, round) {
        Value::Object(members) if members.is_empty() => json!({ text: text }),
        members => members,
    }
}

/// Calls that are carried out, with canaries in their content; how many.
fn sound(client: &mut Mcp, account: &str) -> anyhow::Result<usize> {
    let text = |what: &str| format!("{BREED}-{what}");
    let calls = [
        ("email_list", json!({})),
        ("email_create_draft", json!({ "to": format!("{BREED}@contoso.example"), "subject": text("subject"), "body": text("body") })),
        ("email_send", json!({ "to": "bea@contoso.example", "subject": text("subject"), "body": text("body"), "confirm": true })),
        ("search_emails", json!({ "query": text("query") })),
        ("search_files", json!({ "query": text("query") })),
        ("search_contacts", json!({ "query": text("query") })),
        ("search_unified", json!({ "query": text("query") })),
        ("contact_create", json!({ "given_name": text("name"), "email": format!("{BREED}@contoso.example") })),
        ("contact_list", json!({})),
        (
            "calendar_create_event",
            json!({ "subject": text("event"), "start": "2027-06-08T09:00Z", "end": "2027-06-08T09:30Z", "body": text("body") }),
        ),
        ("calendar_list_events", json!({})),
        ("emailfolders_create", json!({ "display_name": text("folder") })),
        ("emailfolders_list", json!({})),
        ("folder_create", json!({ "name": text("folder"), "parent_path": "/" })),
        ("file_list", json!({})),
        ("folder_get_tree", json!({})),
        ("email_list", json!({ "force_refresh": true })),
        ("cache_get_stats", json!({})),
        ("account_list", json!({})),
    ];
    let mut done = 0;
    for (tool, mut arguments) in calls {
        if tool != "account_list" {
            arguments["account_id"] = account.into();
        }
        done += usize::from(!answered(client, tool, &arguments)?);
    }
    Ok(done)
}

fn scrape(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}

/// What the system shows of the process. Its environment is for root alone, since it is not dumpable.
fn process(pid: u32, texts: &[&str], hits: &mut Vec<String>) -> anyhow::Result<&'static str> {
    let folder = Path::new("/proc").join(pid.to_string());
    let mut seen = "cmdline";
    for file in ["cmdline", "environ"] {
        match std::fs::read(folder.join(file)) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                hits.extend(texts.iter().filter(|needle| text.contains(**needle)).map(|needle| format!("{needle} in /proc/PID/{file}")));
                if file == "environ" {
                    seen = "cmdline and environ";
                }
            }
            Err(error) if file == "environ" && !geteuid().is_root() => {
                anyhow::ensure!(error.kind() == std::io::ErrorKind::PermissionDenied, "{error}");
            }
            Err(error) => return Err(error).with_context(|| format!("reading {file}")),
        }
    }
    Ok(seen)
}

/// Kills the daemon in the way that leaves a core file; how many there are.
fn core(world: &mut World, run: &mut Run) -> anyhow::Result<usize> {
    let pid = world.daemon().pid();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let none = limits.lines().any(|line| line.starts_with("Max core file size") && line.split_whitespace().nth(4) == Some("0"));
    run.must(none, "the daemon may write core files");
    world.daemon().signal(Signal::ABORT)?;
    world.daemon().wait()?;
    world.kill_daemon()?;
    let is_core = |file: &Path| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core"));
    let here = std::env::current_dir()?;
    let beside = std::fs::read_dir(here)?.flatten().filter(|entry| is_core(&entry.path()) && entry.path().is_file());
    Ok(world.home.files()?.iter().filter(|file| is_core(file)).count() + beside.count())
}
