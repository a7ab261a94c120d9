//! What a package is made of: the libraries it ships, under which licences, and whether something is known against one of them.
//!
//! `parts` lists what is linked into the three programs, `licences` holds each against what we may ship, `sbom` writes them down as
//! CycloneDX 1.5, `advisories` looks them up in a copy of RustSec's database, `sarif` writes down for code scanning what was found. Nothing here asks the network: the list comes from
//! `Cargo.lock`, and the database is a folder that the caller brings, since its age is part of the result.
//!
//! `mcpb` packs the programs for Claude Desktop and writes the entry for the registry of MCP servers; `official` has the makers' own tools judge both, and
//! is the one part that fetches something.

mod advisories;
mod licences;
mod mcpb;
mod official;
mod parts;
mod sarif;
mod sbom;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, Subcommand};

pub use self::{
    advisories::{Known, advisories},
    licences::{Strange, strange},
    mcpb::{System, bundle, manifest, server_json},
    official::{Judged, judge},
    parts::{Part, lock, parts},
    sarif::{of_advisories, of_licences},
    sbom::sbom,
};

use crate::{
    demo::say,
    support::bins::{For, bins, packaged_shim},
};

/// What the check can be told.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Writes the list of parts as CycloneDX 1.5 (JSON) to a file, or to stdout.
    Sbom {
        /// The file; it is replaced.
        file: Option<PathBuf>,
    },
    /// Holds every part's licence against those we may ship. Exits 1 when one does not fit.
    Licences {
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
        /// Write what was found as SARIF 2.1.0 to this file as well; it is replaced.
        #[arg(long, value_name = "FILE")]
        sarif: Option<PathBuf>,
    },
    /// Looks every part up in a copy of RustSec's advisory database. Exits 1 when something is known against one.
    Advisories {
        /// The copy: a checkout of `rustsec/advisory-db`.
        database: PathBuf,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
        /// Write what was found as SARIF 2.1.0 to this file as well; it is replaced.
        #[arg(long, value_name = "FILE")]
        sarif: Option<PathBuf>,
    },
    /// Builds the bundle for Claude Desktop (MCPB) and the entry for the registry of MCP servers (`server.json`), and has their makers' tools judge them.
    ///
    /// The programs are built as they are shipped. The entry names every bundle of this version in the folder, so that those of several systems can be
    /// put together. Judges are `mcpb` (by npx) and `mcp-publisher`; one that is not there is passed over. Exits 1 when one finds something.
    Mcpb {
        /// Where both are written; made when it is not there.
        folder: PathBuf,
        /// The repository on GitHub whose release `v<version>` the bundles are files of: owner/name.
        #[arg(long, value_name = "OWNER/NAME")]
        github: String,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Runs it; whether everything was as it should be.
///
/// # Errors
/// When it could not be carried through: Cargo does not answer, a file cannot be read or written.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let mut out = std::io::stdout().lock();
    match &options.what {
        What::Sbom { file } => {
            let text = sbom(&parts()?)?;
            match file {
                Some(file) => std::fs::write(file, text)?,
                None => out.write_all(&text)?,
            }
            Ok(true)
        }
        What::Licences { json, sarif } => {
            let parts = parts()?;
            let strange = strange(&parts);
            if let Some(file) = sarif {
                write(file, &of_licences(&strange, &lock()?))?;
            }
            if *json {
                writeln!(out, "{}", serde_json::json!({ "parts": parts.len(), "strange": strange }))?;
            } else {
                for one in &strange {
                    writeln!(out, "{} {}: {}", one.name, one.version, one.problem)?;
                }
                writeln!(out, "{} parts, {} with a licence that does not fit", parts.len(), strange.len())?;
            }
            Ok(strange.is_empty())
        }
        What::Advisories { database, json, sarif } => {
            let parts = parts()?;
            let known = advisories(&parts, database)?;
            if let Some(file) = sarif {
                write(file, &of_advisories(&known, &lock()?))?;
            }
            if *json {
                writeln!(out, "{}", serde_json::to_string(&known)?)?;
            } else {
                for one in &known.found {
                    writeln!(out, "{} {}: {} {}", one.name, one.version, one.id, one.title)?;
                }
                writeln!(
                    out,
                    "{} parts held against {} advisories, the newest of {}: {} known",
                    parts.len(),
                    known.advisories,
                    known.newest,
                    known.found.len()
                )?;
            }
            Ok(known.found.is_empty())
        }
        What::Mcpb { folder, github, json } => packed(folder, github, *json),
    }
}

fn write(file: &Path, log: &serde_json::Value) -> anyhow::Result<()> {
    std::fs::write(file, serde_json::to_string_pretty(log)? + "\n").with_context(|| file.display().to_string())
}

/// Builds bundle and entry, and lets them be judged.
fn packed(folder: &Path, github: &str, json: bool) -> anyhow::Result<bool> {
    say("building the programs");
    let (shim, daemon) = (packaged_shim()?, &bins(For::Demo)?.daemon);
    let system = System::here()?;
    std::fs::create_dir_all(folder)?;
    let (file, entry) = (folder.join(system.file_name()), folder.join("server.json"));
    std::fs::write(&file, bundle(system, &[&shim, daemon])?)?;
    std::fs::write(&entry, serde_json::to_string_pretty(&server_json(github, folder)?)? + "\n")?;
    let bytes = std::fs::metadata(&file)?.len();
    say("asking the makers' tools");
    let judged = judge(&file, &entry)?;
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::json!({ "bundle": file, "bytes": bytes, "entry": entry, "judged": judged }))?;
    } else {
        writeln!(out, "{} ({bytes} bytes)\n{}", file.display(), entry.display())?;
        for one in &judged {
            writeln!(out, "{:<8} {}: {}", one.state, one.by, one.said)?;
        }
    }
    Ok(judged.iter().all(|one| one.state != "failed"))
}
