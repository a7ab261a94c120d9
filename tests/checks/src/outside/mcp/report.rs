//! What was seen: as a table for people, as one JSON object for programs, and the verdict.

use std::{collections::BTreeMap, fmt::Write as _, io::Write as _};

use serde_json::json;

use super::conformance::Fared;

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Whether what was skipped counts as failed.
    pub(super) no_skips: bool,
    /// By revision.
    pub(super) conformance: BTreeMap<&'static str, Fared>,
    /// By client: `ok`, `skipped: why`, or what failed.
    pub(super) clients: BTreeMap<&'static str, String>,
    /// Steps done by all clients.
    pub(super) steps: usize,
}

impl Report {
    /// What was not as it should be; empty when all was.
    pub(super) fn verdict(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (revision, fared) in &self.conformance {
            if !fared.skipped.is_empty() {
                wrong.extend(self.no_skips.then(|| format!("conformance {revision}: skipped: {}", fared.skipped)));
            } else if !fared.agrees {
                wrong.push(format!("conformance {revision}: failed: {}", fared.failed.join("; ")));
            }
        }
        let failed = self.clients.iter().filter(|(_, how)| *how != "ok" && (self.no_skips || !how.starts_with("skipped: ")));
        wrong.extend(failed.map(|(client, how)| format!("{client}: {how}")));
        wrong
    }

    /// Prints the result to stdout, and what was wrong to stderr.
    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        let verdict = self.verdict();
        let text = if json { self.json(&verdict) } else { self.table()? };
        writeln!(std::io::stdout(), "{text}")?;
        for wrong in &verdict {
            crate::demo::say(&format!("error: {wrong}"));
        }
        Ok(())
    }

    fn json(&self, verdict: &[String]) -> String {
        let by = |fared: &Fared| {
            let mut seen = json!({ "passed": fared.passed, "failed": fared.failed.len(), "baseline": fared.baseline, "not_required": fared.not_required });
            if !fared.failed.is_empty() {
                seen["failures"] = json!(fared.failed);
            }
            if !fared.skipped.is_empty() {
                seen["skipped"] = json!(fared.skipped);
            }
            seen
        };
        let conformance: BTreeMap<_, _> = self.conformance.iter().map(|(revision, fared)| (revision, by(fared))).collect();
        json!({ "conformance": conformance, "clients": self.clients, "client_steps": self.steps, "verdict": verdict }).to_string()
    }

    fn table(&self) -> anyhow::Result<String> {
        let mut out = String::new();
        for (revision, fared) in &self.conformance {
            let how = if fared.skipped.is_empty() { String::new() } else { format!(" (skipped: {})", fared.skipped) };
            let (passed, failed, known) = (fared.passed, fared.failed.len(), fared.baseline.len());
            writeln!(out, "conformance {revision}: {passed} scenarios pass, {failed} fail, {known} known to fail{how}")?;
            for failure in &fared.failed {
                writeln!(out, "    {failure}")?;
            }
        }
        if !self.clients.is_empty() {
            writeln!(out, "other people's clients, {} steps done:", self.steps)?;
            for (client, how) in &self.clients {
                writeln!(out, "    {client:<14} {how}")?;
            }
        }
        Ok(out.trim_end().to_owned())
    }
}
