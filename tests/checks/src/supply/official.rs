//! What the makers' own tools say of a bundle and of the registry's entry. A tool that is not on this machine is passed over, and said so.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde::Serialize;

/// The makers' tool for bundles, pinned.
const MCPB: &str = "@anthropic-ai/mcpb@2.1.2";

/// What one tool said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Which tool, and what it was asked.
    pub by: String,
    /// `ok`, `failed` or `skipped`.
    pub state: &'static str,
    /// Its last words, or why it was not asked.
    pub said: String,
}

/// Has the makers' tools judge `bundle` and `entry`.
///
/// # Errors
/// When no folder can be made to unpack into.
pub fn judge(bundle: &Path, entry: &Path) -> anyhow::Result<Vec<Judged>> {
    let unpacked = tempfile::tempdir()?;
    let folder = unpacked.path().join("bundle");
    let mut judged = Vec::new();
    match can("npx", &["--version"]) {
        false => judged.push(skipped("mcpb", "no npx: Node is not installed")),
        // The registry of npm may be out of reach, which says nothing of the bundle.
        true if !can("npx", &["--yes", MCPB, "--version"]) => judged.push(skipped("mcpb", "npx cannot get it from the registry")),
        true => {
            let tool = |words: &[&Path]| {
                let mut command = Command::new("npx");
                command.args(["--yes", MCPB]).args(words);
                command
            };
            judged.push(ask("mcpb unpack", &mut tool(&[Path::new("unpack"), bundle, &folder])));
            judged.push(ask("mcpb validate", &mut tool(&[Path::new("validate"), &folder.join("manifest.json")])));
            judged.push(ask("mcpb info", &mut tool(&[Path::new("info"), bundle])));
            judged.push(starts(&folder));
        }
    }
    judged.push(match can("mcp-publisher", &["--help"]) {
        true => ask("mcp-publisher validate", Command::new("mcp-publisher").arg("validate").arg(entry)),
        false => skipped("mcp-publisher validate", "no mcp-publisher on PATH"),
    });
    Ok(judged)
}

/// The shim as the makers' tool unpacked it.
fn starts(folder: &Path) -> Judged {
    let shim = fs::read_dir(folder.join("server")).ok().and_then(|entries| {
        entries.flatten().map(|entry| entry.path()).find(|path| path.file_stem().is_some_and(|stem| stem == "m365-mcp"))
    });
    match shim {
        Some(shim) => ask("m365-mcp --version, unpacked", Command::new(shim).arg("--version")),
        None => Judged { by: "m365-mcp --version, unpacked".into(), state: "failed", said: "it is not in the bundle".into() },
    }
}

fn skipped(by: &str, why: &str) -> Judged {
    Judged { by: by.into(), state: "skipped", said: why.into() }
}

fn can(program: &str, words: &[&str]) -> bool {
    Command::new(program).args(words).stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}

fn ask(by: &str, command: &mut Command) -> Judged {
    let (state, said) = match command.stdin(Stdio::null()).output() {
        Err(error) => ("failed", error.to_string()),
        Ok(output) => {
            let text = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned();
            (if output.status.success() { "ok" } else { "failed" }, last)
        }
    };
    Judged { by: by.into(), state, said }
}
