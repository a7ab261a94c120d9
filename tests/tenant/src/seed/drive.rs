//! Seeded files: a tree at most six deep, names that need care, sizes with a long tail.

use super::prng::Prng;
use super::prose::{CANARY, TOPICS};
use super::{Amounts, User, before_now};
use crate::graph::store::{Content, Drive, Item, ROOT};

const EXTENSIONS: &[&str] = &["docx", "docx", "xlsx", "pptx", "pdf", "txt", "md", "csv", "png", "jpg", "json", "zip"];

/// A file that is too large for one upload, and costs nothing to keep.
const SPARSE: &str = "backup image.vhd";
/// So many folders lie inside one another with names so long that the path of the file in them is as long as it may be.
const DEEP: usize = 4;
const LONGEST_PATH: usize = 400;

/// Puts folders and files into a drive that has only its root.
pub(super) fn fill(drive: &mut Drive, user: &User, amounts: &Amounts, seed: u64) {
    let mut prng = Prng::new(seed, &format!("files {}", user.username));
    let mut folders = vec![(ROOT, 0)];
    let add = |drive: &mut Drive, parent: u32, name: String, content: Option<Content>, prng: &mut Prng| {
        let name = if drive.taken(parent, &name, u32::MAX) { drive.free_name(parent, &name) } else { name };
        let mut item = Item::new(name, parent, content, before_now(prng.between(1, 800 * 86_400)), drive.owner);
        item.created = before_now(prng.between(800, 900) * 86_400);
        item.version = u32::try_from(prng.between(1, 9)).unwrap_or(1);
        let number = drive.add(item);
        drive.place(number);
        number
    };
    for (name, special) in [("Documents", Some("documents")), ("Pictures", Some("photos")), ("Attachments", None), ("Apps", None)] {
        let number = add(drive, ROOT, name.to_owned(), None, &mut prng);
        if let Some(item) = drive.items.get_mut(number as usize).and_then(Option::as_mut) {
            item.special = special;
        }
        folders.push((number, 1));
    }
    let odd_folders = [
        "100% & more #1",
        "O'Neill's folder",
        "\u{5ea}\u{5d9}\u{5e7}\u{5d9}\u{5d9}\u{5d4}",
        "caf\u{e9} \u{2615} plans",
        "semi;colon, comma = equals + plus",
    ];
    while folders.len() + DEEP < amounts.drive_folders {
        let index = folders.len() - 5;
        let (parent, depth) = folders[prng.below(folders.len())];
        let (parent, depth) = if index < odd_folders.len() { (folders[1].0, 1) } else { (parent, depth) };
        if depth >= 6 {
            continue;
        }
        let name = match odd_folders.get(index) {
            Some(name) => (*name).to_owned(),
            None => format!("{} {}", prng.pick(TOPICS), prng.between(2019, 2026)),
        };
        folders.push((add(drive, parent, name, None, &mut prng), depth + 1));
    }
    let odd_files = [
        ("100% final #2.txt", 1_200),
        ("it's here.txt", 900),
        ("50%25 off.txt", 400),
        ("empty.txt", 0),
        ("\u{5e9}\u{5dc}\u{5d5}\u{5dd}.docx", 7_000),
        ("\u{1f4c4} report (1) [v2] {x} ~$.md", 3_000),
        ("a+b=c & d@e!.csv", 2_000),
        ("r\u{e9}sum\u{e9}.pdf", 30_000),
        ("big video.zip", 5_000_000),
        ("no extension", 77),
        (".hidden", 10),
        ("Case Twin.TXT", 50),
        (SPARSE, 300 << 20),
    ];
    // The deep folders and the file at their end come last.
    for index in 0..amounts.drive_items.saturating_sub(folders.len() + DEEP) {
        let (parent, name, length) = match odd_files.get(index) {
            Some((name, length)) => (folders[1].0, (*name).to_owned(), *length),
            None => {
                let canary = if index % 23 == 0 { format!(" {CANARY}") } else { String::new() };
                let name = format!("{}{canary} {}.{}", prng.pick(TOPICS), prng.between(1, 9_999), prng.pick(EXTENSIONS));
                // A few folders hold much, many hold little.
                let at = prng.below(folders.len());
                (folders[prng.below(at + 1)].0, name, prng.length(3_000.0, 1.0).clamp(20, 250_000) as u64)
            }
        };
        let text = [".txt", ".md", ".csv", ".json"].iter().any(|extension| name.to_lowercase().ends_with(extension));
        let content = match name.as_str() {
            SPARSE => Content::Sparse { length },
            _ => Content::Seeded { seed: prng.next(), length, text },
        };
        add(drive, parent, name, Some(content), &mut prng);
    }
    let mut parent = folders[1].0;
    for level in 0..DEEP {
        let name = format!("Level {} of a path that is as long as a path may be, because a sentence was put here", level + 1);
        parent = add(drive, parent, name, None, &mut prng);
    }
    let above: usize = drive.path(parent).into_iter().map(|name| name.chars().count() + 1).sum();
    let name = format!("{}.txt", "x".repeat(LONGEST_PATH - above - "/.txt".len()));
    add(drive, parent, name, Some(Content::Seeded { seed: prng.next(), length: 640, text: true }), &mut prng);
}
