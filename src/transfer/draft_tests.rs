//! Files that are being written: what is seen of them, what is left, and what is never replaced.

use cap_std::ambient_authority;

use super::*;
use crate::chance::SeededDice;

const OLD: Duration = Duration::from_secs(1800);

fn open(home: &tempfile::TempDir) -> Dir {
    Dir::open_ambient_dir(home.path(), ambient_authority()).unwrap()
}

fn begun() -> (tempfile::TempDir, Draft) {
    let home = tempfile::tempdir().unwrap();
    let draft = Draft::begin(open(&home), "a.pdf".into(), home.path().to_owned(), &SeededDice::new(1), OLD).unwrap();
    (home, draft)
}

/// One as it is where every file has a name.
fn hidden() -> (tempfile::TempDir, Draft) {
    let home = tempfile::tempdir().unwrap();
    let (hidden, file) = Hidden::create(open(&home), ".m365-00000000000000aa.part".into()).unwrap();
    let file = File::from_std(file.into_std());
    let draft = Draft { part: Part::Hidden(hidden), name: "a.pdf".into(), shown: home.path().to_owned(), file, written: 0 };
    (home, draft)
}

fn names(home: &tempfile::TempDir) -> Vec<String> {
    std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_file_appears_whole_and_alone() {
    for (home, mut draft) in [begun(), hidden()] {
        draft.write(b"lost").await.unwrap();
        draft.restart().await.unwrap();
        draft.write(b"kept").await.unwrap();
        assert!(names(&home).iter().all(|name| is_hidden(name)), "unseen until it is whole");
        let saved = draft.publish(None).await.unwrap();
        assert_eq!(saved, Saved { path: home.path().join("a.pdf"), size: 4, content_type: "application/pdf".into() });
        assert_eq!((names(&home), std::fs::read(&saved.path).unwrap()), (vec!["a.pdf".to_owned()], b"kept".to_vec()));
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&saved.path).unwrap().permissions()) & 0o777, 0o600);
    }
}

#[tokio::test]
async fn what_is_given_up_leaves_nothing() {
    for (home, mut draft) in [begun(), hidden()] {
        draft.write(b"half").await.unwrap();
        drop(draft);
        assert_eq!(names(&home), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_name_taken_meanwhile_is_left_alone() {
    for (home, mut draft) in [begun(), hidden()] {
        draft.write(b"new").await.unwrap();
        std::fs::write(home.path().join("a.pdf"), b"theirs").unwrap();
        let error = draft.publish(None).await.unwrap_err();
        assert!(matches!(error.cause, Cause::Exists), "{error:?}");
        assert_eq!((names(&home), std::fs::read(home.path().join("a.pdf")).unwrap()), (vec!["a.pdf".to_owned()], b"theirs".to_vec()));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_planted_under_the_name_is_left_alone() {
    for (home, mut draft) in [begun(), hidden()] {
        draft.write(b"new").await.unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("x"), home.path().join("a.pdf")).unwrap();
        assert!(matches!(draft.publish(None).await.unwrap_err().cause, Cause::Exists));
        assert!(!elsewhere.path().join("x").exists());
    }
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
#[test]
fn renaming_where_there_are_no_second_names_replaces_nothing() {
    let home = tempfile::tempdir().unwrap();
    let dir = open(&home);
    dir.write("from", b"new").unwrap();
    dir.write("taken", b"theirs").unwrap();
    assert!(rename_new(&dir, "from", "taken").is_err());
    assert_eq!(dir.read("taken").unwrap(), b"theirs");
    rename_new(&dir, "from", "to").unwrap();
    assert_eq!(dir.read("to").unwrap(), b"new");
}

/// Whatever ends the process, nothing of it is there.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn while_it_is_written_it_has_no_name() {
    let (home, mut draft) = begun();
    draft.write(b"half").await.unwrap();
    assert!(matches!(draft.part, Part::Nameless(..)), "the file system of `{}` keeps no file without a name", home.path().display());
    assert_eq!(names(&home), Vec::<String>::new());
}

#[test]
fn where_no_name_can_be_given_later_it_is_copied_and_nothing_is_replaced() {
    let home = tempfile::tempdir().unwrap();
    let copied = |name: &str| {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, b"whole").unwrap();
        by_copy(file, open(&home), ".m365-00000000000000aa.part".into(), name)
    };
    std::fs::write(home.path().join("taken"), b"theirs").unwrap();
    assert_eq!(copied("taken").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    copied("a.pdf").unwrap();
    let mut all = names(&home);
    all.sort();
    assert_eq!(all, ["a.pdf", "taken"]);
    assert_eq!(
        (std::fs::read(home.path().join("a.pdf")).unwrap(), std::fs::read(home.path().join("taken")).unwrap()),
        (b"whole".to_vec(), b"theirs".to_vec())
    );
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(home.path().join("a.pdf")).unwrap().permissions()) & 0o777,
        0o600
    );
}

const LEFT: &str = ".m365-0123456789abcdef.part";

#[test]
fn what_a_killed_download_has_left_goes_with_the_next_one() {
    let home = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(home.path().join(LEFT)).unwrap();
    let begin = || drop(Draft::begin(open(&home), "a.pdf".into(), home.path().to_owned(), &SeededDice::new(1), OLD).unwrap());
    begin();
    assert_eq!(names(&home), [LEFT], "its transfer may still run");
    file.set_modified(file.metadata().unwrap().modified().unwrap() - OLD - Duration::from_secs(1)).unwrap();
    begin();
    assert_eq!(names(&home), Vec::<String>::new());
}

#[test]
fn what_only_looks_like_a_left_file_stays() {
    let home = tempfile::tempdir().unwrap();
    let dir = open(&home);
    let (young, folder) = (".m365-00000000000000bb.part", ".m365-00000000000000cc.part");
    let alike = [".m365-0123456789ABCDEF.part", ".m365-0123456789abcde.part", ".m365-0123456789abcdef.pdf", "m365-0123456789abcdef.part"];
    std::fs::create_dir(home.path().join(folder)).unwrap();
    for name in [LEFT, young].into_iter().chain(alike) {
        std::fs::write(home.path().join(name), b"half").unwrap();
    }
    let mut stay: Vec<&str> = alike.into_iter().chain([folder, young]).collect();
    #[cfg(unix)]
    {
        let link = ".m365-00000000000000dd.part";
        std::os::unix::fs::symlink("somewhere", home.path().join(link)).unwrap();
        stay.push(link);
    }
    let mine = dir.symlink_metadata(LEFT).unwrap();
    let now = mine.modified().unwrap().into_std() + OLD + Duration::from_secs(60);
    std::fs::File::options().write(true).open(home.path().join(young)).unwrap().set_modified(now - OLD).unwrap();
    #[cfg(unix)]
    {
        remove_left(&dir, owner(&mine) + 1, now, OLD);
        assert!(names(&home).contains(&LEFT.to_owned()), "it is another user's");
    }
    remove_left(&dir, owner(&mine), now, OLD);
    stay.sort_unstable();
    let mut there = names(&home);
    there.sort();
    assert_eq!(there, stay);
}
