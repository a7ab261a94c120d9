//! A profile on a disk of 6 MB that somebody else fills: what is kept is read, what is new is answered, and with room again it is kept again,
//! without a restart.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use m365_cached_checks::support::{
    figure,
    mcp::{Era, Mcp},
    stopwatch,
    world::{ALEX, Setup, World},
};
use serde_json::json;

/// How soon answers are kept again.
const RECOVERY: Duration = Duration::from_secs(10);
/// A floor and a ballast that fit on such a disk.
const CONFIG: &str = "[cache]\nmin_free_bytes = 400_000\n";

/// A small disk over a folder, taken away when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it over the folder, with the files that lie there; `None`, with the reason printed, where nothing can be mounted.
    fn over(folder: &Path) -> Option<Self> {
        let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
        let kept: Vec<_> = files.iter().map(|file| (file, fs::read(file).unwrap(), fs::metadata(file).unwrap().permissions())).collect();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m,mode=0700", "tmpfs"]).arg(folder).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            skipped();
            return None;
        }
        let disk = Self(folder.to_owned());
        for (file, bytes, mode) in kept {
            fs::write(file, bytes).unwrap();
            fs::set_permissions(file, mode).unwrap();
        }
        assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
        Some(disk)
    }

    /// Fills it to its last byte.
    fn fill(&self) {
        self.fill_but(0);
    }

    /// Fills it but for so many bytes.
    fn fill_but(&self, room: u64) {
        let mut file = fs::File::create(self.0.join("of-somebody-else")).unwrap();
        for piece in [65_536, 512, 1] {
            while file.write_all(&vec![0; piece]).is_ok() {}
        }
        file.set_len(file.metadata().unwrap().len() - room).unwrap();
    }

    fn clear(&self) {
        fs::remove_file(self.0.join("of-somebody-else")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn skipped() {
    eprintln!("skipped: no small disk can be mounted here, which takes the superuser on Linux");
}

fn status(client: &mut Mcp, tool: &str, arguments: &serde_json::Value) -> String {
    client.call(tool, arguments).unwrap().cache_status().unwrap()
}

/// Fills the disk `times` times while questions are asked.
fn full(times: usize) {
    // Ends last: the world's daemon has its files on it.
    let mut _disk = None;
    let mut world = World::with(Setup { accounts: &[ALEX], config: CONFIG, ..Setup::default() }).unwrap();
    world.expect_log("");
    world.stop_daemon().unwrap();
    _disk = SmallDisk::over(world.home.path());
    let Some(disk) = &_disk else { return };
    world.start_daemon().unwrap();
    let (pid, ballast) = (world.daemon().pid(), world.home.path().join("ballast"));
    let mut client = world.client(Era::Modern).unwrap();
    let list = client.call("email_list", &json!({"account_id": ALEX, "limit": 20})).unwrap().json().unwrap();
    let question = |id: &str| json!({"account_id": ALEX, "email_id": id});
    let ids: Vec<&str> = list["messages"].as_array().unwrap().iter().map(|message| message["id"].as_str().unwrap()).collect();
    for id in &ids {
        client.call("email_get", &question(id)).unwrap().json().unwrap();
    }
    for time in 0..times {
        disk.fill();
        for id in &ids[1..] {
            assert_eq!(status(&mut client, "email_get", &question(id)), "fresh", "{id} in fill {time}");
        }
        let new = json!({"account_id": ALEX, "folder": "sent", "limit": time + 1, "include_body": false});
        for _ in 0..2 {
            assert_eq!(status(&mut client, "email_list", &new), "bypass", "it is answered and not kept");
        }
        let write = json!({"account_id": ALEX, "email_id": ids[0], "is_read": time % 2 == 0});
        client.call("email_mark_read", &write).unwrap().json().unwrap();
        disk.clear();
        let begun = stopwatch::now();
        // Each look is a call, so this is a deadline.
        loop {
            let answer = client.call("email_list", &new).unwrap().json().unwrap();
            if answer["_cache_status"] == "fresh" {
                break;
            }
            assert!(begun.elapsed() < RECOVERY, "fill {time}: it is not kept after {RECOVERY:?}: {answer}");
        }
        // Held again against the next time. Each look is a program that runs.
        while !ballast.exists() {
            world.ctl_json(&["status"]).unwrap();
            assert!(begun.elapsed() < RECOVERY, "fill {time}: no ballast after {RECOVERY:?}");
        }
        assert!(world.daemon().alive() && world.daemon().pid() == pid, "it was not started anew");
        assert!(!world.daemon().log().unwrap().contains("panicked"));
        figure::tell("full_disk", time + 1, 0);
    }
    drop(client);
    // What it has is whole.
    world.stop_daemon().unwrap();
    assert_eq!(world.ctl_json(&["repair"]).unwrap()["state"], "whole");
}

#[test]
fn a_disk_that_is_full_is_read_from_and_written_to_again() {
    full(2);
}

#[test]
fn a_repair_that_has_no_room_puts_nothing_in_place() {
    const PAGE: usize = 4096;
    let mut _disk = None;
    let mut world = World::with(Setup { accounts: &[ALEX], config: CONFIG, ..Setup::default() }).unwrap();
    world.expect_log("");
    let mut client = world.client(Era::Modern).unwrap();
    let list = client.call("email_list", &json!({"account_id": ALEX, "limit": 50})).unwrap().json().unwrap();
    for message in list["messages"].as_array().unwrap() {
        client.call("email_get", &json!({"account_id": ALEX, "email_id": message["id"]})).unwrap().json().unwrap();
    }
    drop(client);
    world.stop_daemon().unwrap();
    let (database, quarantine) = (world.home.database(), world.home.path().join("quarantine"));
    let mut damaged = fs::read(&database).unwrap();
    let last = damaged.len() / PAGE - 1;
    damaged[last * PAGE..].fill(0);
    _disk = SmallDisk::over(world.home.path());
    let Some(disk) = &_disk else { return };
    // Pages that are left: with so few it fails, with so many it works. Closest to one another they are where it hardly fits.
    let (mut fails, mut works) = (0, 512);
    while works - fails > 1 {
        let pages = usize::midpoint(fails, works);
        fs::write(&database, &damaged).unwrap();
        disk.fill_but(u64::try_from(pages * PAGE).unwrap());
        let repaired = world.ctl(&["--json", "repair"]).unwrap();
        disk.clear();
        let said = repaired.json().unwrap();
        if repaired.code == Some(0) {
            assert_eq!(said["state"], "repaired", "{said}");
            let now = world.ctl_json(&["repair"]).unwrap();
            assert_eq!((&now["state"], &now["accounts"]), (&json!("whole"), &json!(1)), "with room for {pages} pages: {said}, then {now}");
            works = pages;
        } else {
            assert!(fs::read(&database).unwrap() == damaged, "with room for {pages} pages: {said}");
            let names = fs::read_dir(world.home.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let left: Vec<_> = names.filter(|name| name.contains(".new")).collect();
            assert!(left.is_empty(), "it leaves the disk fuller than it was: {left:?}");
            fails = pages;
        }
        if quarantine.exists() {
            fs::remove_dir_all(&quarantine).unwrap();
        }
    }
    assert!(fails > 0 && works < 512, "{fails}, {works}");
}

#[test]
#[ignore = "minutes: cargo campaign safety --only full_disk"]
fn six_megabytes_that_are_full() {
    full(figure::size(50));
}
