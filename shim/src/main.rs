//! `m365-mcp`: the MCP server that clients start. A pipe from stdio to the daemon, which it starts when there is none.

use std::io::Write;
use std::process::ExitCode;

use m365_cached_proto::TOOL_PROFILES;
use m365_cached_proto::dirs::{DIR_VARIABLE, Profile};
use m365_cached_shim::pump::{Pump, hello};
use m365_cached_shim::start::Starter;
use m365_cached_shim::stdio::{Input, Output};

const HELP: &str = "\
m365-mcp: Microsoft 365 for MCP clients, answered from a local encrypted cache

Usage: m365-mcp [--profile DIR] [--tools PROFILE] [--policy NAME]

An MCP client starts this program and speaks JSON-RPC with it over stdin and stdout. It passes every line to the
daemon `m365-cached` (one for each user, shared by all clients) and starts the daemon when it is not running.
It ends when stdin ends, and outlives restarts of the daemon.

Options:
  --profile DIR  every file of the profile lies under DIR (the same as the variable M365_CACHED_DIR)
  --tools PROFILE
                 which tools this client is shown: essential, mail, calendar, files, read-only or full; in place of
                 `tools.profile` of the daemon's `config.toml` (usually essential). The others can be called all the
                 same, but read-only refuses whatever changes something
  --policy NAME  what this client may do: `[policy.NAME]` of the daemon's `config.toml`, held by the daemon; together
                 with the policy of the client's own name where there is one
  --version      print the version
  --help         print this

Environment:
  M365_CACHED_DIR     as --profile
  M365_CACHED_DAEMON  the daemon's program; default: `m365-cached` beside this program, else on PATH

Connect a client:
  claude mcp add-json -s user m365 '{\"type\":\"stdio\",\"command\":\"/path/to/m365-mcp\"}'

Sign in and look around with `m365-cachectl login` and `m365-cachectl status`.
";

enum Wish {
    Run { profile: Option<std::ffi::OsString>, policy: Option<String>, tools: Option<String> },
    Say(String),
    Refuse(String),
}

fn wish(mut args: impl Iterator<Item = std::ffi::OsString>) -> Wish {
    let (mut profile, mut policy, mut tools) = (None, None, None);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--help" | "-h") => return Wish::Say(HELP.to_owned()),
            Some("--version" | "-V") => return Wish::Say(concat!("m365-mcp ", env!("CARGO_PKG_VERSION"), "\n").to_owned()),
            Some("--profile") => match args.next() {
                Some(dir) => profile = Some(dir),
                None => return Wish::Refuse("`--profile` needs a directory".to_owned()),
            },
            Some(text) if text.starts_with("--profile=") => profile = Some(text["--profile=".len()..].into()),
            Some("--policy") => match args.next().and_then(|name| name.into_string().ok()).filter(|name| !name.is_empty()) {
                Some(name) => policy = Some(name),
                None => return Wish::Refuse("`--policy` needs a name".to_owned()),
            },
            Some(text) if text.len() > "--policy=".len() && text.starts_with("--policy=") => {
                policy = Some(text["--policy=".len()..].into())
            }
            Some("--tools") => match args.next().and_then(|name| name.into_string().ok()).filter(|name| is_profile(name)) {
                Some(name) => tools = Some(name),
                None => return Wish::Refuse(no_profile()),
            },
            Some(text) if text.starts_with("--tools=") => match &text["--tools=".len()..] {
                name if is_profile(name) => tools = Some(name.to_owned()),
                _ => return Wish::Refuse(no_profile()),
            },
            _ => return Wish::Refuse(format!("unknown argument `{}`", arg.display())),
        }
    }
    Wish::Run { profile, policy, tools }
}

fn is_profile(name: &str) -> bool {
    TOOL_PROFILES.contains(&name)
}

fn no_profile() -> String {
    format!("`--tools` needs one of {}", TOOL_PROFILES.join(", "))
}

fn main() -> ExitCode {
    keep_freed_memory();
    let (profile, policy, tools) = match wish(std::env::args_os().skip(1)) {
        Wish::Run { profile, policy, tools } => (profile, policy, tools),
        Wish::Say(text) => return say(&text),
        Wish::Refuse(text) => return refuse(2, &text, "Run `m365-mcp --help`."),
    };
    let env = move |name: &str| match name {
        DIR_VARIABLE if profile.is_some() => profile.clone(),
        _ => std::env::var_os(name),
    };
    let profile = match Profile::find(&env) {
        Ok(profile) => profile,
        Err(error) => return refuse(7, &error.to_string(), "Name one with `m365-mcp --profile DIR`."),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(1, &format!("the runtime cannot be made: {error}"), "Check the limit of open files: `ulimit -n`."),
    };
    let result = runtime.block_on(async {
        let starter = Starter::new(profile.clone(), &env);
        Pump::new(profile, starter, hello(policy, tools), Input::stdin(), Output::stdout()).run(asked_to_stop()).await
    });
    // A thread may sit in a read of a terminal or file; nobody waits for it.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(1, &format!("stdout cannot be written: {error}"), "Check where the client reads from."),
    }
}

/// Has the C library keep up to 2 MiB that were freed. Left alone it gives 128 KB back at once, so every long answer would take its
/// memory from the system anew, page by page: a third of the time of a cached 500 KB (`bench trip`).
///
/// glibc raises its limit to twice the largest block it has mapped and freed (`mallopt(3)`, `M_MMAP_THRESHOLD`). The block is never
/// touched, so it costs no memory. Elsewhere this does nothing.
fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(1024 * 1024)));
}

/// Done at the first signal that asks for an orderly end.
#[cfg(unix)]
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Done at the first signal that asks for an orderly end.
#[cfg(not(unix))]
async fn asked_to_stop() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

fn say(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn refuse(code: u8, message: &str, hint: &str) -> ExitCode {
    // With stderr gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "error: {message}\nhint: {hint}");
    ExitCode::from(code)
}
