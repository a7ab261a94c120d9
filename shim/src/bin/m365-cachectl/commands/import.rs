//! `import`: what m365-mcp left is taken over, and removed on request.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use m365_cached_proto::fault::login_command;
use m365_cached_proto::v1::{Fault, Kind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agree::agreed;
use crate::context::Context;
use crate::offline;
use crate::output::{Paint, View, counted};

/// What to take over.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  m365-cachectl import --dry-run
  m365-cachectl import
  m365-cachectl import --remove --yes

Every row of the cache that m365-mcp kept (plain or encrypted) is copied into a sealed file under `imported/`, read again and compared: counts and
SHA-256 of both sides are equal, or nothing is kept. The accounts of its token file are listed; each signs in again, since the tokens have lain
in clear text. The original is only read. Stop m365-mcp first.

None of its answers is served: its file does not hold the arguments they were asked with, nor whether they are still true. They are counted by type
and asked of Microsoft anew.

An encrypted one opens with M365_MCP_CACHE_KEY or with the key that m365-mcp keeps in the keyring (`m365-mcp-cache`).

--remove deletes the original, its logs, its clear-text tokens and its list of accounts, once the sealed copy has been read to the end. Deleting is not
erasing: on flash what was in them may be found for a while, so sign out everywhere at https://mysignins.microsoft.com when that matters.

With --json `state` is `would_import`, `imported`, `already_imported`, `removed`, `nothing_there` or `put_back`; progress goes to stderr.")]
pub(crate) struct Args {
    /// The cache; else M365_MCP_CACHE_DB_PATH, else `~/.m365_mcp_cache.db`
    pub(crate) file: Option<PathBuf>,
    /// Say what would be taken over, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Delete the original and its clear-text tokens
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) remove: bool,
    /// With --remove: keep no sealed copy
    #[arg(long, requires = "remove")]
    pub(crate) unsealed: bool,
    /// Write the latest sealed copy to a new file, as plain SQLite
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "dry_run", "remove"])]
    pub(crate) put_back: Option<PathBuf>,
    /// Agree to --remove
    #[arg(long, requires = "remove")]
    pub(crate) yes: bool,
}

