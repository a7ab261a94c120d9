//! `import`: what m365-mcp left is taken over, sealed and compared; removed only on request. What comes over and what does not stands at the
//! head of `store::sqlcipher::original`.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::Path,
    sync::Arc,
};

use m365_cached::{
    auth::OriginalAccount,
    clock::SystemClock,
    hint::Kind,
    secret::Key,
    store::sqlcipher::original::{self as copies, Tally},
    vault::Unlocked,
};
use m365_cached_proto::dirs::private_dir;
use serde_json::{Value, json};

use super::{Bench, failed};
use crate::{
    core::Problem,
    original::{Original, is_plain},
    parts,
};

/// No token file is longer.
const LONGEST: u64 = 16 << 20;
/// Hosts that are one identity service. Source: MSAL's list of aliases.
const GLOBAL: [&str; 4] = ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"];

pub(super) async fn run(bench: &Bench, file: Option<&Path>, dry_run: bool) -> Result<Value, Problem> {
    let original = places(bench, file)?;
    let there = original.cache.symlink_metadata().is_ok();
    let accounts = accounts(bench, &original)?;
    if !there && accounts.is_none() {
        let message = format!("there is no cache of m365-mcp at `{}`, and no token file", original.cache.display());
        return Err(Problem::new(Kind::User, "no_original", message, "If it lies elsewhere: `m365-cachectl import FILE`."));
    }
    let given = if there && is_plain(&original.cache) != Some(true) { opening_keys(bench).await } else { Vec::new() };
    if dry_run {
        let tally =
            if there { Some(copies::survey(&original.cache, &given, &mut progress()).map_err(|error| Problem::of(&error))?) } else { None };
        return Ok(told("would_import", &original, tally.as_ref(), None, accounts.as_ref()));
    }
    let vault = parts::vault(&bench.config, &bench.profile, Arc::new(SystemClock));
    let Unlocked { keys, .. } = vault.open_or_create().await.map_err(|locked| Problem::of(&locked))?;
    let mut state = "already_imported";
    let (mut tally, mut sealed) = (None, None);
    if there {
        let folder = bench.profile.imported();
        private_dir(&folder).map_err(|error| Problem::of_folder("cannot_write", &error))?;
        let (held, at, made) =
            copies::seal(&original.cache, &given, &folder, &keys.database, &mut progress()).map_err(|error| Problem::of(&error))?;
        if made {
            state = "imported";
        }
        (tally, sealed) = (Some(held), Some(at));
    }
    Ok(told(state, &original, tally.as_ref(), sealed.as_deref(), accounts.as_ref()))
}

