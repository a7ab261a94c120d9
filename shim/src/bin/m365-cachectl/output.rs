//! Printing: text or JSON on stdout, `error:` and `hint:` lines on stderr.

use std::fmt::Write as _;
use std::io::{ErrorKind, IsTerminal, Write};
use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;

use m365_cached_proto::v1::{Fault, Kind};
use serde::Serialize;
use tokio::time::timeout;

use crate::interrupt;
use crate::views::FaultView;

/// After this a person is told what is waited for.
const SILENT: Duration = Duration::from_secs(1);

/// Something that can be shown both ways.
pub(crate) trait View: Serialize {
    /// What a person reads; ends with a newline.
    fn text(&self, paint: Paint) -> String;
}

/// Where and how to print.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
    stdout: Paint,
    stderr: Paint,
}

impl Output {
    pub(crate) fn of_this_process(json: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { json, stdout: Paint(wanted && std::io::stdout().is_terminal()), stderr: Paint(wanted && std::io::stderr().is_terminal()) }
    }

    /// Prints `view`; in JSON on one line. `false` when nobody reads any more.
    pub(crate) fn show(&self, view: &impl View) -> bool {
        if self.json { self.tells(view) } else { self.prints(|paint| view.text(paint)) }
    }

    /// Prints one line as it is; `false` when nobody reads any more.
    pub(crate) fn line(&self, line: &str) -> bool {
        write(&format!("{line}\n"))
    }

    /// Prints a line of a stream as JSON; `false` when nobody reads any more.
    pub(crate) fn tells(&self, value: &impl Serialize) -> bool {
        self.line(&serde_json::to_string(value).unwrap_or_default())
    }

    /// Prints a line of a stream as a person reads it; `false` when nobody reads any more.
    pub(crate) fn prints(&self, line: impl Fn(Paint) -> String) -> bool {
        write(&harmless(&line(self.stdout), self.stdout))
    }

    /// Says on stderr what goes on, where somebody watches.
    pub(crate) fn progress(&self, what: &str) {
        if std::io::stderr().is_terminal() {
            self.note(&format!("{what} ..."));
        }
    }

    /// Does `work`, and says what it is as soon as it takes longer than a moment.
    pub(crate) async fn meanwhile<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        told_when_slow(work, || self.progress(what)).await
    }

    /// Whether stdout shows colours.
    pub(crate) fn coloured(&self) -> bool {
        self.stdout.0
    }

    /// Writes what another program is to read, as it is.
    ///
    /// # Errors
    /// When stdout takes no more, as on a full disk. A reader that has gone wants no more, and that is none.
    pub(crate) fn raw(&self, bytes: &[u8]) -> std::io::Result<()> {
        match written(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    /// Prints a line on stderr, for whoever watches.
    pub(crate) fn note(&self, line: &str) {
        // With stderr gone there is nobody left to tell.
        let _ = std::io::stderr().write_all(format!("{}\n", harmless(line, self.stderr)).as_bytes());
    }

    /// Asks the person at the terminal a question that no answer answers with no; `None` when nobody is there.
    pub(crate) fn ask(&self, question: &str) -> Option<bool> {
        if !self.asks() {
            return None;
        }
        let (mut stderr, stdin) = (std::io::stderr(), std::io::stdin());
        let text = format!("{}\n{} ", harmless(question, self.stderr), self.stderr.strong("Do it? [y/N]"));
        let mut answer = String::new();
        // A terminal that cannot be written or read has nobody at it.
        let _asking = interrupt::asking(|| ());
        stderr.write_all(text.as_bytes()).ok()?;
        stdin.read_line(&mut answer).ok()?;
        Some(is_yes(&answer))
    }

    /// Whether a person is there who can be asked.
    pub(crate) fn asks(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Asks the person at the terminal for a line; empty when they typed none, `None` when nobody is there.
    pub(crate) fn prompt(&self, question: &str) -> Option<String> {
        if !self.asks() {
            return None;
        }
        let text = format!("{} ", self.stderr.strong(&harmless(question, self.stderr)));
        let mut answer = String::new();
        let _asking = interrupt::asking(|| ());
        // A terminal that cannot be written or read, or that has been closed, has nobody at it.
        std::io::stderr().write_all(text.as_bytes()).ok()?;
        if std::io::stdin().read_line(&mut answer).ok()? == 0 {
            return None;
        }
        Some(answer.trim().to_owned())
    }

    /// Prints why it failed.
    pub(crate) fn fault(&self, fault: &Fault) {
        if self.json {
            #[derive(Serialize)]
            struct Envelope {
                error: FaultView,
            }
            self.line(&serde_json::to_string(&Envelope { error: fault.into() }).unwrap_or_default());
        } else {
            // With stderr gone there is nobody left to tell.
            let _ = std::io::stderr().write_all(harmless(&fault_text(fault, self.stderr), self.stderr).as_bytes());
        }
    }
}

async fn told_when_slow<T>(work: impl Future<Output = T>, tell: impl FnOnce()) -> T {
    let mut work = pin!(work);
    match timeout(SILENT, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            tell();
            work.await
        }
    }
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

fn fault_text(fault: &Fault, paint: Paint) -> String {
    let mut text = format!("{} {}\n", paint.bad("error:"), fault.message);
    if !fault.hint.is_empty() {
        let _ = writeln!(text, "{} {}", paint.strong("hint:"), fault.hint);
    }
    text
}

/// Why stdout took no more, when it was not its reader who had gone.
static LOST: OnceLock<String> = OnceLock::new();

/// What to say when not all of the output was taken, as on a full disk. A reader that has gone (`| head`) wants no more, and that is no fault.
pub(crate) fn lost() -> Option<Fault> {
    let why = LOST.get()?;
    let message = format!("the output was not written, or not all of it: {why}");
    Some(Fault::new(Kind::User, "cannot_write", message, "What was asked for is done. Let the output go to a place with room."))
}

fn write(text: &str) -> bool {
    let written = written(text.as_bytes());
    if let Err(error) = &written
        && error.kind() != ErrorKind::BrokenPipe
    {
        LOST.get_or_init(|| error.to_string());
    }
    written.is_ok()
}

fn written(bytes: &[u8]) -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    stdout.write_all(bytes).and_then(|()| stdout.flush())
}

/// Takes the teeth out of control characters, which a subject or a name may carry to play with a terminal.
fn harmless(text: &str, paint: Paint) -> String {
    let tame = |c: char| !c.is_control() || c == '\n' || c == '\t';
    if text.chars().all(tame) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if paint.0
            && let Some(code) = CODES.iter().find(|code| rest.starts_with(**code))
        {
            out.push_str(code);
            rest = &rest[code.len()..];
            continue;
        }
        if tame(c) {
            out.push(c);
        } else {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
        rest = &rest[c.len_utf8()..];
    }
    out
}

const RED: &str = "\u{1b}[1;31m";
const GREEN: &str = "\u{1b}[32m";
const YELLOW: &str = "\u{1b}[33m";
const STRONG: &str = "\u{1b}[1m";
const PLAIN: &str = "\u{1b}[0m";
const CODES: [&str; 5] = [RED, GREEN, YELLOW, STRONG, PLAIN];

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    #[cfg(test)]
    pub(crate) const OFF: Self = Self(false);

    pub(crate) fn good(self, text: &str) -> String {
        self.paint(GREEN, text)
    }

    pub(crate) fn warn(self, text: &str) -> String {
        self.paint(YELLOW, text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.paint(RED, text)
    }

    pub(crate) fn strong(self, text: &str) -> String {
        self.paint(STRONG, text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("{code}{text}{PLAIN}") } else { text.to_owned() }
    }
}

/// Rows in columns as wide as they must be, two spaces apart. The last column is not padded.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let pad = if column + 1 == row.len() { 0 } else { widths[column] + 2 - cell.chars().count() };
            let _ = write!(line, "{cell}{:pad$}", "");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `1.4 MB`: decimal units, as disks are sold.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut tenths = count / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `1 entry`, `2 entries`, `2 refreshes`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    match (count, one.strip_suffix('y')) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) if one.ends_with("sh") => format!("{count} {one}es"),
        (_, None) => format!("{count} {one}s"),
    }
}

