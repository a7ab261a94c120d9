//! Tests of the rotation: cut short behind any step it leaves something that opens, and the old key opens nothing in the end.

use std::{fs, path::Path, sync::Arc};

use super::{
    open_tests::{Home, Mood, key_text, listing},
    rotate::Step,
    *,
};
use crate::clock::{ManualClock, Timestamp};

const STEPS: [Step; 5] = [Step::Noted, Step::Kept, Step::Sealed, Step::Verified, Step::Deleted];

/// A profile whose key is in `kind`.
async fn home(kind: SourceKind) -> Home {
    let mut home = Home::new(Mood::Works);
    home.file = Some(home.key_file());
    home.only = Some(kind);
    if kind == SourceKind::Environment {
        home.environment = Some(key_text(1));
    }
    home.unlocked().await;
    home.only = None;
    home
}

fn to(kind: SourceKind) -> Rotate {
    let given = (kind == SourceKind::Environment).then(|| Secret::new(key_text(2)));
    Rotate { to: Some(kind), given }
}

fn killed() -> Locked {
    Locked::new("killed", "It was killed.", "-")
}

/// Whoever starts the daemon after a rotation to the environment has the new key there.
fn new_environment(home: &mut Home, kind: SourceKind) {
    if kind == SourceKind::Environment {
        home.environment = Some(key_text(2));
    }
}

#[tokio::test]
async fn every_way_leads_to_the_same_keys_and_the_old_master_opens_nothing() {
    use SourceKind::{Environment, File, Keyring};
    for (from, kind) in [
        (Keyring, Keyring),
        (File, File),
        (Environment, Environment),
        (Keyring, File),
        (File, Keyring),
        (Keyring, Environment),
        (Environment, Keyring),
    ] {
        let mut home = home(from).await;
        let (before, _, old_master, keys) = home.vault().unseal().await.unwrap();
        let rotated = home.vault().rotate(to(kind)).await.unwrap();
        assert_eq!((rotated.generation, rotated.source.kind, rotated.old.kind), (2, kind, from));
        assert_eq!(rotated.old_deleted, from != Environment, "{from:?} {kind:?}");
        new_environment(&mut home, kind);
        let (after, source, new_master, same) = home.vault().unseal().await.unwrap();
        assert!(same.same(&keys) && source == rotated.source && after.facts.change.is_none());
        assert!(new_master.expose() != old_master.expose());
        assert!(after.open(&old_master).is_err(), "the old master opens the new envelope");
        assert!(before.open(&new_master).is_err());
        // Nowhere is the old one left, but in its owner's environment.
        let entries = home.keyring.entries.lock().unwrap().clone();
        assert!(!entries.values().any(|kept| kept == old_master.expose()));
        assert_eq!(entries.len(), usize::from(kind == Keyring));
        assert_eq!(listing(home.keys.path()).len(), usize::from(kind == File));
        assert_eq!(listing(home.dir.path()).len(), 1);
        // And once more.
        if kind != Environment {
            assert_eq!(home.vault().rotate(Rotate::default()).await.unwrap().generation, 3);
            assert!(home.vault().unseal().await.unwrap().3.same(&keys));
        }
    }
}

