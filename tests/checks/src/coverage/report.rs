//! The counts as people and programs read them.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use serde::Serialize;

use super::lines::Counts;

/// The share of the library's lines that its tests must run, in percent.
const ENOUGH: f64 = 95.0;

/// How many lines there are, and how many of them were run.
#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Share {
    lines: usize,
    run: usize,
    percent: f64,
}

#[derive(Debug, Serialize)]
struct File {
    file: String,
    #[serde(flatten)]
    share: Share,
    /// First and last of each stretch that nothing ran.
    missed: Vec<(usize, usize)>,
}

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The library: what is in `src/`.
    library: Share,
    /// By room of the library, and the other crates each as one.
    folders: BTreeMap<String, Share>,
    files: Vec<File>,
}

impl Share {
    fn add(&mut self, other: Self) {
        *self = Self::new(self.lines + other.lines, self.run + other.run);
    }

    #[expect(clippy::cast_precision_loss, reason = "a share of two digits")]
    fn new(lines: usize, run: usize) -> Self {
        Self { lines, run, percent: (run as f64 / lines.max(1) as f64 * 10_000.0).floor() / 100.0 }
    }
}

impl Report {
    pub(super) fn new(counts: Counts) -> Self {
        let mut report = Self { library: Share::default(), folders: BTreeMap::new(), files: Vec::new() };
        for (path, lines) in counts {
            let share = Share::new(lines.len(), lines.values().filter(|times| **times > 0).count());
            if path.starts_with("src") {
                report.library.add(share);
            }
            report.folders.entry(folder(&path)).or_default().add(share);
            let missed = stretches(lines.into_iter().filter(|(_, times)| *times == 0).map(|(line, _)| line));
            report.files.push(File { file: path.display().to_string(), share, missed });
        }
        report
    }

    /// Whether the library has its share.
    pub(super) fn enough(&self) -> bool {
        self.library.percent >= ENOUGH
    }

    pub(super) fn json(&self) -> anyhow::Result<String> {
        Ok(format!("{}\n", serde_json::to_string(self)?))
    }

    /// By folder; with the lines that nothing ran, the files with most of them first.
    pub(super) fn table(&self, missed: bool) -> anyhow::Result<String> {
        let mut text = String::new();
        if missed {
            let mut files: Vec<&File> = self.files.iter().filter(|file| !file.missed.is_empty()).collect();
            files.sort_by_key(|file| std::cmp::Reverse(file.share.lines - file.share.run));
            for File { file, share, missed } in files {
                let missed =
                    missed.iter().map(|(first, last)| if first == last { format!(" {first}") } else { format!(" {first}-{last}") });
                writeln!(text, "{} of {} in {file}:{}", share.lines - share.run, share.lines, missed.collect::<String>())?;
            }
            text.push('\n');
        }
        text.push_str("| Folder | Lines | Run | Share |\n|---|---|---|---|\n");
        let library = ("the library, `src/`".to_owned(), self.library);
        let folders = self.folders.iter().map(|(folder, share)| (format!("`{folder}`"), *share));
        for (folder, Share { lines, run, percent }) in folders.chain([library]) {
            writeln!(text, "| {folder} | {lines} | {run} | {percent:.2} % |")?;
        }
        Ok(text)
    }
}

/// The row in which a file is counted.
fn folder(path: &Path) -> String {
    let mut parts = path.iter().map(|part| part.to_string_lossy());
    let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    match parts.next() {
        _ if first != "src" => format!("{first}/"),
        Some(_) => format!("{first}/{second}/"),
        None => format!("{first}/*.rs"),
    }
}

/// Numbers that follow each other as first and last.
fn stretches(numbers: impl Iterator<Item = usize>) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => found.push((number, number)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn report(files: &[(&str, &[u64])]) -> Report {
        let lines = |times: &[u64]| times.iter().enumerate().map(|(at, times)| (at + 1, *times)).collect();
        Report::new(files.iter().map(|(path, times)| (PathBuf::from(path), lines(times))).collect())
    }

    #[test]
    fn only_the_library_is_judged() {
        let all = [9; 19];
        let rest = [("daemon/src/main.rs", &[0, 0][..]), ("src/room/mod.rs", &[0][..])];
        let met = report(&[&[("src/lib.rs", &all[..])], &rest[..]].concat());
        assert!(met.enough(), "{met:?}");
        assert!(!report(&[&[("src/lib.rs", &all[..18])], &rest[..]].concat()).enough(), "94.7 of 100 are not 95");
    }

    #[test]
    fn the_table_has_a_row_for_each_room_and_one_for_each_other_crate() {
        let report = report(&[("src/lib.rs", &[1]), ("src/a/b/c.rs", &[1, 0, 0, 1, 0]), ("src/a/d.rs", &[1]), ("shim/src/bin/x.rs", &[0])]);
        assert_eq!(
            report.table(true).unwrap(),
            "3 of 5 in src/a/b/c.rs: 2-3 5\n1 of 1 in shim/src/bin/x.rs: 1\n\n| Folder | Lines | Run | Share |\n|---|---|---|---|\n\
             | `shim/` | 1 | 0 | 0.00 % |\n| `src/*.rs` | 1 | 1 | 100.00 % |\n| `src/a/` | 6 | 3 | 50.00 % |\n\
             | the library, `src/` | 7 | 4 | 57.14 % |\n"
        );
    }
}