/// `3 h 12 min`: the two largest units.
pub(crate) fn seconds(count: u64) -> String {
    match count {
        0..60 => format!("{count} s"),
        60..3600 => format!("{} min {} s", count / 60, count % 60),
        3600..86_400 => format!("{} h {} min", count / 3600, count % 3600 / 60),
        _ => format!("{} d {} h", count / 86_400, count % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use m365_cached_proto::v1::Kind;

    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(["y\n", " YES \n"].into_iter().all(is_yes));
        assert!(!["", "\n", "n", "yeah", "ok", "1"].into_iter().any(is_yes));
    }

    #[test]
    fn what_takes_long_is_told_once_and_goes_on() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (tell, told) = tokio::sync::oneshot::channel();
        // It ends when it has been told, and not before.
        let slow = async { told.await.is_ok() };
        assert!(runtime.block_on(told_when_slow(slow, || tell.send(()).unwrap())));
        assert_eq!(runtime.block_on(told_when_slow(async { 7 }, || panic!("it took no time"))), 7);
    }

    #[test]
    fn one_is_told_from_many() {
        let of = |count| ["answer", "entry", "refresh"].map(|one| counted(count, one)).join(", ");
        assert_eq!(of(1), "1 answer, 1 entry, 1 refresh");
        assert_eq!(of(0), "0 answers, 0 entries, 0 refreshes");
    }

    #[test]
    fn faults_are_two_lines_or_one() {
        let fault = Fault::new(Kind::SignIn, "sign_in_required", "nobody is signed in", "Run `m365-cachectl login`.");
        assert_eq!(fault_text(&fault, Paint::OFF), "error: nobody is signed in\nhint: Run `m365-cachectl login`.\n");
        assert_eq!(fault_text(&Fault { hint: String::new(), ..fault }, Paint::OFF), "error: nobody is signed in\n");
    }

    #[test]
    fn a_name_cannot_play_with_the_terminal() {
        let hostile = "Ada\u{1b}[2J\u{9b}31m\u{7}\n";
        let shown = "Ada\\u{1b}[2J\\u{9b}31m\\u{7}\n";
        assert_eq!(harmless(hostile, Paint::OFF), shown);
        let painted = Paint(true).good("ok");
        assert_eq!(harmless(&format!("{painted} {hostile}"), Paint(true)), format!("{painted} {shown}"));
    }

    #[test]
    fn figures_read_well() {
        let figures = [0, 999, 1000, 1449, 999_999, 20_100_000, 3_000_000_000, u64::MAX].map(bytes);
        assert_eq!(figures, ["0 B", "999 B", "1.0 kB", "1.4 kB", "999.9 kB", "20.1 MB", "3.0 GB", "18446744.0 TB"]);
        assert_eq!([5, 65, 11_520, 90_000].map(seconds), ["5 s", "1 min 5 s", "3 h 12 min", "1 d 1 h"]);
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".into(), "bcd".into(), "e".into()], vec!["fgé".into(), "h".into()]];
        assert_eq!(table(&rows), "a    bcd  e\nfgé  h\n");
    }
}
