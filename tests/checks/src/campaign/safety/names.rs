//! `names`: hostile paths for local files, in both directions. Nothing may appear or be read outside the folder that files may be in.

use std::{collections::BTreeSet, os::unix::fs::symlink, path::Path};

use serde_json::json;

use super::{Run, found};
use crate::support::{
    mcp::Era,
    scan::files_under,
    world::{ALEX, Setup, World},
};

/// What lies outside and must not be read.
const SECRET: &str = "secret-of-the-machine-4711";

pub(super) fn run(run: &mut Run, count: usize) -> anyhow::Result<()> {
    let world = World::with(Setup { accounts: &[ALEX], ..Setup::default() })?;
    let mut client = world.client(Era::Legacy)?;
    let account = &world.ids[0];
    let folder = world.home.path().join("downloads");
    std::fs::create_dir_all(folder.join("inside"))?;
    let outside = tempfile::Builder::new().prefix("m365-outside-").tempdir()?;
    std::fs::write(outside.path().join("secret.txt"), SECRET)?;
    symlink(outside.path(), folder.join("link"))?;
    symlink(outside.path().join("secret.txt"), folder.join("link.txt"))?;
    let listed = client.call("file_list", &json!({ "account_id": account }))?.json()?;
    let files = listed["files"].as_array().or(listed["items"].as_array()).cloned().unwrap_or_default();
    let file = files.iter().find(|item| item["type"] != "folder" && item["id"].is_string()).map(|item| item["id"].clone());
    // A good one, so that the bad ones could have been.
    let good = client.call("file_get", &json!({ "account_id": account, "file_id": file, "download_path": "inside/good.bin" }))?;
    run.must(!good.is_error && folder.join("inside/good.bin").exists(), &format!("a good path does not work: {:.200}", good.text));

    let before = around(&world, outside.path())?;
    let uploads = world.control().stats().count("PUT");
    let (mut tried, mut saved) = (0, 0);
    let mut read = 0;
    for nth in 0..count {
        if run.leaves() {
            break;
        }
        let path = hostile(nth, outside.path(), &folder);
        if nth % 3 == 2 {
            let path = path.replace("stolen", "secret.txt");
            let question = json!({ "account_id": account, "local_file_path": path, "onedrive_path": format!("/stolen-{nth}.txt") });
            let answer = client.call("file_create", &question)?;
            read += usize::from(!answer.is_error && !lies_in(&folder, &path));
        } else {
            let question = json!({ "account_id": account, "file_id": file, "download_path": path });
            // It may be saved inside, under a name that only looks hostile; what counts is what lies outside.
            let _ = client.call("file_get", &question)?;
        }
        tried += 1;
    }
    let after = around(&world, outside.path())?;
    saved += after.difference(&before).count();
    let secret = std::fs::read_to_string(outside.path().join("secret.txt"))?;
    run.must(secret == SECRET, "a file outside was overwritten");
    let dumped = world.control().dump(Some(ALEX), None)?.to_string();
    read += usize::from(dumped.contains(SECRET));
    let more = json!({ "saved_outside": saved, "read_outside": read, "uploads": world.control().stats().count("PUT") - uploads });
    found(run, "names", tried, saved + read, more);
    Ok(())
}

/// Whether it is a file of the folder after all: a download before may have been saved under a name that only looks hostile.
fn lies_in(folder: &Path, path: &str) -> bool {
    match (folder.canonicalize(), folder.join(path).canonicalize()) {
        (Ok(folder), Ok(file)) => file.starts_with(folder),
        _ => false,
    }
}

/// Files beside the folder, in the folder outside, and in the usual places.
fn around(world: &World, outside: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut all: BTreeSet<String> = files_under(outside)?.into_iter().map(|file| file.display().to_string()).collect();
    let home = world.home.path();
    let own = |file: &Path| {
        file.starts_with(home.join("downloads")) || file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("cache.db"))
    };
    all.extend(world.home.files()?.iter().filter(|file| !own(file)).map(|file| file.display().to_string()));
    for folder in ["/tmp", "/etc", "/"] {
        let entries = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path().display().to_string());
        all.extend(entries.filter(|name| name.contains("stolen")));
    }
    Ok(all)
}

/// A path that leads out, or looks as if it did.
fn hostile(nth: usize, outside: &Path, folder: &Path) -> String {
    let (out, inside) = (outside.display(), folder.display());
    let shapes = [
        format!("{out}/stolen"),
        format!("../{}/stolen", outside.file_name().unwrap_or_default().to_string_lossy()),
        "../stolen".to_owned(),
        "../../stolen".to_owned(),
        "../../../../../../../../tmp/stolen".to_owned(),
        "/tmp/stolen".to_owned(),
        "/etc/stolen".to_owned(),
        "inside/../../stolen".to_owned(),
        "inside/./../.././stolen".to_owned(),
        format!("{inside}/../stolen"),
        format!("{inside}/link/stolen"),
        "link/stolen".to_owned(),
        "link/../stolen".to_owned(),
        "link.txt".to_owned(),
        format!("{inside}x/stolen"),
        "~/stolen".to_owned(),
        "$HOME/stolen".to_owned(),
        "file:///tmp/stolen".to_owned(),
        "..\\stolen".to_owned(),
        "C:\\stolen".to_owned(),
        "\\\\?\\C:\\stolen".to_owned(),
        "inside/..%2f..%2fstolen".to_owned(),
        "%2e%2e/stolen".to_owned(),
        "\u{2025}/stolen".to_owned(),
        "..\u{ff0f}stolen".to_owned(),
        "stolen\0.txt".to_owned(),
        "sto\nlen".to_owned(),
        "CON".to_owned(),
        "stolen.txt:stream".to_owned(),
        format!("{}stolen", "../".repeat(200)),
        format!("/proc/self/cwd/../{nth}/stolen"),
        "/proc/self/root/tmp/stolen".to_owned(),
        "/dev/shm/stolen".to_owned(),
        ".".to_owned(),
        "..".to_owned(),
        "/".to_owned(),
        format!("../{}", "a".repeat(300)),
    ];
    let shape = &shapes[nth % shapes.len()];
    match nth / shapes.len() {
        0 => shape.clone(),
        1 => format!("./{shape}"),
        2 => format!("inside/{shape}"),
        3 => format!("{shape}/"),
        4 => format!(" {shape}"),
        5 => shape.replace('/', "//"),
        6 => format!("{inside}/{shape}"),
        more => format!("{shape}-{more}"),
    }
}
