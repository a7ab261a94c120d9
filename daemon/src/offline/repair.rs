//! `repair`: looks at the database, saves what opens of a damaged one, and puts the rest aside. `repair --rollback`: the file of before the last
//! upgrade.
//!
//! Nothing is lost by it that could still be read: answers are fetched again, and the damaged file stays under `quarantine/`.

use std::{fs, path::Path, sync::Arc};

use m365_cached::{
    clock::SystemClock,
    hint::Kind,
    store::{Contents, StoreError, StoreKeys, sqlcipher},
    vault::Keys,
};
use serde_json::{Value, json};

use super::{Bench, aside, fitting};
use crate::{core::Problem, parts};

pub(super) async fn run(bench: &Bench) -> Result<Value, Problem> {
    let database = bench.profile.database();
    if database.symlink_metadata().is_err() {
        return Ok(said("whole", "There is no database yet.", None));
    }
    let keys = keys(bench).await?;
    let why = match look(&database, &keys) {
        Ok(contents) => {
            let state = said("whole", "Every page of the database is as it was written.", None);
            return Ok(with(state, &json!({ "accounts": contents.accounts, "entries": contents.entries, "schema": contents.schema })));
        }
        Err(error @ (StoreError::Damaged(_) | StoreError::WrongKey(_))) => error,
        Err(error) => return Err(Problem::of(&error)),
    };
    let draft = aside::draft(&bench.profile)?;
    match sqlcipher::salvage(&database, &draft, &keys) {
        Ok(saved) => {
            let folder = aside::replace(&bench.profile, &draft)?;
            let state = said("repaired", &format!("{why}."), folder.as_deref());
            let counts = json!({ "accounts": saved.accounts, "signed_in": saved.signed_in, "rows": saved.rows, "torn_tables": saved.torn });
            Ok(with(state, &counts))
        }
        // Its first page does not open: nothing behind it can be found.
        Err(StoreError::Damaged(_) | StoreError::WrongKey(_)) => {
            let folder = aside::set_aside(&bench.profile)?;
            Ok(said("set_aside", &format!("{why}."), Some(&folder)))
        }
        Err(error) => Err(aside::give_up(&draft, Problem::of(&error))),
    }
}

pub(super) async fn rollback(bench: &Bench) -> Result<Value, Problem> {
    let database = bench.profile.database();
    let Some((schema, before)) = sqlcipher::kept(&database) else {
        let message = "there is no file of before an upgrade: none has happened, or it went with a key that was destroyed since";
        return Err(Problem::new(Kind::User, "no_way_back", message, "`m365-cachectl restore` brings a backup back."));
    };
    let keys = keys(bench).await?;
    let draft = aside::draft(&bench.profile)?;
    let copied = fs::copy(&before, &draft).and_then(|_| fs::File::open(&draft)?.sync_all());
    copied.map_err(|error| {
        let message = format!("`{}` cannot be copied: {error}", before.display());
        aside::give_up(&draft, Problem::new(Kind::Config, "cannot_write", message, "Look at the space on its disk."))
    })?;
    let renewed = sqlcipher::check_pages(&draft, &keys.database).and_then(|()| sqlcipher::new_epochs(&draft, &keys));
    renewed.map_err(|error| aside::give_up(&draft, Problem::of(&error)))?;
    let folder = aside::replace(&bench.profile, &draft)?;
    let why = format!(
        "The database is the one of before the upgrade, with schema {schema}. Start the older program: this one would upgrade it again."
    );
    Ok(with(said("rolled_back", &why, folder.as_deref()), &json!({ "schema": schema })))
}

/// The keys of the store, from the vault that is there; none is made.
async fn keys(bench: &Bench) -> Result<StoreKeys, Problem> {
    let vault = parts::vault(&bench.config, &bench.profile, Arc::new(SystemClock));
    let keys = vault.keys().await.map_err(|locked| Problem::of(&locked))?;
    Ok(store_keys(match fitting(&bench.profile.database(), keys.clone()) {
        Ok((fitting, _)) => fitting,
        // What is wrong with the file is found out next.
        Err(_) => keys,
    }))
}

fn store_keys(keys: Keys) -> StoreKeys {
    StoreKeys { database: keys.database, wrapping: keys.wrapping }
}

fn look(path: &Path, keys: &StoreKeys) -> Result<Contents, StoreError> {
    let contents = sqlcipher::inspect(path, keys)?;
    sqlcipher::check_pages(path, &keys.database)?;
    Ok(contents)
}

fn said(state: &str, why: &str, quarantine: Option<&Path>) -> Value {
    json!({ "state": state, "why": why, "quarantine": quarantine.map(|folder| folder.display().to_string()) })
}

fn with(mut value: Value, more: &Value) -> Value {
    if let (Some(value), Some(more)) = (value.as_object_mut(), more.as_object()) {
        value.extend(more.clone());
    }
    value
}
