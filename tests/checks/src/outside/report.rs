//! What was seen: as a table for people, as one JSON object for programs, and the verdict.

use std::{collections::BTreeMap, fmt::Write as _, io::Write as _};

use m365_cached_tenant::csdl;
use serde::Serialize;

/// Fewer examples than this on served paths would mean that the tenant forgot something.
const SERVED_AT_LEAST: usize = 180;

/// How one example fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fared {
    /// The tenant answers the same shape.
    Well,
    /// It answers another one: in what way.
    Badly(Vec<String>),
    /// It does not serve this: why.
    NotServed(String),
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Whether all parts ran, so that counts can be judged too.
    pub(super) whole: bool,
    /// Whether a client that was skipped counts as failed.
    pub(super) no_skips: bool,
    /// What the answers of all tenants were like.
    pub(super) csdl: csdl::Report,
    /// By id: method and address, and how it fared.
    pub(super) examples: BTreeMap<String, (String, Fared)>,
    /// By client: `ok`, `skipped: why`, or what failed.
    pub(super) clients: BTreeMap<String, String>,
    /// Steps done by all clients.
    pub(super) steps: usize,
}

#[derive(Serialize)]
struct Printed<'a> {
    csdl_unknown: u64,
    csdl_checked: u64,
    examples_on_served_paths: usize,
    examples_ok: usize,
    clients: &'a BTreeMap<String, String>,
    csdl_responses: u64,
    csdl_offences: &'a [csdl::Offence],
    examples: usize,
    /// All that are on served paths and not answered as shown, with the reasons.
    examples_failed: BTreeMap<&'a str, &'a [String]>,
    examples_not_served: BTreeMap<&'a str, String>,
    client_steps: usize,
    verdict: &'a [String],
}

impl Report {
    /// Adds what a tenant's answers were like.
    pub(super) fn add(&mut self, csdl: csdl::Report) {
        self.csdl.responses += csdl.responses;
        self.csdl.checked += csdl.checked;
        self.csdl.unknown += csdl.unknown;
        self.csdl.offences.extend(csdl.offences);
        for (route, count) in csdl.routes {
            *self.csdl.routes.entry(route).or_default() += count;
        }
    }

    fn served(&self) -> usize {
        self.examples.values().filter(|(_, fared)| matches!(fared, Fared::Well | Fared::Badly(_))).count()
    }

    fn good(&self) -> usize {
        self.examples.values().filter(|(_, fared)| *fared == Fared::Well).count()
    }

    /// What was not as it should be; empty when all was.
    pub(super) fn verdict(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.csdl.unknown > 0 {
            wrong.push(format!("{} properties of answers do not hold to Graph's declarations", self.csdl.unknown));
        }
        let (served, good) = (self.served(), self.good());
        if good * 10 < served * 9 {
            wrong.push(format!("{good} of {served} examples on served paths are answered as Microsoft shows, less than nine in ten"));
        }
        if self.whole && served < SERVED_AT_LEAST {
            wrong.push(format!("{served} examples are on served paths, fewer than {SERVED_AT_LEAST}"));
        }
        let failed = self.clients.iter().filter(|(_, how)| *how != "ok" && (self.no_skips || !how.starts_with("skipped: ")));
        wrong.extend(failed.map(|(client, how)| format!("{client}: {how}")));
        wrong
    }

    /// Prints the result to stdout, and what was wrong to stderr.
    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        let verdict = self.verdict();
        let text = if json { self.json(&verdict)? } else { self.table()? };
        writeln!(std::io::stdout(), "{text}")?;
        for wrong in &verdict {
            crate::demo::say(&format!("error: {wrong}"));
        }
        Ok(())
    }

    fn json(&self, verdict: &[String]) -> anyhow::Result<String> {
        let failed = self.examples.iter().filter_map(|(id, (_, fared))| match fared {
            Fared::Badly(why) => Some((id.as_str(), why.as_slice())),
            _ => None,
        });
        let not_served = self.examples.iter().filter_map(|(id, (_, fared))| match fared {
            Fared::NotServed(why) => Some((id.as_str(), why.clone())),
            _ => None,
        });
        Ok(serde_json::to_string(&Printed {
            csdl_unknown: self.csdl.unknown,
            csdl_checked: self.csdl.checked,
            examples_on_served_paths: self.served(),
            examples_ok: self.good(),
            clients: &self.clients,
            csdl_responses: self.csdl.responses,
            csdl_offences: &self.csdl.offences,
            examples: self.examples.len(),
            examples_failed: failed.collect(),
            examples_not_served: not_served.collect(),
            client_steps: self.steps,
            verdict,
        })?)
    }

    fn table(&self) -> anyhow::Result<String> {
        let mut out = String::new();
        let csdl = &self.csdl;
        writeln!(out, "Graph's declarations: {} answers on {} routes,", csdl.responses, csdl.routes.len())?;
        writeln!(out, "    {} properties checked, {} do not hold", csdl.checked, csdl.unknown)?;
        for offence in &csdl.offences {
            writeln!(out, "    {}: {} {} ({} times) {}", offence.route, offence.at, offence.what, offence.count, offence.value)?;
        }
        if !self.examples.is_empty() {
            writeln!(
                out,
                "\nMicrosoft's examples: {} of {} are on served paths, {} are answered alike",
                self.served(),
                self.examples.len(),
                self.good()
            )?;
            for (id, (asked, fared)) in &self.examples {
                if let Fared::Badly(why) = fared {
                    writeln!(out, "    {id} ({asked}): {}", why.join("; "))?;
                }
            }
            let mut reasons = BTreeMap::<String, Vec<&str>>::new();
            for (asked, fared) in self.examples.values() {
                let why = match fared {
                    Fared::NotServed(why) => why.clone(),
                    Fared::Well | Fared::Badly(_) => continue,
                };
                reasons.entry(why).or_default().push(asked);
            }
            for (why, mut asked) in reasons {
                asked.sort_unstable();
                asked.dedup();
                writeln!(out, "  not served, {why}:")?;
                for asked in asked {
                    writeln!(out, "    {asked}")?;
                }
            }
        }
        if !self.clients.is_empty() {
            writeln!(out, "\nother people's clients, {} steps done:", self.steps)?;
            for (client, how) in &self.clients {
                writeln!(out, "    {client:<36} {how}")?;
            }
        }
        Ok(out.trim_end().to_owned())
    }
}
