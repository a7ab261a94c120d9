//! The bundle that Claude Desktop opens with a click, and the entry for the registry of MCP servers.
//!
//! The bundle holds the shim, as packages ship it, and the daemon beside it, where the shim looks first: whoever has nothing but Claude Desktop needs no
//! other installation. A daemon that runs already serves this shim as it serves all others, so a second copy on the disk does no harm. It is
//! for one system, as the programs in it are; the registry's entry names every bundle that lies in the same folder. The same programs give the
//! same bytes: no time of day, no order by chance.
//!
//! What an application is called at Microsoft is asked by Claude Desktop and reaches the daemon as a variable, when it is this shim that starts it. It
//! must be given: an empty variable would be a wrong setting, and the bundle cannot leave it out.

use std::{
    fs,
    io::{Cursor, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const TITLE: &str = "Microsoft 365, cached";
const SUMMARY: &str = "Microsoft 365 mail, calendar, files and contacts from one warm, encrypted local cache";
const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";
/// What an entry of the registry may have.
const SUMMARY_MAX: usize = 100;

/// A system that bundles are built for, by the names of Node and of Rust.
#[derive(Debug, Clone, Copy)]
pub struct System {
    platform: &'static str,
    machine: &'static str,
    suffix: &'static str,
}

impl System {
    /// The one that this program was built for.
    ///
    /// # Errors
    /// On a system for which Claude Desktop has no name.
    pub fn here() -> anyhow::Result<Self> {
        let platform = match std::env::consts::OS {
            "linux" => "linux",
            "macos" => "darwin",
            "windows" => "win32",
            other => anyhow::bail!("MCPB has no name for {other}"),
        };
        Ok(Self { platform, machine: std::env::consts::ARCH, suffix: std::env::consts::EXE_SUFFIX })
    }

    /// What the bundle is called.
    #[must_use]
    pub fn file_name(self) -> String {
        format!("m365-cached-{VERSION}-{}-{}.mcpb", self.platform, self.machine)
    }
}

/// What the bundle says of itself.
#[must_use]
pub fn manifest(system: System) -> Value {
    let shim = format!("server/m365-mcp{}", system.suffix);
    json!({
        "manifest_version": "0.3",
        "name": "m365-cached",
        "display_name": TITLE,
        "version": VERSION,
        "description": SUMMARY,
        "long_description": "One daemon signs in to Microsoft 365 once and answers all your clients from an encrypted cache on this machine. \
            Register an application at https://entra.microsoft.com once (public client, redirect `http://localhost`) and give its id here. \
            With several clients, put it into the daemon's `config.toml` as well: only the client that starts the daemon passes it on.",
        "author": { "name": "The authors of m365-cached" },
        "license": "MIT OR Apache-2.0",
        "keywords": ["microsoft 365", "outlook", "onedrive", "calendar", "mail", "cache"],
        "server": {
            "type": "binary",
            "entry_point": shim,
            "mcp_config": {
                "command": format!("${{__dirname}}/{shim}"),
                "args": [],
                "env": { "M365_CACHED_CLIENT_ID": "${user_config.client_id}" },
            },
        },
        "tools_generated": true,
        "privacy_policies": ["https://privacy.microsoft.com/privacystatement"],
        "compatibility": { "platforms": [system.platform] },
        "user_config": {
            "client_id": {
                "type": "string",
                "title": "Application (client) id",
                "description": "Of the application that you registered at https://entra.microsoft.com",
                "required": true,
            },
        },
    })
}

/// Packs the programs, each under its own file name.
///
/// # Errors
/// When a program cannot be read.
pub fn bundle(system: System, programs: &[&Path]) -> anyhow::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // Without a time of day, so that the same programs give the same bytes.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).last_modified_time(zip::DateTime::default());
    zip.start_file("manifest.json", options.unix_permissions(0o644))?;
    zip.write_all(serde_json::to_string_pretty(&manifest(system))?.as_bytes())?;
    for program in programs {
        let name = program.file_name().and_then(|name| name.to_str()).context("a program without a name")?;
        zip.start_file(format!("server/{name}"), options.unix_permissions(0o755))?;
        zip.write_all(&fs::read(program).with_context(|| format!("reading {}", program.display()))?)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// The registry's entry for the bundles in `folder`, which are published as files of the release `v<version>` of `github` (`owner/name`).
///
/// # Errors
/// When `github` is no such name, or the folder holds no bundle of this version.
pub fn server_json(github: &str, folder: &Path) -> anyhow::Result<Value> {
    let parts: Vec<&str> = github.split('/').collect();
    let good = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    ensure!(parts.len() == 2 && parts.iter().all(good), "{github:?} is not owner/name");
    ensure!(SUMMARY.chars().count() <= SUMMARY_MAX, "the registry takes {SUMMARY_MAX} characters of description");
    let packages = bundles(folder)?.into_iter().map(|file| {
        let name = file.file_name().and_then(|name| name.to_str()).context("a bundle without a name")?;
        Ok(json!({
            "registryType": "mcpb",
            "identifier": format!("https://github.com/{github}/releases/download/v{VERSION}/{name}"),
            "version": VERSION,
            "fileSha256": sha256(&fs::read(&file)?),
            "transport": { "type": "stdio" },
        }))
    });
    let packages = packages.collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(!packages.is_empty(), "{} holds no bundle of version {VERSION}", folder.display());
    Ok(json!({
        "$schema": SCHEMA,
        "name": format!("io.github.{github}"),
        "title": TITLE,
        "description": SUMMARY,
        "version": VERSION,
        "repository": { "url": format!("https://github.com/{github}"), "source": "github" },
        "packages": packages,
    }))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bundles of this version in `folder`, by name.
fn bundles(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let name = entry?.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(&format!("m365-cached-{VERSION}-")) && name.ends_with(".mcpb"));
        found.extend(ours.then(|| folder.join(name)));
    }
    found.sort();
    Ok(found)
}