/// `--remove`: the original goes once its sealed copy has been read to the end, or when nobody wants one.
pub(super) async fn remove(bench: &Bench, file: Option<&Path>, unsealed: bool) -> Result<Value, Problem> {
    let original = places(bench, file)?;
    let files = original.files();
    if let Some(strange) = files.iter().find(|file| !file.symlink_metadata().is_ok_and(|facts| facts.is_file())) {
        let message = format!("`{}` is no regular file, and what it leads to would stay", strange.display());
        return Err(Problem::new(Kind::User, "not_a_file", message, "Look at it, and remove it by hand."));
    }
    let mut sealed = None;
    if original.cache.symlink_metadata().is_ok() && !unsealed {
        let fingerprint = copies::fingerprint(&original.cache).map_err(|error| Problem::of(&error))?;
        let copy = copies::sealed(&bench.profile.imported(), &fingerprint);
        if copy.symlink_metadata().is_err() {
            let message = format!("there is no sealed copy of `{}` as it is now; nothing was removed", original.cache.display());
            let hint = "Run `m365-cachectl import` first, or add `--unsealed` to keep no copy.";
            return Err(Problem::new(Kind::User, "not_imported", message, hint));
        }
        copies::contents(&copy, &kept(bench).await?).map_err(|error| Problem::of(&error))?;
        sealed = Some(copy.display().to_string());
    }
    let mut removed = Vec::new();
    for file in &files {
        fs::remove_file(file).map_err(|error| {
            let message = format!("`{}` cannot be removed: {error}; removed before it: {}", file.display(), removed.len());
            Problem::new(Kind::Config, "cannot_remove", message, "Look at the rights of that folder, then try again.")
        })?;
        removed.push(file.display().to_string());
    }
    #[cfg(unix)]
    for folder in files.iter().filter_map(|file| file.parent()) {
        // The files have gone; how soon the disk knows is all that is open.
        let _ = fs::File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(json!({ "state": if removed.is_empty() { "nothing_there" } else { "removed" }, "removed": removed, "sealed": sealed }))
}

/// `--put-back`: the latest sealed copy as plain SQLite.
pub(super) async fn put_back(bench: &Bench, to: &Path) -> Result<Value, Problem> {
    let copies = fs::read_dir(bench.profile.imported()).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let latest = copies
        .filter(|path| path.extension().is_some_and(|ending| ending == "sealed"))
        .max_by_key(|path| path.metadata().and_then(|facts| facts.modified()).ok());
    let copy =
        latest.ok_or_else(|| Problem::new(Kind::User, "not_imported", "there is no sealed copy", "`m365-cachectl import` makes one."))?;
    if to.symlink_metadata().is_ok() {
        let message = format!("there is a file at `{}` already, and it is not overwritten", to.display());
        return Err(Problem::new(Kind::User, "file_exists", message, "Name another file."));
    }
    let tally = copies::put_back(&copy, &kept(bench).await?, to).map_err(|error| Problem::of(&error))?;
    Ok(json!({ "state": "put_back", "file": to.display().to_string(), "sealed": copy.display().to_string(), "rows": tally.rows() }))
}

fn places(bench: &Bench, file: Option<&Path>) -> Result<Original, Problem> {
    let mut original = Original::find(&bench.config, &bench.profile).unwrap_or_default();
    if let Some(file) = file {
        original.cache = std::path::absolute(file).map_err(|error| failed(&error))?;
    }
    Ok(original)
}

/// The keys that may open an encrypted original.
async fn opening_keys(bench: &Bench) -> Vec<Key> {
    let (keys, trouble) = parts::vault(&bench.config, &bench.profile, Arc::new(SystemClock)).original_keys().await;
    if let Some(trouble) = trouble {
        note(&format!("the keyring was asked for the original's key: {trouble}"));
    }
    keys
}

/// The database key of a profile that has one.
async fn kept(bench: &Bench) -> Result<Key, Problem> {
    let vault = parts::vault(&bench.config, &bench.profile, Arc::new(SystemClock));
    Ok(vault.keys().await.map_err(|locked| Problem::of(&locked))?.database)
}

/// Accounts of the token file. They are told, so that a person knows who has to sign in; an account without tokens in our own database would be
/// listed as signed in until its first call.
struct Accounts {
    /// Of our cloud.
    ours: Vec<OriginalAccount>,
    /// How many are of another.
    elsewhere: usize,
}

fn accounts(bench: &Bench, original: &Original) -> Result<Option<Accounts>, Problem> {
    let unreadable = |why: &str| {
        let message = format!("the token file `{}` cannot be used: {why}", original.tokens.display());
        Problem::new(Kind::User, "foreign_tokens", message, "Look at it; `m365-cachectl import --remove --unsealed` removes it.")
    };
    let facts = match fs::metadata(&original.tokens) {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&error.kind().to_string())),
    };
    if facts.len() > LONGEST {
        return Err(unreadable("it is too long"));
    }
    let bytes = zeroize::Zeroizing::new(fs::read(&original.tokens).map_err(|error| unreadable(&error.kind().to_string()))?);
    let found = OriginalAccount::all(&bytes).ok_or_else(|| unreadable("it is no file of m365-mcp"))?;
    let host = bench.config.cloud.identity.host_str().unwrap_or_default();
    let is_ours =
        |account: &OriginalAccount| account.identity == host || GLOBAL.contains(&host) && GLOBAL.contains(&account.identity.as_str());
    let (ours, others): (Vec<_>, Vec<_>) = found.into_iter().partition(is_ours);
    Ok(Some(Accounts { ours, elsewhere: others.len() }))
}

fn told(state: &str, original: &Original, tally: Option<&Tally>, sealed: Option<&Path>, accounts: Option<&Accounts>) -> Value {
    let tables = |tally: &Tally| -> BTreeMap<String, Value> {
        tally.tables.iter().map(|(name, table)| (name.clone(), json!({ "rows": table.rows, "sha256": table.sha256 }))).collect()
    };
    let accounts = accounts.map(|found| {
        let names = |personal_alone: bool| -> Vec<&str> {
            let told = found.ours.iter().filter(|account| !personal_alone || account.is_personal());
            told.map(|account| account.username.as_str()).collect()
        };
        json!({ "found": names(false), "personal": names(true), "of_other_clouds": found.elsewhere })
    });
    json!({
        "state": state,
        "original": tally.map(|_| original.cache.display().to_string()),
        "encrypted": tally.map(|_| is_plain(&original.cache) == Some(false)),
        "rows": tally.map(Tally::rows),
        "answers": tally.map(|tally| tally.rows_of("cache_entries")),
        "answers_by_type": tally.map(|tally| &tally.answers),
        // None becomes an entry: their arguments are not in the file, and whether they are still true nobody knows.
        "answers_served": tally.map(|_| 0),
        "tasks": tally.map(|tally| tally.rows_of("cache_tasks")),
        "tables": tally.map(tables),
        "sealed": sealed.map(|path| path.display().to_string()),
        "accounts": accounts,
    })
}

/// Tells on stderr of every tenth that is done.
fn progress() -> impl FnMut(u64, u64) {
    let mut told = 0;
    move |done, total| {
        let tenth = (done * 10).checked_div(total).unwrap_or(10);
        if tenth > told || done == 0 {
            told = tenth;
            note(&format!("import: {done} of {total} rows"));
        }
    }
}

fn note(line: &str) {
    // With a closed stderr there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{line}");
}