#[tokio::test]
async fn cut_short_behind_any_step_it_opens_and_is_finished_or_undone() {
    use SourceKind::{Environment, File, Keyring};
    for (from, kind) in [(Keyring, Keyring), (File, File), (Keyring, File), (File, Keyring), (Environment, Keyring), (Keyring, Environment)]
    {
        for last in STEPS {
            let mut home = home(from).await;
            let (_, _, old_master, keys) = home.vault().unseal().await.unwrap();
            let ended = home.vault().rotate_by_steps(to(kind), &mut |step| if step == last { Err(killed()) } else { Ok(()) }).await;
            if kind == Environment && last == Step::Noted {
                // Nothing is kept for the environment.
                assert!(ended.is_ok());
            } else {
                assert_eq!(ended.unwrap_err().code, "killed");
            }
            let sealed = STEPS.iter().position(|step| *step == last) >= STEPS.iter().position(|step| *step == Step::Sealed);
            if sealed || last == Step::Noted {
                new_environment(&mut home, kind);
            }
            // The next start opens with the same keys, and leaves one key and no note.
            let opened = home.unlocked().await;
            assert!(opened.keys.same(&keys), "{from:?} to {kind:?}, killed behind {last:?}");
            let state = home.vault().state().unwrap();
            assert!(!state.unfinished, "{from:?} to {kind:?}, killed behind {last:?}");
            let (envelope, source, master, _) = home.vault().unseal().await.unwrap();
            assert_eq!(source, state.source);
            if sealed {
                assert_eq!((state.generation, source.kind), (2, kind));
                assert!(envelope.open(&old_master).is_err());
            } else if kind != Environment {
                assert_eq!((state.generation, source.kind), (1, from));
                assert!(master.expose() == old_master.expose());
            }
            let kept = home.keyring.entries.lock().unwrap().len() + listing(home.keys.path()).len();
            assert_eq!(kept, usize::from(source.kind != Environment), "{from:?} to {kind:?}, killed behind {last:?}: a key was left over");
        }
    }
}

#[tokio::test]
async fn cut_short_again_and_again_it_still_ends() {
    for kind in [SourceKind::Keyring, SourceKind::File] {
        let home = home(kind).await;
        let (_, _, _, keys) = home.vault().unseal().await.unwrap();
        for last in STEPS.into_iter().chain(STEPS) {
            let _ = home.vault().rotate_by_steps(Rotate::default(), &mut |step| if step == last { Err(killed()) } else { Ok(()) }).await;
        }
        home.vault().rotate(Rotate::default()).await.unwrap();
        let opened = home.unlocked().await;
        assert!(opened.keys.same(&keys));
        assert_eq!(home.keyring.entries.lock().unwrap().len() + listing(home.keys.path()).len(), 1);
    }
}

#[tokio::test]
async fn what_cannot_be_kept_leaves_the_old_key_in_force() {
    let home = home(SourceKind::Keyring).await;
    let (_, _, _, keys) = home.vault().unseal().await.unwrap();
    let before = listing(home.dir.path()).len();
    // It fails in the midst: the key is given and lost.
    let failed = home
        .vault()
        .rotate_by_steps(Rotate::default(), &mut |step| {
            if step == Step::Noted {
                home.keyring.feel(Mood::Forgets);
            }
            Ok(())
        })
        .await;
    assert_eq!(failed.unwrap_err().code, "key_not_kept");
    home.keyring.feel(Mood::Works);
    assert!(home.unlocked().await.keys.same(&keys));
    assert_eq!(home.vault().state().unwrap().generation, 1);
    assert_eq!(listing(home.dir.path()).len(), before);

    home.keyring.feel(Mood::Locked);
    let locked = home.vault().rotate(Rotate::default()).await.unwrap_err();
    assert_eq!(locked.code, "keyring_locked");
}

