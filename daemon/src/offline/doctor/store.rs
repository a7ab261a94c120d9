//! The master key and the database. Nothing is made that is not there.

use std::sync::Arc;

use m365_cached::{
    clock::SystemClock,
    hint::{Hint as _, Kind},
    store::sqlcipher,
};

use super::{Bench, Found, settled};
use crate::{offline::fitting, parts};

/// A larger file is opened and not read to its end: at half a second for 60 MB nobody would wait for it.
const PAGES: u64 = 512 << 20;

/// The master key opens the envelope.
pub(super) async fn keys(bench: &mut Bench) -> Found {
    settled(opened(bench).await)
}

async fn opened(bench: &mut Bench) -> Result<Found, Found> {
    if bench.serving {
        return Ok(Found::ok("the running daemon has the keys open"));
    }
    let vault = parts::vault(bench.config()?, &bench.profile, Arc::new(SystemClock));
    let (envelope, database) = (bench.profile.keys_file(), bench.profile.database());
    if envelope.symlink_metadata().is_err() {
        if database.symlink_metadata().is_ok() {
            let message = format!("there is a database and no key envelope `{}`: nothing can open it", envelope.display());
            let hint = "Put the envelope back, or run `m365-cachectl keys import` with a recovery file; without either only `m365-cachectl reset` is left.";
            return Err(Found::failure(Kind::Config, "no_envelope", message, hint));
        }
        return Ok(Found::ok("there is no key yet; the first start makes one"));
    }
    let state = vault.state().map_err(|locked| Found::of(&locked))?;
    match vault.keys().await {
        Ok(keys) => bench.keys = Some(keys),
        Err(locked) => return Err(Found::of(&locked)),
    }
    let (place, generation) = (state.source.kind.as_str(), state.generation);
    Ok(Found::ok(format!("the master key (number {generation}, from the {place}) opens the envelope")))
}

/// The database opens, and its pages are as they were written.
pub(super) fn database(bench: &Bench) -> Found {
    settled(whole(bench))
}

fn whole(bench: &Bench) -> Result<Found, Found> {
    if bench.serving {
        return Ok(Found::ok("the running daemon has it open and looks after it"));
    }
    bench.config()?;
    let path = bench.profile.database();
    let Ok(facts) = path.symlink_metadata() else { return Ok(Found::ok("there is no database yet; the first start makes one")) };
    let Some(keys) = bench.keys.clone() else { return Err(Found::skipped("without its key it cannot be looked at")) };
    let repair = "`m365-cachectl repair` saves what opens and puts the rest aside.";
    let damaged = |error: &m365_cached::store::StoreError| {
        let hint = error.hint().unwrap_or_else(|| repair.into());
        Found::failure(error.kind(), error.code(), error.to_string(), hint)
    };
    let contents = match fitting(&path, keys.clone()) {
        Ok((_, contents)) => contents,
        Err(problem) => return Err(Found::of_problem(&problem)),
    };
    let told = format!("{} accounts and {} answers, schema {}", contents.accounts, contents.entries, contents.schema);
    if facts.len() > PAGES {
        return Ok(Found::ok(format!("it opens: {told}; it is too large to read every page here; `m365-cachectl repair` does")));
    }
    sqlcipher::check_pages(&path, &keys.database).map_err(|error| damaged(&error))?;
    Ok(Found::ok(format!("every page is as it was written: {told}")))
}
