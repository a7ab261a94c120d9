//! Local files: what is opened, what is refused, and what a planted link can do.

use super::*;
use crate::chance::SeededDice;

const OLD: Duration = Duration::from_secs(1800);

struct Home {
    dir: tempfile::TempDir,
    roots: Roots,
}

impl Home {
    /// `allowed/` with `a.txt` and `sub/`, and `outside/secret`.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["allowed/sub", "outside"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("allowed/a.txt"), b"hello").unwrap();
        std::fs::write(dir.path().join("outside/secret"), b"secret").unwrap();
        let roots = Roots::new(vec![dir.path().join("allowed")], Arc::new(SeededDice::new(2)));
        Self { dir, roots }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    #[cfg(unix)]
    fn link(&self, to: &str, at: &str) {
        std::os::unix::fs::symlink(self.path(to), self.path(at)).unwrap();
    }
}

fn cause<T>(result: Result<T, TransferError>) -> Cause {
    result.map(|_| ()).unwrap_err().cause
}

#[tokio::test]
async fn a_file_is_read_in_pieces() {
    let home = Home::new();
    let absolute = home.path("allowed/a.txt");
    for given in ["a.txt", absolute.to_str().unwrap()] {
        let file = home.roots.open(given, 5).unwrap();
        assert_eq!((file.name.as_str(), file.size, file.content_type.as_str()), ("a.txt", 5, "text/plain"));
        assert_eq!(file.read(1, 3).await.unwrap(), "ell");
        assert!(matches!(cause(file.read(3, 3).await), Cause::Changed));
    }
    assert!(matches!(cause(home.roots.open("a.txt", 4)), Cause::TooLarge(4)));
    assert!(matches!(cause(home.roots.open("b.txt", 5)), Cause::NoFile));
    assert!(matches!(cause(home.roots.open("no/b.txt", 5)), Cause::NoFolder));
    assert!(matches!(cause(home.roots.open("a.txt/b.txt", 5)), Cause::NoFolder));
    assert!(matches!(cause(home.roots.open("sub", 5)), Cause::NotAFile));
    assert!(matches!(cause(home.roots.open("../outside/secret", 9)), Cause::Path(path::Fault::Climbs, _)));
    let outside = home.path("outside/secret");
    assert!(matches!(cause(home.roots.open(outside.to_str().unwrap(), 9)), Cause::Path(path::Fault::Outside, _)));
}

#[cfg(unix)]
#[test]
fn links_are_followed_neither_to_read_nor_to_write() {
    let home = Home::new();
    home.link("outside/secret", "allowed/link");
    home.link("outside", "allowed/way");
    home.link("allowed/sub", "allowed/inside");
    assert!(matches!(cause(home.roots.open("link", 9)), Cause::NotAFile));
    assert!(matches!(cause(home.roots.open("way/secret", 9)), Cause::NoFolder));
    assert!(matches!(cause(home.roots.open("inside/x", 9)), Cause::NoFolder));
    assert!(matches!(cause(home.roots.create("way/new", OLD)), Cause::NoFolder));
    assert!(matches!(cause(home.roots.create("link", OLD)), Cause::Exists));
    // Nor one that stays within the folder: what it leads to may be exchanged.
    std::os::unix::fs::symlink("a.txt", home.path("allowed/near")).unwrap();
    assert!(matches!(cause(home.roots.open("near", 9)), Cause::NotAFile));
    home.link("outside/nothing", "allowed/dangling");
    assert!(matches!(cause(home.roots.create("dangling", OLD)), Cause::Exists));
    assert!(!home.path("outside/new").exists() && !home.path("outside/nothing").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_does_not_hold_us_up() {
    let home = Home::new();
    rustix::fs::mknodat(rustix::fs::CWD, home.path("allowed/pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    assert!(matches!(cause(home.roots.open("pipe", 9)), Cause::NotAFile));
}

/// The folder is exchanged for a link after the way to it was opened: what is written lands in the folder, not behind the link.
#[cfg(unix)]
#[tokio::test]
async fn a_link_planted_after_the_opening_leads_nowhere() {
    let home = Home::new();
    let mut draft = home.roots.create("sub/new", OLD).unwrap();
    std::fs::rename(home.path("allowed/sub"), home.path("allowed/moved")).unwrap();
    home.link("outside", "allowed/sub");
    draft.write(b"new").await.unwrap();
    draft.publish(None).await.unwrap();
    assert!(!home.path("outside/new").exists());
    assert_eq!(std::fs::read(home.path("allowed/moved/new")).unwrap(), b"new");
}

/// While a name keeps changing between a file and a link to a secret, only the file is ever read.
#[cfg(unix)]
#[tokio::test]
async fn a_race_of_file_and_link_never_shows_the_secret() {
    let home = Home::new();
    std::fs::write(home.path("file"), b"public").unwrap();
    std::fs::write(home.path("allowed/secret"), b"secret").unwrap();
    std::os::unix::fs::symlink("secret", home.path("link")).unwrap();
    let (one, other, name) = (home.path("file"), home.path("link"), home.path("allowed/name"));
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = done.clone();
    let swapping = std::thread::spawn(move || {
        let mut turns = 0;
        while !stop.load(std::sync::atomic::Ordering::SeqCst) || turns < 100 {
            for from in [&one, &other] {
                std::fs::rename(from, &name).unwrap();
                std::fs::rename(&name, from).unwrap();
                turns += 1;
            }
        }
    });
    for _ in 0..3000 {
        if let Ok(file) = home.roots.open("name", 99) {
            assert_eq!(file.read(0, file.size).await.unwrap(), "public");
        }
    }
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    swapping.join().unwrap();
}

#[test]
fn an_allowed_folder_is_made_when_it_is_first_written_to() {
    let home = Home::new();
    let folder = home.path("new/m365");
    let roots = Roots::new(vec![folder.clone()], Arc::new(SeededDice::new(3)));
    assert!(matches!(cause(roots.open("a", 9)), Cause::NoFolder));
    assert!(!folder.exists(), "reading makes nothing");
    drop(roots.create("a", OLD).unwrap());
    assert!(folder.is_dir());
}

#[test]
fn types_go_by_the_ending() {
    for (name, kind) in [
        ("a.PDF", "application/pdf"),
        ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a", "application/octet-stream"),
        ("a.exe.unknown-ending", "application/octet-stream"),
    ] {
        assert_eq!(content_type(name), kind, "{name}");
    }
}
