//! What the demo saw: as a table for people, as one JSON object for programs, and the verdict.

use std::{fmt::Write as _, io::Write as _};

use serde::Serialize;

use crate::support::scan::Hit;

/// One question's figures.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    /// Until the last of the clients that asked at once had its answer.
    pub(super) first_ms: f64,
    pub(super) cached_p50_us: f64,
    pub(super) cached_p99_us: f64,
    pub(super) cached_max_us: f64,
    pub(super) graph_calls_first: u64,
    pub(super) graph_calls_cached: u64,
    /// Calls that waited for another client's fetch.
    pub(super) coalesced: u64,
    pub(super) answer_bytes: usize,
    pub(super) repeats: usize,
    /// Answers that were not the same as the first client's first one.
    pub(super) differ: usize,
    pub(super) limit_ms: Option<f64>,
}

/// Everything the demo saw.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) clients: usize,
    pub(super) tools: Vec<Row>,
    pub(super) contradictions: Vec<String>,
    pub(super) plaintext: Vec<Hit>,
    pub(super) needles: usize,
    pub(super) scanned_bytes: u64,
    pub(super) entries: u64,
    pub(super) store_bytes: u64,
    pub(super) raw_bytes: u64,
    pub(super) file_bytes: u64,
}

#[derive(Serialize)]
struct Printed<'a> {
    clients: usize,
    tools: &'a [Row],
    answers_differ: usize,
    plaintext_hits: usize,
    store_bytes: u64,
    raw_bytes: u64,
    entries: u64,
    file_bytes: u64,
    tree_speedup: f64,
    scanned_bytes: u64,
    needles: usize,
    verdict: &'a [String],
}

impl Report {
    /// What was not as it should be; empty when all was.
    pub(super) fn verdict(&self) -> Vec<String> {
        let mut wrong = self.contradictions.clone();
        for row in &self.tools {
            if row.differ > 0 {
                wrong.push(format!("{}: {} answers differ", row.name, row.differ));
            }
            if row.graph_calls_cached > 0 {
                wrong.push(format!("{}: cached answers made {} Graph calls", row.name, row.graph_calls_cached));
            }
            if let Some(limit) = row.limit_ms
                && row.cached_p99_us > limit * 1000.0
            {
                wrong.push(format!("{}: a cached answer took {} ms, more than {limit}", row.name, row.cached_p99_us / 1000.0));
            }
        }
        for hit in &self.plaintext {
            wrong.push(format!("plain text ({}) in {}: {}", hit.form, hit.file.display(), hit.text));
        }
        wrong
    }

    /// First answer against cached one, for the tree.
    fn tree_speedup(&self) -> f64 {
        self.tools.iter().find(|row| row.name == "folder_get_tree").map_or(0.0, Row::speedup)
    }

    /// Prints the result to stdout, and what was wrong to stderr.
    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        let verdict = self.verdict();
        let text = if json {
            serde_json::to_string(&Printed {
                clients: self.clients,
                tools: &self.tools,
                answers_differ: self.tools.iter().map(|row| row.differ).sum::<usize>() + self.contradictions.len(),
                plaintext_hits: self.plaintext.len(),
                store_bytes: self.store_bytes,
                raw_bytes: self.raw_bytes,
                entries: self.entries,
                file_bytes: self.file_bytes,
                tree_speedup: self.tree_speedup(),
                scanned_bytes: self.scanned_bytes,
                needles: self.needles,
                verdict: &verdict,
            })?
        } else {
            self.table()?
        };
        writeln!(std::io::stdout(), "{text}")?;
        for wrong in &verdict {
            super::say(&format!("error: {wrong}"));
        }
        Ok(())
    }

    fn table(&self) -> anyhow::Result<String> {
        let mut out = String::new();
        writeln!(out, "{} MCP clients, one daemon, one encrypted cache\n", self.clients)?;
        writeln!(
            out,
            "{:<22} {:>9} {:>11} {:>11} {:>11} {:>9} {:>13} {:>9}",
            "tool", "answer", "first", "cached p50", "cached p99", "speed-up", "Graph calls", "coalesced"
        )?;
        writeln!(out, "{:<22} {:>9} {:>11} {:>11} {:>11} {:>9} {:>13} {:>9}", "", "KB", "ms", "us", "us", "", "first/cached", "")?;
        for row in &self.tools {
            writeln!(
                out,
                "{:<22} {:>9.1} {:>11.1} {:>11.1} {:>11.1} {:>8.0}x {:>13} {:>9}",
                row.name,
                row.answer_bytes as f64 / 1000.0,
                row.first_ms,
                row.cached_p50_us,
                row.cached_p99_us,
                row.speedup(),
                format!("{}/{}", row.graph_calls_first, row.graph_calls_cached),
                row.coalesced
            )?;
        }
        let saved = 100.0 - self.store_bytes as f64 * 100.0 / (self.raw_bytes as f64).max(1.0);
        writeln!(out)?;
        writeln!(out, "folder tree: the cached answer is {:.0} times faster than the first", self.tree_speedup())?;
        writeln!(
            out,
            "store: {} answers, {:.1} KB as text, {:.1} KB stored (compression saves {saved:.0} %), {:.1} KB of files",
            self.entries,
            self.raw_bytes as f64 / 1000.0,
            self.store_bytes as f64 / 1000.0,
            self.file_bytes as f64 / 1000.0
        )?;
        writeln!(
            out,
            "plain text: {} hits of {} texts in {:.1} MB of files",
            self.plaintext.len(),
            self.needles,
            self.scanned_bytes as f64 / 1e6
        )?;
        let differ: usize = self.tools.iter().map(|row| row.differ).sum();
        write!(out, "answers that differ between clients: {differ}; that contradict a write: {}", self.contradictions.len())?;
        Ok(out)
    }
}

impl Row {
    fn speedup(&self) -> f64 {
        if self.cached_p50_us > 0.0 { (self.first_ms * 1000.0 / self.cached_p50_us).round() } else { 0.0 }
    }
}
