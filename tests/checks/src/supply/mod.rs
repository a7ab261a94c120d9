//! What a package is made of: the libraries it ships, under which licences, and whether something is known against one of them.
//!
//! `parts` lists what is linked into the three programs, `licences` holds each against what we may ship, `sbom` writes them down as
//! CycloneDX 1.5, `advisories` looks them up in a copy of RustSec's database. Nothing here asks the network: the list comes from
//! `Cargo.lock`, and the database is a folder that the caller brings, since its age is part of the result.

mod advisories;
mod licences;
mod parts;
mod sbom;

use std::{io::Write as _, path::PathBuf};

use clap::{Args, Subcommand};

pub use self::{
    advisories::{Known, advisories},
    licences::{Strange, strange},
    parts::{Part, parts},
    sbom::sbom,
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
    },
    /// Looks every part up in a copy of RustSec's advisory database. Exits 1 when something is known against one.
    Advisories {
        /// The copy: a checkout of `rustsec/advisory-db`.
        database: PathBuf,
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
        What::Licences { json } => {
            let parts = parts()?;
            let strange = strange(&parts);
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
        What::Advisories { database, json } => {
            let parts = parts()?;
            let known = advisories(&parts, database)?;
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
    }
}
