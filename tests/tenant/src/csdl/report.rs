//! What was found, added up over a tenant's life.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Csdl, Exchange};
use crate::state::lock;

/// How many different offences are told apart; more are only counted.
const KEPT: usize = 200;

/// What was found in one answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    /// Answers looked at; a `$batch` counts with those in it.
    pub responses: u64,
    /// Properties and annotations looked at.
    pub checked: u64,
    /// What does not hold: the place, what is wrong, and the value.
    pub offences: Vec<(String, String, String)>,
}

impl Findings {
    pub(super) fn offence(&mut self, at: &str, what: &str, value: &Value) {
        let mut shown = if value.is_null() { String::new() } else { value.to_string() };
        if let Some((cut, _)) = shown.char_indices().nth(200) {
            shown.truncate(cut);
        }
        self.offences.push((at.to_owned(), what.to_owned(), shown));
    }
}

/// One way in which answers did not hold to the declarations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offence {
    /// The route whose answer it was.
    pub route: String,
    /// The place in the answer: `message.flag.flagStatus`.
    pub at: String,
    /// What is wrong there.
    pub what: String,
    /// The first value seen.
    pub value: String,
    /// How often it was seen.
    pub count: u64,
}

/// All answers of a tenant so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Answers looked at; those in a `$batch` count too.
    pub responses: u64,
    /// Properties and annotations looked at.
    pub checked: u64,
    /// Those of them that do not hold to the declarations.
    pub unknown: u64,
    /// The different ways in which they do not, in the order they were first seen.
    pub offences: Vec<Offence>,
    /// Answers looked at by route.
    pub routes: BTreeMap<String, u64>,
}

/// Looks at each answer as it goes out.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    report: Mutex<Report>,
}

impl Judge {
    /// Looks at one answer.
    pub(crate) fn look(&self, route: &str, exchange: &Exchange<'_>) {
        let findings = Csdl::v1().check(exchange);
        let mut report = lock(&self.report);
        report.responses += findings.responses;
        report.checked += findings.checked;
        report.unknown += findings.offences.len() as u64;
        *report.routes.entry(route.to_owned()).or_default() += 1;
        for (at, what, value) in findings.offences {
            let room = report.offences.len() < KEPT;
            match report.offences.iter_mut().find(|known| known.route == route && known.at == at && known.what == what) {
                Some(known) => known.count += 1,
                None if room => {
                    report.offences.push(Offence { route: route.to_owned(), at, what, value, count: 1 });
                }
                None => {}
            }
        }
    }

    /// What was found so far.
    pub(crate) fn report(&self) -> Report {
        lock(&self.report).clone()
    }
}
