//! Room on the disk: what is counted against what the file takes, and a disk that is full.

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use super::{
    tests::{Profile, account, entry, mailbox, put},
    *,
};
use crate::{
    cache::{Escaped, Order, Service, Touch},
    chance::OsDice,
    store::{DiskOf, Guard, Room as _, disk::tests::Told},
};

/// Text that hardly compresses.
fn noise(bytes: usize) -> Escaped {
    let mut text = vec![0; bytes];
    OsDice.fill(&mut text);
    Escaped(text.into_iter().map(|byte| b'0' + byte % 40).collect::<Vec<_>>().into())
}

async fn fill(store: &Sqlcipher, from: usize, count: usize, bytes: usize) -> Result<(), StoreError> {
    for number in from..from + count {
        let mut one = entry(store, &account("a"), number, "").await;
        one.body.text = noise(bytes);
        one.body.items.clear();
        if store.put(one, vec![], Timestamp(10)).await? != (Put::Stored { revision: 1 }) {
            return Err(StoreError::Failed("it was not stored".into()));
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_is_counted_is_what_the_file_takes() {
    let mix: &[(usize, usize)] = &[(1200, 600), (500, 3_000), (150, 20_000), (4, 400_000)];
    for sizes in [&[(2000, 600)][..], &[(1000, 3_000)], &[(300, 20_000)], &[(20, 400_000)], mix] {
        let profile = Profile::new();
        let store = profile.open().unwrap();
        let empty = store.held().await.unwrap().bytes;
        let mut from = 0;
        for (count, bytes) in sizes {
            fill(&store, from, *count, *bytes).await.unwrap();
            from += count;
        }
        let held = store.held().await.unwrap();
        let taken = held.bytes - empty;
        let group = store.groups().await.unwrap().remove(0);
        if sizes.len() > 1 {
            let counted = held.accounts[0].1.bytes * 100 / taken;
            assert!((80..=120).contains(&counted), "{counted} % of what an account takes is counted");
        }
        let places = store.places(&group, Order::Used, None, from).await.unwrap();
        let evicted = store.evict(Order::Used, places).await.unwrap();
        assert_eq!(evicted.keys.len(), from);
        let counted = evicted.bytes * 100 / taken;
        assert!((80..=120).contains(&counted), "{sizes:?}: {counted} % of what was freed is counted");
        while store.give_back().await.unwrap() {}
        let left = store.held().await.unwrap().bytes;
        store.close();
        assert_eq!(std::fs::metadata(profile.path()).unwrap().len(), left, "all of the file is in use");
    }
}

#[tokio::test]
async fn removed_entries_leave_the_file_smaller() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    fill(&store, 0, 600, 30_000).await.unwrap();
    let before = store.held().await.unwrap();
    let group = store.groups().await.unwrap().remove(0);
    let places = store.places(&group, Order::Used, None, 500).await.unwrap();
    let evicted = store.evict(Order::Used, places).await.unwrap();
    let after = store.held().await.unwrap();
    let freed = before.bytes - after.bytes;
    assert!(
        evicted.keys.len() == 500 && freed * 100 / evicted.bytes > 85 && freed * 100 / evicted.bytes < 115,
        "{freed}, {}",
        evicted.bytes
    );
    let mut steps = 0;
    while store.give_back().await.unwrap() {
        steps += 1;
    }
    assert!(steps > 20, "a little at a time: {steps}");
    // Maps of pages go with the pages.
    let last = store.held().await.unwrap().bytes;
    assert!(last <= after.bytes);
    store.close();
    assert_eq!(std::fs::metadata(profile.path()).unwrap().len(), last);
}

#[tokio::test]
async fn below_the_floor_nothing_is_stored_and_writes_are_still_recorded() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let disk = Arc::new(Told(AtomicU64::new(1 << 30)));
    store.keep_room(Guard::new(disk.clone(), 64 * 1024, &profile.place().beside("-ballast")));
    assert!(profile.place().beside("-ballast").exists());
    let one = entry(&store, &account("a"), 1, "\"a\":1}").await;
    put(&store, &one).await;
    disk.0.store(1, SeqCst);
    assert_eq!(store.put(one.clone(), vec![], Timestamp(11)).await.unwrap(), Put::NoRoom);
    assert!(store.get(one.meta.key.hash).await.unwrap().is_some());
    let health = store.health_check().await;
    assert!(health.low_disk && health.healthy && health.free_bytes == Some(1));
    write(&store, "c").await.unwrap();
    disk.0.store(1 << 30, SeqCst);
    let again = entry(&store, &account("a"), 1, "\"a\":1}").await;
    assert!(matches!(store.put(again, vec![], Timestamp(12)).await.unwrap(), Put::Stored { .. } | Put::Overtaken));
    assert!(!store.health_check().await.low_disk);
}

async fn write(store: &Sqlcipher, call: &str) -> Result<(), StoreError> {
    let touched = Touched { source: mailbox(), service: Service::Mail, touches: vec![Touch::Item("m".into())] };
    let new = NewWrite {
        call_key: call.into(),
        account: account("a"),
        tool: "email_move".into(),
        args_hash: [1; 32],
        touched,
        at: Timestamp(1),
        client: String::new(),
        targets: Vec::new(),
    };
    let id = store.open_write(new).await?;
    store.close_write(id, Outcome::Done { late: false }, vec![], vec![], Timestamp(2), Timestamp(2)).await.map(drop)
}

/// A small disk of its own; `None` where none can be mounted.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(folder)),
            _ => {
                #[expect(clippy::print_stdout, reason = "a skipped test says why")]
                {
                    println!("skipped: no tmpfs can be mounted here, which takes the superuser on Linux");
                }
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

fn open_on(disk: &Path) -> Sqlcipher {
    let keys = StoreKeys { database: Secret::new([3; 32]), wrapping: Secret::new([4; 32]) };
    let options = OpenOptions { path: disk.join("store.db"), keys, dice: Arc::new(OsDice), new_epochs: false, limits: Limits::default() };
    Sqlcipher::open(options).unwrap()
}

async fn fill_up(store: &Sqlcipher) -> usize {
    for number in 0.. {
        match fill(store, number, 1, 40_000).await {
            Ok(()) => {}
            Err(StoreError::Full) => return number,
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!()
}

#[tokio::test]
async fn a_full_disk_cannot_be_tidied_without_a_ballast() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let store = open_on(disk.0.path());
    fill_up(&store).await;
    let group = store.groups().await.unwrap().remove(0);
    let places = store.places(&group, Order::Used, None, 60).await.unwrap();
    let failed = store.evict(Order::Used, places).await;
    assert!(matches!(failed, Err(StoreError::Full)), "SQLite has learned to delete on a full disk: {failed:?}");
}

#[tokio::test]
async fn on_a_full_disk_the_ballast_makes_room_to_delete_and_to_record_writes_and_is_made_again() {
    let Some(disk) = SmallDisk::mount(16) else { return };
    let store = open_on(disk.0.path());
    let ballast = disk.0.path().join("ballast");
    let guard = Guard::new(Arc::new(DiskOf(disk.0.path().to_owned())), 3 << 20, &ballast);
    assert!(guard.hold());
    // Not watched yet, so that the disk is filled to the brim.
    let stored = fill_up(&store).await;
    assert!(matches!(write(&store, "a").await, Err(StoreError::Full)));
    store.keep_room(guard);
    assert!(ballast.exists());
    write(&store, "b").await.unwrap();
    assert!(!ballast.exists(), "dropped by the write that needed it");
    let one = entry(&store, &account("a"), 9999, "\"a\":1}").await;
    assert_eq!(store.put(one, vec![], Timestamp(11)).await.unwrap(), Put::NoRoom);
    for call in 0..50 {
        write(&store, &format!("c{call}")).await.unwrap();
    }
    let group = store.groups().await.unwrap().remove(0);
    let mut gone = 0;
    loop {
        let places = store.places(&group, Order::Used, None, 16).await.unwrap();
        if places.is_empty() {
            break;
        }
        gone += store.evict(Order::Used, places).await.unwrap().keys.len();
    }
    assert_eq!(gone, stored);
    while store.give_back().await.unwrap() {}
    // In the next idle moment after a write.
    write(&store, "d").await.unwrap();
    let made = async {
        while !ballast.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), made).await.expect("the ballast is not made again");
    let one = entry(&store, &account("a"), 1, "\"a\":1}").await;
    assert!(matches!(store.put(one, vec![], Timestamp(12)).await.unwrap(), Put::Stored { .. } | Put::Overtaken));
}