#[tokio::test]
async fn what_stands_in_the_way_is_said_and_nothing_is_changed() {
    let mut home = home(SourceKind::Environment).await;
    let vault = |home: &Home| home.vault();
    let before = listing(home.dir.path());
    let refused = |given: Option<String>| Rotate { to: None, given: given.map(Secret::new) };
    assert_eq!(vault(&home).rotate(refused(None)).await.unwrap_err().code, "new_key_missing");
    assert_eq!(vault(&home).rotate(refused(Some(key_text(1)))).await.unwrap_err().code, "same_key");
    assert_eq!(vault(&home).rotate(refused(Some("no key".into()))).await.unwrap_err().code, "malformed_key");
    fs::write(home.key_file(), "somebody's").unwrap();
    assert_eq!(vault(&home).rotate(to(SourceKind::File)).await.unwrap_err().code, "key_file_exists");
    home.only = Some(SourceKind::Environment);
    assert_eq!(vault(&home).rotate(to(SourceKind::Keyring)).await.unwrap_err().code, "source_is_set");
    home.only = None;
    home.file = None;
    assert_eq!(vault(&home).rotate(to(SourceKind::File)).await.unwrap_err().code, "key_missing");
    assert_eq!(listing(home.dir.path()), before);
    assert!(home.keyring.entries.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_key_that_was_given_serves_until_the_next_start_reads_it() {
    for from in [SourceKind::Environment, SourceKind::Keyring] {
        let mut home = home(from).await;
        let vault = home.vault();
        vault.rotate(to(SourceKind::Environment)).await.unwrap();
        // The same process goes on.
        let next = vault.offer_wrapping().await.unwrap();
        vault.settle_wrapping(&next).await.unwrap();
        assert_eq!(vault.rotate(to(SourceKind::Environment)).await.unwrap_err().code, "same_key");
        assert_eq!(vault.rotate(to(SourceKind::Keyring)).await.unwrap().generation, 3, "{from:?}");
        home.environment = None;
        assert!(home.unlocked().await.keys.wrapping.expose() == next.expose());
    }
}

/// Puts `envelope` back and opens it.
async fn put_back(home: &Home, envelope: &Path) -> Keys {
    fs::rename(envelope, home.envelope()).unwrap();
    home.unlocked().await.keys
}

#[tokio::test]
async fn no_entry_of_the_keyring_is_overwritten() {
    let home = home(SourceKind::Keyring).await;
    home.vault().rotate(Rotate::default()).await.unwrap();
    let before = home.unlocked().await.keys;
    let restored = Keys { database: before.wrapping.clone(), ..before.clone() };
    let adopted = home.vault().adopt(&restored).await.unwrap();
    assert_eq!(adopted.source.location, "test");
    // `test-g2` is what the envelope of before was sealed with.
    let rotated = home.vault().rotate(Rotate::default()).await.unwrap();
    assert_eq!((rotated.source.location.as_str(), rotated.generation, rotated.old_deleted), ("test-g3", 3, true));
    assert!(home.unlocked().await.keys.same(&restored));
    assert!(put_back(&home, &adopted.set_aside.unwrap()).await.same(&before));
}

#[tokio::test]
async fn a_key_that_an_envelope_put_aside_needs_is_kept() {
    for (kind, to) in [
        (SourceKind::Keyring, SourceKind::Keyring),
        (SourceKind::Keyring, SourceKind::File),
        (SourceKind::File, SourceKind::Keyring),
        (SourceKind::File, SourceKind::File),
    ] {
        for step in [None, Some(Step::Sealed), Some(Step::Verified)] {
            let mut home = home(kind).await;
            let before = home.unlocked().await.keys;
            let aside = home.reset();
            home.only = Some(kind);
            let after = home.unlocked().await.keys;
            home.only = None;
            assert!(!after.same(&before));
            let wanted = Rotate { to: Some(to), given: None };
            let rotated = home.vault().rotate_by_steps(wanted, &mut |at| if Some(at) == step { Err(killed()) } else { Ok(()) }).await;
            // Cut short, the next opening finishes it.
            assert!(home.unlocked().await.keys.same(&after), "{kind:?} {to:?} {step:?}");
            let place = match rotated {
                Ok(rotated) => {
                    assert!(!rotated.old_deleted && rotated.kept_for == Some(aside.clone()), "{rotated:?}");
                    rotated.old
                }
                Err(_) if kind == SourceKind::File && to == SourceKind::File => Source::file(&kept_beside(&home)),
                Err(_) if kind == SourceKind::File => Source::file(&home.key_file()),
                Err(_) => Source::keyring("test"),
            };
            // Its key is where it was told to be.
            if kind == SourceKind::File {
                home.file = Some(place.location.clone().into());
            }
            assert!(put_back(&home, &aside).await.same(&before), "{kind:?} {to:?} {step:?}");
            // What nobody needs goes.
            let rotated = home.vault().rotate(Rotate::default()).await.unwrap();
            assert!(rotated.old_deleted && rotated.kept_for.is_none(), "{rotated:?}");
        }
    }
}

#[tokio::test]
async fn two_profiles_of_one_keyring_rotate_without_each_other() {
    let first = Home::beside(&Home::new(Mood::Works));
    let second = Home::beside(&first);
    let keys = (first.unlocked().await.keys, second.unlocked().await.keys);
    for _ in 0..2 {
        for home in [&first, &second] {
            let rotated = home.vault().rotate(Rotate::default()).await.unwrap();
            assert!(rotated.old_deleted && rotated.left.is_empty(), "{rotated:?}");
            assert!(first.unlocked().await.keys.same(&keys.0));
            assert!(second.unlocked().await.keys.same(&keys.1));
        }
    }
    assert_eq!(first.keyring.entries.lock().unwrap().len(), 2, "each has one key");
}

/// As those were made that had not been named, wherever they lay: the second has found the key of the first.
#[tokio::test]
async fn a_key_that_two_profiles_have_in_common_opens_both_ever_after() {
    for step in [None, Some(Step::Sealed), Some(Step::Verified)] {
        let mut first = Home::beside(&Home::new(Mood::Works));
        let mut second = Home::beside(&first);
        (first.entry, second.entry) = ("default".into(), "default".into());
        let keys = (first.unlocked().await.keys, second.unlocked().await.keys);
        assert_eq!(first.keyring.entries.lock().unwrap().len(), 1);
        (first.entry, second.entry) = (first.name(), second.name());
        for home in [&first, &second] {
            let rotated =
                home.vault().rotate_by_steps(Rotate::default(), &mut |at| if Some(at) == step { Err(killed()) } else { Ok(()) }).await;
            if let Ok(rotated) = rotated {
                assert_eq!((rotated.old_deleted, rotated.old.location.as_str()), (false, "default"));
                assert!(rotated.left.len() == 1 && rotated.left[0].contains("`default`"), "{rotated:?}");
            }
            assert!(first.unlocked().await.keys.same(&keys.0), "{step:?}");
            assert!(second.unlocked().await.keys.same(&keys.1), "{step:?}");
        }
        // What each has made since is its own.
        for home in [&first, &second] {
            assert!(!home.vault().state().unwrap().unfinished);
            let rotated = home.vault().rotate(Rotate::default()).await.unwrap();
            assert!(rotated.old_deleted && rotated.left.is_empty(), "{rotated:?}");
        }
        assert!(first.unlocked().await.keys.same(&keys.0) && second.unlocked().await.keys.same(&keys.1));
        assert_eq!(first.keyring.entries.lock().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn an_old_key_that_cannot_be_deleted_is_told_of_and_the_new_one_is_in_force() {
    use SourceKind::{Environment, File, Keyring};
    for kind in [Keyring, File, Environment] {
        let mut home = home(Keyring).await;
        let (_, _, old_master, keys) = home.vault().unseal().await.unwrap();
        let keyring = Arc::clone(&home.keyring);
        let mut refuse = |step| {
            if step == Step::Verified {
                keyring.feel(Mood::Keeps);
            }
            Ok(())
        };
        let rotated = home.vault().rotate_by_steps(to(kind), &mut refuse).await.unwrap();
        assert_eq!((rotated.generation, rotated.source.kind, rotated.old_deleted), (2, kind, false));
        assert!(rotated.left.len() == 1 && rotated.left[0].contains("within 5 s"), "{rotated:?}");
        new_environment(&mut home, kind);
        let (envelope, source, _, same) = home.vault().unseal().await.unwrap();
        assert!(same.same(&keys) && source == rotated.source && envelope.open(&old_master).is_err());
        assert!(home.vault().state().unwrap().unfinished, "the note stays");
        assert!(home.unlocked().await.keys.same(&keys), "whoever opens and cannot delete it either goes on");
        home.keyring.feel(Mood::Works);
        assert!(home.unlocked().await.keys.same(&keys));
        assert!(!home.vault().state().unwrap().unfinished);
        assert!(!home.keyring.entries.lock().unwrap().values().any(|kept| kept == old_master.expose()));
        let again = home.vault().rotate(to(Keyring)).await.unwrap();
        assert!(again.generation == 3 && again.left.is_empty(), "{again:?}");
        assert!(home.unlocked().await.keys.same(&keys));
        assert_eq!(home.keyring.entries.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_keyring_that_deletes_nothing_keeps_nobody_from_rotating() {
    let home = home(SourceKind::Keyring).await;
    let keys = home.unlocked().await.keys;
    home.keyring.feel(Mood::Keeps);
    for (generation, left) in [(2, 1), (3, 2), (4, 2)] {
        let rotated = home.vault().rotate(Rotate::default()).await.unwrap();
        assert_eq!((rotated.generation, rotated.old_deleted, rotated.left.len()), (generation, false, left), "{rotated:?}");
        assert!(home.unlocked().await.keys.same(&keys));
    }
    home.keyring.feel(Mood::Works);
    assert!(home.unlocked().await.keys.same(&keys));
    let entries = home.keyring.entries.lock().unwrap().clone();
    assert!(!entries.contains_key("test-g3") && entries.contains_key("test-g4"), "the last that was noted has gone");
}

#[tokio::test]
async fn a_key_file_that_keeps_its_name_from_the_new_one_loses_neither() {
    let home = home(SourceKind::File).await;
    let keys = home.unlocked().await.keys;
    let mut obstruct = |step| {
        if step == Step::Verified {
            fs::remove_file(home.key_file()).unwrap();
            fs::create_dir(home.key_file()).unwrap();
        }
        Ok(())
    };
    let rotated = home.vault().rotate_by_steps(Rotate::default(), &mut obstruct).await.unwrap();
    assert_eq!((rotated.generation, rotated.old_deleted, rotated.left.len()), (2, false, 1), "{rotated:?}");
    assert!(home.unlocked().await.keys.same(&keys), "it lies beside");
    // Its note alone tells where it is.
    assert_eq!(home.vault().rotate(Rotate::default()).await.unwrap_err().code, "key_file_failed");
    assert_eq!(home.vault().rotate(to(SourceKind::Keyring)).await.unwrap_err().code, "key_file_failed");
    assert!(home.unlocked().await.keys.same(&keys));
    fs::remove_dir(home.key_file()).unwrap();
    assert!(home.unlocked().await.keys.same(&keys));
    assert!(!home.vault().state().unwrap().unfinished);
    assert_eq!(home.vault().rotate(Rotate::default()).await.unwrap().generation, 3);
}

fn kept_beside(home: &Home) -> PathBuf {
    let mut files = listing(home.keys.path()).into_keys();
    files.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("cache.key.kept-")).unwrap()
}

#[tokio::test]
async fn what_cannot_be_looked_at_may_need_the_old_key() {
    let home = home(SourceKind::Keyring).await;
    fs::create_dir_all(home.dir.path().join("quarantine/2026/cache.keys")).unwrap();
    let rotated = home.vault().rotate(Rotate::default()).await.unwrap();
    assert_eq!((rotated.old_deleted, rotated.kept_for), (false, Some(home.dir.path().join("quarantine/2026/cache.keys"))));
}

#[tokio::test]
async fn a_key_file_of_two_profiles_is_left_alone() {
    let first = home(SourceKind::File).await;
    assert!(!first.vault().state().unwrap().owners, "it has made the file");
    let mut second = Home::new(Mood::Works);
    (second.file, second.only) = (first.file.clone(), Some(SourceKind::File));
    second.unlocked().await;
    second.only = None;
    let note = first.keys.path().join("cache.key.shared");
    for home in [&first, &second] {
        assert!(home.vault().state().unwrap().owners);
        assert_eq!(home.vault().rotate(Rotate::default()).await.unwrap_err().code, "key_file_shared");
        home.unlocked().await;
    }
    let rotated = second.vault().rotate(to(SourceKind::Keyring)).await.unwrap();
    assert_eq!((rotated.old_deleted, rotated.kept_for), (false, Some(note.clone())));
    // One is left, and says so.
    fs::remove_file(note).unwrap();
    assert!(first.vault().rotate(Rotate::default()).await.unwrap().old_deleted);
    first.unlocked().await;
}

/// Else a rotation would be tried, and fail, every hour.
#[cfg(unix)]
#[tokio::test]
async fn a_key_that_cannot_be_replaced_from_here_is_its_owners() {
    let home = home(SourceKind::File).await;
    assert!(!home.vault().state().unwrap().owners);
    // Root may write everywhere but where nothing is.
    let folder = home.keys.path().to_owned();
    fs::rename(&folder, folder.with_extension("gone")).unwrap();
    assert!(home.vault().state().unwrap().owners);
    fs::rename(folder.with_extension("gone"), &folder).unwrap();
    assert!(!home.vault().state().unwrap().owners);
}

#[tokio::test]
async fn it_is_told_when_the_next_one_is_due() {
    let home = home(SourceKind::Keyring).await;
    let day = Duration::from_secs(24 * 3600);
    let state = home.vault().state().unwrap();
    assert_eq!((state.generation, state.since, state.due(90 * day)), (1, Timestamp(0), Timestamp(0).plus(90 * day)));
    let later = Timestamp(0).plus(7 * day);
    let vault = Vault { dates: Arc::new(ManualClock::at(later)), ..home.vault() };
    assert_eq!(vault.rotate(Rotate::default()).await.unwrap().at, later);
    let state = vault.state().unwrap();
    assert_eq!((state.generation, state.since), (2, later));
}

#[tokio::test]
async fn a_note_that_somebody_wrote_deletes_no_key() {
    let home = home(SourceKind::Keyring).await;
    home.keyring.entries.lock().unwrap().insert("precious".into(), vec![7; 32]);
    let path = home.dir.path().join("cache.keys");
    let text = fs::read_to_string(&path).unwrap();
    let note = r#""change": {"retiring": {"old": {"kind": "keyring", "location": "precious"}}}, "sealed""#;
    fs::write(&path, text.replacen("\"sealed\"", note, 1)).unwrap();
    assert_eq!(home.refused().await, "damaged_envelope");
    assert!(home.keyring.entries.lock().unwrap().contains_key("precious"));
}

#[tokio::test]
async fn a_new_wrapping_key_is_offered_once_and_settled_either_way() {
    let home = home(SourceKind::Keyring).await;
    let vault = home.vault();
    let before = vault.keys().await.unwrap();
    let next = vault.offer_wrapping().await.unwrap();
    let both = home.unlocked().await.keys;
    assert!(both.wrapping.expose() == before.wrapping.expose() && both.next_wrapping.unwrap().expose() == next.expose());
    assert_eq!(vault.offer_wrapping().await.err().unwrap().code, "unsettled_wrapping");
    // A rotation of the master key leaves both.
    vault.rotate(Rotate::default()).await.unwrap();
    assert!(vault.keys().await.unwrap().next_wrapping.is_some());
    vault.settle_wrapping(&next).await.unwrap();
    let after = vault.keys().await.unwrap();
    assert!(
        after.wrapping.expose() == next.expose() && after.next_wrapping.is_none() && after.database.expose() == before.database.expose()
    );
    vault.offer_wrapping().await.unwrap();
    vault.settle_wrapping(&next).await.unwrap();
    assert!(vault.keys().await.unwrap().same(&after));
}