/// `state`: `would_import`, `imported` or `already_imported`. What belongs to a cache is `null` when there is only a token file, and `accounts`
/// is `null` without one.
#[derive(Debug, Serialize, Deserialize)]
struct Imported {
    state: String,
    original: Option<String>,
    encrypted: Option<bool>,
    rows: Option<u64>,
    answers: Option<u64>,
    answers_by_type: Option<BTreeMap<String, u64>>,
    /// Always 0: see the help.
    answers_served: Option<u64>,
    tasks: Option<u64>,
    /// `{"cache_entries":{"rows":n,"sha256":"…"}}`
    tables: Option<BTreeMap<String, Value>>,
    sealed: Option<String>,
    accounts: Option<Accounts>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Accounts {
    found: Vec<String>,
    /// Of them, the personal ones.
    #[serde(default)]
    personal: Vec<String>,
    of_other_clouds: u64,
}

/// `{"state":"removed","removed":["/…"],"sealed":"/…"}`; `sealed` is `null` without a cache or with `--unsealed`.
#[derive(Debug, Serialize, Deserialize)]
struct Removed {
    state: String,
    removed: Vec<String>,
    sealed: Option<String>,
}

/// `{"state":"put_back","file":"/…","sealed":"/…","rows":n}`
#[derive(Debug, Serialize, Deserialize)]
struct PutBack {
    state: String,
    file: String,
    sealed: String,
    rows: u64,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), Fault> {
    if let Some(to) = &args.put_back {
        let to = absolute(to)?;
        let done: PutBack = offline::run(context, "writing the sealed copy out", &["import", "--put-back", &to], None).await?;
        context.output.show(&done);
        return Ok(());
    }
    let mut words = vec!["import"];
    let file = args.file.as_deref().map(absolute).transpose()?;
    words.extend(file.as_deref());
    if args.remove {
        let question = "The cache of m365-mcp, its tokens and its list of accounts are deleted; stop m365-mcp first.";
        agreed(context, args.yes, question)?;
        words.push("--remove");
        words.extend(args.unsealed.then_some("--unsealed"));
        let done: Removed = offline::run(context, "removing what m365-mcp left", &words, None).await?;
        context.output.show(&done);
        return Ok(());
    }
    let done: Imported = if args.dry_run {
        words.push("--dry-run");
        context.output.meanwhile("looking at the cache of m365-mcp", offline::look(context, &words)).await?
    } else {
        offline::run(context, "sealing the cache of m365-mcp and comparing", &words, None).await?
    };
    context.output.show(&done);
    Ok(())
}

/// The program that does it starts elsewhere, so it is given whole paths.
fn absolute(file: &Path) -> Result<String, Fault> {
    let wrong = |why: String| Fault::new(Kind::User, "no_file", format!("`{}` is no path: {why}", file.display()), "Name a file.");
    let path = std::path::absolute(file).map_err(|error| wrong(error.to_string()))?;
    path.into_os_string().into_string().map_err(|_| wrong("it is not text".into()))
}

impl View for Imported {
    fn text(&self, paint: Paint) -> String {
        let state = self.state.replace('_', " ");
        let mut text = if self.state == "would_import" { paint.warn(&state).to_string() } else { paint.good(&state).to_string() };
        if let Some(original) = &self.original {
            let _ = write!(text, "  `{original}`{}", if self.encrypted == Some(true) { ", encrypted" } else { "" });
        }
        text.push('\n');
        if let (Some(rows), Some(answers), Some(tasks)) = (self.rows, self.answers, self.tasks) {
            let _ = writeln!(text, "rows  {rows}: {}, {}, the rest its own records", counted(answers, "answer"), counted(tasks, "task"));
        }
        for (kind, count) in self.answers_by_type.iter().flatten() {
            let _ = writeln!(text, "  {count:>7}  {kind}");
        }
        if self.answers.is_some_and(|answers| answers > 0) {
            text += "none of the answers is served: they are asked of Microsoft anew\n";
        }
        if let Some(Accounts { found, personal, of_other_clouds }) = &self.accounts {
            let _ = writeln!(text, "accounts  {} found; each signs in again:", found.len());
            for name in found {
                let _ = writeln!(text, "  {}", login_command(name, personal.contains(name)));
            }
            if *of_other_clouds > 0 {
                let _ = writeln!(text, "  {of_other_clouds} of another cloud, left out");
            }
        }
        if let Some(sealed) = &self.sealed {
            let _ =
                writeln!(text, "sealed and compared: `{sealed}`\nthe original is as it was; `m365-cachectl import --remove` removes it");
        }
        text
    }
}

impl View for Removed {
    fn text(&self, _paint: Paint) -> String {
        if self.removed.is_empty() {
            return "there was nothing of m365-mcp\n".to_owned();
        }
        let mut text = String::new();
        for file in &self.removed {
            let _ = writeln!(text, "removed `{file}`");
        }
        text + "on flash what was in them may be found for a while: sign out everywhere at https://mysignins.microsoft.com when that matters\n"
    }
}

impl View for PutBack {
    fn text(&self, paint: Paint) -> String {
        format!("{} rows are in `{}`, {}\n", self.rows, self.file, paint.warn("readable by whoever has the file"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_well() {
        let json = r#"{"state":"would_import","original":"/o","encrypted":true,"rows":9,"answers":7,"answers_by_type":{"email_list":7},
            "answers_served":0,"tasks":1,"tables":{},"sealed":null,"accounts":{"found":["ada@contoso.com","bob@live.com"],"personal":["bob@live.com"],"of_other_clouds":1}}"#;
        let imported: Imported = serde_json::from_str(json).unwrap();
        let expected = "would import  `/o`, encrypted\nrows  9: 7 answers, 1 task, the rest its own records\n        7  email_list\nnone of the answers is served: they are asked of Microsoft anew\naccounts  2 found; each signs in again:\n  m365-cachectl login --username ada@contoso.com\n  m365-cachectl login --personal --username bob@live.com\n  1 of another cloud, left out\n";
        assert_eq!(imported.text(Paint::OFF), expected);
        let removed = Removed { state: "removed".into(), removed: vec!["/o".into()], sealed: None };
        assert!(removed.text(Paint::OFF).starts_with("removed `/o`\non flash"));
    }
}
